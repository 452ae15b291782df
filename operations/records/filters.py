"""Searches and filters that stay fast on tables of any size."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from console.error_messages import explained
from faceapi import errors
from operations.records.base import RecordAdmin


class ByWholeId(RecordAdmin):
    """Search by a whole request id, App id or one of `others`; a search by parts would scan the table."""

    uuid_column: str
    others: tuple[str, ...] = ()
    search_help_text = gettext_lazy("完整的请求 ID 或应用 ID")

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Any]", search_term: str
    ) -> tuple["QuerySet[Any]", bool]:
        text = search_term.strip()
        if not text:
            return queryset, False
        try:
            return queryset.filter(**{self.uuid_column: UUID(text)}), False
        except ValueError:
            wanted = Q(app__app_id=text)
            for other in self.others:
                wanted |= Q(**{other: text})
            return queryset.filter(wanted), False


class CodeFilter(admin.SimpleListFilter):
    """Filter by code, with the choices of the code table instead of a query."""

    title = gettext_lazy("返回码")
    parameter_name = "code"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(code), f"{code} {explained(code)['message']}") for code in (errors.OK, *errors.TABLE)]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        value = self.value()
        return queryset.filter(code=int(value)) if value and value.isdecimal() else queryset
