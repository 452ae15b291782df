"""消息: notices with their texts, and the customer's choice of kinds."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from accounts import digests
from accounts.models import DigestKind, DigestPeriod
from billing import notices
from billing.errors import ChangeRefused
from billing.models import Notice
from billing.notices import texts
from common.postgresql.clock import now
from console.access import CustomerRequest, customer

PAGE_ROWS = 20
PERCENTS_RULE = gettext_lazy("填写 1-100 的整数，用逗号分隔，最多 5 个，如 80, 100。")


class NoticeForm(forms.Form):
    """The kinds of notices that the customer receives."""

    quota_on = forms.BooleanField(required=False, label=gettext_lazy("用量提醒"))
    quota_percents = forms.CharField(
        required=False, max_length=40, label=gettext_lazy("提醒比例（%）"), help_text=PERCENTS_RULE
    )
    ending_on = forms.BooleanField(required=False, label=gettext_lazy("到期提醒：到期前 7 天和 1 天"))
    unpaid_on = forms.BooleanField(
        required=False, label=gettext_lazy("未支付订单提醒：创建 24 小时后仍未支付")
    )

    money_on = forms.BooleanField(required=False, label=gettext_lazy("充值、代金券和退款通知"))

    def clean_quota_percents(self) -> list[int]:
        text = str(self.cleaned_data["quota_percents"]).replace("，", ",").replace("%", "")
        try:
            return [int(part) for part in text.split(",") if part.strip()]
        except ValueError as error:
            raise forms.ValidationError(PERCENTS_RULE, code="percents") from error

    def clean(self) -> dict[str, Any]:
        """Require a percentage if notices of usage are on: without one, none would be sent."""
        cleaned = super().clean() or {}
        if cleaned.get("quota_on") and cleaned.get("quota_percents") == []:
            self.add_error("quota_percents", forms.ValidationError(PERCENTS_RULE, code="percents"))
        return cleaned


def with_text(rows: list[Notice]) -> list[tuple[Notice, texts.NoticeText, list[texts.Link]]]:
    """Return each notice with its text and links to the pages on which to act."""
    return [(one, texts.text_of(one), texts.links(one)) for one in rows]


@customer
def inbox(request: CustomerRequest) -> HttpResponse:
    if request.method == "POST" and request.POST.get("act") == "read":
        ids = [int(pk) for pk in request.POST.getlist("id") if pk.isdecimal() and len(pk) < 20]
        notices.mark_read(request.user, now(), ids or None)
        return redirect("inbox")
    chosen = notices.settings_of(request.user)
    initial = {
        "quota_on": chosen.quota_on,
        "quota_percents": ", ".join(map(str, chosen.quota_percents)),
        "ending_on": chosen.ending_on,
        "unpaid_on": chosen.unpaid_on,
        "money_on": chosen.money_on,
    }
    form = NoticeForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            notices.choose(request.user, **form.cleaned_data)
            messages.success(request, _("提醒设置已保存。"))
            return redirect("inbox")
        except ChangeRefused:
            form.add_error("quota_percents", str(PERCENTS_RULE))
    page = Paginator(notices.inbox(request.user), PAGE_ROWS).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "rows": with_text(list(page.object_list)),
        "form": form,
        "periods": DigestPeriod.choices,
        "chosen": digests.chosen(request.user, DigestKind.ACCOUNT),
        "nav": "inbox",
    }
    return render(request, "console/account/inbox.html", context, status=422 if form.errors else 200)


@require_POST
@customer
def choose_digests(request: CustomerRequest) -> HttpResponse:
    """Save which reports the customer gets by mail."""
    digests.choose(request.user, DigestKind.ACCOUNT, request.POST.getlist("period"), now())
    messages.success(request, _("邮件报告的设置已保存。"))
    return redirect("inbox")
