"""What each role may open and do; roles are assigned by an action, and somebody can always assign them."""

from datetime import datetime

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client

from accounts import roles
from accounts.errors import RuleError
from accounts.models import App, AuditEntry, User
from billing.models import Order, Package, Sku, WalletEntry
from operations.actions.registry import ACTIONS
from tests.console.conftest import Place
from tests.operations.conftest import Login, World

pytestmark = pytest.mark.django_db

PAGES = {
    "/ops/": "ops_reports",
    "/ops/usage/": "ops_reports",
    "/ops/incidents/": "ops_reports",
    "/ops/usage/usage-by-api.csv": "ops_reports",
    "/ops/business/": "ops_reports",
    "/ops/business/packages-ending.csv": "ops_reports",
    "/ops/live/": "ops_reports",
    "/ops/desk/": "ops_desk",
    "/ops/customers/": "ops_desk",
    "/ops/customers/customers.csv": "ops_desk",
    "/ops/calls/": "ops_records",
    "/ops/calls/calls.csv": "ops_records",
    "/ops/prices/": "ops_catalogue",
    "/admin/billing/order/export.csv": "ops_records",
    "/admin/": "ops_records",
    "/admin/billing/walletentry/": "ops_records",
    "/admin/accounts/auditentry/": "ops_audit",
    "/admin/axes/accessattempt/": "ops_audit",
    "/metrics": "ops_reports",
}


def test_groups_match_the_roles_in_the_code(db: None) -> None:
    for role, codenames in roles.ROLES.items():
        held = Permission.objects.filter(group=Group.objects.get(name=role))
        assert set(held.values_list("codename", flat=True)) == set(codenames)


@pytest.mark.parametrize("role", list(roles.ROLES))
def test_a_role_opens_its_pages_and_no_other(role: str, log_in: Login) -> None:
    client = log_in(role)
    for page, permission in PAGES.items():
        reply = client.get(page, REMOTE_ADDR="203.0.113.1")
        assert reply.status_code == (200 if permission in roles.ROLES[role] else 403), page


def test_customers_see_no_operator_pages(as_alice: Client) -> None:
    for page in PAGES:
        assert as_alice.get(page, REMOTE_ADDR="203.0.113.1").status_code == 403, page
        visitor = Client().get(page, REMOTE_ADDR="203.0.113.1", follow=True)
        end = visitor.redirect_chain[-1][0] if visitor.redirect_chain else ""
        assert end.startswith("/login/?next=") or (page, visitor.status_code) == ("/metrics", 403), page


def test_staff_without_a_role_see_no_operator_pages(alice: User) -> None:
    alice.is_staff = True
    alice.save()
    client = Client()
    client.force_login(alice)
    assert {client.get(page, REMOTE_ADDR="203.0.113.1").status_code for page in PAGES} == {403}


@pytest.mark.parametrize("role", list(roles.ROLES))
def test_a_role_can_do_only_its_actions(role: str, world: World, log_in: Login) -> None:
    client = log_in(role)
    subjects = {
        User: world.app.customer, App: world.app, type(world.key): world.key, Order: world.orders[0],
        Package: Package.objects.first(), Sku: Sku.objects.first(),
        WalletEntry: WalletEntry.objects.filter(kind="top_up").first(),
    }  # fmt: skip
    for act in ACTIONS.values():
        if act.creates:
            address = f"/ops/acts/{act.name}/"
        else:
            subject = subjects.get(act.model) or act.model._default_manager.first()
            assert subject is not None
            address = f"/ops/acts/{act.name}/{subject.pk}/"
        reply = client.get(address)
        may = act.permission in roles.ROLES[role]
        assert reply.status_code == (200 if may else 403), act.name
        if not may:
            assert client.post(address, {"reason": "x"}).status_code == 403
    assert not AuditEntry.objects.exists()


def test_each_action_belongs_to_a_role_or_to_admins_only() -> None:
    held = {permission for role in ("support", "finance") for permission in roles.ROLES[role]}
    alone = {act.permission for act in ACTIONS.values()} - held
    assert alone == {"ops_limits", "ops_keys", "ops_people"}


def test_assigned_roles_replace_earlier_ones(operators: dict[str, User], alice: User) -> None:
    roles.assign(alice, ["support", "finance"])
    assert roles.of(alice) == ["support", "finance"]
    assert User.objects.get(pk=alice.pk).is_staff
    roles.assign(alice, [])
    assert roles.of(alice) == []
    assert not User.objects.get(pk=alice.pk).is_staff


def test_the_last_admin_cannot_lose_the_role(operators: dict[str, User]) -> None:
    with pytest.raises(RuleError, match="last_admin"):
        roles.assign(operators["admin"], ["viewer"])
    with pytest.raises(RuleError, match="last_admin"):
        roles.set_active(operators["admin"], False)
    assert roles.of(operators["admin"]) == ["admin"]
    with pytest.raises(RuleError, match="role_unknown"):
        roles.assign(operators["viewer"], ["king"])


def test_links_are_shown_only_to_permitted_operators(
    log_in: Login, world: World, place: Place, now: datetime
) -> None:
    pending = place(world.app.customer)
    found = {
        role: log_in(role).get(f"/ops/desk/?q={pending.number}") for role in ("support", "finance", "admin")
    }
    pages = {role: reply.content.decode() for role, reply in found.items()}
    assert "/acts/voucher/" in pages["support"]
    assert "/acts/cancel/" not in pages["support"]
    assert "/acts/cancel/" in pages["finance"]
    assert "/acts/voucher/" not in pages["finance"]
    assert "/admin/accounts/auditentry/" not in pages["finance"]
    assert "/admin/accounts/auditentry/" in pages["admin"]
