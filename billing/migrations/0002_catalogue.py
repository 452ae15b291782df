"""The catalogue of the public beta: the manual's table (chapter 2) at 0.00, and 1 to 3 months."""

from django.db import migrations

TIERS = [("thousand", 1_000), ("ten_thousand", 10_000), ("hundred_thousand", 100_000)]
METERS = [("face_detect", "images"), ("face_analyse", "images"), ("face_compare", "calls")]


def seed(apps, schema_editor):
    Sku, Duration = apps.get_model("billing", "Sku"), apps.get_model("billing", "Duration")
    skus = [
        Sku(api=api, tier=tier, units_per_month=units, meter=meter, price=0)
        for api, meter in METERS
        for tier, units in TIERS
    ]
    # Rows that are there stay: undoing this migration leaves them, since orders may name them.
    Sku.objects.bulk_create(skus, ignore_conflicts=True)
    Duration.objects.bulk_create((Duration(months=months) for months in (1, 2, 3)), ignore_conflicts=True)


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial")]
    operations = [migrations.RunPython(seed, migrations.RunPython.noop)]
