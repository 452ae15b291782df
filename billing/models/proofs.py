"""The results of reconcile. Written by billing/reconcile.py."""

from django.db import models


class ReconcileRun(models.Model):
    """One completed run: the moment whose books it read, how long it took and what it found.

    Rows are inserted and, after a year, deleted; a trigger refuses UPDATE.
    """

    at = models.DateTimeField()
    duration_ms = models.PositiveIntegerField()
    checks = models.PositiveSmallIntegerField()
    breaks = models.PositiveIntegerField()

    class Meta:
        indexes = [models.Index(fields=["-at"], name="reconcile_run_latest")]

    def __str__(self) -> str:
        return f"{self.at} {self.breaks}"
