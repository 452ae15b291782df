"""The last line of defence: CHECKs for what the code relies on, keys that hold copies to their source, finality."""

from pathlib import Path

import django.db.models.expressions
from django.conf import settings
from django.db import migrations, models

SQL = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
UNDO = """
DROP TRIGGER final_state ON billing_debit;
DROP TRIGGER as_ordered ON billing_order;
DROP TRIGGER final_state ON billing_order;
DROP FUNCTION billing_refuse;
ALTER TABLE billing_period DROP CONSTRAINT period_repeats_its_package;
ALTER TABLE billing_package
    DROP CONSTRAINT package_app_is_the_orders,
    DROP CONSTRAINT package_with_app_and_api;
ALTER TABLE billing_walletentry DROP CONSTRAINT wallet_entry_order_is_the_customers;
ALTER TABLE billing_order
    DROP CONSTRAINT order_app_is_the_customers,
    DROP CONSTRAINT order_with_app,
    DROP CONSTRAINT order_with_customer;
ALTER TABLE accounts_app DROP CONSTRAINT app_with_customer;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0004_positive_limits'),
        ('billing', '0006_what_the_catalogue_can_hold'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='order',
            name='order_state_agrees',
        ),
        migrations.RemoveConstraint(
            model_name='walletentry',
            name='wallet_entry_kind_agrees',
        ),
        migrations.AlterField(
            model_name='order',
            name='cancel_reason',
            field=models.CharField(blank=True, choices=[('', ''), ('customer', '客户取消'), ('operator', '运营人员取消'), ('expired', '超时未支付')], default='', max_length=10, verbose_name='取消原因'),
        ),
        migrations.AddConstraint(
            model_name='cataloguechange',
            constraint=models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='catalogue_change_has_reason'),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.CheckConstraint(condition=models.Q(('units_per_month__range', (1, 200000000))), name='order_units_range'),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.CheckConstraint(condition=models.Q(('meter__in', ['images', 'calls', 'pairs'])), name='order_meter_known'),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.CheckConstraint(condition=models.Q(('expires_at__gt', models.F('created_at'))), name='order_window'),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('cancel_reason', ''), ('cancelled_at', None), ('paid_at__isnull', False), ('state', 'paid'), ('paid_at__lt', models.F('expires_at')), ('app__isnull', False), ('cash_paid__gte', 0), ('voucher_paid__gte', 0), ('amount', django.db.models.expressions.CombinedExpression(models.F('cash_paid'), '+', models.F('voucher_paid')))), models.Q(('cancelled_at', None), ('cash_paid', 0), ('paid_at', None), ('state', 'pending'), ('voucher_paid', 0), ('cancel_reason', '')), models.Q(('cancelled_at__isnull', False), ('cash_paid', 0), ('paid_at', None), ('state', 'cancelled'), ('voucher_paid', 0), models.Q(('cancel_reason', ''), _negated=True)), _connector='OR'), name='order_state_agrees'),
        ),
        migrations.AddConstraint(
            model_name='package',
            constraint=models.CheckConstraint(condition=models.Q(('units_per_period__gte', 1)), name='package_units_positive'),
        ),
        migrations.AddConstraint(
            model_name='package',
            constraint=models.CheckConstraint(condition=models.Q(('api__in', ['face_detect', 'face_analyse', 'face_compare'])), name='package_api_known'),
        ),
        migrations.AddConstraint(
            model_name='period',
            constraint=models.CheckConstraint(condition=models.Q(('meter__in', ['images', 'calls', 'pairs'])), name='period_meter_known'),
        ),
        migrations.AddConstraint(
            model_name='voucher',
            constraint=models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='voucher_has_reason'),
        ),
        migrations.AddConstraint(
            model_name='walletentry',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('amount__gt', 0), ('by__isnull', False), ('kind', 'top_up'), ('order', None), models.Q(('reason', ''), _negated=True)), models.Q(('amount__lt', 0), ('kind', 'payment'), ('order__isnull', False)), models.Q(('amount__gt', 0), ('by__isnull', False), ('kind', 'refund'), ('order__isnull', False), models.Q(('reason', ''), _negated=True)), _connector='OR'), name='wallet_entry_kind_agrees'),
        ),
        migrations.RunSQL(SQL, UNDO),
    ]
