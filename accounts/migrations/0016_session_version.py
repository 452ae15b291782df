"""The version of an account's sessions (accounts/users/sessions.py)."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ('accounts', '0015_forget_sent_passwords'),
    ]
    operations = [
        migrations.AddField(
            model_name='user',
            name='session_version',
            field=models.PositiveIntegerField(db_default=0, default=0, editable=False),
        ),
    ]
