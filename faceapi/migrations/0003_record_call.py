"""A call is recorded by a function of the database, which plans its statements once a session."""

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    dependencies = [("faceapi", "0002_operator_rollups")]
    operations = [migrations.RunSQL(SQL, "DROP FUNCTION faceapi_record_call")]
