"""延长资源包: an operator adds months to a Package free of charge; its order does not change."""

from datetime import datetime

from django.db import transaction

from billing import packages
from billing.errors import AmountRefused, NotExtendable
from billing.models import Package
from billing.periods import windows

LONGEST = 36  # months, ordered and added together


@transaction.atomic
def extend(package: Package, months: int, at: datetime) -> Package:
    """Append `months` Periods, anchored at the day of payment; each grants the same units as the others.

    Raises NotExtendable if the Package has ended or was refunded, AmountRefused for invalid `months`.
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
