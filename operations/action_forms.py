"""The forms of the operators' acts. Each asks for a reason and carries a token that counts once."""

from datetime import date, datetime, timedelta
from typing import Any
from uuid import uuid4

from django import forms
from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import roles
from accounts.models import App, Region, User
from accounts.models.operators import REASON_LENGTH
from billing import catalogue
from billing.extension import LONGEST
from billing.models import Duration, Sku
from console.reports.date_ranges import DayField, local_midnight


def end_of(day: date) -> datetime:
    """Return the local midnight that ends the day."""
    return local_midnight(day + timedelta(days=1))


class ActionForm(forms.Form):
    """A reason, and nothing else to ask; the fields of the others stand before it."""

    reason = forms.CharField(
        label=_("原因"),
        max_length=REASON_LENGTH,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("写入审计日志，客户看不到；充值和退款的原因会出现在客户的收支明细里。"),
    )
    token = forms.UUIDField(widget=forms.HiddenInput)

    def __init__(self, data: Any = None, *, subject: models.Model | None) -> None:
        super().__init__(data, initial={"token": uuid4(), **self.now(subject)})
        self.order_fields([name for name in self.fields if name != "reason"] + ["reason"])

    def now(self, subject: Any) -> dict[str, Any]:
        """Return the current values of the subject."""
        return {}


class TopUp(ActionForm):
    amount = forms.DecimalField(label=_("充值金额（元）"), min_value=0, max_digits=12, decimal_places=2)


class NewVoucher(ActionForm):
    face_value = forms.DecimalField(label=_("面值（元）"), min_value=0, max_digits=12, decimal_places=2)
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


class Extend(ActionForm):
    months = forms.IntegerField(label=_("增加月数"), min_value=1, max_value=LONGEST, initial=1)


class Limits(ActionForm):
    rate_per_s = forms.IntegerField(
        label=_("每秒请求上限"),
        min_value=1,
        max_value=100_000,
        required=False,
        help_text=_("留空表示不单独限制。"),
    )
    concurrency = forms.IntegerField(
        label=_("并发上限"),
        min_value=1,
        max_value=10_000,
        required=False,
        help_text=_("留空表示不单独限制。"),
    )
    face_limit = forms.IntegerField(
        label=_("人脸库容量"),
        min_value=1,
        max_value=10_000_000,
        required=False,
        help_text=_("该应用最多保存的人脸数；留空表示使用系统默认值。"),
    )
    allowed_addresses = forms.CharField(
        label=_("允许的来源地址"),
        required=False,
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
    """The fields of a catalogue row, as the model declares them."""

    row: type[models.Model]
    names: tuple[str, ...]

    def __init__(self, data: Any = None, *, subject: models.Model | None) -> None:
        super().__init__(data, subject=subject)
        self.fields = {**forms.fields_for_model(self.row, self.names), **self.fields}

    def now(self, subject: Any) -> dict[str, Any]:
        return {name: getattr(subject, name) for name in self.names} if subject is not None else {}


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
