"""客户, 应用, AppKey, 地域, 审计日志, 登录失败."""

from typing import Any

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext, pgettext_lazy

from accounts import roles
from accounts.models import App, AppKey, AuditEntry, Invitation, PendingAct, Region, User
from operations import audit_labels
from operations.actions import registry, subjects
from operations.records.base import RecordAdmin
from operations.reports.tables import Column, Table, at_desk
from operations.templatetags.operations import act_label

admin.site.unregister(Group)  # roles are assigned by an action, with a reason


class RoleFilter(admin.SimpleListFilter):
    title = gettext_lazy("角色")
    parameter_name = "role"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(name, label) for name, label in roles.NAMES.items()]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[User]") -> "QuerySet[User]":
        return queryset.filter(groups__name=self.value()) if self.value() else queryset


@admin.register(User)
class UserRecords(RecordAdmin):
    sortable_by = ("username", "company", "apps_count", "date_joined")
    icon = "users"
    desk_field = "username"
    list_display = ("username", "email", "company", "apps_count", "is_active", "is_staff", "date_joined")
    list_filter = ("is_active", "is_staff", RoleFilter, "date_joined")
    search_fields = ("username", "email", "company", "phone")
    ordering = ("-pk",)
    fields = (
        "username", "email", "email_verified_at", "company", "phone", "language", "is_active", "is_staff",
        "is_superuser", "roles", "date_joined", "last_login", "erased_at",
    )  # fmt: skip
    readonly_fields = ("roles",)

    def get_queryset(self, request: HttpRequest) -> "QuerySet[User]":
        found: QuerySet[User] = super().get_queryset(request)
        return found.annotate(apps_count=Count("apps"))

    @admin.display(description=gettext_lazy("应用数"), ordering="apps_count")
    def apps_count(self, user: Any) -> int:
        return int(user.apps_count)

    @admin.display(description=gettext_lazy("角色"))
    def roles(self, user: User) -> str:
        return roles.labels(user) or str(self.empty_value_display)

    def tables(self, row: User) -> list[Table]:
        columns = [Column(_("应用 ID")), Column(_("应用名称")), Column(_("创建时间"), "when")]
        apps = [[at_desk(app.app_id), app.name, app.created_at] for app in row.apps.all()[:50]]
        return [Table("apps", pgettext("records", "应用"), columns, apps, empty=_("没有应用。"))]


@admin.register(Invitation)
class InvitationRecords(RecordAdmin):
    permission = "ops_people"
    label = pgettext_lazy("records", "邀请")
    icon = "envelope"
    list_display = ("email", "by", "created_at", "expires_at", "used_at", "user")
    list_filter = ("created_at", ("used_at", admin.EmptyFieldListFilter))
    list_select_related = ("by", "user")
    search_fields = ("email", "by__username", "user__username")
    ordering = ("-pk",)
    fields = ("email", "by", "created_at", "expires_at", "used_at", "user")


@admin.register(App)
class AppRecords(RecordAdmin):
    label = pgettext_lazy("records", "应用")
    icon = "cube"
    desk_field = "app_id"
    list_display = ("app_id", "name", "customer", "region", "rate_per_s", "concurrency", "created_at")
    list_filter = ("region", "created_at")
    list_select_related = ("customer", "region")
    search_fields = ("app_id", "name", "customer__username", "customer__email", "customer__company")
    ordering = ("-pk",)
    fields = (
        "app_id", "name", "description", "customer", "region", "rate_per_s", "concurrency",
        "allowed_addresses", "created_at",
    )  # fmt: skip
    readonly_fields = ("app_id",)

    def tables(self, row: App) -> list[Table]:
        columns = [
            Column("AppKey"), Column(_("创建时间"), "when"), Column(_("停用时间"), "when"),
            Column(_("失效时间"), "when"), Column(_("最近使用"), "when"),
        ]  # fmt: skip
        keys = [
            [at_desk(key.key), key.created_at, key.disabled_at, key.expires_at, key.last_used_at]
            for key in row.keys.defer("secret_encrypted")[:50]
        ]
        return [Table("keys", _("密钥"), columns, keys, empty=_("没有密钥。"))]


