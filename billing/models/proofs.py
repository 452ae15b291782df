"""The results of reconcile, the days that it has proved, and the units stated in answers."""

from django.db import models

from accounts.models import App
from billing.models.quota import Period


class ReconcileRun(models.Model):
    """One completed run of billing/books/reconcile.py: its time, duration and result.

    Rows are deleted after a year; a trigger rejects any UPDATE.
    """

    at = models.DateTimeField()
    duration_ms = models.PositiveIntegerField()
    checks = models.PositiveSmallIntegerField()
    breaks = models.PositiveIntegerField()

    class Meta:
        indexes = [models.Index(fields=["-at"], name="reconcile_run_latest")]

    def __str__(self) -> str:
        return f"{self.at} {self.breaks}"


class AnsweredHour(models.Model):
    """The units stated in an hour's answers, by App and API; added up by billing/quota.py on confirmation.

    `hour` is that of the settle (Debit.closed_at), in UTC.
    """

    app = models.ForeignKey(App, models.PROTECT, related_name="+", db_index=False)
    api = models.CharField(max_length=16)
    hour = models.DateTimeField()
    answers = models.PositiveIntegerField()
    units = models.PositiveBigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["hour", "app", "api"], name="answered_hour_once")]

    def __str__(self) -> str:
        return f"{self.app_id} {self.api} {self.hour} {self.units}"


class ProvedDay(models.Model):
    """A UTC day whose calls and debits, by their ids, were proved. Written by billing/books/checkpoint.py.

    `is_archived`: its rows have since been dropped, and only their sums remain, in ProvedUnits.
    """

    day = models.DateField(primary_key=True)
    proved_at = models.DateTimeField()
    is_archived = models.BooleanField(default=False, db_default=False)

    def __str__(self) -> str:
        return str(self.day)


class ProvedUnits(models.Model):
    """The units that the settled Debits of a month's proved days took from a Period."""

    period = models.ForeignKey(Period, models.PROTECT, related_name="+", db_index=False)
    month = models.DateField()  # its first day, in UTC
    units = models.PositiveBigIntegerField()
    is_archived = models.BooleanField(default=False, db_default=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["period", "month"], name="proved_units_once")]

    def __str__(self) -> str:
        return f"{self.period_id} {self.month} {self.units}"
