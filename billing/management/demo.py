"""Demo data for the first start: a customer whose App has every API, and an operator."""

import secrets
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from accounts import keys
from accounts.models import App, Region, User
from billing import orders
from billing.errors import BillingError
from billing.models import Api, Duration, Package, Sku, Tier

CUSTOMER, OPERATOR = "demo", "operator"


@transaction.atomic
def seed(at: datetime, *, password: str = "", operator_password: str = "") -> dict[str, str]:
    """Create what is missing, and return the credentials under the names used in var/demo.env.

    Existing rows stay. The password of an existing user is not changed and not part of the result. An API
    whose Packages have ended or were refunded is ordered again if it is free. Raises BillingError if the
    first order fails.
    """
    made = {"FACECLOUD_USER": CUSTOMER, "FACECLOUD_OPERATOR": OPERATOR}
    customer, new_password = _user(CUSTOMER, password, is_operator=False)
    if new_password:
        made["FACECLOUD_PASSWORD"] = new_password
    _operator, new_password = _user(OPERATOR, operator_password, is_operator=True)
    if new_password:
        made["FACECLOUD_OPERATOR_PASSWORD"] = new_password
    for api in Api.values:
        app = customer.apps.order_by("pk").first()
        if not Package.objects.filter(app=app, api=api, ends_at__gt=at, refunded_at=None).exists():
            try:
                _buy(customer, app, api, at)
            except BillingError:
                if app is None:
                    raise
                # It was ordered before but is no longer free or on sale, so leave the order to the customer.
    app = customer.apps.earliest("pk")
    key = keys.live(at).filter(app=app, expires_at=None).order_by("pk").first() or keys.issue(app, at)
    return made | {"FACECLOUD_APP_KEY": key.key, "FACECLOUD_SECRET_KEY": keys.secret_of(key)}


def _user(username: str, password: str, *, is_operator: bool) -> tuple[User, str]:
    """Return the user, and the password if it was set by this call."""
    if user := User.objects.filter(username=username).first():
        return user, ""
    password = password or secrets.token_urlsafe(12)
    create = User.objects.create_superuser if is_operator else User.objects.create_user
    address = f"{username}@localhost.localdomain"
    return create(username, address, password, email_verified_at=timezone.now()), password


@transaction.atomic
def _buy(customer: User, app: App | None, api: str, at: datetime) -> None:
    """Order and pay for 100 000 units a month of the longest duration, for a new App if `app` is None."""
    request = orders.OrderRequest(
        sku=Sku.objects.get(api=api, tier=Tier.HUNDRED_THOUSAND),
        quantity=1,
        months=Duration.objects.filter(is_active=True).latest("months").months,
        app=app,
        region=Region.objects.filter(is_active=True).first(),
        name="演示应用",
        description="随系统创建的演示应用",
    )
    token = f"demo {api} {customer.orders.filter(sku__api=api).count()}"
    orders.pay(orders.create(customer, request, token=token, at=at), at)
