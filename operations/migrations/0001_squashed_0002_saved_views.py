"""Incidents, and the views that operators saved.

The migrations of 0.1.0 until then as one (docs/decisions/0005-squashed-migrations.md).
"""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    replaces = [
        ('operations', name)
        for name in (
            '0001_incidents', '0002_saved_views',
        )
    ]
    dependencies = [
        ('accounts', '0001_squashed_0014_face_limit_positive'),
    ]
    operations = [
        migrations.CreateModel(
            name='Watch',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='Incident',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('rule', models.SlugField(db_index=False, max_length=32, verbose_name='规则')),
                ('facts', models.JSONField(default=dict, verbose_name='数值')),
                ('started_at', models.DateTimeField(verbose_name='开始时间')),
                ('seen_at', models.DateTimeField(verbose_name='最近一次')),
                ('ended_at', models.DateTimeField(null=True, verbose_name='结束时间')),
                ('failed_calls', models.PositiveBigIntegerField(default=0, verbose_name='失败的调用')),
            ],
            options={
                'verbose_name': '故障记录',
                'verbose_name_plural': '故障记录',
                'ordering': ['-started_at', '-pk'],
                'indexes': [models.Index(fields=['-started_at'], name='incident_latest')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('ended_at', None)), fields=('rule',), name='incident_open_once')],
            },
        ),
        migrations.CreateModel(
            name='SavedView',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=40)),
                ('path', models.CharField(max_length=200)),
                ('query', models.CharField(blank=True, max_length=1000)),
                ('created_at', models.DateTimeField()),
                ('owner', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['name', 'pk'],
                'constraints': [models.UniqueConstraint(fields=('owner', 'path', 'name'), name='saved_view_once')],
            },
        ),
    ]
