"""The ledgers cannot be emptied at one stroke either: a row trigger does not see TRUNCATE."""

from django.db import migrations

TABLES = ('billing_walletentry', 'billing_voucherentry', 'billing_cataloguechange')


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0011_reserve_in_order'),
    ]

    operations = [
        migrations.RunSQL(
            f"CREATE TRIGGER no_truncate BEFORE TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION billing_append_only()",
            f"DROP TRIGGER no_truncate ON {table}",
        )
        for table in TABLES
    ]
