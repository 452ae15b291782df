"""Users, Apps, keys, regions, operators' roles and the audit log, which is append-only.

It replaces the migrations from before 0.1.0 (docs/decisions/0005-squashed-migrations.md). It cannot be reversed.
"""

import accounts.models
import django.contrib.auth.validators
import django.contrib.postgres.fields
import django.core.serializers.json
import django.core.validators
import django.db.models.deletion
import django.db.models.functions.text
import django.utils.timezone
import uuid
from django.conf import settings
from django.db import migrations, models

REGIONS = [('cn-sh6', '上海6', 'Shanghai 6'), ('cn-gz4', '广州4', 'Guangzhou 4'), ('cn-nm3', '内蒙古3', 'Inner Mongolia 3')]
APPEND_ONLY = """
CREATE FUNCTION accounts_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON accounts_auditentry
    FOR EACH ROW EXECUTE FUNCTION accounts_append_only();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON accounts_auditentry
    FOR EACH STATEMENT EXECUTE FUNCTION accounts_append_only();
"""


def offer_regions(apps, schema_editor):
    """Add the regions of a new installation; the manual's screenshots show 上海6."""
    Region = apps.get_model('accounts', 'Region')
    Region.objects.bulk_create(
        Region(code=code, name=name, name_en=name_en, position=position)
        for position, (code, name, name_en) in enumerate(REGIONS)
    )


def make_roles(apps, schema_editor):
    from accounts import roles

    roles.install(apps)


