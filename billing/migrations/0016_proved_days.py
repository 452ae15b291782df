"""The days that reconcile has proved, and what they took from each Period. The version before uses neither."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0015_answered_hour")]
    operations = [
        migrations.CreateModel(
            name="ProvedDay",
            fields=[
                ("day", models.DateField(primary_key=True, serialize=False)),
                ("proved_at", models.DateTimeField()),
                ("is_archived", models.BooleanField(db_default=False, default=False)),
            ],
        ),
        migrations.CreateModel(
            name="ProvedUnits",
            fields=[
                ("id", models.BigAutoField(
                    auto_created=True, primary_key=True, serialize=False, verbose_name="ID",
                )),
                ("month", models.DateField()),
                ("units", models.PositiveBigIntegerField()),
                ("is_archived", models.BooleanField(db_default=False, default=False)),
                ("period", models.ForeignKey(
                    db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="+",
                    to="billing.period",
                )),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=["period", "month"], name="proved_units_once"),
                ],
            },
        ),
    ]  # fmt: skip
