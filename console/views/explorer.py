"""API 探索: every option of every API as a form, one real signed call, and the same call as a program."""

import json
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import App
from billing import packages
from billing.models import Api
from common.postgresql.clock import now
from console.access import CustomerRequest, customer
from console.confirmation import unconfirmed
from console.debugging.debugger import Draft, Picture
from console.debugging.uploads import MAX_TOTAL_BYTES, memory_uploads
from console.documentation import programs
from console.documentation.examples import EXAMPLES
from console.explorer import fields
from console.explorer.operations import Operation, operations
from console.ownership import apps_in_use, chosen_app
from console.views.debug import DebugError, sample_path, send, signing_key
from faceapi.authentication.signing import PREFIXES

# The APIs of the gallery belong to face_search: its packages pay for them, or they are free.
DELETE_QUESTION = gettext_lazy("这会真的删除您的人脸库中的内容，无法恢复。确定发送吗？")
ONLY_CODE = "code"  # the button that generates the program without a call


@memory_uploads
@customer
def explorer(request: CustomerRequest) -> HttpResponse:
    posted = request.POST if request.method == "POST" else request.GET
    apps = list(apps_in_use(request))
    app = chosen_app(apps, posted.get("app", ""))
    choices = operations()
    operation = choices.get(posted.get("api", "")) or next(iter(choices.values()))
    body = fields.body_fields(operation)
    headers = fields.header_fields(operation)
    context: dict[str, Any] = {
        "apps": apps,
        "app": app,
        "operations": choices.values(),
        "operation": operation,
        "body": body,
        "headers": headers,
        "prefixes": PREFIXES,
        "shown_entries": shown_entries(posted.get("entries", "")),
        "has_sample": sample_path().is_file(),
        "max_mb": MAX_TOTAL_BYTES // 2**20,
        "api": Api(operation.name) if operation.name in Api.values else Api.FACE_SEARCH,
        "delete_question": DELETE_QUESTION,
        "docs_href": reverse(
            "docs_page", args=[operation.name if operation.name in EXAMPLES else Api.FACE_SEARCH]
        ),
        "nav": "explorer",
    }
    context |= units(app, context["api"])
    if request.method == "POST" and app:
        asks = operation.deletes and request.POST.get("act") != ONLY_CODE
        if asks and (page := unconfirmed(request, DELETE_QUESTION, _("发送请求"))):
            return page
        try:
            context |= answered(request, app, filled(request, operation, body, headers))
            context |= units(app, context["api"])
        except DebugError as error:
            context["refused"] = str(error)
    htmx = request.headers.get("HX-Request") == "true"
    template = "console/explorer/result.html" if htmx else "console/explorer/explorer.html"
    return render(request, template, {**context, "htmx": htmx})


def units(app: App | None, api: str) -> dict[str, Any]:
    """Return the App's remaining units of the API; `missing` if it has not ordered it."""
    lines = [line for line in packages.summary([app], now()) if line.api == api] if app else []
    missing = [] if lines or not app else [(api, str(Api(api).label))]
    return {"lines": lines, "missing": missing}


def shown_entries(text: str) -> int:
    """Return the number of entries of `data` that the form shows initially."""
    return min(max(int(text), 1), fields.MAX_ENTRIES) if text.isascii() and text.isdecimal() else 1


def filled(
    request: CustomerRequest, operation: Operation, body: list[fields.Field], headers: list[fields.Field]
) -> Draft:
    """Return the call of the filled form. Raises DebugError if its files are too large."""
    if getattr(request, "too_large", False):
        raise DebugError(_("图片合计超过 %(mb)s MB，请减少图片。") % {"mb": MAX_TOTAL_BYTES // 2**20})
    sent = request.POST.dict()
    texts: dict[str, str] = {}
    files: dict[str, Picture] = {}
    for name in fields.picture_names(body):
        picture = chosen_picture(request, name)
        if picture is not None:
            mark = programs.placeholder(len(files) + 1)
            files[mark] = picture
            texts[name] = mark
        elif text := sent.get(name, "").strip():
            texts[name] = text
    prefix = sent.get("prefix", "")
    prefix = prefix if prefix in PREFIXES else PREFIXES[0]
    return Draft(
        path=f"{prefix}{operation.name}.json",
        text=json.dumps(fields.body_of(body, sent, texts), ensure_ascii=False),
        files=files,
        headers={one.label: text for one in headers if (text := header_text(sent.get(one.name, "")))},
    )


def header_text(text: str) -> str:
    """Return the value of a header. Raises DebugError for characters that a header cannot contain."""
    text = text.strip()
    if not (text.isascii() and text.isprintable()):
        raise DebugError(_("请求头只能包含可见的 ASCII 字符。"))
    return text


def chosen_picture(request: CustomerRequest, name: str) -> Picture | None:
    """Return the file or the sample chosen for the picture `name`; None if its text is used."""
    file = request.FILES.get(f"{name}.file")
    if file is not None:
        return Picture(str(file.name), data=file.read())
    if (
        request.POST.get(f"{name}.sample")
        and not request.POST.get(name, "").strip()
        and sample_path().is_file()
    ):
        return Picture("sample.png", data=sample_path().read_bytes(), sample=True)
    return None


def answered(request: CustomerRequest, app: App, draft: Draft) -> dict[str, Any]:
    """Return the programs of the call and, unless only they were requested, the API's reply."""
    key = signing_key(app)
    found: dict[str, Any] = {"programs": draft.programs(f"{request.scheme}://{request.get_host()}", key.key)}
    if request.POST.get("act") == ONLY_CODE:
        return found
    return found | send(request, draft, key)
