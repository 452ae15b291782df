"""Reserve and give back as PL/pgSQL, append-only ledgers, and room for in-place updates of hot rows."""

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).with_name("0003_quota_functions.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    dependencies = [("billing", "0002_catalogue")]
    operations = [migrations.RunSQL(SQL, migrations.RunSQL.noop)]
