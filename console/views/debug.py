"""在线调试: a form, one real call, and its reply drawn on the picture. It is charged like any call."""

from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
from csp.decorators import csp_update
from django.conf import settings
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from accounts.models import App, AppKey
from billing import catalogue, packages
from billing.models import Api
from common.postgresql.clock import now
from console.access import CustomerRequest, customer
from console.debugging import debugger
from console.debugging.debugger import Picture
from console.debugging.drawings import drawings
from console.debugging.turns import BUSY, Busy
from console.debugging.uploads import MAX_TOTAL_BYTES, memory_uploads
from console.error_messages import explained
from console.ownership import apps_in_use, chosen_app, newest_key
from gallery.models import Group
from gallery.search import MAX_GROUPS

MAX_PICTURES = 10
MAX_PAIRS = MAX_PICTURES // 2


class DebugError(Exception):
    """The form cannot be sent; the text states the reason."""


@csp_update({"img-src": ["https:", "http:"]})
@memory_uploads
@customer
def debug(request: CustomerRequest) -> HttpResponse:
    """Show the debugger. Only this page may load images from other sites: it shows those given by URL."""
    apps = list(apps_in_use(request))
    posted = request.POST if request.method == "POST" else request.GET
    app = chosen_app(apps, posted.get("app", ""))
    api = posted.get("api", "")
    offered = dict(catalogue.apis_on_offer())
    lines: dict[int, list[packages.Summary]] = {}
    for line in packages.summary(apps, now()):
        if line.api in offered:
            lines.setdefault(line.app.pk, []).append(line)
    ordered = lines.get(app.pk, []) if app else []
    if api not in offered:
        api = ordered[0].api if ordered else Api.FACE_DETECT.value
    context: dict[str, Any] = {
        "apps": [(one, lines.get(one.pk, [])) for one in apps],
        "app": app,
        "api": api,
        "apis": offered.items(),
        "lines": ordered,
        "missing": [
            (value, label) for value, label in offered.items() if value not in {line.api for line in ordered}
        ],
        "max_pictures": MAX_PICTURES,
        "listed_apis": "|".join(value for value in offered if value != Api.FACE_COMPARE),
        "slots": [(number, ("a", "b")) for number in range(1, MAX_PAIRS + 1)],
        "max_mb": MAX_TOTAL_BYTES // 2**20,
        "has_sample": sample_path().is_file(),
        "urls": posted.get("urls", ""),
        "groups": Group.objects.filter(app=app) if app and Api.FACE_SEARCH in offered else [],
        "chosen": posted.getlist("groups"),
        "nav": "debug",
    }
    if request.method == "POST" and app:
        try:
            context |= call(request, app, api)
            context["lines"] = lines_of(app)
        except DebugError as error:
            context["refused"] = str(error)
    htmx = request.headers.get("HX-Request") == "true"
    template = "console/debug/result.html" if htmx else "console/debug/debug.html"
    return render(request, template, {**context, "htmx": htmx})


def lines_of(app: App) -> list[packages.Summary]:
    """Return the remaining units of each API on offer that the App has ordered."""
    offered = dict(catalogue.apis_on_offer())
    return [line for line in packages.summary([app], now()) if line.api in offered]


def call(request: CustomerRequest, app: App, api: str) -> dict[str, Any]:
    pictures = chosen_pictures(request, api)
    groups = chosen_groups(request, app) if api == Api.FACE_SEARCH else []
    key = signing_key(app)
    draft = debugger.draft_of(api, pictures, groups)
    sent = send(request, draft, key)
    exchange = sent["exchange"]
    drawn = drawings(api, pictures, exchange.reply)
    results = exchange.reply.get("result") if isinstance(exchange.reply, dict) else None
    return sent | {
        "programs": draft.programs(f"{request.scheme}://{request.get_host()}", key.key),
        "drawings": drawn,
        "pairs": list(zip(debugger.pairs(drawn), results or [], strict=False))
        if api == Api.FACE_COMPARE
        else [],
    }


def send(request: CustomerRequest, draft: debugger.Draft, key: AppKey) -> dict[str, Any]:
    """Send the call; return its exchange and, if it failed, why. Raises DebugError if there is no reply."""
    try:
        exchange = debugger.send(
            draft,
            address=own_address(request),
            host=request.get_host(),
            key=key,
            language="en" if get_language() == "en" else "zh-CN",
            user=request.user,
        )
    except Busy as error:
        raise DebugError(BUSY) from error
    except httpx.HTTPError as error:
        raise DebugError(_("没有连上 API 服务，请稍后再试，或联系管理员检查服务状态。")) from error
    reply = exchange.reply if isinstance(exchange.reply, dict) else {}
    return {"exchange": exchange, "failed": failed(reply)}


def failed(reply: dict[str, Any]) -> dict[str, str]:
    """Return the texts of an error reply in the page's language; empty for any other reply."""
    if not reply.get("code"):
        return {}
    detail = str(reply.get("detail") or "")
    if get_language() != "en":
        detail = str(reply.get("detail_zh") or detail)
    return {**explained(reply["code"]), "detail": detail}


