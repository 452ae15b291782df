"""Reports by mail: who wants which. A new table."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0012_region_queue")]
    operations = [
        migrations.CreateModel(
            name="DigestSubscription",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                (
                    "kind",
                    models.CharField(choices=[("account", "我的用量"), ("service", "全部客户")], max_length=8),
                ),
                (
                    "period",
                    models.CharField(
                        choices=[("daily", "每日"), ("weekly", "每周"), ("monthly", "每月")], max_length=8
                    ),
                ),
                ("sent_until", models.DateField()),
                ("created_at", models.DateTimeField()),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="digests",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["kind", "period", "sent_until"], name="digest_due")],
                "constraints": [
                    models.UniqueConstraint(fields=("user", "kind", "period"), name="digest_once"),
                    models.CheckConstraint(
                        condition=models.Q(kind__in=["account", "service"]), name="digest_kind_known"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(period__in=["daily", "weekly", "monthly"]),
                        name="digest_period_known",
                    ),
                ],
            },
        ),
    ]
