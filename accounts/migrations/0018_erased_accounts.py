"""Accounts whose personal data was erased (accounts/users/erasure.py)."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ('accounts', '0017_who_acted'),
    ]
    operations = [
        migrations.AddField(
            model_name='user',
            name='erased_at',
            field=models.DateTimeField(blank=True, null=True, verbose_name='个人信息清除时间'),
        ),
        migrations.AddConstraint(
            model_name='user',
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ('erased_at', None),
                    models.Q(
                        ('company', ''),
                        ('email', ''),
                        ('email_verified_at', None),
                        ('first_name', ''),
                        ('is_active', False),
                        ('last_name', ''),
                        ('new_email', ''),
                        ('phone', ''),
                    ),
                    _connector='OR',
                ),
                name='user_erased_is_empty',
            ),
        ),
    ]