class Migration(migrations.Migration):
    initial = True
    replaces = [
        ('accounts', name)
        for name in (
            '0001_initial', '0002_regions', '0003_audit_and_roles', '0004_positive_limits',
            '0005_spans_of_days', '0006_verified_addresses', '0007_existing_accounts', '0008_no_truncate',
            '0009_pending_acts', '0010_app_tags_and_archive', '0011_face_limit', '0012_region_queue',
            '0013_digests', '0014_face_limit_positive',
        )
    ]
    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
        ('contenttypes', '0002_remove_content_type_name'),
    ]
    operations = [
        migrations.CreateModel(
            name='User',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('password', models.CharField(max_length=128, verbose_name='password')),
                ('last_login', models.DateTimeField(blank=True, null=True, verbose_name='last login')),
                ('is_superuser', models.BooleanField(default=False, help_text='Designates that this user has all permissions without explicitly assigning them.', verbose_name='superuser status')),
                ('username', models.CharField(error_messages={'unique': 'A user with that username already exists.'}, help_text='Required. 150 characters or fewer. Letters, digits and @/./+/-/_ only.', max_length=150, unique=True, validators=[django.contrib.auth.validators.UnicodeUsernameValidator()], verbose_name='username')),
                ('first_name', models.CharField(blank=True, max_length=150, verbose_name='first name')),
                ('last_name', models.CharField(blank=True, max_length=150, verbose_name='last name')),
                ('is_staff', models.BooleanField(default=False, help_text='Designates whether the user can log into this admin site.', verbose_name='staff status')),
                ('is_active', models.BooleanField(default=True, help_text='Designates whether this user should be treated as active. Unselect this instead of deleting accounts.', verbose_name='active')),
                ('date_joined', models.DateTimeField(default=django.utils.timezone.now, verbose_name='date joined')),
                ('email', models.EmailField(max_length=254, verbose_name='邮箱')),
                ('email_verified_at', models.DateTimeField(blank=True, null=True, verbose_name='邮箱验证时间')),
                ('new_email', models.EmailField(blank=True, db_default='', default='', max_length=254, verbose_name='待验证的新邮箱')),
                ('name_skeleton', models.CharField(editable=False, max_length=150, null=True, unique=True)),
                ('company', models.CharField(blank=True, max_length=100, verbose_name='公司')),
                ('phone', models.CharField(blank=True, max_length=32, verbose_name='手机号')),
                ('language', models.CharField(choices=[('zh-hans', '简体中文'), ('en', 'English')], default='zh-hans', max_length=10, verbose_name='语言')),
                ('groups', models.ManyToManyField(blank=True, help_text='The groups this user belongs to. A user will get all permissions granted to each of their groups.', related_name='user_set', related_query_name='user', to='auth.group', verbose_name='groups')),
                ('user_permissions', models.ManyToManyField(blank=True, help_text='Specific permissions for this user.', related_name='user_set', related_query_name='user', to='auth.permission', verbose_name='user permissions')),
            ],
            options={
                'verbose_name': 'user',
                'verbose_name_plural': 'users',
                'abstract': False,
                'constraints': [models.UniqueConstraint(django.db.models.functions.text.Lower('email'), condition=models.Q(('email_verified_at__isnull', False)), name='user_email_verified_once')],
            },
            managers=[
                ('objects', accounts.models.UserManager()),
            ],
        ),
        migrations.CreateModel(
            name='Region',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('code', models.SlugField(max_length=32, unique=True, verbose_name='代码')),
                ('name', models.CharField(max_length=32, unique=True, verbose_name='名称')),
                ('name_en', models.CharField(max_length=32, verbose_name='英文名称')),
                ('is_active', models.BooleanField(default=True, verbose_name='开放订购')),
                ('position', models.PositiveSmallIntegerField(default=0, verbose_name='次序')),
                ('queue', models.CharField(db_default='inference', default='inference', help_text='inference 由所有未另行设置的 worker 处理；inference.代码 只由订阅它的 worker 处理。', max_length=42, validators=[django.core.validators.RegexValidator('^inference(\\.[a-z0-9][a-z0-9-]{0,31})?$')], verbose_name='推理队列')),
            ],
            options={
                'verbose_name': '地域',
                'verbose_name_plural': '地域',
                'ordering': ['position', 'code'],
                'constraints': [models.CheckConstraint(condition=models.Q(('queue__regex', '^inference(\\.[a-z0-9][a-z0-9-]{0,31})?$')), name='region_queue_rule')],
            },
        ),
        migrations.CreateModel(
            name='App',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('app_id', models.CharField(default=accounts.models.new_app_id, editable=False, max_length=16, unique=True, verbose_name='应用 ID')),
                ('name', models.CharField(max_length=16, verbose_name='应用名称')),
                ('description', models.CharField(max_length=28, verbose_name='应用描述')),
                ('created_at', models.DateTimeField(verbose_name='创建时间')),
                ('rate_per_s', models.PositiveIntegerField(blank=True, null=True, verbose_name='每秒请求上限')),
                ('concurrency', models.PositiveIntegerField(blank=True, null=True, verbose_name='并发上限')),
                ('face_limit', models.PositiveIntegerField(blank=True, null=True, verbose_name='人脸库容量')),
                ('allowed_addresses', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=43), blank=True, default=list, size=None, verbose_name='允许的地址 (CIDR)')),
                ('tags', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=16), blank=True, db_default=[], default=list, size=None, verbose_name='标签')),
                ('archived_at', models.DateTimeField(blank=True, null=True, verbose_name='归档时间')),
                ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='apps', to=settings.AUTH_USER_MODEL, verbose_name='客户')),
                ('region', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='apps', to='accounts.region', verbose_name='地域')),
            ],
            options={
                'verbose_name': '应用',
                'verbose_name_plural': '应用',
                'ordering': ['-created_at', '-pk'],
                'indexes': [
                    models.Index(fields=['customer', '-created_at'], name='app_of_customer'),
                    models.Index(fields=['created_at'], name='app_created'),
                ],
                'constraints': [
                    models.CheckConstraint(condition=models.Q(('name__regex', '^(?![ \\u00a0\\u1680\\u2000-\\u200a\\u202f\\u205f\\u3000])(?!.*[ \\u00a0\\u1680\\u2000-\\u200a\\u202f\\u205f\\u3000]$)[^~!@#¥￥%^&*\\u0001-\\u001f\\u007f-\\u009f\\u00ad\\u061c\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff]{1,16}$')), name='app_name_rule'),
                    models.CheckConstraint(condition=models.Q(models.Q(('rate_per_s', None), ('rate_per_s__gte', 1), _connector='OR'), models.Q(('concurrency', None), ('concurrency__gte', 1), _connector='OR')), name='app_limits_positive'),
                    models.CheckConstraint(condition=models.Q(('face_limit', None), ('face_limit__gte', 1), _connector='OR'), name='app_face_limit_positive'),
                    models.CheckConstraint(condition=models.Q(('description__regex', '^(?![ \\u00a0\\u1680\\u2000-\\u200a\\u202f\\u205f\\u3000])(?!.*[ \\u00a0\\u1680\\u2000-\\u200a\\u202f\\u205f\\u3000]$)[^~!@#¥￥%^&*\\u0001-\\u001f\\u007f-\\u009f\\u00ad\\u061c\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff]{1,28}$')), name='app_description_rule'),
                ],
            },
        ),
        migrations.CreateModel(
            name='AppKey',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(max_length=16, unique=True, verbose_name='AppKey')),
                ('secret_encrypted', models.TextField(editable=False)),
                ('created_at', models.DateTimeField(verbose_name='创建时间')),
                ('disabled_at', models.DateTimeField(blank=True, null=True, verbose_name='停用时间')),
                ('expires_at', models.DateTimeField(blank=True, null=True, verbose_name='失效时间')),
                ('last_used_at', models.DateTimeField(blank=True, null=True, verbose_name='最近使用')),
                ('app', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='keys', to='accounts.app', verbose_name='应用')),
            ],
            options={
                'verbose_name': 'AppKey',
                'verbose_name_plural': 'AppKey',
                'ordering': ['-created_at', '-pk'],
                'constraints': [models.CheckConstraint(condition=models.Q(('key__regex', '^[0-9a-f]{16}$')), name='app_key_form')],
            },
        ),
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
                'indexes': [
                    models.Index(fields=['subject', 'subject_id'], name='audit_subject'),
                    models.Index(fields=['at'], name='audit_at'),
                ],
                'constraints': [models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='audit_has_reason')],
            },
        ),
        migrations.CreateModel(
            name='DigestSubscription',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('account', '我的用量'), ('service', '全部客户')], max_length=8)),
                ('period', models.CharField(choices=[('daily', '每日'), ('weekly', '每周'), ('monthly', '每月')], max_length=8)),
                ('sent_until', models.DateField()),
                ('created_at', models.DateTimeField()),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='digests', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'indexes': [models.Index(fields=['kind', 'period', 'sent_until'], name='digest_due')],
                'constraints': [
                    models.UniqueConstraint(fields=('user', 'kind', 'period'), name='digest_once'),
                    models.CheckConstraint(condition=models.Q(('kind__in', ['account', 'service'])), name='digest_kind_known'),
                    models.CheckConstraint(condition=models.Q(('period__in', ['daily', 'weekly', 'monthly'])), name='digest_period_known'),
                ],
            },
        ),
        migrations.CreateModel(
            name='Invitation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('email', models.EmailField(max_length=254, verbose_name='邮箱')),
                ('created_at', models.DateTimeField(verbose_name='创建时间')),
                ('expires_at', models.DateTimeField(verbose_name='失效时间')),
                ('used_at', models.DateTimeField(blank=True, null=True, verbose_name='使用时间')),
                ('by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='操作员')),
                ('user', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='invitation', to=settings.AUTH_USER_MODEL, verbose_name='注册的账号')),
            ],
            options={
                'verbose_name': '邀请',
                'verbose_name_plural': '邀请',
                'ordering': ['-pk'],
            },
        ),
        migrations.CreateModel(
            name='PendingAct',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('act', models.SlugField(db_index=False, max_length=32, verbose_name='操作')),
                ('subject_id', models.BigIntegerField(null=True, verbose_name='对象编号')),
                ('worth', models.DecimalField(decimal_places=2, max_digits=14, verbose_name='金额（元）')),
                ('form', models.JSONField(default=dict, verbose_name='表单')),
                ('reason', models.CharField(max_length=200, verbose_name='原因')),
                ('token', models.UUIDField(editable=False, unique=True)),
                ('requested_at', models.DateTimeField(verbose_name='提交时间')),
                ('expires_at', models.DateTimeField(verbose_name='失效时间')),
                ('state', models.CharField(choices=[('pending', '待批准'), ('approved', '已批准'), ('declined', '已拒绝'), ('withdrawn', '已撤回')], default='pending', max_length=10, verbose_name='状态')),
                ('decided_at', models.DateTimeField(null=True, verbose_name='决定时间')),
                ('by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='操作员')),
                ('customer', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='客户')),
                ('decided_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='批准人')),
            ],
            options={
                'verbose_name': '待批准的操作',
                'verbose_name_plural': '待批准的操作',
                'ordering': ['-pk'],
                'indexes': [models.Index(condition=models.Q(('state', 'pending')), fields=['expires_at'], name='pending_act_open')],
                'constraints': [
                    models.CheckConstraint(condition=models.Q(models.Q(('decided_at', None), ('decided_by', None), ('state', 'pending')), models.Q(('decided_at__isnull', False), ('decided_by__isnull', False), models.Q(('state', 'pending'), _negated=True)), _connector='OR'), name='pending_act_state_agrees'),
                    models.CheckConstraint(condition=models.Q(models.Q(('state', 'approved'), _negated=True), models.Q(('decided_by', models.F('by')), _negated=True), _connector='OR'), name='pending_act_four_eyes'),
                    models.CheckConstraint(condition=models.Q(models.Q(('state', 'approved'), _negated=True), ('customer', None), models.Q(('decided_by', models.F('customer')), _negated=True), _connector='OR'), name='pending_act_not_for_oneself'),
                ],
            },
        ),
        migrations.RunSQL(APPEND_ONLY),
        migrations.RunPython(offer_regions),
        migrations.RunPython(make_roles),
    ]
