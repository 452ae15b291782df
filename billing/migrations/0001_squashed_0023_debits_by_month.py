"""Everything about money and quota: tables, functions, triggers, the catalogue, months of debits.

It replaces the migrations from before 0.1.0 (docs/decisions/0005-squashed-migrations.md). It cannot be reversed.
"""

import billing.models.notices
import billing.models.wallet
import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import django.db.models.expressions
from pathlib import Path
from django.conf import settings
from django.db import migrations, models

from common.postgresql.deferred import run_deferred

SQL = [
    (Path(__file__).parent / f'0001_{part}.sql').read_text(encoding='utf-8') for part in ('quota', 'books', 'months')
]
SPLIT = (Path(__file__).parent / '0001_debits_by_month.sql').read_text(encoding='utf-8')
TIERS = [('thousand', 1_000), ('ten_thousand', 10_000), ('hundred_thousand', 100_000)]
METERS = [('face_detect', 'images'), ('face_analyse', 'images'), ('face_compare', 'calls'), ('face_search', 'images')]


def fill_catalogue(apps, schema_editor):
    """Add the catalogue of the public beta: the manual's table (chapter 2) at 0.00, and 1 to 3 months."""
    Sku, Duration = apps.get_model('billing', 'Sku'), apps.get_model('billing', 'Duration')
    Sku.objects.bulk_create(
        Sku(api=api, tier=tier, units_per_month=units, meter=meter, price=0)
        for api, meter in METERS
        for tier, units in TIERS
    )
    Duration.objects.bulk_create(Duration(months=months) for months in (1, 2, 3))


