"""The audit log cannot be emptied at one stroke either: a row trigger does not see TRUNCATE."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0007_existing_accounts'),
    ]

    operations = [
        migrations.RunSQL(
            "CREATE TRIGGER no_truncate BEFORE TRUNCATE ON accounts_auditentry"
            " FOR EACH STATEMENT EXECUTE FUNCTION accounts_append_only()",
            "DROP TRIGGER no_truncate ON accounts_auditentry",
        ),
    ]
