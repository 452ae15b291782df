"""The filter form of a report: days, steps and other criteria."""

from datetime import datetime
from typing import Any, cast

from django import forms
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import App, Region, User
from billing.models import Api
from console.error_messages import explained
from console.reports.date_ranges import DEFAULT, DateRange, RangeForm
from faceapi import errors
from faceapi.usage.operator_reports import UsageFilter
from operations import customers


def code_choices() -> list[tuple[str, object]]:
    """Return the choices: all, then each code that a call can end with, in the reader's language."""
    codes = [errors.OK, *(row.number for row in errors.TABLE.values() if not row.reserved)]
    return [("", _("全部返回码")), *((str(code), f"{code} {explained(code)['message']}") for code in codes)]


class SpanForm(RangeForm):
    """All fields are optional; by default, the last seven days by day. `chosen` is set once it is valid."""

    chosen: DateRange | None = None
    api = forms.ChoiceField(
        label=gettext_lazy("API 类型"), choices=[("", gettext_lazy("全部 API")), *Api.choices], required=False
    )
    region = forms.ChoiceField(label=gettext_lazy("地域"), required=False)
    code = forms.ChoiceField(label=gettext_lazy("返回码"), choices=code_choices, required=False)
    who = forms.CharField(
        label=gettext_lazy("客户或应用"),
        required=False,
        max_length=150,
        widget=forms.TextInput(attrs={"placeholder": gettext_lazy("用户名、邮箱、公司或应用 ID")}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.regions = list(Region.objects.all())
        choices = [("", _("全部地域")), *((str(one.pk), str(one)) for one in self.regions)]
        cast(forms.ChoiceField, self.fields["region"]).choices = choices

    def clean_who(self) -> User | App | None:
        text = self.cleaned_data["who"].strip()
        if not text:
            return None
        try:
            found = customers.app_or_customer(text)
        except customers.Ambiguous as several:
            names = _("、").join(
                _("%(name)s（%(company)s）") % {"name": user.username, "company": user.company}
                for user in several.found
            )
            raise forms.ValidationError(
                _("有多位客户符合：%(names)s。请输入其中一位的用户名。") % {"names": names}
            ) from several
        if found is None:
            raise forms.ValidationError(_("没有找到该客户或应用。"))
        return found


def from_request(request: HttpRequest, at: datetime) -> tuple[SpanForm, UsageFilter | None]:
    """Return the form and its filter; None if the form is invalid, which then shows the errors."""
    form = SpanForm({"range": DEFAULT, **request.GET.dict()})
    if not form.is_valid():
        return form, None
    narrowed, days = form.cleaned_data, form.days(timezone.localdate(at))
    form.chosen = days
    who = narrowed["who"]
    return form, UsageFilter(
        since=days.since,
        until=days.until,
        step=days.step,
        api=narrowed["api"],
        region=int(narrowed["region"]) if narrowed["region"] else None,
        code=int(narrowed["code"]) if narrowed["code"] else None,
        customer=who.pk if isinstance(who, User) else None,
        app=who.pk if isinstance(who, App) else None,
    )
