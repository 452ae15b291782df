"""The audit log, closed against changes by a trigger, and the operators' roles."""

import uuid

import django.core.serializers.json
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

APPEND_ONLY = """
CREATE FUNCTION accounts_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON accounts_auditentry
    FOR EACH ROW EXECUTE FUNCTION accounts_append_only();
"""
UNDO = """
DROP TRIGGER append_only ON accounts_auditentry;
DROP FUNCTION accounts_append_only;
"""


def make_roles(apps, schema_editor):
    from accounts import roles

    roles.install(apps)


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0002_regions'),
        ('auth', '0012_alter_user_first_name_max_length'),
        ('contenttypes', '0002_remove_content_type_name'),
    ]

    operations = [
        migrations.CreateModel(
            name='AuditEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(verbose_name='时间')),
                ('address', models.GenericIPAddressField(null=True, verbose_name='来源地址')),
                ('act', models.SlugField(db_index=False, max_length=32, verbose_name='操作')),
                ('subject', models.CharField(max_length=32, verbose_name='对象类型')),
                ('subject_id', models.CharField(max_length=64, verbose_name='对象编号')),
                ('reason', models.CharField(max_length=200, verbose_name='原因')),
                ('token', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('details', models.JSONField(default=dict, encoder=django.core.serializers.json.DjangoJSONEncoder, verbose_name='详情')),
                ('by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='操作员')),
                ('customer', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='客户')),
            ],
            options={
                'verbose_name': '审计日志',
                'verbose_name_plural': '审计日志',
                'ordering': ['-pk'],
                'indexes': [models.Index(fields=['subject', 'subject_id'], name='audit_subject'), models.Index(fields=['at'], name='audit_at')],
                'constraints': [models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='audit_has_reason')],
            },
        ),
        migrations.RunSQL(APPEND_ONLY, UNDO),
        migrations.RunPython(make_roles, migrations.RunPython.noop),
    ]
