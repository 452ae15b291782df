"""The App list with the manual's columns (3.2), and the page of one App."""

from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_POST

from accounts import applications, audit, limits
from accounts.errors import RuleError
from accounts.models import App
from billing import catalogue, packages
from billing.models import Api, Package
from billing.packages import QuotaState, Summary
from common.client_address import client_address
from common.postgresql.clock import now
from console.access import CustomerRequest, customer
from console.confirmation import unconfirmed
from console.context import current_region, regions
from console.forms import AppForm
from console.ownership import own_app, own_apps

PAGE_ROWS = 20
ALL_REGIONS = "all"
ARCHIVE_QUESTION = gettext_lazy(
    "归档后，应用从列表和选择框中隐藏，不再提醒到期；密钥、资源包和人脸库中的人脸继续有效，"
    "可以随时恢复。不再需要的人脸请先在人脸库中删除。确定归档吗？"
)


@dataclass
class AppRows:
    """An App with one row for each API that it has ordered."""

    app: App
    lines: list[Summary]

    @property
    def span(self) -> int:
        return max(1, len(self.lines))

    @property
    def urgency(self) -> int:
        """Return the rank of its most urgent state; 0 is the most urgent."""
        order = list(QuotaState)
        return min((order.index(line.state) for line in self.lines), default=len(order))

    @property
    def share_left(self) -> float:
        """Return the smallest remaining share of this month's units of any API, 0-1; 2 without a package."""
        return min((line.remaining / line.granted if line.granted else 0 for line in self.lines), default=2)


def app_rows(apps: list[App]) -> list[AppRows]:
    """Return the Apps with the remaining units of each API, in a fixed number of queries."""
    lines: dict[int, list[Summary]] = {app.pk: [] for app in apps}
    for line in packages.summary(apps, now()):
        lines[line.app.pk].append(line)
    return [AppRows(app, lines[app.pk]) for app in apps]


SORTS = {
    "": gettext_lazy("按创建时间"),
    "left": gettext_lazy("按剩余调用量"),
    "end": gettext_lazy("按到期时间"),
    "name": gettext_lazy("按名称"),
}


class AppsForm(forms.Form):
    """The filter of the list; invalid fields are ignored."""

    q = forms.CharField(required=False, max_length=64)
    api = forms.ChoiceField(choices=Api.choices, required=False)
    tag = forms.CharField(required=False, max_length=16)
    sort = forms.ChoiceField(choices=[(key, label) for key, label in SORTS.items() if key], required=False)
    archived = forms.BooleanField(required=False)


@require_GET
@customer
def listing(request: CustomerRequest) -> HttpResponse:
    form = AppsForm(request.GET)
    form.is_valid()
    chosen = form.cleaned_data
    choices = regions(request)
    here = current_region(request)
    code = request.GET.get("in", "")
    region = next((one for one in choices if one.code == code), here)
    everywhere = own_apps(request).filter(archived_at__isnull=not chosen.get("archived"))
    in_region = everywhere if code == ALL_REGIONS or region is None else everywhere.filter(region=region.pk)
    is_here = Q(region=region.pk) if region else Q()
    is_shown = Q(archived_at__isnull=not chosen.get("archived"))
    counts = (
        own_apps(request)
        .order_by()
        .aggregate(
            everywhere=Count("pk", filter=is_shown),
            here=Count("pk", filter=is_shown & is_here),
            archived=Count("pk", filter=Q(archived_at__isnull=False)),
        )
    )
    found = narrowed(in_region, chosen)
    page = Paginator(ordered(found, chosen.get("sort", "")), PAGE_ROWS).get_page(request.GET.get("page"))
    shown = list(page.object_list)
    rows = app_rows([one for one in shown if isinstance(one, App)]) or shown
    context = {
        "page": page,
        "rows": rows,
        "chosen": chosen,
        "shown_in": code if code == ALL_REGIONS else region.code if region else "",
        "all_regions": code == ALL_REGIONS,
        "elsewhere": counts["everywhere"] - counts["here"],
        "is_narrowed": any(chosen.get(key) for key in ("q", "api", "tag")),
        "apis": catalogue.apis_on_offer(),
        "sorts": SORTS.items(),
        "tags": tags_of(everywhere),
        "archived": counts["archived"],
        "nav": "apps",
    }
    return render(request, "console/apps/apps.html", context)


def tags_of(apps: QuerySet[App]) -> list[str]:
    """Return the distinct tags of these Apps."""
    tagged = apps.exclude(tags=[]).values_list("tags", flat=True)
    return sorted({tag for tags in tagged for tag in tags})


def narrowed(apps: QuerySet[App], chosen: dict[str, Any]) -> QuerySet[App]:
    """Return the Apps whose id, name or description contains the text, with this API and this tag."""
    if text := chosen.get("q", "").strip():
        apps = apps.filter(
            Q(name__icontains=text) | Q(description__icontains=text) | Q(app_id__icontains=text)
        )
    if api := chosen.get("api"):
        apps = apps.filter(pk__in=Package.objects.filter(api=api, refunded_at=None).values("app"))
    if tag := chosen.get("tag"):
        apps = apps.filter(tags__contains=[tag])
    return apps


def ordered(apps: QuerySet[App], sort: str) -> QuerySet[App] | list[AppRows]:
    """Return the Apps in the chosen order; remaining units and end dates come from their packages."""
    if sort == "name":
        return apps.order_by("name", "-pk")
    if sort == "left":
        return sorted(app_rows(list(apps)), key=lambda row: row.share_left)
    if sort == "end":
        rows = app_rows(list(apps))
        ending = [row for row in rows if row.lines]
        ending.sort(key=lambda row: min(line.expires_at for line in row.lines))
        return [*ending, *(row for row in rows if not row.lines)]
    return apps


