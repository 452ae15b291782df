"""A mistaken top-up is taken back by an entry of its own.

Safe beside the version before: it leaves `reverses` out and writes none of the new kind.
"""

import django.db.models.deletion
from django.contrib.postgres.operations import (
    AddConstraintNotValid,
    AddIndexConcurrently,
    ValidateConstraint,
)
from django.db import migrations, models
from django.db.models import Q

KINDS = [("top_up", "充值"), ("payment", "支付"), ("refund", "退款"), ("reversal", "冲正")]
NOTICES = [
    ("quota", "用量提醒"), ("ending", "到期提醒"), ("unpaid", "未支付订单提醒"), ("top_up", "充值通知"),
    ("voucher", "代金券通知"), ("refund", "退款通知"), ("reversal", "充值冲正通知"), ("faces", "人脸到期提醒"),
]  # fmt: skip
AGREES = (
    Q(kind="top_up", amount__gt=0, order=None, by__isnull=False) & ~Q(reason="")
    | Q(kind="payment", amount__lt=0, order__isnull=False)
    | Q(kind="refund", amount__gt=0, order__isnull=False, by__isnull=False) & ~Q(reason="")
    | Q(kind="reversal", amount__lt=0, order=None, by__isnull=False, reverses__isnull=False) & ~Q(reason="")
)


class Migration(migrations.Migration):
    atomic = False  # indexes are built concurrently
    dependencies = [("billing", "0019_face_search_skus")]
    operations = [
        migrations.AlterField(
            "walletentry", "kind", models.CharField(choices=KINDS, max_length=8, verbose_name="类型")
        ),
        migrations.AlterField(
            "notice", "kind", models.CharField(choices=NOTICES, max_length=8, verbose_name="类型")
        ),
        migrations.AddField(
            "walletentry",
            "reverses",
            models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="reversals",
                to="billing.walletentry",
                verbose_name="冲正的充值",
            ),
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    "CREATE UNIQUE INDEX CONCURRENTLY wallet_reversed_once"
                    " ON billing_walletentry (reverses_id) WHERE kind = 'reversal'",
                    "DROP INDEX wallet_reversed_once",
                )
            ],
            state_operations=[
                migrations.AddConstraint(
                    "walletentry",
                    models.UniqueConstraint(
                        fields=["reverses"], condition=Q(kind="reversal"), name="wallet_reversed_once"
                    ),
                )
            ],
        ),
        AddIndexConcurrently(
            "walletentry",
            models.Index(fields=["at"], condition=Q(kind="reversal"), name="wallet_entry_reversal"),
        ),
        migrations.RemoveConstraint("walletentry", "wallet_entry_kind_agrees"),
        AddConstraintNotValid(
            "walletentry", models.CheckConstraint(condition=AGREES, name="wallet_entry_kind_agrees")
        ),
        ValidateConstraint("walletentry", "wallet_entry_kind_agrees"),
        AddConstraintNotValid(
            "walletentry",
            models.CheckConstraint(
                condition=Q(reverses=None) | Q(kind="reversal"), name="wallet_entry_only_reversals"
            ),
        ),
        ValidateConstraint("walletentry", "wallet_entry_only_reversals"),
    ]
