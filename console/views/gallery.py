"""人脸库 of an App: its groups, their persons, enrolment by pictures, deletion, and the audit trail."""

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import chain
from pathlib import PurePath
from typing import Any
from uuid import uuid4

import httpx
from django import forms
from django.conf import settings
from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import get_language, gettext_lazy, ngettext
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_GET, require_POST

from accounts.models import App
from billing import packages
from billing.models import Api
from common.postgresql.clock import now
from console.access import CustomerRequest, customer
from console.confirmation import unconfirmed
from console.debugging import debugger
from console.debugging.turns import BUSY, Busy
from console.debugging.uploads import MAX_TOTAL_BYTES, BoundedMemoryHandler
from console.ownership import newest_key, own_app
from console.reports.downloads import csv_file
from console.views.debug import failed, own_address
from faceapi.gallery.stored_faces import face_id
from gallery import enrolment, groups, people, search, trail
from gallery.errors import GalleryFull, NoSuchFace, NoSuchGroup
from gallery.groups import Wanted
from gallery.models import ID_PATTERN, VECTORS, Action, Face, Group, Person, TrailEntry
from gallery.retention import erasure
from gallery.trail import Actor
from inference.calibration import scoring

PAGE_ROWS = 50
TRAIL_ROWS = 10_000
NAMED_AT_ONCE = 500
FACE_QUESTION = gettext_lazy("删除后无法恢复；最后一张人脸删除时，人员和备注一并删除。确定删除这张人脸吗？")
ID_RULE = gettext_lazy("1-64 个字符：字母、数字、下划线、连字符和点。")


