"""Regions and the inference queues of their Apps."""

from collections.abc import Collection

from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts.models import App, Region


def in_use() -> "QuerySet[Region]":
    """Return the regions whose Apps may make calls: those open to orders, and closed ones that have Apps."""
    return Region.objects.filter(Q(is_active=True) | Exists(App.objects.filter(region=OuterRef("pk"))))


def without_worker(regions: Collection[Region], served: Collection[str]) -> list[Region]:
    """Return the regions whose queue is not in `served`, the queues that workers consume."""
    return [region for region in regions if region.queue not in served]
