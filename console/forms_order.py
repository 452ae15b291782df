"""The order form (manual 3.1.2), for a new App or for another package of an existing one."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.models import App, Region
from billing import catalogue, periods
from billing.models import Api, Duration, Sku, Tier
from console.context import RegionChoice
from console.forms import description_field, name_field
from console.templatetags.show import money
from console.templatetags.show import months as months_text

QUANTITY_RULE = _("数量为 1-9，只能为整数")


@dataclass(frozen=True)
class Quote:
    """Price and quota of an order. It has the attributes of billing's Order that templates use."""

    sku: Sku
    quantity: int
    months: int
    region: Region
    at: datetime

    @property
    def spec(self) -> str:
        return self.sku.spec

    @property
    def amount(self) -> Decimal:
        return catalogue.amount(self.sku.price, self.quantity, self.months)

    @property
    def units_per_month(self) -> int:
        return self.sku.units_per_month * self.quantity

    @property
    def windows(self) -> list[tuple[date, date]]:
        """First and last day of each month of quota, if paid at `at` (manual 2, the example)."""
        return [
            (start.date(), (end - timedelta(days=1)).date())
            for start, end in periods.windows(self.at, self.months)
        ]


class Choices(forms.RadioSelect):
    """Radio buttons that are styled as boxes."""

    template_name = "console/orders/choices.html"


class OrderForm(forms.Form):
    """An order. Cleaned data: name, description, sku, quantity, months, region, and app (App or None)."""

    app = forms.CharField(required=False, widget=forms.HiddenInput)
    region = forms.CharField(required=False, widget=forms.HiddenInput)
    name = name_field()
    description = description_field()
    api = forms.ChoiceField(label=_("API 类型"), choices=Api.choices, widget=Choices)
    tier = forms.ChoiceField(label=_("规格"), widget=Choices)
    quantity = forms.IntegerField(
        label=_("数量"),
        min_value=1,
        max_value=9,
        initial=1,
        help_text=QUANTITY_RULE,
        error_messages=dict.fromkeys(("required", "invalid", "min_value", "max_value"), QUANTITY_RULE),
        widget=forms.NumberInput(attrs={"min": 1, "max": 9, "step": 1, "inputmode": "numeric"}),
    )
    months = forms.TypedChoiceField(label=_("购买时长"), coerce=int, widget=Choices)

    def __init__(
        self, data: Any = None, *, app: App | None, region: RegionChoice | None, **kwargs: Any
    ) -> None:
        super().__init__(data, **kwargs)
        self.bought_app = app
        self.skus = {(sku.api, sku.tier): sku for sku in catalogue.skus_on_sale()}
        self.region_row = app.region if app else self._region(region)
        apis = {api for api, _tier in self.skus}
        self._offer("api", [(value, str(label)) for value, label in Api.choices if value in apis])
        offered = [one.months for one in Duration.objects.filter(is_active=True)]
        self._offer("months", [(str(number), months_text(number)) for number in offered])
        first_api = next(iter(self.skus), (Api.FACE_DETECT.value, ""))[0]
        self.initial = {
            "api": Api.FACE_DETECT if Api.FACE_DETECT in apis else first_api,
            "months": next(iter(offered), None),
            "app": app.app_id if app else "",
            "region": self.region_row.code if self.region_row else "",
        } | dict(self.initial)
        self.shown_api = str(self["api"].value())
        self.tiers = [tier for tier in Tier.values if (self.shown_api, tier) in self.skus]
        self._offer("tier", [(tier, self._tier_label(tier)) for tier in self.tiers])
        asked = self.initial.get("tier")
        if asked is None or (asked in Tier.values and asked not in self.tiers):
            self.initial["tier"] = next(iter(self.tiers), None)
        if app:
            del self.fields["name"], self.fields["description"]

    def _offer(self, name: str, choices: list[tuple[str, str]]) -> None:
        cast(forms.ChoiceField, self.fields[name]).choices = choices

    def _region(self, chosen: RegionChoice | None) -> Region | None:
        """Return the region with which the form was shown, otherwise the one chosen at the top right."""
        code = str(self.data.get("region") or (chosen.code if chosen else ""))
        return Region.objects.filter(is_active=True, code=code).first()

    def _tier_label(self, tier: str) -> str:
        """Return the spec in the manual's words (千张/月 or 千次/月), its units and its price."""
        sku = self.skus[self.shown_api, tier]
        units = f"{sku.units_per_month:,}"
        price = _("%(price)s/月") % {"price": money(sku.price)} if sku.price else _("免费")
        return f"{sku.spec}|{price if units in sku.spec else f'{units} · {price}'}"

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        sku = self.skus.get((cleaned.get("api", ""), cleaned.get("tier", "")))
        if not self.region_row:
            raise forms.ValidationError(_("请在页面右上角选择一个开放订购的区域。"))
        if {"api", "tier"} <= cleaned.keys() and sku is None:
            self.add_error("tier", _("该 API 没有这一档规格，请选择其他规格。"))
        app = self.bought_app
        if app:
            cleaned |= {"name": app.name, "description": app.description}
        return cleaned | {"sku": sku, "app": app, "region": self.region_row}

    def with_tier_on_sale(self) -> dict[str, str]:
        """Return the data as sent, with the first tier of the API if the chosen one isn't on sale for it."""
        sent = {name: str(self.data[name]) for name in self.data}
        if sent.get("tier") not in self.tiers:
            sent["tier"] = next(iter(self.tiers), "")
        return sent

    def quote(self, at: datetime) -> Quote | None:
        """Return the quote for the choices so far; None if one of them is missing or invalid."""
        sku = self.skus.get((self._valid("api"), self._valid("tier")))
        quantity, months = self._valid("quantity"), self._valid("months")
        if not (sku and quantity and months and self.region_row):
            return None
        return Quote(sku, quantity, months, self.region_row, at)

    def _valid(self, name: str) -> Any:
        """Return the cleaned value of a field; None if it is invalid."""
        try:
            return self.fields[name].clean(self[name].value())
        except forms.ValidationError:
            return None

    def answers(self) -> list[tuple[str, str]]:
        """Return the valid values, which the confirmation page sends again."""
        names = [name for name in self.fields if name not in ("app", "region")]
        values = [(name, str(self.cleaned_data[name])) for name in names]
        app, region = self.bought_app, self.region_row
        return [*values, ("app", app.app_id if app else ""), ("region", region.code if region else "")]