class AddressesForm(forms.Form):
    """The client addresses allowed for an App, one per line."""

    addresses = forms.CharField(
        label=gettext_lazy("允许的来源地址"),
        required=False,
        max_length=5000,
        widget=forms.Textarea(attrs={"rows": 4, "class": "mono", "spellcheck": "false"}),
        help_text=gettext_lazy("每行一个 IP 地址或网段（CIDR），留空表示不限制。"),
    )

    def clean_addresses(self) -> list[str]:
        texts = str(self.cleaned_data["addresses"]).replace(",", " ").replace("，", " ").split()
        try:
            return limits.check_addresses(texts)
        except RuleError as error:
            if error.code == "addresses_too_many":
                raise forms.ValidationError(_("最多 %(limit)s 个地址。") % error.details) from error
            text = str(error.details["text"])[:60]
            raise forms.ValidationError(_("“%(text)s”不是 IP 地址或网段。") % {"text": text}) from error


class TagsForm(forms.Form):
    """The tags of an App, separated by commas or spaces."""

    tags = forms.CharField(
        label=gettext_lazy("标签"),
        required=False,
        max_length=200,
        help_text=gettext_lazy(
            "用逗号或空格分隔，最多 5 个，每个不超过 16 个字符，不能有 ~!@#¥%^&* 特殊字符；"
            "用于在应用列表中筛选。"
        ),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def clean_tags(self) -> list[str]:
        text = str(self.cleaned_data["tags"])
        for sign in ",，、":
            text = text.replace(sign, " ")
        return text.split()


@customer
def detail(request: CustomerRequest, app_id: str) -> HttpResponse:
    app = own_app(request, app_id)
    data = request.POST if request.method == "POST" else None
    act = data.get("act", "") if data else ""
    form = AppForm(data if act == "" else None, initial={"name": app.name, "description": app.description})
    addresses = AddressesForm(
        data if act == "addresses" else None, initial={"addresses": "\n".join(app.allowed_addresses)}
    )
    tags = TagsForm(data if act == "tags" else None, initial={"tags": ", ".join(app.tags)})
    if save_sent(request, app, form, addresses, tags):
        return redirect("app", app_id)
    context = about(app) | {
        "form": form,
        "addresses": addresses,
        "tags": tags,
        "own_address": client_address(request.META) or "",
        "archive_question": ARCHIVE_QUESTION,
        "nav": "apps",
        "tab": "detail",
    }
    refused = form.errors or addresses.errors or tags.errors
    return render(request, "console/apps/app.html", context, status=422 if refused else 200)


def save_sent(
    request: CustomerRequest, app: App, form: AppForm, addresses: AddressesForm, tags: TagsForm
) -> bool:
    """Save the form that was sent, if it is valid; return whether it was saved."""
    if form.is_bound and form.is_valid():
        applications.rename(app, **form.cleaned_data)
        messages.success(request, _("应用名称和描述已保存。"))
    elif addresses.is_bound and addresses.is_valid():
        allow_only(request, app, addresses.cleaned_data["addresses"])
        messages.success(request, _("允许的来源地址已保存，立即生效。"))
    elif tags.is_bound and tags.is_valid():
        try:
            applications.tag(app, tags.cleaned_data["tags"])
        except RuleError:
            tags.add_error("tags", str(TagsForm.base_fields["tags"].help_text))
            return False
        messages.success(request, _("标签已保存。"))
    else:
        return False
    return True


def allow_only(request: CustomerRequest, app: App, addresses: list[str]) -> None:
    """Set the allowed client addresses, and write a change of them to the audit log."""
    before = app.allowed_addresses
    with transaction.atomic():
        limits.allow_only(app, addresses)
        if app.allowed_addresses == before:
            return
        details = {
            "before": {"allowed_addresses": before},
            "after": {"allowed_addresses": app.allowed_addresses},
        }
        address = client_address(request.META)
        audit.record_own("own-addresses", app, by=request.user, at=now(), address=address, details=details)


def about(app: App) -> dict[str, Any]:
    """Return an App's remaining units of each API, the APIs it has not ordered, and its packages."""
    at = now()
    bought = (
        Package.objects.filter(app=app)
        .select_related("order__sku")
        .prefetch_related("periods")
        .order_by("-pk")
    )
    lines = packages.summary([app], at)
    has = {line.api for line in lines}
    return {
        "app": app,
        "lines": lines,
        "more": [(api, label) for api, label in catalogue.apis_on_offer() if api not in has],
        "packages": [
            (one, next((p for p in one.periods.all() if p.starts_at <= at < p.ends_at), None))
            for one in bought
        ],
    }


@require_POST
@customer
def archive(request: CustomerRequest, app_id: str) -> HttpResponse:
    app = own_app(request, app_id)
    if page := unconfirmed(request, ARCHIVE_QUESTION, _("归档应用")):
        return page
    applications.archive(app, now())
    messages.success(request, _("应用“%(name)s”已归档。") % {"name": app.name})
    return redirect("apps")


@require_POST
@customer
def restore(request: CustomerRequest, app_id: str) -> HttpResponse:
    app = own_app(request, app_id)
    applications.restore(app)
    messages.success(request, _("应用“%(name)s”已恢复。") % {"name": app.name})
    return redirect("app", app_id)
