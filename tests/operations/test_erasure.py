"""Erasing the personal data of a closed account: nothing of it is left, its books are."""

from datetime import datetime

import pytest
from django.db import IntegrityError, transaction
from django.test import Client

from accounts import digests, roles
from accounts.errors import RuleError
from accounts.models import DigestKind, DigestSubscription, Invitation, User
from accounts.users import addresses, erasure, invitations
from billing.books import reconcile
from gallery import groups
from gallery.groups import Wanted
from gallery.models import Face, Group
from gallery.trail import Actor
from operations.actions import previews, registry
from tests.console.conftest import PASSWORD
from tests.gallery.conftest import store, template
from tests.operations.conftest import Login, World
from tests.operations.test_actions import DONE, REFUSED, act, written

pytestmark = pytest.mark.django_db


@pytest.fixture
def leaving(world: World, operators: dict[str, User], now: datetime) -> User:
    """Return a customer with Apps, orders, a gallery and everything personal that an account can have."""
    user = world.app.customer
    user.company, user.phone, user.first_name = "Contoso", "13800000000", "Alice"
    user.save()
    row = Invitation.objects.create(
        email=user.email, by=operators["admin"], created_at=now, expires_at=now, used_at=now, user=user
    )
    digests.choose(user, DigestKind.ACCOUNT, ["daily"], now)
    groups.add(world.app, [Wanted("staff", "员工")], now, Actor())
    store(world.app, "p", template(1), at=now)
    assert str(row) == user.email
    return user


def breaks(at: datetime) -> list[str]:
    return [str(broken) for proof in reconcile.run(at) for broken in proof.breaks]


def offered(operator: User, user: User) -> set[str]:
    return {one.act.name for one in registry.available_actions(operator, user)}


def test_the_personal_data_of_a_closed_account_is_erased(
    world: World, leaving: User, log_in: Login, operators: dict[str, User], now: datetime
) -> None:
    name, address, spent = leaving.username, leaving.email, leaving.orders.count()
    before = breaks(now)
    admin = log_in("admin")
    assert "erase-account" not in offered(operators["admin"], leaving)
    assert act(admin, "erase-account", leaving).status_code == REFUSED
    roles.set_active(leaving, False)
    assert offered(operators["admin"], leaving) >= {"erase-account", "open"}
    changes = {one.label: (one.before, one.after) for one in previews.of("erase-account", leaving, {}, now)}
    assert changes["邮箱"] == (address, "–")
    assert changes["人脸"] == ("1", "0")

    assert act(log_in("support"), "erase-account", leaving).status_code == 403
    reply = act(admin, "erase-account", leaving, next=f"/ops/desk/?q={name}")
    assert reply.status_code == DONE
    assert "个人信息已清除" in admin.get(reply["Location"]).content.decode()
    erased = User.objects.filter(pk=leaving.pk).values().get()
    texts = {one for one in erased.values() if isinstance(one, str)}
    assert not texts & {name, address, "Contoso", "13800000000", "Alice"}
    assert not User.objects.get(pk=leaving.pk).has_usable_password()
    assert Invitation.objects.get().email == ""
    assert not DigestSubscription.objects.exists()
    assert (Face.objects.count(), Group.objects.count()) == (0, 0)
    assert all(key.disabled_at for app in leaving.apps.all() for key in app.keys.all())
    assert leaving.orders.count() == spent
    assert breaks(now) == before
    entry = written("erase-account")
    assert entry.details["faces"] == 1
    assert entry.customer == leaving
    left = offered(operators["admin"], User.objects.get(pk=leaving.pk))
    assert not left & {"open", "close", "roles", "erase-gallery", "erase-account"}


def test_the_address_and_the_name_can_be_registered_again(
    leaving: User, operators: dict[str, User], now: datetime
) -> None:
    name, address = leaving.username, leaving.email
    roles.set_active(leaving, False)
    with pytest.raises(RuleError, match="address_owned"):
        invitations.invite(address, by=operators["admin"], at=now)
    erasure.erase(leaving, now)
    invitations.invite(address, by=operators["admin"], at=now)
    form = {"username": name, "email": address, "password1": PASSWORD, "password2": PASSWORD}
    assert Client().post("/register/", form).status_code == 302
    another = User.objects.get(username=name)
    addresses.mark_verified(another, address, now)
    assert addresses.owner_of(address) == another


def test_an_erased_account_stays_closed_and_empty(leaving: User, now: datetime) -> None:
    with pytest.raises(RuleError, match="not_erasable"):
        erasure.erase(leaving, now)
    roles.set_active(leaving, False)
    erasure.erase(leaving, now)
    with pytest.raises(RuleError, match="not_erasable"):
        erasure.erase(leaving, now)
    with pytest.raises(RuleError, match="account_erased"):
        roles.set_active(User.objects.get(pk=leaving.pk), True)
    for late in (
        {"is_active": True},
        {"email": "a@example.org"},
        {"company": "Contoso"},
    ):  # of a stale request
        with pytest.raises(IntegrityError), transaction.atomic():
            User.objects.filter(pk=leaving.pk).update(**late)


def test_an_operators_account_is_not_erased(operators: dict[str, User], now: datetime) -> None:
    roles.set_active(operators["support"], False)
    with pytest.raises(RuleError, match="not_erasable"):
        erasure.erase(operators["support"], now)
