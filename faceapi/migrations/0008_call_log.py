from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("faceapi", "0007_unrecord_call"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="call",
            index=models.Index(
                condition=models.Q(("code", 0), _negated=True),
                fields=["app", "code", "-at"],
                name="call_app_failed",
            ),
        ),
        AddIndexConcurrently(
            model_name="call",
            index=models.Index(
                condition=models.Q(("latency_ms__gte", 1000)), fields=["app", "-at"], name="call_app_slow"
            ),
        ),
    ]
