"""Refusals that are counted in the hour without a row of their own (faceapi/usage/unattributed.py)."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("faceapi", "0005_failed_calls")]
    operations = [
        migrations.AddField(
            model_name="usagehour",
            name="unrecorded",
            # A default of the database: the version before, and faceapi_record_call, insert rows without it.
            field=models.PositiveBigIntegerField(
                db_default=0, default=0, help_text="拒绝的调用中未逐条记录的次数", verbose_name="未逐条记录"
            ),
        ),
    ]
