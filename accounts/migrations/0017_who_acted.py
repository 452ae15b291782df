"""Users' acts on their own accounts are in the audit log too, so "operator" no longer names its column."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ('accounts', '0016_session_version'),
    ]
    operations = [
        migrations.AlterField(
            model_name='auditentry',
            name='by',
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name='+',
                to=settings.AUTH_USER_MODEL,
                verbose_name='操作人',
            ),
        ),
    ]
