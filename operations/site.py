"""Django's admin for the operators' records, with the console's login, layout and roles."""

from functools import wraps
from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts import roles
from operations.records.base import records_of


class OperatorSite(AdminSite):
    site_title = site_header = _("运营后台")
    index_title = _("全部记录")
    enable_nav_sidebar = False
    room_names = {"axes": _("登录安全")}

    def has_permission(self, request: HttpRequest) -> bool:
        return roles.may(request.user, "ops_records") or roles.may(request.user, "ops_audit")

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Wrap the view as Django does, but reject a logged-in user without permission at once."""
        guarded = super().admin_view(view, cacheable)

        @wraps(guarded)
        def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if request.user.is_authenticated and not self.has_permission(request):
                raise PermissionDenied
            return guarded(request, *args, **kwargs)

        return wrapper

    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Redirect to the one login page; reject a logged-in user who is not an operator."""
        if request.user.is_authenticated and not self.has_permission(request):
            raise PermissionDenied
        return redirect_to_login(request.GET.get("next") or reverse("admin:index"))

    def password_change(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """Redirect to the console's form, which counts wrong passwords and notifies the user."""
        return redirect("password_change")

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Return the tables by room, under the names of their records."""
        rooms = super().get_app_list(request, app_label)
        for room in rooms:
            room["name"] = self.room_names.get(room["app_label"], room["name"])
            for table in room["models"]:
                table["name"] = records_of(table["model"]).name
        return rooms

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        return {**super().each_context(request), "nav": "records"}
