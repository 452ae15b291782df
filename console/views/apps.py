"""The console's App list with the manual's columns (3.2), and one App's own page."""

from dataclasses import dataclass

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from accounts import applications
from accounts.models import App
from billing import packages
from billing.models import Api, Package
from billing.packages import Summary
from common.postgresql.clock import now
from console.context import CustomerRequest, current_region, customer, own_app, own_apps
from console.forms import AppForm

PAGE_ROWS = 20


@dataclass
class AppRows:
    """An App with one line for each API that it has ordered."""

    app: App
    lines: list[Summary]

    @property
    def span(self) -> int:
        return max(1, len(self.lines))


def with_lines(apps: list[App]) -> list[AppRows]:
    """Return the Apps with what is left of each API, in a fixed number of queries."""
    lines: dict[int, list[Summary]] = {app.pk: [] for app in apps}
    for line in packages.summary(apps, now()):
        lines[line.app.pk].append(line)
    return [AppRows(app, lines[app.pk]) for app in apps]


@require_GET
@customer
def listing(request: CustomerRequest) -> HttpResponse:
    region = current_region(request)
    everywhere = own_apps(request)
    here = everywhere.filter(region=region.pk) if region else everywhere
    page = Paginator(here, PAGE_ROWS).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "rows": with_lines(list(page.object_list)),
        "elsewhere": everywhere.count() - page.paginator.count,
        "nav": "apps",
    }
    return render(request, "console/apps.html", context)


@customer
def detail(request: CustomerRequest, app_id: str) -> HttpResponse:
    app = own_app(request, app_id)
    form = AppForm(request.POST or None, initial={"name": app.name, "description": app.description})
    if request.method == "POST" and form.is_valid():
        applications.rename(app, **form.cleaned_data)
        messages.success(request, _("应用名称和描述已保存。"))
        return redirect("app", app_id)
    at = now()
    bought = (
        Package.objects.filter(app=app)
        .select_related("order__sku")
        .prefetch_related("periods")
        .order_by("-pk")
    )
    ordered = packages.summary([app], at)
    context = {
        "app": app,
        "form": form,
        "lines": ordered,
        "more": [(api, label) for api, label in Api.choices if api not in {line.api for line in ordered}],
        "packages": [
            (one, next((p for p in one.periods.all() if p.starts_at <= at < p.ends_at), None))
            for one in bought
        ],
        "nav": "apps",
        "tab": "detail",
    }
    return render(request, "console/app.html", context, status=422 if form.errors else 200)
