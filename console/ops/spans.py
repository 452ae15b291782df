"""The form above a report: which days, in which steps, narrowed to what."""

from datetime import date, datetime, time, timedelta
from typing import Any

from django import forms
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import App, Region, User
from billing.models import Api
from console.shell import region_label
from faceapi.operator_reports import Span, Step

RANGES = {
    "today": (gettext_lazy("今天"), 1),
    "7d": (gettext_lazy("近 7 天"), 7),
    "30d": (gettext_lazy("近 30 天"), 30),
    "90d": (gettext_lazy("近 90 天"), 90),
}
CUSTOM = "custom"
MAX_DAYS = 366
MAX_DAYS_BY_HOUR = 7


class SpanForm(forms.Form):
    """Everything optional; without a choice, the last seven days by day."""

    range = forms.ChoiceField(
        label=gettext_lazy("时间"),
        choices=[*((key, label) for key, (label, _days) in RANGES.items()), (CUSTOM, gettext_lazy("自定义"))],
        required=False,
    )
    since = forms.DateField(
        label=gettext_lazy("开始日期"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )
    until = forms.DateField(
        label=gettext_lazy("结束日期"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )
    step = forms.ChoiceField(
        label=gettext_lazy("粒度"),
        choices=[("", gettext_lazy("自动")), ("hour", gettext_lazy("按小时")), ("day", gettext_lazy("按天"))],
        required=False,
    )
    api = forms.ChoiceField(
        label=gettext_lazy("API 类型"), choices=[("", gettext_lazy("全部 API")), *Api.choices], required=False
    )
    region = forms.ChoiceField(label=gettext_lazy("地域"), required=False)
    who = forms.CharField(
        label=gettext_lazy("客户或应用"),
        required=False,
        max_length=150,
        widget=forms.TextInput(attrs={"placeholder": gettext_lazy("用户名、邮箱或应用 ID")}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.regions = list(Region.objects.all())
        choices = [("", _("全部地域")), *((str(one.pk), region_label(one)) for one in self.regions)]
        self.fields["region"].choices = choices  # type: ignore[attr-defined]  # a ChoiceField

    def clean_who(self) -> User | App | None:
        text = self.cleaned_data["who"].strip()
        if not text:
            return None
        found = (
            App.objects.filter(app_id=text).first()
            or User.objects.filter(Q(username=text) | Q(email__iexact=text)).first()
        )
        if found is None:
            raise forms.ValidationError(_("没有找到该客户或应用。"))
        return found

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        since, until = cleaned.get("since"), cleaned.get("until")
        if cleaned.get("range") != CUSTOM:
            return cleaned
        if not (since and until):
            raise forms.ValidationError(_("请填写开始日期和结束日期。"))
        if since > until:
            raise forms.ValidationError(_("开始日期不能晚于结束日期。"))
        if (until - since).days >= MAX_DAYS:
            raise forms.ValidationError(_("最长可查询 %(days)s 天，请缩短范围。") % {"days": MAX_DAYS})
        return cleaned


def local_midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, timezone.get_default_timezone())


def step_of(chosen: str, days: int) -> Step:
    """As chosen, but by the hour for a few days only; without a choice one day is told by the hour."""
    if chosen:
        return "hour" if chosen == "hour" and days <= MAX_DAYS_BY_HOUR else "day"
    return "hour" if days == 1 else "day"


def asked(request: HttpRequest, at: datetime) -> tuple[SpanForm, Span | None]:
    """The form as filled in, and the span that it means; None where it is wrong: the form says why."""
    form = SpanForm({"range": "7d", **request.GET.dict()})
    if not form.is_valid():
        return form, None
    chosen = form.cleaned_data
    today = timezone.localdate(at)
    if chosen["range"] == CUSTOM:
        first, last = chosen["since"], chosen["until"]
    else:
        first, last = today - timedelta(days=RANGES[chosen["range"] or "7d"][1] - 1), today
    days = (last - first).days + 1
    who = chosen["who"]
    return form, Span(
        since=local_midnight(first),
        until=local_midnight(last + timedelta(days=1)),
        step=step_of(chosen["step"], days),
        api=chosen["api"],
        region=int(chosen["region"]) if chosen["region"] else None,
        customer=who.pk if isinstance(who, User) else None,
        app=who.pk if isinstance(who, App) else None,
    )
