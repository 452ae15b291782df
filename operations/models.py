"""Incidents, written by operations/monitoring/incidents.py; saved views, by operations/saved_views.py."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class Incident(models.Model):
    """A time during which a rule of findings.py held. `facts` are the values of its message at the start.

    `failed_calls` counts the calls that failed during it because of the service (5001-5004).
    """

    rule = models.SlugField(_("规则"), max_length=32, db_index=False)
    facts = models.JSONField(_("数值"), default=dict)
    started_at = models.DateTimeField(_("开始时间"))
    seen_at = models.DateTimeField(_("最近一次"))
    ended_at = models.DateTimeField(_("结束时间"), null=True)
    failed_calls = models.PositiveBigIntegerField(_("失败的调用"), default=0)

    class Meta:
        ordering = ["-started_at", "-pk"]
        verbose_name = verbose_name_plural = _("故障记录")
        indexes = [models.Index(fields=["-started_at"], name="incident_latest")]
        constraints = [
            models.UniqueConstraint(fields=["rule"], condition=Q(ended_at=None), name="incident_open_once"),
        ]

    def __str__(self) -> str:
        return f"{self.rule} {self.started_at:%Y-%m-%d %H:%M}"


class Watch(models.Model):
    """The last time at which incidents were recorded; a single row."""

    at = models.DateTimeField()

    def __str__(self) -> str:
        return str(self.at)


class SavedView(models.Model):
    """A page with a filter, saved by an operator under a name."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    name = models.CharField(max_length=40)
    path = models.CharField(max_length=200)
    query = models.CharField(max_length=1000, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["name", "pk"]
        constraints = [models.UniqueConstraint(fields=["owner", "path", "name"], name="saved_view_once")]

    def __str__(self) -> str:
        return self.name

    @property
    def href(self) -> str:
        return f"{self.path}?{self.query}" if self.query else self.path
