"""延长资源包: an operator adds months to a Package, as a courtesy; the money of its order stays as it is."""

from datetime import datetime

from django.db import transaction

from billing import packages
from billing.errors import AmountRefused, NotExtendable
from billing.models import Package
from billing.periods import windows

LONGEST = 36  # months, the ordered ones and the added ones together


@transaction.atomic
def extend(package: Package, months: int, at: datetime) -> Package:
    """Add `months` Periods after the last, by the anchor of the payment; each grants what the others do.

    A Package that has ended or was refunded stays so. Raises AmountRefused, NotExtendable.
    """
    locked = Package.objects.select_for_update(of=("self",), no_key=True)
    package = locked.select_related("order").get(pk=package.pk)
    if package.refunded_at is not None:
        raise NotExtendable(why="refunded")
    if package.ends_at <= at:
        raise NotExtendable(why="ended")
    before = package.order.months + package.extra_months
    if not 1 <= months <= LONGEST - before:
        raise AmountRefused(amount=months)
    added = windows(package.starts_at, before + months)[before:]
    packages.write_periods(package, added, first=before)
    package.extra_months += months
    package.ends_at = added[-1][1]
    package.save(update_fields=["extra_months", "ends_at"])
    return package
