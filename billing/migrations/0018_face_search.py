"""The API of face search. The two new checks are validated in 0019, without a lock that others wait for."""

import django.contrib.postgres.fields
from django.conf import settings
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0011_face_limit'),
        ('billing', '0017_money_notices'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='package',
            name='package_api_known',
        ),
        migrations.RemoveConstraint(
            model_name='sku',
            name='sku_api_known',
        ),
        migrations.AddField(
            model_name='notice',
            name='detail',
            field=models.CharField(blank=True, db_default='', default='', editable=False, max_length=80),
        ),
        migrations.AlterField(
            model_name='debit',
            name='api',
            field=models.CharField(choices=[('face_detect', '人脸检测定位'), ('face_analyse', '人脸属性识别'), ('face_compare', '人脸比对'), ('face_search', '人脸搜索')], max_length=16, verbose_name='API 类型'),
        ),
        migrations.AlterField(
            model_name='notice',
            name='api',
            field=models.CharField(blank=True, choices=[('face_detect', '人脸检测定位'), ('face_analyse', '人脸属性识别'), ('face_compare', '人脸比对'), ('face_search', '人脸搜索')], max_length=16, verbose_name='API 类型'),
        ),
        migrations.AlterField(
            model_name='notice',
            name='kind',
            field=models.CharField(choices=[('quota', '用量提醒'), ('ending', '到期提醒'), ('unpaid', '未支付订单提醒'), ('top_up', '充值通知'), ('voucher', '代金券通知'), ('refund', '退款通知'), ('faces', '人脸到期提醒')], max_length=8, verbose_name='类型'),
        ),
        migrations.AlterField(
            model_name='package',
            name='api',
            field=models.CharField(choices=[('face_detect', '人脸检测定位'), ('face_analyse', '人脸属性识别'), ('face_compare', '人脸比对'), ('face_search', '人脸搜索')], max_length=16, verbose_name='API 类型'),
        ),
        migrations.AlterField(
            model_name='period',
            name='api',
            field=models.CharField(choices=[('face_detect', '人脸检测定位'), ('face_analyse', '人脸属性识别'), ('face_compare', '人脸比对'), ('face_search', '人脸搜索')], max_length=16, verbose_name='API 类型'),
        ),
        migrations.AlterField(
            model_name='sku',
            name='api',
            field=models.CharField(choices=[('face_detect', '人脸检测定位'), ('face_analyse', '人脸属性识别'), ('face_compare', '人脸比对'), ('face_search', '人脸搜索')], max_length=16, verbose_name='API 类型'),
        ),
        migrations.AlterField(
            model_name='voucher',
            name='apis',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('face_detect', '人脸检测定位'), ('face_analyse', '人脸属性识别'), ('face_compare', '人脸比对'), ('face_search', '人脸搜索')], max_length=16), blank=True, default=list, size=None, verbose_name='适用 API (空为全部)'),
        ),
        AddConstraintNotValid(
            model_name='package',
            constraint=models.CheckConstraint(condition=models.Q(('api__in', ['face_detect', 'face_analyse', 'face_compare', 'face_search'])), name='package_api_known'),
        ),
        AddConstraintNotValid(
            model_name='sku',
            constraint=models.CheckConstraint(condition=models.Q(('api__in', ['face_detect', 'face_analyse', 'face_compare', 'face_search'])), name='sku_api_known'),
        ),
    ]
