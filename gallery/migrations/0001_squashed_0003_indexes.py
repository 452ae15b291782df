"""Groups, persons and faces, and the audit trail, which is append-only. Needs pgvector in the database.

It replaces the migrations from before 0.1.0 (docs/decisions/0005-squashed-migrations.md). It cannot be reversed.
"""

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.db.models.deletion
import pgvector.django.halfvec
import pgvector.django.indexes
import uuid
from pathlib import Path
from django.conf import settings
from django.db import migrations, models

from gallery.vectors.extension import CreateVectorExtension

SQL = (Path(__file__).parent / '0001_faces.sql').read_text(encoding='utf-8')


class Migration(migrations.Migration):
    initial = True
    replaces = [
        ('gallery', name)
        for name in (
            '0001_initial', '0002_notes_and_epochs', '0003_indexes',
        )
    ]
    dependencies = [
        ('accounts', '0001_squashed_0014_face_limit_positive'),
    ]
    operations = [
        CreateVectorExtension(),
        migrations.CreateModel(
            name='Erasures',
            fields=[
                ('app', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='+', serialize=False, to='accounts.app')),
                ('number', models.PositiveBigIntegerField(db_default=0, default=0)),
            ],
        ),
        migrations.CreateModel(
            name='Group',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('group_id', models.CharField(max_length=64, verbose_name='组 ID')),
                ('name', models.CharField(max_length=64, verbose_name='名称')),
                ('retention_days', models.PositiveIntegerField(blank=True, null=True, verbose_name='保存天数')),
                ('created_at', models.DateTimeField(verbose_name='创建时间')),
                ('model_version', models.CharField(blank=True, default='', max_length=32, verbose_name='模型版本')),
                ('faces', models.PositiveIntegerField(db_default=0, default=0, verbose_name='人脸数')),
                ('key_encrypted', models.TextField(editable=False)),
                ('indexed_at', models.DateTimeField(editable=False, null=True)),
                ('app', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='groups', to='accounts.app', verbose_name='应用')),
            ],
            options={
                'verbose_name': '人脸组',
                'verbose_name_plural': '人脸组',
                'ordering': ['group_id'],
                'constraints': [
                    models.UniqueConstraint(fields=('app', 'group_id'), name='gallery_group_once'),
                    models.CheckConstraint(condition=models.Q(('group_id__regex', '^[A-Za-z0-9_.-]{1,64}$')), name='gallery_group_id_form'),
                    models.CheckConstraint(condition=models.Q(('retention_days', None), ('retention_days__range', (1, 36500)), _connector='OR'), name='gallery_retention_range'),
                ],
            },
        ),
        migrations.CreateModel(
            name='Person',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('person_id', models.CharField(max_length=64, verbose_name='人员 ID')),
                ('tag', models.CharField(editable=False, max_length=32)),
                ('note', models.CharField(blank=True, default='', max_length=200, verbose_name='备注')),
                ('created_at', models.DateTimeField(verbose_name='创建时间')),
                ('group', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='persons', to='gallery.group')),
            ],
            options={
                'verbose_name': '人员',
                'verbose_name_plural': '人员',
                'ordering': ['person_id'],
                'constraints': [
                    models.UniqueConstraint(fields=('group', 'person_id'), name='gallery_person_once'),
                    models.UniqueConstraint(fields=('group', 'tag'), name='gallery_person_tag_once'),
                    models.CheckConstraint(condition=models.Q(('person_id__regex', '^[A-Za-z0-9_.-]{1,64}$')), name='gallery_person_id_form'),
                ],
            },
        ),
        migrations.CreateModel(
            name='NoteChange',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('call_id', models.UUIDField(db_index=True)),
                ('before', models.CharField(blank=True, max_length=200)),
                ('at', models.DateTimeField()),
                ('person', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='note_changes', to='gallery.person')),
            ],
        ),
        migrations.CreateModel(
            name='Face',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('embedding', pgvector.django.halfvec.HalfVectorField(dimensions=257, editable=False)),
                ('remainder', pgvector.django.halfvec.HalfVectorField(dimensions=257, editable=False)),
                ('model_version', models.CharField(max_length=32, verbose_name='模型版本')),
                ('quality', models.FloatField(verbose_name='质量')),
                ('consent_reference', models.CharField(max_length=100, verbose_name='同意书编号')),
                ('consent_expires_at', models.DateTimeField(blank=True, null=True, verbose_name='同意到期时间')),
                ('created_at', models.DateTimeField(verbose_name='入库时间')),
                ('call_id', models.UUIDField(db_index=True, editable=False, verbose_name='请求 ID')),
                ('indexed', models.BooleanField(db_default=False, default=False, editable=False)),
                ('group', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='gallery.group')),
                ('person', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='faces', to='gallery.person')),
            ],
            options={
                'verbose_name': '人脸',
                'verbose_name_plural': '人脸',
                'ordering': ['created_at', 'id'],
                'indexes': [
                    models.Index(fields=['group'], name='gallery_face_of_group'),
                    models.Index(fields=['group', 'created_at'], name='gallery_face_of_group_since'),
                    models.Index(condition=models.Q(('consent_expires_at__isnull', False)), fields=['consent_expires_at'], name='gallery_consent_end'),
                    pgvector.django.indexes.HnswIndex(condition=models.Q(('indexed', True)), ef_construction=64, fields=['embedding'], m=16, name='gallery_face_hnsw', opclasses=['halfvec_ip_ops']),
                ],
                'constraints': [models.CheckConstraint(condition=models.Q(('consent_reference', ''), _negated=True), name='gallery_face_has_consent')],
            },
        ),
        migrations.CreateModel(
            name='TrailEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(verbose_name='时间')),
                ('action', models.CharField(choices=[('group_add', '新建组'), ('group_change', '修改组'), ('group_delete', '删除组'), ('enrol', '入库'), ('withdraw', '撤回入库'), ('erase', '删除人脸'), ('expire', '到期删除'), ('search', '搜索'), ('compare', '比对'), ('export', '导出')], max_length=16, verbose_name='操作')),
                ('group_ids', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=64), size=None, verbose_name='组 ID')),
                ('tags', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=32), default=list, size=None)),
                ('faces', models.PositiveIntegerField(default=0, verbose_name='人脸数')),
                ('call_id', models.UUIDField(null=True, verbose_name='请求 ID')),
                ('app', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.app')),
                ('by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': '人脸库审计记录',
                'verbose_name_plural': '人脸库审计记录',
                'ordering': ['-pk'],
                'indexes': [
                    models.Index(fields=['app', '-id'], name='gallery_trail_of_app'),
                    django.contrib.postgres.indexes.GinIndex(fields=['tags'], name='gallery_trail_of_person'),
                ],
            },
        ),
        migrations.RunSQL(SQL),
    ]
