"""A read-only table of the admin, with search, filters and the actions available for each row."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, cast

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters, ShowFacets
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path
from django.utils.functional import Promise
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from accounts import roles
from accounts.models import User
from operations.actions import registry, subjects
from operations.records import export, numbers
from operations.reports.personal_files import personal_file
from operations.reports.tables import Table

COUNTED = 10_000

if TYPE_CHECKING:  # generic for the type checker only
    BasePaginator = Paginator[Any]
    BaseAdmin = admin.ModelAdmin[Any]
else:
    BasePaginator, BaseAdmin = Paginator, admin.ModelAdmin


class CappedPaginator(BasePaginator):
    """Counts only up to COUNTED, so that a page takes the same time for a table of any size."""

    @cached_property
    def count(self) -> int:
        rows = cast("QuerySet[Any]", self.object_list)
        return rows.order_by()[: COUNTED + 1].count()


class RecordAdmin(BaseAdmin):
    """A table that nobody can edit here. Reading it needs `permission`; the desk searches by `desk_field`."""

    permission = "ops_records"
    desk_field = ""
    label: str | Promise = ""  # if the model's own name does not fit, because English needs a plural
    icon = "table-cells"

    actions = None
    sortable_by: ClassVar[tuple[str, ...]] = ()  # only by the key, newest first
    empty_value_display = "–"
    list_per_page = 50
    list_max_show_all = 0
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    paginator = CappedPaginator
    change_list_template = "admin/records.html"
    change_form_template = "admin/record.html"

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Allow the parameters of the declared filters only.

        Django allows every lookup on the table's own fields: `?password__regex=` would read a hash.
        """
        return lookup in {name for declared in self.list_filter for name in parameters_of(declared)}

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return [numbers.with_separators(self.model, name) for name in super().get_list_display(request)]

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> list[Any]:
        return [numbers.with_separators(self.model, name) for name in super().get_fields(request, obj)]

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        """Defer secret fields, of the rows and of related rows."""
        return super().get_queryset(request).defer(*secrets_of(self.model, self.list_select_related))

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return roles.may(request.user, self.permission)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        makers = registry.creating_actions(cast(User, request.user), self.model)
        return super().changelist_view(request, {**(extra_context or {}), "makers": makers})

    def get_urls(self) -> list[Any]:
        """Add the address of the CSV before Django's patterns, of which the last matches everything."""
        name = f"{self.opts.app_label}_{self.opts.model_name}_export"
        export = path("export.csv", self.admin_site.admin_view(self.export), name=name)
        return [export, *super().get_urls()]

    def export(self, request: HttpRequest) -> HttpResponse:
        """Send the rows of the filtered list, at most export.ROWS."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            found = self.get_changelist_instance(request).queryset
        except IncorrectLookupParameters:
            raise Http404 from None
        by = cast(User, request.user)
        return personal_file(request, by, str(self.opts.model_name), export.lines(self, found))

    @property
    def searched(self) -> str:
        """Return the label of the search box; "" without one."""
        if self.search_help_text:
            return str(self.search_help_text)
        return _("、").join(dict.fromkeys(capfirst(self._searched_name(one)) for one in self.search_fields))

    def _searched_name(self, lookup: str) -> str:
        """Return the label of one of `search_fields`: that of its last field, or of the lookup."""
        steps = lookup.lstrip("=^@").split("__")
        if steps[0] == "by":
            return str(_("操作员"))
        model: type[Model] = self.model
        for step in steps[:-1]:
            model = cast("type[Model]", model._meta.get_field(step).related_model)  # a foreign key
        return str(getattr(model._meta.get_field(steps[-1]), "verbose_name", steps[-1]))

    @property
    def name(self) -> str:
        """Return the label of the table."""
        return str(self.label or self.opts.verbose_name_plural)

    def title(self, row: Any) -> str:
        """Return the name of the row for a sentence; its table and number if there are no actions for it."""
        return subjects.about(row) if self.model in subjects.KINDS else f"{self.name} · {row.pk}"

    def tables(self, row: Any) -> Sequence[Table]:
        """Return the rows that belong to this one, which its page shows below it."""
        return []

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Return the object with its related rows, in one query."""
        named = [one.name for one in self.model._meta.fields if one.many_to_one]
        try:
            pk = self.model._meta.pk.to_python(object_id)
            joined = self.list_select_related if isinstance(self.list_select_related, Sequence) else ()
            return self.get_queryset(request).select_related(*named, *joined).get(pk=pk)
        except (self.model.DoesNotExist, ValidationError, ValueError):
            return None

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        row = kwargs["obj"]
        context |= {
            "offers": registry.available_actions(cast(User, request.user), row),
            "about": self.title(row),
            "name": self.name,
            "related_tables": self.tables(row),
            "desk_q": getattr(row, self.desk_field) if self.desk_field else "",
        }
        return super().render_change_form(request, context, *args, **kwargs)


# The lookups in the links of Django's list filters.
FILTER_LOOKUPS = ("exact", "gte", "lt", "isnull", "isempty", "id__exact")


def parameters_of(declared: Any) -> list[str]:
    """Return the query parameters that one entry of `list_filter` takes."""
    if isinstance(declared, type) and issubclass(declared, admin.SimpleListFilter):
        return [str(declared.parameter_name)]
    field = declared[0] if isinstance(declared, tuple) else declared
    return [f"{field}__{lookup}" for lookup in FILTER_LOOKUPS]


# Password hashes, encrypted keys and one-time tokens, by table. No queryset of the admin loads them.
SECRETS: dict[str, tuple[str, ...]] = {
    "accounts.user": ("password",),
    "accounts.appkey": ("secret_encrypted",),
    "billing.order": ("token",),
    "billing.walletentry": ("token",),
    "accounts.auditentry": ("token",),
    "accounts.pendingact": ("token",),
    "axes.accessattempt": ("get_data", "post_data"),
}


def secrets_of(model: type[Model], joined: Any) -> list[str]:
    """Return the secret fields of a table, and of its related tables, directly or by the `joined` paths."""
    paths = {"", *(field.name for field in model._meta.fields if field.many_to_one or field.one_to_one)}
    if isinstance(joined, Sequence):
        for path in joined:
            steps = path.split("__")
            paths |= {"__".join(steps[:end]) for end in range(1, len(steps) + 1)}
    found = []
    for path in sorted(paths):
        table: Any = model
        for step in filter(None, path.split("__")):
            table = table._meta.get_field(step).related_model
        found += ["__".join(filter(None, (path, name))) for name in SECRETS.get(table._meta.label_lower, ())]
    return found


def records_of(model: type[Model]) -> RecordAdmin:
    """Return the records of a registered table."""
    return cast(RecordAdmin, admin.site.get_model_admin(model))