@admin.register(AppKey)
class AppKeyRecords(RecordAdmin):
    label = pgettext_lazy("records", "AppKey")
    icon = "key"
    desk_field = "key"
    list_display = ("key", "app", "customer", "created_at", "disabled_at", "expires_at", "last_used_at")
    list_filter = ("created_at", ("disabled_at", admin.EmptyFieldListFilter))
    list_select_related = ("app__customer",)
    search_fields = ("key", "app__app_id", "app__name", "app__customer__username", "app__customer__company")
    ordering = ("-pk",)
    fields = ("key", "app", "created_at", "disabled_at", "expires_at", "last_used_at")

    @admin.display(description=gettext_lazy("客户"), ordering="app__customer")
    def customer(self, key: AppKey) -> str:
        return key.app.customer.username


@admin.register(Region)
class RegionRecords(RecordAdmin):
    label = pgettext_lazy("records", "地域")
    icon = "map-pin"
    list_display = ("code", "name", "name_en", "queue", "is_active", "position")
    list_filter = ("is_active",)


@admin.register(AuditEntry)
class AuditRecords(RecordAdmin):
    permission = "ops_audit"
    icon = "finger-print"
    list_display = ("at", "by", "act_name", "kind", "subject_id", "customer", "reason", "address")
    list_filter = ("at",)
    list_select_related = ("by", "customer")
    search_fields = ("by__username", "customer__username", "customer__company", "subject_id", "reason")
    ordering = ("-pk",)
    fields = (
        "at", "by", "address", "act_name", "kind", "subject_id", "customer", "reason", "details_shown",
    )  # fmt: skip
    readonly_fields = ("act_name", "kind", "details_shown")

    @admin.display(description=pgettext_lazy("one", "操作"), ordering="act")
    def act_name(self, entry: AuditEntry) -> str:
        return act_label(entry)

    @admin.display(description=gettext_lazy("对象类型"), ordering="subject")
    def kind(self, entry: AuditEntry) -> str:
        return subjects.kind_named(entry.subject)

    @admin.display(description=gettext_lazy("详情"))
    def details_shown(self, entry: AuditEntry) -> SafeString:
        lines = [
            (_("%(name)s：%(text)s") % {"name": name, "text": text},)
            for name, text in audit_labels.details(entry)
        ]
        return format_html_join(mark_safe("<br>"), "{}", lines)


@admin.register(PendingAct)
class PendingActRecords(RecordAdmin):
    permission = "ops_audit"
    icon = "check-badge"
    list_display = (
        "requested_at",
        "by",
        "act_name",
        "customer",
        "worth",
        "state",
        "decided_by",
        "decided_at",
    )
    list_filter = ("state", "requested_at")
    list_select_related = ("by", "customer", "decided_by")
    search_fields = ("by__username", "customer__username", "customer__company", "reason")
    ordering = ("-pk",)
    fields = (*list_display, "expires_at", "reason")
    readonly_fields = ("act_name",)

    @admin.display(description=pgettext_lazy("one", "操作"), ordering="act")
    def act_name(self, asked: PendingAct) -> str:
        return str(registry.ACTIONS[asked.act].label) if asked.act in registry.ACTIONS else asked.act


class _SignIns(RecordAdmin):
    permission = "ops_audit"
    icon = "lock-closed"
    list_display: tuple[str, ...] = ("attempt_time", "username", "ip_address", "user_agent")
    list_filter = ("attempt_time",)
    search_fields = ("username", "ip_address")
    search_help_text = gettext_lazy("用户名或来源地址")
    ordering = ("-pk",)
    fields = ("attempt_time", "username", "ip_address", "user_agent", "path_info")  # never what was posted


@admin.register(AccessAttempt)
class AttemptRecords(_SignIns):
    label = gettext_lazy("登录失败次数")
    list_display = (*_SignIns.list_display, "failures_since_start")


@admin.register(AccessFailureLog)
class FailureRecords(_SignIns):
    label = gettext_lazy("失败的登录")


@admin.register(AccessLog)
class SignInRecords(_SignIns):
    label = gettext_lazy("成功的登录")
