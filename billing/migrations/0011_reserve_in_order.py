"""A reserve never waits for a Period with a later one locked."""

from pathlib import Path

from django.db import migrations

HERE = Path(__file__).parent
SQL = "DROP FUNCTION billing_reserve;\n" + (HERE / "0011_reserve_in_order.sql").read_text(encoding="utf-8")

before = (HERE / "0003_quota_functions.sql").read_text(encoding="utf-8")
start, end = before.index("-- Takes the units of one call"), before.index("-- Gives the units of a held Debit")
UNDO = "DROP FUNCTION billing_reserve;\n" + before[start:end]


class Migration(migrations.Migration):
    dependencies = [("billing", "0010_labels_in_chinese_brackets")]
    operations = [migrations.RunSQL(SQL, UNDO)]
