"""账户余额, 代金券 and the statement of both."""

from datetime import datetime

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET

from billing.errors import VoucherRefused
from billing.models import Voucher
from billing.payments import vouchers
from billing.payments import wallet as ledger
from common.paging import RowsPaginator
from common.postgresql.clock import now
from console.access import CustomerRequest, customer
from console.error_messages import sentence
from console.reports.downloads import csv_file
from console.templatetags.show import money

PAGE_ROWS = 20


class RedeemForm(forms.Form):
    """The code of a voucher."""

    code = forms.CharField(
        label=gettext_lazy("券码"),
        max_length=32,
        help_text=gettext_lazy("券码为 16 位字母和数字，不区分大小写。"),
        error_messages={"required": gettext_lazy("请输入券码。")},
        widget=forms.TextInput(attrs={"autocomplete": "off", "placeholder": "XXXX-XXXX-XXXX-XXXX"}),
    )


@customer
def wallet(request: CustomerRequest) -> HttpResponse:
    at = now()
    form = RedeemForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            voucher = vouchers.redeem(request.user, form.cleaned_data["code"], at)
        except VoucherRefused as error:
            form.add_error("code", sentence(error))
        else:
            value = {"value": money(voucher.face_value)}
            if voucher.redeemed_at == at:
                messages.success(request, _("已领取面值 %(value)s 的代金券。") % value)
            else:
                messages.info(request, _("面值 %(value)s 的代金券已在您的账户中，无需重复领取。") % value)
            return redirect("wallet")
    own = [(one, voucher_state(one, at)) for one in vouchers.of(request.user)]
    context = {
        "form": form,
        "balance": ledger.balance(request.user),
        "voucher_balance": vouchers.balance(request.user, at),
        "vouchers": sorted(own, key=lambda pair: pair[1] not in ("live", "early")),
        "page": RowsPaginator(ledger.statement(request.user), PAGE_ROWS).get_page(request.GET.get("page")),
        "nav": "wallet",
    }
    return render(request, "console/account/wallet.html", context, status=422 if form.errors else 200)


def voucher_state(voucher: Voucher, at: datetime) -> str:
    """Return the state of a voucher: live, early (not valid yet), spent or expired."""
    if voucher.remaining == 0:
        return "spent"
    if voucher.valid_until <= at:
        return "expired"
    return "early" if voucher.valid_from > at else "live"


@require_GET
@customer
def statement(request: CustomerRequest) -> HttpResponse:
    """Return the whole statement as CSV."""
    return csv_file("statement", ledger.statement_rows(request.user))
