"""The results of reconcile, for /metrics and the live page. The version before does not use the table."""

from pathlib import Path

from django.db import migrations, models

SQL = (Path(__file__).parent / "0014_reconcile_run.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    dependencies = [("billing", "0013_settling")]
    operations = [
        migrations.CreateModel(
            name="ReconcileRun",
            fields=[
                ("id", models.BigAutoField(
                    auto_created=True, primary_key=True, serialize=False, verbose_name="ID",
                )),
                ("at", models.DateTimeField()),
                ("duration_ms", models.PositiveIntegerField()),
                ("checks", models.PositiveSmallIntegerField()),
                ("breaks", models.PositiveIntegerField()),
            ],
            options={"indexes": [models.Index(fields=["-at"], name="reconcile_run_latest")]},
        ),
        migrations.RunSQL(SQL, "DROP TRIGGER unchanged ON billing_reconcilerun"),
    ]  # fmt: skip
