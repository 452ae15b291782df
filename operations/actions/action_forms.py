"""The forms of the operators' actions. Each has a reason and a token that makes it idempotent."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

from django import forms
from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.functional import Promise, lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts import roles
from accounts.limits import LIMITS
from accounts.models import App, Region, User
from accounts.models.operators import REASON_LENGTH
from billing import catalogue
from billing.extension import LONGEST
from billing.models import Duration, Sku, WalletEntry
from billing.payments import wallet
from console.reports.date_ranges import DayField, local_midnight
from console.templatetags.show import money
from operations import seen_values


def end_of(day: date) -> datetime:
    """Return the local midnight that ends the day."""
    return local_midnight(day + timedelta(days=1))


class ActionForm(forms.Form):
    """The base form, with only a reason; the fields of subclasses come before it.

    `reason_hint` states who can read the reason.
    """

    reason_hint: Promise = _("写入审计日志，客户看不到。")
    reason = forms.CharField(
        label=_("原因"), max_length=REASON_LENGTH, widget=forms.Textarea(attrs={"rows": 2})
    )
    token = forms.UUIDField(widget=forms.HiddenInput)

    def __init__(self, data: Any = None, *, subject: Any) -> None:
        self.subject = subject
        super().__init__(data, initial={"token": uuid4(), **self.now(subject)})
        self.fields["reason"].help_text = str(self.reason_hint)
        self.order_fields([name for name in self.fields if name != "reason"] + ["reason"])

    def now(self, subject: Any) -> dict[str, Any]:
        """Return the current values of the subject."""
        return {}


IN_STATEMENT = _("写入审计日志，并作为说明显示在客户的收支明细里。")


def approval_hint() -> str:
    """Return the hint with the amount above which another operator must approve."""
    limit = {"limit": f"{settings.APPROVAL_ABOVE_YUAN:,.2f}"}
    return gettext("24 小时内对同一客户合计超过 %(limit)s 元时，由另一位操作员批准后才执行。") % limit


class Refund(ActionForm):
    reason_hint = IN_STATEMENT


class TopUp(ActionForm):
    reason_hint = IN_STATEMENT
    amount = forms.DecimalField(
        label=_("充值金额（元）"), min_value=Decimal("0.01"), max_digits=12, decimal_places=2,
        help_text=lazy(approval_hint, str)(),
    )  # fmt: skip


class Reversal(ActionForm):
    """The reversal of a top-up: initially of the whole amount, or of the part still in the balance."""

    reason_hint = IN_STATEMENT
    amount = forms.DecimalField(
        label=_("冲正金额（元）"), min_value=Decimal("0.01"), max_digits=12, decimal_places=2
    )

    def now(self, subject: WalletEntry) -> dict[str, Any]:
        return {"amount": min(subject.amount, wallet.balance(subject.wallet.customer))}

    def __init__(self, data: Any = None, *, subject: models.Model | None) -> None:
        super().__init__(data, subject=subject)
        if isinstance(subject, WalletEntry):
            balance = wallet.balance(subject.wallet.customer)
            values = {"topped": money(subject.amount), "balance": money(balance)}
            hint = gettext("这笔充值 %(topped)s，账户余额 %(balance)s；只能扣回仍在余额里的金额。") % values
            self.fields["amount"].help_text = hint
            self.largest = min(subject.amount, balance)

    def clean_amount(self) -> Decimal:
        amount: Decimal = self.cleaned_data["amount"]
        if amount > self.largest:
            raise forms.ValidationError(
                gettext("最多可冲正 %(largest)s。") % {"largest": money(self.largest)}
            )
        return amount


class NewVoucher(ActionForm):
    reason_hint = _("写入审计日志和代金券记录，客户看不到。")
    face_value = forms.DecimalField(
        label=_("面值（元）"), min_value=Decimal("0.01"), max_digits=12, decimal_places=2,
        help_text=lazy(approval_hint, str)(),
    )  # fmt: skip
    valid_until = DayField(label=_("有效期至（含当日）"))
    apis = forms.MultipleChoiceField(
        label=_("适用 API"),
        choices=catalogue.apis_on_offer,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("都不选表示适用于全部 API。"),
    )

    def now(self, subject: User | None) -> dict[str, Any]:
        return {"valid_until": timezone.localdate() + timedelta(days=90)}


class Invite(ActionForm):
    email = forms.EmailField(label=_("邮箱"), widget=forms.EmailInput(attrs={"autocomplete": "off"}))


class EraseAccount(ActionForm):
    reason_hint = _("写入审计日志，永久保留，客户看不到：请不要写客户的个人信息。")


class Extend(ActionForm):
    months = forms.IntegerField(label=_("增加月数"), min_value=1, max_value=LONGEST, initial=1)


def _limit(largest: int, **texts: Any) -> forms.IntegerField:
    """Return a field for an optional limit that sends along the value it showed."""
    return forms.IntegerField(
        min_value=1, max_value=largest, required=False, show_hidden_initial=True, **texts
    )


class Limits(ActionForm):
    """The limits of an App. The form also sends the values it showed, so that only changes are written."""

    rate_per_s = _limit(100_000, label=_("每秒请求上限"), help_text=_("留空表示不单独限制。"))
    concurrency = _limit(10_000, label=_("并发上限"), help_text=_("留空表示不单独限制。"))
    face_limit = _limit(
        10_000_000,
        label=_("人脸库容量"),
        help_text=_("该应用最多保存的人脸数；留空表示使用系统默认值。"),
    )
    allowed_addresses = forms.CharField(
        label=_("允许的来源地址"),
        required=False,
        show_hidden_initial=True,
        widget=forms.Textarea(attrs={"rows": 4, "class": "mono"}),
        help_text=_("每行一个 IP 地址或网段（CIDR），留空表示不限制。"),
    )

    def __init__(self, data: Any = None, *, subject: models.Model | None) -> None:
        super().__init__(data, subject=subject)
        if not settings.GALLERY:
            del self.fields["face_limit"]

    def now(self, subject: App) -> dict[str, Any]:
        return {
            "rate_per_s": subject.rate_per_s,
            "concurrency": subject.concurrency,
            "face_limit": subject.face_limit,
            "allowed_addresses": "\n".join(subject.allowed_addresses),
        }

    def clean(self) -> dict[str, Any]:
        """Add the names of the changed limits; reject addresses that the customer has changed meanwhile."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        cleaned["changed"] = [name for name in LIMITS if name in self.changed_data]
        seen = self.data.get(self["allowed_addresses"].html_initial_name)
        if (
            "allowed_addresses" in cleaned["changed"]
            and seen is not None
            and seen.split() != self.subject.allowed_addresses
        ):
            self.add_error(
                "allowed_addresses", _("允许的来源地址刚刚被修改过。请重新打开此页，核对后再提交。")
            )
        return cleaned

    def clean_allowed_addresses(self) -> list[str]:
        return str(self.cleaned_data["allowed_addresses"]).replace(",", " ").split()


