"""调用记录 and the roll-ups of usage."""

from django.contrib import admin
from django.utils.translation import gettext_lazy

from faceapi.models import SUMS, Call, ServiceHour, UsageDay, UsageHour
from operations.records.base import RecordAdmin
from operations.records.filters import ByWholeId, CodeFilter


@admin.register(Call)
class CallRecords(ByWholeId):
    icon = "bolt"
    desk_field = "id"
    list_display = ("id", "at", "app", "api", "code", "images", "units", "latency_ms", "address")
    list_filter = ("api", CodeFilter, "at")
    list_select_related = ("app",)
    search_fields = ("id", "app__app_id", "app_key__key")
    ordering = ("-pk",)  # version 7 UUIDs: the newest first
    uuid_column, others = "id", ("app_key__key",)
    search_help_text = gettext_lazy("完整的请求 ID、应用 ID 或 AppKey")


@admin.register(UsageHour)
class UsageHourRecords(RecordAdmin):
    icon = "chart-bar"
    list_display = ("hour", "app", "api", "region", "code", "calls", "images", "units")
    list_filter = ("api", "hour")
    list_select_related = ("app", "region")
    search_fields = ("app__app_id",)
    ordering = ("-hour", "-pk")
    fields = ("hour", "app", "api", "region", "code", *SUMS)


@admin.register(UsageDay)
class UsageDayRecords(RecordAdmin):
    icon = "chart-bar"
    list_display = ("day", "app", "api", "region", "code", "calls", "images", "units")
    list_filter = ("api", "day")
    list_select_related = ("app", "region")
    search_fields = ("app__app_id",)
    ordering = ("-pk",)
    fields = ("day", "app", "api", "region", "code", *SUMS)


@admin.register(ServiceHour)
class ServiceHourRecords(RecordAdmin):
    icon = "chart-bar"
    list_display = ("hour", "api", "region", "code", "calls", "images", "units")
    list_filter = ("api", "region", CodeFilter, "hour")
    list_select_related = ("region",)
    ordering = ("-pk",)
    fields = ("hour", "api", "region", "code", *SUMS)
