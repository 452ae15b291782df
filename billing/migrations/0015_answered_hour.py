"""Units stated in the answers that were sent, by hour. The version before does not use the table."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0009_pending_acts"), ("billing", "0014_reconcile_run")]
    operations = [
        migrations.CreateModel(
            name="AnsweredHour",
            fields=[
                ("id", models.BigAutoField(
                    auto_created=True, primary_key=True, serialize=False, verbose_name="ID",
                )),
                ("api", models.CharField(max_length=16)),
                ("hour", models.DateTimeField()),
                ("answers", models.PositiveIntegerField()),
                ("units", models.PositiveBigIntegerField()),
                ("app", models.ForeignKey(
                    db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="+",
                    to="accounts.app",
                )),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=["hour", "app", "api"], name="answered_hour_once"),
                ],
            },
        ),
    ]  # fmt: skip
