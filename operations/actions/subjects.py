"""The rows that an action can concern: whose they are, and the words for them."""

from django.db import models
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import pgettext_lazy

from accounts.models import App, AppKey, Invitation, PendingAct, Region, User
from billing.models import Duration, Order, Package, Sku, Voucher, WalletEntry
from console.templatetags.show import money, months


def customer_of(subject: models.Model | None) -> User | None:
    """Return the customer whose account an action on the subject concerns."""
    if isinstance(subject, User):
        return subject
    if isinstance(subject, App | Order | Voucher):
        return subject.customer
    if isinstance(subject, AppKey | Package):
        return subject.app.customer
    if isinstance(subject, WalletEntry):
        return subject.wallet.customer
    return None


# The word for one row, for sentences. A model's verbose name is that of its table, often a plural.
KINDS: dict[type[models.Model], Promise] = {
    User: pgettext_lazy("one", "用户"),
    App: pgettext_lazy("one", "应用"),
    AppKey: pgettext_lazy("one", "AppKey"),
    Order: pgettext_lazy("one", "订单"),
    Package: pgettext_lazy("one", "资源包"),
    WalletEntry: pgettext_lazy("one", "收支"),
    Voucher: pgettext_lazy("one", "代金券"),
    Sku: pgettext_lazy("one", "规格"),
    Duration: pgettext_lazy("one", "购买时长"),
    Region: pgettext_lazy("one", "地域"),
    Invitation: pgettext_lazy("one", "邀请"),
    PendingAct: pgettext_lazy("one", "待批准的操作"),
}


def kind_named(name: str) -> str:
    """Return the word for the subjects of a model; for a model that no longer exists, its name."""
    return str({model._meta.model_name: word for model, word in KINDS.items()}.get(name, name))


def about(subject: models.Model | None) -> str:
    """Return the name of the subject for an operator; "" if the action will create it."""
    if subject is None:
        return ""
    if isinstance(subject, Package):
        return f"{subject.get_api_display()} · {subject.order.number}"
    if isinstance(subject, Duration):
        return months(subject.months)
    if isinstance(subject, WalletEntry):
        day = timezone.localtime(subject.at)
        return f"{subject.get_kind_display()} {money(subject.amount)} · {day:%Y-%m-%d %H:%M:%S}"
    return str(subject)
