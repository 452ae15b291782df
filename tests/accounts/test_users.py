"""A user that was read before a concurrent change does not undo it when it is saved."""

from collections.abc import Callable

import pytest
from django.contrib.auth.hashers import make_password
from django.db import connection
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from console.forms import ChangePasswordForm, NewPasswordForm, SettingsForm

OLD, NEW, OTHER = "xin-mi-ma-2026", "xin-mi-ma-2027", "xin-mi-ma-2028"

Save = Callable[[User, RequestFactory], object]


def settings_form(user: User, rf: RequestFactory) -> object:
    data = {"email": user.email, "company": "Contoso", "phone": "", "language": "en"}
    form = SettingsForm(rf.post("/"), data, instance=user)
    assert form.is_valid(), form.errors
    return form.save()


def change_form(user: User, rf: RequestFactory) -> object:
    form = ChangePasswordForm(
        rf.post("/"), user, {"old_password": OLD, "new_password1": NEW, "new_password2": NEW}
    )
    assert form.is_valid(), form.errors
    return form.save()


def reset_form(user: User, rf: RequestFactory) -> object:
    form = NewPasswordForm(user, {"new_password1": NEW, "new_password2": NEW})
    assert form.is_valid(), form.errors
    return form.save()


@pytest.fixture
def user(db: None) -> User:
    return User.objects.create_user("alice", "alice@example.org", OLD)


@pytest.mark.parametrize("save", [settings_form, change_form, reset_form])
def test_a_form_does_not_open_an_account_that_was_closed_meanwhile(
    user: User, rf: RequestFactory, save: Save
) -> None:
    read_before = User.objects.get(pk=user.pk)
    User.objects.filter(pk=user.pk).update(is_active=False, is_staff=True, email="new@example.org")
    save(read_before, rf)
    user.refresh_from_db()
    assert (user.is_active, user.is_staff, user.email) == (False, True, "new@example.org")
    assert user.company == "Contoso" or user.check_password(NEW)


def test_saving_settings_does_not_restore_an_old_password(user: User, rf: RequestFactory) -> None:
    read_before = User.objects.get(pk=user.pk)
    User.objects.filter(pk=user.pk).update(password=make_password(OTHER))
    settings_form(read_before, rf)
    user.refresh_from_db()
    assert user.check_password(OTHER)


def test_only_changes_since_the_last_read_are_written(user: User) -> None:
    user.company = user.phone = "1"
    user.save(update_fields=["company"])
    assert User.objects.get(pk=user.pk).phone == ""
    user.save()  # the telephone number is still to be saved
    assert User.objects.get(pk=user.pk).phone == "1"
    user.phone = "2"
    user.refresh_from_db(fields=["company"])
    user.save()
    assert User.objects.get(pk=user.pk).phone == "2"
    with CaptureQueriesContext(
        connection,
    ) as queries:
        user.save()
    assert len(queries) == 0


def test_a_login_does_not_write_back_a_password_that_was_reset_meanwhile(user: User) -> None:
    former = make_password(OLD, hasher="pbkdf2_sha256")  # is replaced by the next login
    User.objects.filter(pk=user.pk).update(password=former)
    read_before = User.objects.get(pk=user.pk)
    User.objects.filter(pk=user.pk).update(password=make_password(NEW))
    assert read_before.check_password(OLD)
    user.refresh_from_db()
    assert user.check_password(NEW)


def test_a_login_replaces_a_hash_of_a_former_kind(user: User) -> None:
    User.objects.filter(pk=user.pk).update(password=make_password(OLD, hasher="pbkdf2_sha256"))
    assert User.objects.get(pk=user.pk).check_password(OLD)
    user.refresh_from_db()
    assert user.password.startswith("argon2")
    assert user.check_password(OLD)
