"""A call that was recorded with code 0 can be recorded anew, when its answer was not sent after all."""

from pathlib import Path

from django.db import migrations

HERE = Path(__file__).parent
SQL = (HERE / "0007_unrecord_call.sql").read_text(encoding="utf-8")
UNDO = "DROP FUNCTION faceapi_unrecord_call;\n" + (HERE / "0003_record_call.sql").read_text(
    encoding="utf-8"
).replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")


class Migration(migrations.Migration):
    dependencies = [("faceapi", "0006_unrecorded_refusals")]
    operations = [migrations.RunSQL(SQL, UNDO)]
