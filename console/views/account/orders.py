"""Ordering (manual 3.1): 创建订单 → 订单确认 → 支付 → 订单处理完成, and the list of orders."""

import secrets
from decimal import Decimal, InvalidOperation
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_POST

from accounts.errors import RuleError
from accounts.models import App
from billing import orders
from billing.errors import BillingError, OrderNotPayable, OrderPaid
from billing.models import Duration, Order, OrderState
from billing.payments import vouchers, wallet
from common.paging import RowsPaginator
from common.postgresql.clock import now
from console.access import CustomerRequest, customer
from console.confirmation import unconfirmed
from console.context import current_region
from console.error_messages import sentence
from console.forms_order import OrderForm
from console.ownership import newest_key, own_app
from console.views.keys import reveal_next, revealed

PAGE_ROWS = 20
CANCEL_QUESTION = gettext_lazy("取消后订单不能恢复，需要重新下单。确定取消这个订单吗？")


def order_form(request: CustomerRequest, data: Any = None) -> OrderForm:
    """Return the form for a new App, or for the App named by `app` in the address or the form."""
    app_id = str((data if data is not None else request.GET).get("app", ""))
    app = own_app(request, app_id) if app_id else None
    keys = ("api", "tier", "quantity", "months", "name", "description")
    asked = {key: request.GET[key] for key in keys if key in request.GET}
    initial = last_choice(app, asked.get("api", "")) | asked if app else asked
    return OrderForm(data, app=app, region=current_region(request), initial=initial)


def last_choice(app: App, api: str) -> dict[str, object]:
    """Return the App's last paid order, of `api` if given, as the default for another order."""
    paid = Order.objects.filter(app=app, state=OrderState.PAID).select_related("sku")
    last = (paid.filter(sku__api=api) if api else paid).order_by("-paid_at", "-pk").first()
    if last is None:
        return {}
    choice: dict[str, object] = {"api": last.sku.api, "tier": last.sku.tier, "quantity": last.quantity}
    if Duration.objects.filter(months=last.months, is_active=True).exists():
        choice["months"] = last.months
    return choice


@require_GET
@customer
def new(request: CustomerRequest) -> HttpResponse:
    return form_page(request, order_form(request))


def form_page(request: CustomerRequest, form: OrderForm, status: int = 200) -> HttpResponse:
    context = {"form": form, "quote": form.quote(now()), "nav": "orders"}
    return render(request, "console/orders/new.html", context, status=status)


@require_GET
@customer
def quote(request: CustomerRequest) -> HttpResponse:
    """Show the total next to the form (htmx), and the tiers if another API was chosen."""
    form = order_form(request, request.GET)
    context: dict[str, Any] = {"quote": form.quote(now())}
    if request.GET.get("shown_api") != form.shown_api:
        form = order_form(request, form.with_tier_on_sale())
        context = {"quote": form.quote(now()), "changed_form": form}
    return render(request, "console/orders/total.html", context)


@customer
def confirm(request: CustomerRequest) -> HttpResponse:
    """Show the order before it is created; a POST (立即创建) creates it, once per form token."""
    form = order_form(request, request.POST if request.method == "POST" else request.GET)
    if not form.is_valid():
        return form_page(request, form, status=422)
    if request.method == "POST":
        try:
            order = create(request, form)
        except (BillingError, RuleError) as error:
            form.add_error(None, sentence(error))
            return form_page(request, form, status=409)
        return redirect("order_pay", order.number)
    context = {
        "chosen": form.cleaned_data,
        "quote": form.quote(now()),
        "hidden": form.answers(),
        "token": secrets.token_urlsafe(24),
        "query": request.GET.urlencode(),
        "nav": "orders",
    }
    return render(request, "console/orders/confirm.html", context)


def create(request: CustomerRequest, form: OrderForm) -> Order:
    chosen = form.cleaned_data
    wanted = orders.OrderRequest(
        sku=chosen["sku"],
        quantity=chosen["quantity"],
        months=chosen["months"],
        app=chosen["app"],
        region=chosen["region"],
        name=chosen["name"],
        description=chosen["description"],
    )
    return orders.create(
        request.user,
        wanted,
        token=request.POST.get("token", "")[:64] or secrets.token_urlsafe(24),
        seen_amount=seen_amount(request.POST.get("amount", "")),
        at=now(),
    )


def seen_amount(text: str) -> Decimal | None:
    """Return the amount that the confirmation showed; None if it is invalid."""
    try:
        amount = Decimal(text)
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and amount.copy_abs() <= wallet.LARGEST else None


def own_order(request: CustomerRequest, number: str) -> Order:
    """Return the customer's order with that number. Raises Http404 for another customer's."""
    return get_object_or_404(orders.of(request.user), number=number)


@require_GET
@customer
def listing(request: CustomerRequest) -> HttpResponse:
    state = request.GET.get("state", "")
    state = state if state in OrderState.values else ""
    text = request.GET.get("q", "")
    page = RowsPaginator(orders.of(request.user, state=state, text=text), PAGE_ROWS).get_page(
        request.GET.get("page")
    )
    context = {"page": page, "state": state, "q": text, "states": OrderState.choices, "nav": "orders"}
    return render(request, "console/orders/orders.html", context)


@require_GET
@customer
def detail(request: CustomerRequest, number: str) -> HttpResponse:
    order = own_order(request, number)
    lines = order.voucher_entries.select_related("voucher").order_by("pk")
    package = getattr(order, "package", None)
    context = {
        "order": order,
        "lines": lines,
        "package": package,
        "has_ended": package is not None and package.ends_at <= now(),
        "revealed": revealed(request, order.app) if order.app else None,
        "nav": "orders",
    }
    return render(request, "console/orders/order.html", context)


@customer
def pay(request: CustomerRequest, number: str) -> HttpResponse:
    """Show the payment page; a POST (立即付款) pays the order, and is idempotent."""
    order, at = own_order(request, number), now()
    if request.method == "POST":
        try:
            paid = orders.pay(order, at)
            if paid.is_new_app and paid.app and (key := newest_key(paid.app, at)):
                reveal_next(request, key, is_new=True)
        except OrderPaid as error:
            messages.info(request, sentence(error))
        except OrderNotPayable as error:
            messages.error(request, sentence(error))
        except (BillingError, RuleError) as error:
            messages.error(request, sentence(error))
            return redirect("order_pay", number)
        return redirect("order", number)
    if order.state != OrderState.PENDING:
        return redirect("order", number)
    balance = wallet.balance(request.user)
    voucher_balance = vouchers.balance(request.user, at, order.sku.api)
    by_voucher = min(voucher_balance, order.amount)
    context = {
        "order": order,
        "balance": balance,
        "voucher_balance": voucher_balance,
        "by_voucher": by_voucher,
        "by_cash": order.amount - by_voucher,
        "too_little": order.amount - by_voucher > balance,
        "nav": "orders",
    }
    return render(request, "console/orders/pay.html", context)


@require_POST
@customer
def cancel(request: CustomerRequest, number: str) -> HttpResponse:
    order = own_order(request, number)
    if page := unconfirmed(request, CANCEL_QUESTION, _("取消订单")):
        return page
    try:
        orders.cancel(order, now())
        messages.success(request, _("订单已取消。"))
    except BillingError as error:
        messages.error(request, sentence(error))
    return redirect("order", number)
