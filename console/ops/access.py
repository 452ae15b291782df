"""Who sees what: each page of the operators names the permission that it needs (accounts/roles.py)."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, cast

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.utils.functional import SimpleLazyObject

from accounts import roles
from accounts.models import User

P = ParamSpec("P")


class OperatorRequest(HttpRequest):
    """A request that `@operator` has let through: its user holds the page's permission."""

    user: User


def operator(
    permission: str,
) -> Callable[
    [Callable[Concatenate[OperatorRequest, P], HttpResponse]],
    Callable[Concatenate[HttpRequest, P], HttpResponse],
]:
    """For pages of operators with that permission: a visitor logs in first, anybody else gets 403."""

    def let_through(
        view: Callable[Concatenate[OperatorRequest, P], HttpResponse],
    ) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
        @wraps(view)
        def seen(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            if not request.user.is_authenticated:
                return redirect_to_login(request.get_full_path())
            if not roles.may(request.user, permission):
                raise PermissionDenied
            return view(cast(OperatorRequest, request), *args, **kwargs)

        return seen

    return let_through


def granted(request: HttpRequest) -> dict[str, object]:
    """Context processor: `may.ops_refund` and so on, so that a page shows only links that can be followed."""
    return {
        "may": SimpleLazyObject(lambda: {name: roles.may(request.user, name) for name in roles.PERMISSIONS})
    }
