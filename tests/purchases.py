"""Helpers that place and pay orders as a customer does."""

from datetime import datetime
from uuid import uuid4

from accounts.models import App, Region, User
from billing import orders
from billing.models import Api, Order, Sku, Tier


def place(
    customer: User,
    *,
    at: datetime,
    api: str = Api.FACE_DETECT,
    sku: Sku | None = None,
    app: App | None = None,
    name: str = "门禁",
    quantity: int = 1,
    months: int = 1,
    token: str = "",
) -> Order:
    """Order the thousand-tier Sku of the API, or `sku`: for a new App, or for `app`."""
    request = orders.OrderRequest(
        sku=sku or Sku.objects.get(api=api, tier=Tier.THOUSAND),
        quantity=quantity,
        months=months,
        app=app,
        region=Region.objects.get(code="cn-sh6"),
        name=name,
        description="一号楼门禁",
    )
    return orders.create(customer, request, token=token or uuid4().hex, at=at)


def pay(order: Order, at: datetime) -> App:
    """Pay the order and return its App."""
    app = orders.pay(order, at).app
    assert app is not None
    return app
