"""Reserve and give back as PL/pgSQL, append-only ledgers, and room for in-place updates of hot rows."""

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).with_name("0003_quota_functions.sql").read_text(encoding="utf-8")

UNDO = """
ALTER TABLE billing_debit RESET (fillfactor);
ALTER TABLE billing_period RESET (fillfactor);
DROP TRIGGER append_only ON billing_cataloguechange;
DROP TRIGGER append_only ON billing_voucherentry;
DROP TRIGGER append_only ON billing_walletentry;
DROP FUNCTION billing_append_only, billing_give_back, billing_reserve, billing_cost;
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0002_catalogue")]
    operations = [migrations.RunSQL(SQL, UNDO)]
