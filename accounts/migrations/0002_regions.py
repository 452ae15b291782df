"""The regions that a new installation offers; the manual's screens show 上海6."""

from django.db import migrations

REGIONS = [("cn-sh6", "上海6", "Shanghai 6"), ("cn-gz4", "广州4", "Guangzhou 4"), ("cn-nm3", "内蒙古3", "Inner Mongolia 3")]


def seed(apps, schema_editor):
    Region = apps.get_model("accounts", "Region")
    regions = [
        Region(code=code, name=name, name_en=name_en, position=position)
        for position, (code, name, name_en) in enumerate(REGIONS)
    ]
    # Rows that are there stay: undoing this migration leaves them, since Apps may name them.
    Region.objects.bulk_create(regions, ignore_conflicts=True)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]
    operations = [migrations.RunPython(seed, migrations.RunPython.noop)]
