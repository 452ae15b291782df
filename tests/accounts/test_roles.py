"""At least one account can always assign roles, even after concurrent removals."""

from functools import partial

import pytest

from accounts import roles
from accounts.errors import RuleError
from accounts.models import User
from tests.together import at_once


@pytest.mark.race
@pytest.mark.django_db(transaction=True)
def test_two_admins_cannot_remove_each_other() -> None:
    for number in range(8):
        one, two = [User.objects.create_user(f"{name}{number}", f"{name}{number}@x.org") for name in "ab"]
        roles.assign(one, ["admin"])
        roles.assign(two, ["admin"])
        against_one = partial(roles.assign, one, []) if number % 2 else partial(roles.set_active, one, False)
        results = at_once(against_one, partial(roles.set_active, two, False))
        assert [result.code for result in results if isinstance(result, RuleError)] == ["last_admin"]
        assert roles.who_may("ops_people").count() == 1
        User.objects.all().delete()