class Migration(migrations.Migration):
    initial = True
    replaces = [
        ('billing', name)
        for name in (
            '0001_initial', '0002_catalogue', '0003_quota_functions', '0004_package_extra_months',
            '0005_labels', '0006_what_the_catalogue_can_hold', '0007_what_the_books_rely_on',
            '0008_spans_of_days', '0009_packages_that_end', '0010_labels_in_chinese_brackets',
            '0011_reserve_in_order', '0012_no_truncate', '0013_settling', '0014_reconcile_run',
            '0015_answered_hour', '0016_proved_days', '0017_money_notices', '0018_face_search',
            '0019_face_search_skus', '0020_reversals', '0021_scheduled_changes', '0022_months',
            '0023_debits_by_month',
        )
    ]
    dependencies = [
        ('accounts', '0001_squashed_0014_face_limit_positive'),
    ]
    operations = [
        migrations.CreateModel(
            name='NoticeSettings',
            fields=[
                ('customer', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='notice_settings', serialize=False, to=settings.AUTH_USER_MODEL)),
                ('quota_percents', django.contrib.postgres.fields.ArrayField(base_field=models.PositiveSmallIntegerField(validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(100)]), blank=True, default=billing.models.notices.default_percents, size=None)),
                ('quota_on', models.BooleanField(default=True, verbose_name='用量提醒')),
                ('ending_on', models.BooleanField(default=True, verbose_name='到期提醒')),
                ('unpaid_on', models.BooleanField(default=True, verbose_name='未支付订单提醒')),
                ('money_on', models.BooleanField(db_default=True, default=True, verbose_name='充值、代金券和退款通知')),
            ],
        ),
        migrations.CreateModel(
            name='ProvedDay',
            fields=[
                ('day', models.DateField(primary_key=True, serialize=False)),
                ('proved_at', models.DateTimeField()),
                ('is_archived', models.BooleanField(db_default=False, default=False)),
            ],
        ),
        migrations.CreateModel(
            name='Debit',
            fields=[
                ('call_id', models.UUIDField(primary_key=True, serialize=False, verbose_name='请求 ID')),
                ('api', models.CharField(choices=[('face_detect', '人脸检测定位'), ('face_analyse', '人脸属性识别'), ('face_compare', '人脸比对'), ('face_search', '人脸搜索')], max_length=16, verbose_name='API 类型')),
                ('units', models.PositiveIntegerField(verbose_name='抵扣量')),
                ('state', models.CharField(choices=[('held', '预扣'), ('settling', '待确认'), ('settled', '已抵扣'), ('returned', '已退回')], max_length=8, verbose_name='状态')),
                ('remaining_after', models.PositiveBigIntegerField(verbose_name='抵扣后剩余')),
                ('created_at', models.DateTimeField(verbose_name='时间')),
                ('hold_expires_at', models.DateTimeField(verbose_name='预扣期限')),
                ('closed_at', models.DateTimeField(null=True, verbose_name='结束时间')),
                ('app', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='debits', to='accounts.app', verbose_name='应用')),
            ],
            options={
                'verbose_name': '抵扣',
                'verbose_name_plural': '抵扣',
                'indexes': [models.Index(condition=models.Q(('state__in', ['held', 'settling'])), fields=['hold_expires_at'], name='debit_open_until')],
                'constraints': [
                    models.CheckConstraint(condition=models.Q(('units__gte', 1)), name='debit_units_positive'),
                    models.CheckConstraint(condition=models.Q(models.Q(('closed_at', None), ('state', 'held')), models.Q(('closed_at__isnull', False), ('state__in', ['settling', 'settled', 'returned'])), _connector='OR'), name='debit_state_agrees'),
                ],
            },
        ),
        migrations.CreateModel(
            name='Duration',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('months', models.PositiveSmallIntegerField(unique=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(36)], verbose_name='月数')),
                ('is_active', models.BooleanField(default=True, verbose_name='开放订购')),
            ],
            options={
                'verbose_name': '购买时长',
                'verbose_name_plural': '购买时长',
                'ordering': ['months'],
                'constraints': [models.CheckConstraint(condition=models.Q(('months__range', (1, 36))), name='duration_range')],
            },
        ),
        migrations.CreateModel(
            name='Sku',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('api', models.CharField(choices=[('face_detect', '人脸检测定位'), ('face_analyse', '人脸属性识别'), ('face_compare', '人脸比对'), ('face_search', '人脸搜索')], max_length=16, verbose_name='API 类型')),
                ('tier', models.CharField(choices=[('thousand', '千'), ('ten_thousand', '万'), ('hundred_thousand', '十万')], max_length=20, verbose_name='规格')),
                ('units_per_month', models.PositiveIntegerField(validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(200000000)], verbose_name='每月额度')),
                ('meter', models.CharField(choices=[('images', '张'), ('calls', '次'), ('pairs', '对')], max_length=8, verbose_name='计量方式')),
                ('price', models.DecimalField(decimal_places=2, max_digits=12, validators=[django.core.validators.MinValueValidator(0), django.core.validators.MaxValueValidator(10000000)], verbose_name='价格（元/月）')),
                ('on_sale', models.BooleanField(default=True, verbose_name='在售')),
            ],
            options={
                'verbose_name': '规格',
                'verbose_name_plural': '规格',
                'ordering': ['api', 'units_per_month'],
                'constraints': [
                    models.UniqueConstraint(fields=('api', 'tier'), name='sku_once'),
                    models.CheckConstraint(condition=models.Q(('units_per_month__range', (1, 200000000))), name='sku_units_range'),
                    models.CheckConstraint(condition=models.Q(('price__range', (0, 10000000))), name='sku_price_range'),
                    models.CheckConstraint(condition=models.Q(('api__in', ['face_detect', 'face_analyse', 'face_compare', 'face_search'])), name='sku_api_known'),
                    models.CheckConstraint(condition=models.Q(('meter__in', ['images', 'calls', 'pairs'])), name='sku_meter_known'),
                    models.CheckConstraint(condition=models.Q(('api', 'face_compare'), models.Q(('meter', 'pairs'), _negated=True), _connector='OR'), name='sku_pairs_are_compared'),
                ],
            },
        ),
        migrations.CreateModel(
            name='Order',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.CharField(max_length=20, unique=True, verbose_name='订单编号')),
                ('token', models.CharField(editable=False, max_length=64)),
                ('is_new_app', models.BooleanField(verbose_name='新应用')),
                ('app_name', models.CharField(max_length=16, verbose_name='应用名称')),
                ('app_description', models.CharField(max_length=28, verbose_name='应用描述')),
                ('quantity', models.PositiveSmallIntegerField(verbose_name='数量')),
                ('months', models.PositiveSmallIntegerField(verbose_name='购买时长')),
                ('units_per_month', models.PositiveIntegerField(verbose_name='每份每月额度')),
                ('meter', models.CharField(choices=[('images', '张'), ('calls', '次'), ('pairs', '对')], max_length=8, verbose_name='计量方式')),
                ('unit_price', models.DecimalField(decimal_places=2, max_digits=12, verbose_name='单价（元/月）')),
                ('amount', models.DecimalField(decimal_places=2, max_digits=12, verbose_name='金额（元）')),
                ('state', models.CharField(choices=[('pending', '待支付'), ('paid', '已完成'), ('cancelled', '已取消')], default='pending', max_length=10, verbose_name='状态')),
                ('cancel_reason', models.CharField(blank=True, choices=[('', ''), ('customer', '客户取消'), ('operator', '运营人员取消'), ('expired', '超时未支付')], default='', max_length=10, verbose_name='取消原因')),
                ('created_at', models.DateTimeField(verbose_name='创建时间')),
                ('expires_at', models.DateTimeField(verbose_name='支付期限')),
                ('paid_at', models.DateTimeField(blank=True, null=True, verbose_name='支付时间')),
                ('cancelled_at', models.DateTimeField(blank=True, null=True, verbose_name='取消时间')),
                ('cash_paid', models.DecimalField(decimal_places=2, default=0, max_digits=12, verbose_name='现金支付')),
                ('voucher_paid', models.DecimalField(decimal_places=2, default=0, max_digits=12, verbose_name='代金券支付')),
                ('app', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='orders', to='accounts.app', verbose_name='应用')),
                ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='orders', to=settings.AUTH_USER_MODEL, verbose_name='客户')),
                ('region', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.region', verbose_name='地域')),
                ('sku', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='billing.sku', verbose_name='规格')),
            ],
            options={
                'verbose_name': '订单',
                'verbose_name_plural': '订单',
                'ordering': ['-created_at', '-pk'],
                'indexes': [
                    models.Index(fields=['customer', '-created_at', '-id'], name='order_of_customer'),
                    models.Index(fields=['customer', 'state', '-created_at', '-id'], name='order_of_customer_state'),
                    models.Index(condition=models.Q(('state', 'pending')), fields=['expires_at'], name='order_pending_expiry'),
                    models.Index(fields=['created_at'], name='order_created'),
                    models.Index(condition=models.Q(('state', 'paid')), fields=['paid_at'], include=('customer', 'sku', 'cash_paid', 'voucher_paid'), name='order_paid'),
                ],
                'constraints': [
                    models.UniqueConstraint(fields=('customer', 'token'), name='order_token_once'),
                    models.CheckConstraint(condition=models.Q(('quantity__range', (1, 9))), name='order_quantity_range'),
                    models.CheckConstraint(condition=models.Q(('months__range', (1, 36))), name='order_months_range'),
                    models.CheckConstraint(condition=models.Q(('units_per_month__range', (1, 200000000))), name='order_units_range'),
                    models.CheckConstraint(condition=models.Q(('meter__in', ['images', 'calls', 'pairs'])), name='order_meter_known'),
                    models.CheckConstraint(condition=models.Q(('expires_at__gt', models.F('created_at'))), name='order_window'),
                    models.CheckConstraint(condition=models.Q(('amount', django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(models.F('unit_price'), '*', models.F('quantity')), '*', models.F('months'))), ('unit_price__gte', 0)), name='order_amount_is_product'),
                    models.CheckConstraint(condition=models.Q(models.Q(('cancel_reason', ''), ('cancelled_at', None), ('paid_at__isnull', False), ('state', 'paid'), ('paid_at__lt', models.F('expires_at')), ('app__isnull', False), ('cash_paid__gte', 0), ('voucher_paid__gte', 0), ('amount', django.db.models.expressions.CombinedExpression(models.F('cash_paid'), '+', models.F('voucher_paid')))), models.Q(('cancelled_at', None), ('cash_paid', 0), ('paid_at', None), ('state', 'pending'), ('voucher_paid', 0), ('cancel_reason', '')), models.Q(('cancelled_at__isnull', False), ('cash_paid', 0), ('paid_at', None), ('state', 'cancelled'), ('voucher_paid', 0), models.Q(('cancel_reason', ''), _negated=True)), _connector='OR'), name='order_state_agrees'),
                    models.CheckConstraint(condition=models.Q(models.Q(('app', None), ('is_new_app', True), ('state__in', ['pending', 'cancelled'])), models.Q(('app__isnull', False), ('state', 'paid')), models.Q(('app__isnull', False), ('is_new_app', False)), _connector='OR'), name='order_app_agrees'),
                    models.CheckConstraint(condition=models.Q(('app_name__regex', '^(?![ \\u00a0\\u1680\\u2000-\\u200a\\u202f\\u205f\\u3000])(?!.*[ \\u00a0\\u1680\\u2000-\\u200a\\u202f\\u205f\\u3000]$)[^~!@#¥￥%^&*\\u0001-\\u001f\\u007f-\\u009f\\u00ad\\u061c\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff]{1,16}$')), name='order_app_name_rule'),
                    models.CheckConstraint(condition=models.Q(('app_description__regex', '^(?![ \\u00a0\\u1680\\u2000-\\u200a\\u202f\\u205f\\u3000])(?!.*[ \\u00a0\\u1680\\u2000-\\u200a\\u202f\\u205f\\u3000]$)[^~!@#¥￥%^&*\\u0001-\\u001f\\u007f-\\u009f\\u00ad\\u061c\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff]{1,28}$')), name='order_app_description_rule'),
                ],
            },
        ),
        migrations.CreateModel(
            name='Notice',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('quota', '用量提醒'), ('ending', '到期提醒'), ('unpaid', '未支付订单提醒'), ('top_up', '充值通知'), ('voucher', '代金券通知'), ('refund', '退款通知'), ('reversal', '充值冲正通知'), ('faces', '人脸到期提醒')], max_length=8, verbose_name='类型')),
                ('key', models.CharField(editable=False, max_length=120)),
                ('api', models.CharField(blank=True, choices=[('face_detect', '人脸检测定位'), ('face_analyse', '人脸属性识别'), ('face_compare', '人脸比对'), ('face_search', '人脸搜索')], max_length=16, verbose_name='API 类型')),
                ('percent', models.PositiveSmallIntegerField(blank=True, null=True, verbose_name='已用比例 (%)')),
                ('days', models.PositiveSmallIntegerField(blank=True, null=True, verbose_name='剩余天数')),
                ('amount', models.DecimalField(blank=True, decimal_places=2, max_digits=12, null=True, verbose_name='金额')),
                ('detail', models.CharField(blank=True, db_default='', default='', editable=False, max_length=80)),
                ('ends_at', models.DateTimeField(blank=True, null=True, verbose_name='截止时间')),
                ('created_at', models.DateTimeField(verbose_name='时间')),
                ('read_at', models.DateTimeField(blank=True, null=True, verbose_name='已读时间')),
                ('mailed_at', models.DateTimeField(blank=True, null=True, verbose_name='邮件时间')),
                ('app', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.app', verbose_name='应用')),
                ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='notices', to=settings.AUTH_USER_MODEL, verbose_name='客户')),
                ('order', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='billing.order', verbose_name='订单')),
            ],
            options={
                'verbose_name': '通知',
                'verbose_name_plural': '通知',
                'ordering': ['-created_at', '-pk'],
                'indexes': [
                    models.Index(fields=['customer', '-created_at', '-id'], name='notice_inbox'),
                    models.Index(condition=models.Q(('mailed_at', None)), fields=['id'], name='notice_to_mail'),
                ],
                'constraints': [models.UniqueConstraint(fields=('customer', 'key'), name='notice_once')],
            },
        ),
        migrations.CreateModel(
            name='Package',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('api', models.CharField(choices=[('face_detect', '人脸检测定位'), ('face_analyse', '人脸属性识别'), ('face_compare', '人脸比对'), ('face_search', '人脸搜索')], max_length=16, verbose_name='API 类型')),
                ('units_per_period', models.PositiveIntegerField(verbose_name='每月额度')),
                ('starts_at', models.DateTimeField(verbose_name='生效时间')),
                ('ends_at', models.DateTimeField(verbose_name='到期时间')),
                ('extra_months', models.PositiveSmallIntegerField(default=0, verbose_name='延长月数')),
                ('refunded_at', models.DateTimeField(blank=True, null=True, verbose_name='退款时间')),
                ('refund_reason', models.CharField(blank=True, max_length=200, verbose_name='退款原因')),
                ('app', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='packages', to='accounts.app', verbose_name='应用')),
                ('order', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='package', to='billing.order', verbose_name='订单')),
                ('refunded_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='退款操作员')),
            ],
            options={
                'verbose_name': '资源包',
                'verbose_name_plural': '资源包',
                'ordering': ['-pk'],
                'indexes': [
                    models.Index(fields=['app', 'api', 'ends_at'], include=('refunded_at',), name='package_of_app'),
                    models.Index(fields=['ends_at'], name='package_end'),
                ],
                'constraints': [
                    models.CheckConstraint(condition=models.Q(('ends_at__gt', models.F('starts_at'))), name='package_window'),
                    models.CheckConstraint(condition=models.Q(('units_per_period__gte', 1)), name='package_units_positive'),
                    models.CheckConstraint(condition=models.Q(('api__in', ['face_detect', 'face_analyse', 'face_compare', 'face_search'])), name='package_api_known'),
                    models.CheckConstraint(condition=models.Q(models.Q(('refunded_at', None), ('refunded_by', None)), models.Q(('refunded_at__isnull', False), ('refunded_by__isnull', False), models.Q(('refund_reason', ''), _negated=True)), _connector='OR'), name='package_refund_agrees'),
                ],
            },
        ),
        migrations.CreateModel(
            name='Period',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('api', models.CharField(choices=[('face_detect', '人脸检测定位'), ('face_analyse', '人脸属性识别'), ('face_compare', '人脸比对'), ('face_search', '人脸搜索')], max_length=16, verbose_name='API 类型')),
                ('meter', models.CharField(choices=[('images', '张'), ('calls', '次'), ('pairs', '对')], max_length=8, verbose_name='计量方式')),
                ('number', models.PositiveSmallIntegerField(verbose_name='序号')),
                ('starts_at', models.DateTimeField(verbose_name='开始时间')),
                ('ends_at', models.DateTimeField(verbose_name='结束时间')),
                ('granted', models.PositiveIntegerField(verbose_name='额度')),
                ('used', models.PositiveIntegerField(default=0, verbose_name='已用')),
                ('app', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='periods', to='accounts.app', verbose_name='应用')),
                ('package', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='periods', to='billing.package', verbose_name='资源包')),
            ],
            options={
                'verbose_name': '计费周期',
                'verbose_name_plural': '计费周期',
                'ordering': ['ends_at', 'package_id'],
                'indexes': [
                    models.Index(fields=['app', 'api', 'ends_at', 'package'], name='period_burn_order'),
                    models.Index(fields=['ends_at'], name='period_end'),
                ],
                'constraints': [
                    models.UniqueConstraint(fields=('package', 'number'), name='period_once'),
                    models.CheckConstraint(condition=models.Q(('ends_at__gt', models.F('starts_at'))), name='period_window'),
                    models.CheckConstraint(condition=models.Q(('meter__in', ['images', 'calls', 'pairs'])), name='period_meter_known'),
                    models.CheckConstraint(condition=models.Q(('used__gte', 0), ('used__lte', models.F('granted'))), name='period_used_within_granted'),
                ],
            },
        ),
        migrations.CreateModel(
            name='DebitLine',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('units', models.PositiveIntegerField()),
                ('debit', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='lines', to='billing.debit')),
                ('period', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='lines', to='billing.period')),
            ],
            options={
                'constraints': [
                    models.UniqueConstraint(fields=('debit', 'period'), name='debit_line_once'),
                    models.CheckConstraint(condition=models.Q(('units__gte', 1)), name='debit_line_units_positive'),
                ],
            },
        ),
        migrations.CreateModel(
            name='PeriodSample',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField()),
                ('used', models.PositiveIntegerField()),
                ('period', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='samples', to='billing.period')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('at', 'period'), name='period_sample_once')],
            },
        ),
        migrations.CreateModel(
            name='ProvedUnits',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('month', models.DateField()),
                ('units', models.PositiveBigIntegerField()),
                ('is_archived', models.BooleanField(db_default=False, default=False)),
                ('period', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='billing.period')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('period', 'month'), name='proved_units_once')],
            },
        ),
        migrations.CreateModel(
            name='ReconcileRun',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField()),
                ('duration_ms', models.PositiveIntegerField()),
                ('checks', models.PositiveSmallIntegerField()),
                ('breaks', models.PositiveIntegerField()),
            ],
            options={
                'indexes': [models.Index(fields=['-at'], name='reconcile_run_latest')],
            },
        ),
        migrations.CreateModel(
            name='ScheduledChange',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('field', models.CharField(max_length=32, verbose_name='字段')),
                ('before', models.CharField(max_length=100, verbose_name='原值')),
                ('after', models.CharField(max_length=100, verbose_name='新值')),
                ('effective_at', models.DateTimeField(verbose_name='生效时间')),
                ('reason', models.CharField(max_length=200, verbose_name='原因')),
                ('created_at', models.DateTimeField(verbose_name='创建时间')),
                ('applied_at', models.DateTimeField(blank=True, null=True, verbose_name='已生效时间')),
                ('cancelled_at', models.DateTimeField(blank=True, null=True, verbose_name='取消时间')),
                ('failure', models.CharField(blank=True, max_length=200, verbose_name='未生效的原因')),
                ('by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='操作员')),
                ('cancelled_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='取消人')),
                ('sku', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='scheduled', to='billing.sku', verbose_name='规格')),
            ],
            options={
                'verbose_name': '定时的目录变更',
                'verbose_name_plural': '定时的目录变更',
                'ordering': ['effective_at', 'pk'],
                'indexes': [models.Index(condition=models.Q(('applied_at', None), ('cancelled_at', None)), fields=['effective_at'], name='scheduled_change_pending')],
                'constraints': [
                    models.UniqueConstraint(condition=models.Q(('applied_at', None), ('cancelled_at', None)), fields=('sku', 'field', 'effective_at'), name='scheduled_change_once'),
                    models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='scheduled_change_has_reason'),
                    models.CheckConstraint(condition=models.Q(('applied_at', None), ('cancelled_at', None), _connector='OR'), name='scheduled_change_one_end'),
                    models.CheckConstraint(condition=models.Q(('effective_at__gt', models.F('created_at'))), name='scheduled_change_later'),
                ],
            },
        ),
        migrations.CreateModel(
            name='Voucher',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('code', models.CharField(max_length=32, unique=True, verbose_name='券码')),
                ('face_value', models.DecimalField(decimal_places=2, max_digits=12, verbose_name='面值')),
                ('remaining', models.DecimalField(decimal_places=2, max_digits=12, verbose_name='剩余')),
                ('valid_from', models.DateTimeField(verbose_name='生效时间')),
                ('valid_until', models.DateTimeField(verbose_name='失效时间')),
                ('apis', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('face_detect', '人脸检测定位'), ('face_analyse', '人脸属性识别'), ('face_compare', '人脸比对'), ('face_search', '人脸搜索')], max_length=16), blank=True, default=list, size=None, verbose_name='适用 API (空为全部)')),
                ('created_at', models.DateTimeField(verbose_name='创建时间')),
                ('redeemed_at', models.DateTimeField(blank=True, null=True, verbose_name='领取时间')),
                ('reason', models.CharField(max_length=200, verbose_name='原因')),
                ('created_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='操作员')),
                ('customer', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='vouchers', to=settings.AUTH_USER_MODEL, verbose_name='客户')),
            ],
            options={
                'verbose_name': '代金券',
                'verbose_name_plural': '代金券',
                'ordering': ['valid_until', 'pk'],
                'indexes': [models.Index(fields=['customer', 'valid_until', 'id'], name='voucher_burn_order')],
                'constraints': [
                    models.CheckConstraint(condition=models.Q(('face_value__gt', 0), ('remaining__gte', 0), ('remaining__lte', models.F('face_value'))), name='voucher_within_face_value'),
                    models.CheckConstraint(condition=models.Q(('valid_until__gt', models.F('valid_from'))), name='voucher_window'),
                    models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='voucher_has_reason'),
                    models.CheckConstraint(condition=models.Q(models.Q(('customer', None), ('redeemed_at', None), ('remaining', models.F('face_value'))), models.Q(('customer__isnull', False), ('redeemed_at__isnull', False)), _connector='OR'), name='voucher_owner_agrees'),
                ],
            },
        ),
        migrations.CreateModel(
            name='VoucherEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('amount', models.DecimalField(decimal_places=2, max_digits=12, verbose_name='金额')),
                ('at', models.DateTimeField(verbose_name='时间')),
                ('order', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='voucher_entries', to='billing.order', verbose_name='订单')),
                ('voucher', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='entries', to='billing.voucher', verbose_name='代金券')),
            ],
            options={
                'verbose_name': '代金券使用',
                'verbose_name_plural': '代金券使用',
                'ordering': ['-pk'],
                'indexes': [models.Index(condition=models.Q(('amount__gt', 0)), fields=['at'], name='voucher_entry_put_back')],
                'constraints': [
                    models.UniqueConstraint(condition=models.Q(('amount__lt', 0)), fields=('voucher', 'order'), name='voucher_spent_once_per_order'),
                    models.UniqueConstraint(condition=models.Q(('amount__gt', 0)), fields=('voucher', 'order'), name='voucher_back_once_per_order'),
                    models.CheckConstraint(condition=models.Q(('amount', 0), _negated=True), name='voucher_entry_moves'),
                ],
            },
        ),
        migrations.CreateModel(
            name='Wallet',
            fields=[
                ('customer', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='wallet', serialize=False, to=settings.AUTH_USER_MODEL, verbose_name='客户')),
                ('balance', models.DecimalField(decimal_places=2, default=0, max_digits=14, verbose_name='余额')),
            ],
            options={
                'verbose_name': '账户余额',
                'verbose_name_plural': '账户余额',
                'constraints': [models.CheckConstraint(condition=models.Q(('balance__gte', 0)), name='wallet_not_negative')],
            },
        ),
        migrations.CreateModel(
            name='WalletEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('top_up', '充值'), ('payment', '支付'), ('refund', '退款'), ('reversal', '冲正')], max_length=8, verbose_name='类型')),
                ('amount', models.DecimalField(decimal_places=2, max_digits=12, verbose_name='金额')),
                ('balance_after', models.DecimalField(decimal_places=2, max_digits=14, verbose_name='余额')),
                ('reason', models.CharField(blank=True, max_length=200, verbose_name='原因')),
                ('token', models.CharField(default=billing.models.wallet.new_token, editable=False, max_length=64, unique=True)),
                ('at', models.DateTimeField(verbose_name='时间')),
                ('by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='操作员')),
                ('order', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='wallet_entries', to='billing.order', verbose_name='订单')),
                ('reverses', models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='reversals', to='billing.walletentry', verbose_name='冲正的充值')),
                ('wallet', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='entries', to='billing.wallet', verbose_name='账户')),
            ],
            options={
                'verbose_name': '收支明细',
                'verbose_name_plural': '收支明细',
                'ordering': ['-pk'],
                'indexes': [
                    models.Index(fields=['wallet', '-id'], name='wallet_entry_statement'),
                    models.Index(condition=models.Q(('kind__in', ['top_up', 'refund'])), fields=['at'], name='wallet_entry_by_hand'),
                    models.Index(condition=models.Q(('kind', 'reversal')), fields=['at'], name='wallet_entry_reversal'),
                ],
                'constraints': [
                    models.UniqueConstraint(condition=models.Q(('kind', 'payment')), fields=('order',), name='wallet_one_payment_per_order'),
                    models.UniqueConstraint(condition=models.Q(('kind', 'refund')), fields=('order',), name='wallet_one_refund_per_order'),
                    models.UniqueConstraint(condition=models.Q(('kind', 'reversal')), fields=('reverses',), name='wallet_reversed_once'),
                    models.CheckConstraint(condition=models.Q(('balance_after__gte', 0)), name='wallet_entry_not_negative'),
                    models.CheckConstraint(condition=models.Q(models.Q(('amount__gt', 0), ('by__isnull', False), ('kind', 'top_up'), ('order', None), models.Q(('reason', ''), _negated=True)), models.Q(('amount__lt', 0), ('kind', 'payment'), ('order__isnull', False)), models.Q(('amount__gt', 0), ('by__isnull', False), ('kind', 'refund'), ('order__isnull', False), models.Q(('reason', ''), _negated=True)), models.Q(('amount__lt', 0), ('by__isnull', False), ('kind', 'reversal'), ('order', None), ('reverses__isnull', False), models.Q(('reason', ''), _negated=True)), _connector='OR'), name='wallet_entry_kind_agrees'),
                    models.CheckConstraint(condition=models.Q(('reverses', None), ('kind', 'reversal'), _connector='OR'), name='wallet_entry_only_reversals'),
                ],
            },
        ),
        migrations.CreateModel(
            name='AnsweredHour',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('api', models.CharField(max_length=16)),
                ('hour', models.DateTimeField()),
                ('answers', models.PositiveIntegerField()),
                ('units', models.PositiveBigIntegerField()),
                ('app', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.app')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('hour', 'app', 'api'), name='answered_hour_once')],
            },
        ),
        migrations.CreateModel(
            name='CatalogueChange',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(verbose_name='时间')),
                ('subject', models.CharField(max_length=16, verbose_name='对象')),
                ('subject_id', models.BigIntegerField(verbose_name='对象编号')),
                ('field', models.CharField(max_length=32, verbose_name='字段')),
                ('before', models.CharField(max_length=100, verbose_name='原值')),
                ('after', models.CharField(max_length=100, verbose_name='新值')),
                ('reason', models.CharField(max_length=200, verbose_name='原因')),
                ('by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='操作员')),
            ],
            options={
                'verbose_name': '目录变更',
                'verbose_name_plural': '目录变更',
                'ordering': ['-at', '-pk'],
                'indexes': [models.Index(fields=['subject', 'subject_id'], name='catalogue_change_subject')],
                'constraints': [models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='catalogue_change_has_reason')],
            },
        ),
        *map(migrations.RunSQL, SQL),
        migrations.RunPython(run_deferred),
        migrations.RunSQL(SPLIT),
        migrations.RunPython(fill_catalogue),
    ]