class GroupForm(forms.Form):
    """A new group."""

    group_id = forms.RegexField(
        label=gettext_lazy("组 ID"),
        regex=ID_PATTERN,
        max_length=64,
        help_text=ID_RULE,
        error_messages={"invalid": ID_RULE},
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    name = forms.CharField(label=gettext_lazy("名称"), max_length=64)
    retention_days = forms.IntegerField(
        label=gettext_lazy("保存天数"),
        min_value=1,
        max_value=36_500,
        required=False,
        help_text=gettext_lazy("选填：人脸入库满这些天后自动删除；不填则保留到您删除为止。"),
    )


def own_group(app: App, pk: int) -> Group:
    """Return the App's group. Raises Http404 for a group of another App."""
    group = get_object_or_404(Group, app=app, pk=pk)
    group.app = app
    return group


def delete_question(group: Group) -> str:
    """Return the confirmation question for deleting the group."""
    words = _("将删除组 %(group)s 的全部人员和 %(n)s 张人脸，并销毁它的密钥。无法恢复。确定删除吗？")
    return words % {"group": group.group_id, "n": f"{group.faces:,}"}


def person_question(person: Person) -> str:
    """Return the confirmation question for deleting the person."""
    words = _("将删除人员 %(person)s 的全部人脸、备注和同意书编号。无法恢复。确定删除吗？")
    return words % {"person": person.person_id}


def frame(app: App, **more: object) -> dict[str, Any]:
    """Return the common context of the gallery's pages."""
    return {
        "app": app,
        "nav": "apps",
        "tab": "gallery",
        "is_on": settings.GALLERY,
        "stored": enrolment.stored_faces(app),
        "limit": groups.face_limit(app),
        "version": scoring.template_version(),
        **more,
    }


@customer
def gallery(request: CustomerRequest, app_id: str) -> HttpResponse:
    """Show the groups of an App, and a form for a new one."""
    app = own_app(request, app_id)
    form = GroupForm(request.POST or None)
    if request.method == "POST" and settings.GALLERY and form.is_valid():
        wanted = Wanted(**form.cleaned_data)
        if Group.objects.filter(app=app, group_id=wanted.group_id).exists():
            form.add_error("group_id", _("已有这个 ID 的组。"))
        else:
            try:
                groups.add(app, [wanted], now(), Actor(by=request.user))
            except GalleryFull as full:
                limit = full.values["limit"]
                form.add_error(None, _("一个应用最多 %(n)s 个组，请先删除不再需要的组。") % {"n": limit})
            else:
                group = get_object_or_404(Group, app=app, group_id=wanted.group_id)
                return redirect("gallery_group", app_id, group.pk)
    listed, _more = groups.page(app, "", groups.MAX_GROUPS)
    version = scoring.template_version()
    context = frame(
        app,
        form=form,
        groups=listed,
        outdated=[row for row in listed if row.group.faces and row.group.model_version != version],
        has_package=any(line.api == Api.FACE_SEARCH for line in packages.summary([app], now())),
    )
    return render(request, "console/gallery/gallery.html", context, status=422 if form.errors else 200)


@customer
def group(request: CustomerRequest, app_id: str, pk: int) -> HttpResponse:
    """Show the persons of a group."""
    app = own_app(request, app_id)
    found = own_group(app, pk)
    if request.method == "POST" and request.POST.get("act") == "delete":
        if page := unconfirmed(request, delete_question(found), _("删除组")):
            return page
        faces = groups.delete(app, found.group_id, now(), Actor(by=request.user))
        messages.success(
            request,
            ngettext(
                "组 %(group)s 已删除，其中的 %(n)s 张人脸和密钥已销毁。",
                "组 %(group)s 已删除，其中的 %(n)s 张人脸和密钥已销毁。",
                faces,
            )
            % {"group": found.group_id, "n": f"{faces:,}"},
        )
        return redirect("gallery", app_id)
    prefix = request.GET.get("q", "").strip()[:64]
    after = request.GET.get("after", "")[:64]
    try:
        persons, more = people.page(app, found.group_id, after, PAGE_ROWS, prefix=prefix)
    except NoSuchGroup:  # just deleted
        raise Http404 from None
    lines = [line for line in packages.summary([app], now()) if line.api == Api.FACE_SEARCH]
    context = frame(
        app,
        group=found,
        persons=persons,
        delete_question=delete_question(found),
        count=Person.objects.filter(group=found).count(),
        q=prefix,
        after=after,
        more=more,
        is_outdated=found.faces and found.model_version != scoring.template_version(),
        lines=lines,
        missing=[] if lines else [(Api.FACE_SEARCH.value, Api.FACE_SEARCH.label)],
    )
    return render(request, "console/gallery/group.html", context)


@customer
def person(request: CustomerRequest, app_id: str, pk: int) -> HttpResponse:
    """Show the stored data of a person, with the forms to delete it."""
    app = own_app(request, app_id)
    found = get_object_or_404(Person.objects.select_related("group"), group__app=app, pk=pk)
    if request.method == "POST" and request.POST.get("act") == "delete":
        which = face_id(request.POST.get("face", ""))
        if "face" in request.POST and not Face.objects.filter(person=found, pk=which or uuid4()).exists():
            raise Http404
        asked = (FACE_QUESTION, _("删除人脸")) if which else (person_question(found), _("删除人员"))
        if page := unconfirmed(request, *asked):
            return page
        erasure.delete_person(
            app,
            found.group.group_id,
            found.person_id,
            now(),
            Actor(by=request.user),
            face_id=which,
        )
        messages.success(request, _("已删除，无法恢复。"))
        if Person.objects.filter(pk=found.pk).exists():
            return redirect("gallery_person", app_id, pk)
        return redirect("gallery_group", app_id, found.group.pk)
    faces = list(Face.objects.filter(person=found).defer(*VECTORS))
    context = frame(
        app,
        person=found,
        group=found.group,
        face_question=FACE_QUESTION,
        person_question=person_question(found),
        faces=[(face, search.kept_until(face, found.group)) for face in faces],
    )
    return render(request, "console/gallery/person.html", context)


@require_POST
@customer
def export(request: CustomerRequest, app_id: str, pk: int) -> HttpResponse:
    """Send the stored data of a person as a file, to be given to that person."""
    app = own_app(request, app_id)
    found = get_object_or_404(Person.objects.select_related("group"), group__app=app, pk=pk)
    try:
        exported = people.export(app, found.group.group_id, found.person_id, now(), Actor(by=request.user))
    except (NoSuchGroup, NoSuchFace):  # just deleted
        raise Http404 from None
    response = HttpResponse(
        json.dumps(exported, ensure_ascii=False, indent=2), content_type="application/json; charset=utf-8"
    )
    response["Content-Disposition"] = 'attachment; filename="person.json"'
    return response


# --- enrolment -----------------------------------------------------------------------


@csrf_exempt  # the token is in the body: it is checked below, after our upload handler is installed
def enrol(request: HttpRequest, app_id: str, pk: int) -> HttpResponse:
    """Enrol pictures with one call each, and return a table row for each."""
    request.upload_handlers = [BoundedMemoryHandler(request)]
    return enrol_checked(request, app_id, pk)


@csrf_protect
@require_POST
@customer
def enrol_checked(request: CustomerRequest, app_id: str, pk: int) -> HttpResponse:
    app = own_app(request, app_id)
    found = own_group(app, pk)
    files = request.FILES.getlist("files")
    if getattr(request, "too_large", False):
        rows = [
            {
                "name": "",
                "error": _("图片合计超过 %(mb)s MB，请减少图片。") % {"mb": MAX_TOTAL_BYTES // 2**20},
            }
        ]
    elif not files:
        rows = [{"name": "", "error": _("请选择图片。")}]
    else:
        rows = [_enrol(request, app, found, str(file.name), file.read()) for file in files]
    context = frame(app, rows=rows, group=found)
    whole = request.headers.get("X-Part") != "rows"
    return render(request, "console/gallery/enrolled.html" if whole else "console/gallery/rows.html", context)


def _enrol(request: CustomerRequest, app: App, group: Group, name: str, picture: bytes) -> dict[str, Any]:
    """Make a signed call of face_person_add, and return the row with its result."""
    posted = request.POST
    person_id = posted.get("person_id", "").strip() or person_id_of(name)
    if not person_id:
        error = _("文件名里没有可用的人员 ID：请只用字母、数字、下划线、连字符和点命名，或填写人员 ID。")
        return {"name": name, "error": error}
    consent: dict[str, Any] = {"reference": posted.get("reference", "")}
    expires = posted.get("expires", "")
    if expires:
        try:
            day = datetime.strptime(expires, "%Y-%m-%d").astimezone()
            consent["expires_at_ms"] = round((day + timedelta(days=1)).timestamp() * 1000)
        except (ValueError, OverflowError):
            return {"name": name, "person_id": person_id, "error": _("同意到期日不是日期。")}
    entry = {
        "group_id": group.group_id,
        "person_id": person_id,
        "image": debugger.Picture(name, data=picture).entry,
        "consent": consent,
    }
    row: dict[str, Any] = {"name": name, "person_id": person_id}
    key = newest_key(app, now())
    if key is None:
        return row | {"error": _("该应用没有有效的密钥，请先在密钥页生成新密钥。")}
    try:
        exchange = debugger.send_body(
            address=own_address(request),
            host=request.get_host(),
            key=key,
            api="face_person_add",
            body={"data": [entry], "options": {"unique": posted.get("unique") == "1"}},
            language="en" if get_language() == "en" else "zh-CN",
            user=request.user,
        )
    except Busy:
        return row | {"error": BUSY}
    except httpx.HTTPError:
        return row | {"error": _("没有连上 API 服务，请稍后再试，或联系管理员检查服务状态。")}
    reply = exchange.reply if isinstance(exchange.reply, dict) else {}
    if exchange.code == 0:
        return row | {"face": reply["result"][0], "person": _person(group, person_id)}
    return row | {"failed": failed(reply), "code": exchange.code}


def _person(group: Group, person_id: str) -> Person | None:
    return Person.objects.filter(group=group, person_id=person_id).first()


def person_id_of(name: str) -> str:
    """Return the id that a file name suggests, "" if it suggests none: zhang-san for `zhang san_1.jpg`.

    Only the number of a copy (`_2`, ` (2)`) is removed, because other parts may distinguish people.
    """
    stem = PurePath(name).stem
    stem = re.sub(r"(?:_\d{1,2}| ?\(\d{1,2}\))$", "", stem) or stem
    found = re.sub(r"\s+", "-", stem)
    return found[:64] if re.fullmatch(r"[A-Za-z0-9_.-]+", found) else ""


# --- the trail -----------------------------------------------------------------------


def trail_of(app: App, person_id: str) -> QuerySet[TrailEntry]:
    """Return the App's entries, newest first; only those of one person if an id is given."""
    entries = TrailEntry.objects.filter(app=app).select_related("by")
    if person_id:
        entries = entries.filter(tags__overlap=trail.tags_of(app, person_id))
    return entries.order_by("-pk")


@require_GET
@customer
def audit(request: CustomerRequest, app_id: str) -> HttpResponse:
    """Show the audit trail, with the ids of persons that still exist."""
    app = own_app(request, app_id)
    who, after = request.GET.get("q", "").strip()[:64], request.GET.get("after", "")
    entries = trail_of(app, who)
    if is_after := bool(re.fullmatch(r"\d{1,18}", after, re.ASCII)):
        entries = entries.filter(pk__lt=int(after))
    found = list(entries[: PAGE_ROWS + 1])
    rows = found[:PAGE_ROWS]
    names = trail.names_of(app, rows)
    context = frame(
        app,
        is_after=is_after,
        older=rows[-1].pk if len(found) > PAGE_ROWS else None,
        most=TRAIL_ROWS,
        rows=[(row, [names.get(tag) or tag[:8] for tag in row.tags]) for row in rows],
        q=who,
    )
    return render(request, "console/gallery/trail.html", context)


@require_GET
@customer
def audit_csv(request: CustomerRequest, app_id: str) -> HttpResponse:
    """Send the newest TRAIL_ROWS entries of the audit trail as CSV."""
    app = own_app(request, app_id)
    entries = trail_of(app, request.GET.get("q", "").strip()[:64])
    heading = [_("时间"), _("操作"), _("组 ID"), _("人员"), _("人脸数"), _("请求 ID"), _("操作人")]
    return csv_file("gallery-trail", chain([heading], audit_lines(app, entries)))


def audit_lines(app: App, entries: QuerySet[TrailEntry]) -> Iterator[list[object]]:
    """Yield the newest TRAIL_ROWS entries, reading few at once: an entry may name a hundred persons."""
    for _batch in range(TRAIL_ROWS // NAMED_AT_ONCE):
        rows = list(entries[:NAMED_AT_ONCE])
        names = trail.names_of(app, rows)
        for entry in rows:
            by = entry.by.username if entry.by and entry.by_id == app.customer_id else _("运营人员")
            yield [
                entry.at.isoformat(timespec="seconds"),
                str(Action(entry.action).label),
                " ".join(entry.group_ids),
                " ".join(names.get(tag) or tag for tag in entry.tags),
                entry.faces,
                str(entry.call_id or ""),
                by if entry.by else "",
            ]
        if len(rows) < NAMED_AT_ONCE:
            return
        entries = entries.filter(pk__lt=rows[-1].pk)
