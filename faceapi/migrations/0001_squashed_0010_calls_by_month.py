"""Calls, partitioned by month, the functions that record them, and roll-ups.

The migrations of 0.1.0 until then as one (docs/decisions/0005-squashed-migrations.md). It cannot be undone.
"""

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.db.models.deletion
from pathlib import Path
from django.db import migrations, models

from common.postgresql.deferred import run_deferred

SQL, SPLIT = (
    (Path(__file__).parent / f'0001_{part}.sql').read_text(encoding='utf-8') for part in ('record_call', 'calls_by_month')
)


class Migration(migrations.Migration):
    initial = True
    replaces = [
        ('faceapi', name)
        for name in (
            '0001_initial', '0002_operator_rollups', '0003_record_call', '0004_latest_calls_of_an_api',
            '0005_failed_calls', '0006_unrecorded_refusals', '0007_unrecord_call', '0008_call_log',
            '0009_face_search', '0010_calls_by_month',
        )
    ]
    dependencies = [
        ('accounts', '0001_squashed_0014_face_limit_positive'),
        ('billing', '0001_squashed_0023_debits_by_month'),
    ]
    operations = [
        migrations.CreateModel(
            name='Call',
            fields=[
                ('id', models.UUIDField(editable=False, primary_key=True, serialize=False, verbose_name='请求 ID')),
                ('api', models.CharField(choices=[('face_detect', '人脸检测定位'), ('face_analyse', '人脸属性识别'), ('face_compare', '人脸比对'), ('face_search', '人脸搜索')], max_length=16, verbose_name='API 类型')),
                ('at', models.DateTimeField(help_text='请求到达的时刻', verbose_name='时间')),
                ('code', models.PositiveSmallIntegerField(verbose_name='返回码')),
                ('http_status', models.PositiveSmallIntegerField(verbose_name='HTTP 状态码')),
                ('images', models.PositiveSmallIntegerField(default=0, verbose_name='图片数')),
                ('units', models.PositiveSmallIntegerField(default=0, verbose_name='计费量')),
                ('body_bytes', models.PositiveBigIntegerField(default=0, verbose_name='请求体字节数')),
                ('latency_ms', models.PositiveIntegerField(default=0, verbose_name='耗时(毫秒)')),
                ('queue_ms', models.PositiveIntegerField(default=0, verbose_name='排队(毫秒)')),
                ('infer_ms', models.PositiveIntegerField(default=0, verbose_name='推理(毫秒)')),
                ('address', models.GenericIPAddressField(null=True, verbose_name='来源地址')),
                ('fault_index', models.PositiveSmallIntegerField(null=True, verbose_name='出错图片序号')),
                ('app', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='calls', to='accounts.app', verbose_name='应用')),
                ('app_key', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.appkey', verbose_name='AppKey')),
                ('region', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.region', verbose_name='地域')),
            ],
            options={
                'verbose_name': '调用记录',
                'verbose_name_plural': '调用记录',
                'indexes': [
                    models.Index(fields=['app', '-at'], name='call_app_at'),
                    models.Index(fields=['app', 'api', '-at'], name='call_app_api_at'),
                    django.contrib.postgres.indexes.BrinIndex(fields=['at'], name='call_at_brin'),
                    models.Index(condition=models.Q(('code', 0), _negated=True), fields=['code', '-id'], name='call_failed'),
                    models.Index(condition=models.Q(('code', 0), _negated=True), fields=['app', 'code', '-at'], name='call_app_failed'),
                    models.Index(condition=models.Q(('latency_ms__gte', 1000)), fields=['app', '-at'], name='call_app_slow'),
                ],
                'constraints': [models.CheckConstraint(condition=models.Q(('code', 0), ('units', 0), _connector='OR'), name='call_failed_costs_nothing')],
            },
        ),
        migrations.CreateModel(
            name='IdempotencyKey',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key_sha256', models.CharField(max_length=64)),
                ('api', models.CharField(choices=[('face_detect', '人脸检测定位'), ('face_analyse', '人脸属性识别'), ('face_compare', '人脸比对'), ('face_search', '人脸搜索')], max_length=16)),
                ('body_sha1', models.CharField(max_length=40)),
                ('call_id', models.UUIDField()),
                ('created_at', models.DateTimeField(db_index=True)),
                ('lease_until', models.DateTimeField(help_text='while unsettled, nobody else may take the key before this')),
                ('charged_at', models.DateTimeField(null=True)),
                ('app', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.app')),
            ],
            options={
                'verbose_name': '幂等键',
                'verbose_name_plural': '幂等键',
                'constraints': [models.UniqueConstraint(fields=('app', 'key_sha256'), name='idempotency_key_once')],
            },
        ),
        migrations.CreateModel(
            name='ServiceHour',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('api', models.CharField(choices=[('face_detect', '人脸检测定位'), ('face_analyse', '人脸属性识别'), ('face_compare', '人脸比对'), ('face_search', '人脸搜索')], max_length=16, verbose_name='API 类型')),
                ('code', models.PositiveSmallIntegerField(verbose_name='返回码')),
                ('calls', models.PositiveBigIntegerField(verbose_name='调用次数')),
                ('images', models.PositiveBigIntegerField(verbose_name='图片数')),
                ('units', models.PositiveBigIntegerField(verbose_name='计费量')),
                ('latency_sum_ms', models.PositiveBigIntegerField(verbose_name='总耗时(毫秒)')),
                ('queue_sum_ms', models.PositiveBigIntegerField(verbose_name='总排队(毫秒)')),
                ('infer_sum_ms', models.PositiveBigIntegerField(verbose_name='总推理(毫秒)')),
                ('latency_histogram', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=54)),
                ('queue_histogram', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=54)),
                ('infer_histogram', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=54)),
                ('hour', models.DateTimeField(verbose_name='小时')),
                ('region', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.region', verbose_name='地域')),
            ],
            options={
                'verbose_name': '每小时总量',
                'verbose_name_plural': '每小时总量',
                'constraints': [models.UniqueConstraint(fields=('hour', 'api', 'region', 'code'), name='service_hour_once')],
            },
        ),
        migrations.CreateModel(
            name='UsageDay',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('api', models.CharField(choices=[('face_detect', '人脸检测定位'), ('face_analyse', '人脸属性识别'), ('face_compare', '人脸比对'), ('face_search', '人脸搜索')], max_length=16, verbose_name='API 类型')),
                ('code', models.PositiveSmallIntegerField(verbose_name='返回码')),
                ('calls', models.PositiveBigIntegerField(verbose_name='调用次数')),
                ('images', models.PositiveBigIntegerField(verbose_name='图片数')),
                ('units', models.PositiveBigIntegerField(verbose_name='计费量')),
                ('latency_sum_ms', models.PositiveBigIntegerField(verbose_name='总耗时(毫秒)')),
                ('queue_sum_ms', models.PositiveBigIntegerField(verbose_name='总排队(毫秒)')),
                ('infer_sum_ms', models.PositiveBigIntegerField(verbose_name='总推理(毫秒)')),
                ('latency_histogram', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=54)),
                ('queue_histogram', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=54)),
                ('infer_histogram', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=54)),
                ('day', models.DateTimeField(verbose_name='日期')),
                ('app', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='usage_days', to='accounts.app', verbose_name='应用')),
                ('region', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.region', verbose_name='地域')),
            ],
            options={
                'verbose_name': '每日用量',
                'verbose_name_plural': '每日用量',
                'indexes': [models.Index(fields=['day', 'app', 'api', 'region', 'code'], include=('calls', 'images', 'units', 'latency_sum_ms', 'queue_sum_ms', 'infer_sum_ms'), name='usage_day_of_all')],
                'constraints': [models.UniqueConstraint(fields=('app', 'day', 'api', 'region', 'code'), include=('calls', 'images', 'units', 'latency_sum_ms', 'queue_sum_ms', 'infer_sum_ms'), name='usage_day_once')],
            },
        ),
        migrations.CreateModel(
            name='UsageHour',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('api', models.CharField(choices=[('face_detect', '人脸检测定位'), ('face_analyse', '人脸属性识别'), ('face_compare', '人脸比对'), ('face_search', '人脸搜索')], max_length=16, verbose_name='API 类型')),
                ('hour', models.DateTimeField(verbose_name='小时')),
                ('code', models.PositiveSmallIntegerField(verbose_name='返回码')),
                ('calls', models.PositiveBigIntegerField(default=0, verbose_name='调用次数')),
                ('unrecorded', models.PositiveBigIntegerField(db_default=0, default=0, help_text='拒绝的调用中未逐条记录的次数', verbose_name='未逐条记录')),
                ('images', models.PositiveBigIntegerField(default=0, verbose_name='图片数')),
                ('units', models.PositiveBigIntegerField(default=0, verbose_name='计费量')),
                ('latency_sum_ms', models.PositiveBigIntegerField(default=0, verbose_name='总耗时(毫秒)')),
                ('queue_sum_ms', models.PositiveBigIntegerField(default=0, verbose_name='总排队(毫秒)')),
                ('infer_sum_ms', models.PositiveBigIntegerField(default=0, verbose_name='总推理(毫秒)')),
                ('latency_histogram', django.contrib.postgres.fields.ArrayField(base_field=models.IntegerField(), size=54)),
                ('queue_histogram', django.contrib.postgres.fields.ArrayField(base_field=models.IntegerField(), size=54)),
                ('infer_histogram', django.contrib.postgres.fields.ArrayField(base_field=models.IntegerField(), size=54)),
                ('app', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='usage', to='accounts.app', verbose_name='应用')),
                ('region', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.region', verbose_name='地域')),
            ],
            options={
                'verbose_name': '每小时用量',
                'verbose_name_plural': '每小时用量',
                'indexes': [models.Index(fields=['hour'], name='usage_hour')],
                'constraints': [models.UniqueConstraint(fields=('app', 'api', 'hour', 'code', 'region'), name='usage_once')],
            },
        ),
        migrations.RunSQL(SQL),
        migrations.RunPython(run_deferred),
        migrations.RunSQL(SPLIT),
    ]