class Roles(ActionForm):
    roles = forms.MultipleChoiceField(
        label=_("角色"),
        choices=list(roles.NAMES.items()),
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )

    def now(self, subject: User) -> dict[str, Any]:
        return {"roles": roles.of(subject)}


class _OfModel(ActionForm):
    """A form with the fields of a catalogue row, as its model declares them.

    If it edits a row, the cleaned data has `values`, the changed fields, and `seen`, what the form showed.
    """

    reason_hint = _("写入审计日志和目录的修改记录，客户看不到。")
    row: type[models.Model]
    names: tuple[str, ...]

    def __init__(self, data: Any = None, *, subject: Any) -> None:
        super().__init__(data, subject=subject)
        fields = forms.fields_for_model(self.row, self.names)
        if subject is not None:
            seen_values.send_along(fields.values())
        self.fields = {**fields, **self.fields}

    def now(self, subject: Any) -> dict[str, Any]:
        return {name: getattr(subject, name) for name in self.names} if subject is not None else {}

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        changed = [name for name in self.names if name in self.changed_data and name in cleaned]
        cleaned["values"] = {name: cleaned[name] for name in changed}
        cleaned["seen"] = {name: seen_values.seen(self, name) for name in changed}
        return cleaned


class ChangeSku(_OfModel):
    row, names = Sku, ("price", "units_per_month", "meter", "on_sale")


class ChangeDuration(_OfModel):
    row, names = Duration, ("is_active",)


class ChangeRegion(_OfModel):
    row, names = Region, ("name", "name_en", "is_active", "position", "queue")


class AddDuration(_OfModel):
    row, names = Duration, ("months",)


class AddRegion(_OfModel):
    row, names = Region, ("code", "name", "name_en", "position", "queue")
