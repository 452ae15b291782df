"""Functions of the database for tables that are partitioned by month (0023 and faceapi's 0010 make such)."""

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
UNDO = """
DROP FUNCTION months_analyze;
DROP FUNCTION months_drop;
DROP FUNCTION months_make;
DROP FUNCTION months_known;
DROP FUNCTION months_key;
DROP FUNCTION months_tie_lines;
DROP FUNCTION months_join;
DROP FUNCTION months_split;
DROP FUNCTION months_grant_as;
DROP FUNCTION months_of;
DROP FUNCTION months_day_of;
DROP FUNCTION months_first_id;
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0021_scheduled_changes")]
    operations = [migrations.RunSQL(SQL, UNDO)]
