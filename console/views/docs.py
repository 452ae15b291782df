"""The API documentation and 常见问题; codes come from faceapi.errors, programs from docs/samples."""

from typing import Any, cast
from urllib.parse import urlencode

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET

from accounts.models import App
from common.postgresql.clock import now
from console.access import CustomerRequest
from console.documentation import model_card, samples
from console.documentation.examples import EXAMPLES, REQUEST_STR
from console.documentation.programs import Program
from console.ownership import apps_in_use, chosen_app, newest_key
from faceapi import errors
from inference.calibration import scoring, tables

PAGES = {
    "": _("接入指南"),
    "signing": _("接口鉴权"),
    "face_detect": _("人脸检测定位"),
    "face_analyse": _("人脸属性识别"),
    "face_compare": _("人脸比对"),
    "face_search": _("人脸搜索与人脸库"),
    "model-card": _("模型卡"),
    "errors": _("错误代码"),
    "samples": _("示例代码"),
    "faq": _("常见问题"),
}
# The other APIs of the gallery: name, label, an entry of `data`, an entry of `result`.
GALLERY = [
    (
        "face_group_add",
        _("新建人脸组"),
        '{"group_id": "staff", "name": "员工", "retention_days": 365}',
        '{"group_id": "staff", "created": true}',
    ),
    (
        "face_group_list",
        _("人脸组列表"),
        '{"after": "…", "limit": 100}',
        '{"groups": [{"group_id", "name", "persons", "faces", "created_at_ms", "model_version"}], '
        '"next": "…"}',
    ),
    (
        "face_group_delete",
        _("删除人脸组"),
        '{"group_id": "staff"}',
        '{"group_id": "staff", "deleted_faces": 2}',
    ),
    (
        "face_person_add",
        _("人脸入库"),
        '{"group_id": "staff", "person_id": "1001", "image": "…", '
        '"consent": {"reference": "HR-12", "expires_at_ms": 1798732800000}, "note": "…"}',
        '{"group_id", "person_id", "face_id", "location", "quality": {"score", "reasons"}}',
    ),
    (
        "face_person_list",
        _("人员列表"),
        '{"group_id": "staff", "after": "…", "limit": 100}',
        '{"persons": [{"person_id", "note", "faces": [{"face_id", "created_at_ms", '
        '"consent_expires_at_ms"}]}], "next": "…"}',
    ),
    (
        "face_person_delete",
        _("删除人员"),
        '{"group_id": "staff", "person_id": "1001", "face_id": "…"}',
        '{"deleted_faces": 1}',
    ),
]
SCALE = (50, 60, 70, 80)  # the confidences whose false-accept rate is shown


def pages() -> dict[str, Any]:
    """Return the pages by slug, without those of the face gallery if it is switched off."""
    return {slug: title for slug, title in PAGES.items() if settings.GALLERY or slug != "face_search"}


def show(request: HttpRequest, page: str) -> HttpResponse:
    context: dict[str, Any] = {
        "pages": pages().items(),
        "has_gallery": settings.GALLERY,
        "page": page,
        "page_title": PAGES[page],
        "base_url": site_url(request),
        "nav": "docs",
    }
    if page in EXAMPLES:
        context |= {"api": page, "request_example": EXAMPLES[page][0], "reply_example": EXAMPLES[page][1]}
    if page == "signing":
        context["request_str"] = REQUEST_STR
    if page in ("face_compare", "face_search"):
        context["same_from"] = settings.COMPARE_SAME_FROM
    if page == "face_compare":
        context |= {
            "map_version": format_html('<span class="nowrap">{}</span>', scoring.table_version()),
            "measured_to": scoring.measured_to(),
            "scale": [(at, round(1 / scoring.false_accept_rate(at))) for at in SCALE],
        }
    if page == "face_search":
        context["gallery_apis"] = [
            {"name": name, "label": label, "entry": entry, "result": result}
            for name, label, entry, result in GALLERY
        ]
    if page == "model-card":
        context |= {
            "card": model_card.html("en" if get_language() == "en" else "zh"),
            "set_version": tables.version(),
        }
    if page == "errors":
        context["codes"] = [code_row(code) for code in errors.in_use()]
    if page == "samples":
        context |= sample_programs(request, context["base_url"])
    return render(request, f"docs/{page.replace('-', '_') or 'index'}.html", context)


def sample_programs(request: HttpRequest, base_url: str) -> dict[str, Any]:
    """Return the sample programs; for a customer, filled with the AppKey of the App chosen by `app`."""
    apps, app, values = filled_for(request, base_url)
    shown = values or {"FACECLOUD_URL": base_url, "FACECLOUD_APP_KEY": "..."}
    lines = [f"export {name}={value}" for name, value in (shown | {samples.NEVER_FILLED: "..."}).items()]
    return {
        "apps": apps,
        "app": app,
        "environment": "\n".join(lines),
        "programs": [
            Program(one.name, one.file, one.fill(values), one.lexer, download_address(one, app))
            for one in samples.LANGUAGES.values()
        ],
    }


def download_address(sample: samples.Language, app: App | None) -> str:
    address = reverse("sample", args=[sample.file])
    return f"{address}?{urlencode({'app': app.app_id})}" if app else address


def filled_for(request: HttpRequest, base_url: str) -> tuple[list[App], App | None, dict[str, str]]:
    """Return the reader's Apps, the chosen one, and the variables to fill in; all empty for a visitor."""
    if not request.user.is_authenticated:
        return [], None, {}
    reader = cast(CustomerRequest, request)
    apps = list(apps_in_use(reader))
    app = chosen_app(apps, request.GET.get("app", ""))
    key = newest_key(app, now()) if app else None
    values = {"FACECLOUD_URL": base_url, "FACECLOUD_APP_KEY": key.key} if key else {}
    return apps, app, values


@require_GET
def download(request: HttpRequest, file: str) -> HttpResponse:
    """Send a sample program as a file, filled as on the page."""
    sample = samples.LANGUAGES.get(file)
    if sample is None:
        raise Http404
    _apps, _app, values = filled_for(request, site_url(request))
    response = HttpResponse(sample.fill(values), content_type="text/plain; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{sample.file}"'
    return response


def site_url(request: HttpRequest) -> str:
    """Return the base URL for programs."""
    return settings.SITE_URL or f"{request.scheme}://{request.get_host()}"


def code_row(code: errors.Code) -> dict[str, Any]:
    """Return the row of a code in the reader's language."""
    english = get_language() == "en"
    return {
        "number": code.number,
        "http": None if code.reserved else code.http,
        "message": code.en if english else code.zh,
        "cause": code.cause_en if english else code.cause_zh,
        "remedy": code.remedy_en if english else code.remedy_zh,
    }


def index(request: HttpRequest) -> HttpResponse:
    return show(request, "")


def faq(request: HttpRequest) -> HttpResponse:
    return show(request, "faq")


def page(request: HttpRequest, page: str) -> HttpResponse:
    if page not in pages():
        raise Http404
    return show(request, page)
