"""Changes of the catalogue that take effect at a time of their own: a new table."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0020_reversals"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [
        migrations.CreateModel(
            name="ScheduledChange",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("field", models.CharField(max_length=32, verbose_name="字段")),
                ("before", models.CharField(max_length=100, verbose_name="原值")),
                ("after", models.CharField(max_length=100, verbose_name="新值")),
                ("effective_at", models.DateTimeField(verbose_name="生效时间")),
                ("reason", models.CharField(max_length=200, verbose_name="原因")),
                ("created_at", models.DateTimeField(verbose_name="创建时间")),
                ("applied_at", models.DateTimeField(blank=True, null=True, verbose_name="已生效时间")),
                ("cancelled_at", models.DateTimeField(blank=True, null=True, verbose_name="取消时间")),
                ("failure", models.CharField(blank=True, max_length=200, verbose_name="未生效的原因")),
                (
                    "by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="操作员",
                    ),
                ),
                (
                    "cancelled_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="取消人",
                    ),
                ),
                (
                    "sku",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="scheduled",
                        to="billing.sku",
                        verbose_name="规格",
                    ),
                ),
            ],
            options={
                "verbose_name": "定时的目录变更",
                "verbose_name_plural": "定时的目录变更",
                "ordering": ["effective_at", "pk"],
                "indexes": [
                    models.Index(
                        condition=models.Q(applied_at=None, cancelled_at=None),
                        fields=["effective_at"],
                        name="scheduled_change_pending",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(applied_at=None, cancelled_at=None),
                        fields=("sku", "field", "effective_at"),
                        name="scheduled_change_once",
                    ),
                    models.CheckConstraint(
                        condition=~models.Q(reason=""), name="scheduled_change_has_reason"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(applied_at=None) | models.Q(cancelled_at=None),
                        name="scheduled_change_one_end",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(effective_at__gt=models.F("created_at")),
                        name="scheduled_change_later",
                    ),
                ],
            },
        ),
    ]
