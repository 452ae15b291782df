"""The `api` of an Idempotency-Key may also be a free API of the face gallery. The table is not changed."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ('faceapi', '0001_squashed_0010_calls_by_month'),
    ]
    operations = [
        migrations.AlterField(
            model_name='idempotencykey', name='api', field=models.CharField(max_length=16)
        ),
    ]
