"""人脸搜索 in the catalogue, in the three tiers of the others, at the public beta's price.

On sale at once in a new installation only: in an upgraded one the version before still serves, whose pages know
three APIs. Operators put it on sale there (docs/operations*.md).
"""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations

TIERS = [("thousand", 1_000), ("ten_thousand", 10_000), ("hundred_thousand", 100_000)]


def seed(apps, schema_editor):
    Sku = apps.get_model("billing", "Sku")
    is_new = not apps.get_model("billing", "Order").objects.exists()
    Sku.objects.bulk_create(
        (
            Sku(api="face_search", tier=tier, units_per_month=units, meter="images", price=0, on_sale=is_new)
            for tier, units in TIERS
        ),
        ignore_conflicts=True,
    )


def withdraw(apps, schema_editor):
    """Delete what nobody has ordered: the migration before this one no longer allows the API."""
    Sku, Order = apps.get_model("billing", "Sku"), apps.get_model("billing", "Order")
    Sku.objects.filter(api="face_search").exclude(pk__in=Order.objects.values("sku")).delete()


class Migration(migrations.Migration):
    dependencies = [("billing", "0018_face_search")]
    operations = [
        ValidateConstraint(model_name="package", name="package_api_known"),
        ValidateConstraint(model_name="sku", name="sku_api_known"),
        migrations.RunPython(seed, withdraw),
    ]