def chosen_pictures(request: CustomerRequest, api: str) -> list[Picture]:
    """Return the chosen pictures in order. Raises DebugError if the API does not accept them."""
    if getattr(request, "too_large", False):
        raise DebugError(_("图片合计超过 %(mb)s MB，请减少图片。") % {"mb": MAX_TOTAL_BYTES // 2**20})
    pictures = paired_pictures(request) if api == Api.FACE_COMPARE else []
    pictures = pictures or listed_pictures(request)
    if api == Api.FACE_COMPARE and len(pictures) == 1 and pictures[0].sample:
        pictures *= 2
    if not pictures:
        raise DebugError(_("请选择图片、填写图片 URL，或使用示例照片。"))
    if len(pictures) > MAX_PICTURES:
        raise DebugError(_("在线调试一次最多 %(n)s 张图片；更多图片请直接调用 API。") % {"n": MAX_PICTURES})
    if api == Api.FACE_COMPARE and len(pictures) % 2:
        raise DebugError(_("人脸比对以两张图片为一组，请再选一张图片。"))
    return pictures


def listed_pictures(request: CustomerRequest) -> list[Picture]:
    """Return the sample, the files and the URLs, in this order."""
    pictures = [sample_picture()] if wants_sample(request) else []
    pictures += [
        Picture(str(file.name), data=file.read(), local=at)
        for at, file in enumerate(request.FILES.getlist("files"))
    ]
    urls = map(str.strip, request.POST.get("urls", "").splitlines())
    return pictures + [Picture(line, url=line) for line in urls if line]


def paired_pictures(request: CustomerRequest) -> list[Picture]:
    """Return the pictures of the slots A and B, pair by pair. The sample fills the empty slots of the first.

    Empty if no slot is filled. Raises DebugError for a pair with one picture.
    """
    pictures: list[Picture] = []
    local = 0
    for number in range(1, MAX_PAIRS + 1):
        pair: list[Picture | None] = []
        for side in "ab":
            file, url = (
                request.FILES.get(f"{side}{number}"),
                request.POST.get(f"{side}{number}_url", "").strip(),
            )
            if file is not None:
                pair.append(Picture(str(file.name), data=file.read(), local=local))
                local += 1
            else:
                pair.append(Picture(url, url=url) if url else None)
        if number == 1 and wants_sample(request):
            pair = [one or sample_picture() for one in pair]
        filled = [one for one in pair if one is not None]
        if len(filled) == 1:
            raise DebugError(_("第 %(n)s 组缺少一张图片：人脸比对以 A、B 两张图片为一组。") % {"n": number})
        pictures += filled
    return pictures


def wants_sample(request: CustomerRequest) -> bool:
    return bool(request.POST.get("sample")) and sample_path().is_file()


def sample_picture() -> Picture:
    return Picture("sample.png", data=sample_path().read_bytes(), sample=True)


def chosen_groups(request: CustomerRequest, app: App) -> list[str]:
    """Return the App's groups to search: the chosen ones, or all if none is chosen and there are few."""
    own = Group.objects.filter(app=app).values_list("group_id", flat=True)
    chosen = list(own.filter(group_id__in=request.POST.getlist("groups"))) or list(own[: MAX_GROUPS + 1])
    if not chosen:
        raise DebugError(_("该应用还没有人脸组，请先在人脸库中新建并入库。"))
    if len(chosen) > MAX_GROUPS:
        raise DebugError(_("一次最多搜索 %(n)s 个组，请选择要搜索的组。") % {"n": MAX_GROUPS})
    return chosen


def signing_key(app: App) -> AppKey:
    key = newest_key(app, now())
    if key is None:
        raise DebugError(_("该应用没有有效的密钥，请先在密钥页生成新密钥。"))
    return key


def own_address(request: HttpRequest) -> str:
    """Return the base URL of this server: SELF_URL if set, otherwise the address on which it listens."""
    if settings.SELF_URL:
        return str(settings.SELF_URL)
    try:
        listening = ip_address(request.META["SERVER_NAME"])
    except ValueError:
        listening = ip_address("127.0.0.1")
    if listening.is_unspecified:
        listening = ip_address("127.0.0.1" if listening.version == 4 else "::1")
    host = f"[{listening}]" if listening.version == 6 else str(listening)
    return f"http://{host}:{request.META['SERVER_PORT']}"


def sample_path() -> Path:
    return Path(settings.MODELS_DIR) / "astronaut.png"


@require_GET
@customer
def sample(request: CustomerRequest) -> FileResponse:
    """Send the sample photograph, which is installed with the models."""
    if not sample_path().is_file():
        raise Http404
    response = FileResponse(sample_path().open("rb"), content_type="image/png")
    response["Cache-Control"] = "private, max-age=3600"
    return response
