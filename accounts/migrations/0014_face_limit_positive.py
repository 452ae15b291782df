"""An App's limit of faces is positive. Rows are checked without a lock that others wait for."""

from django.contrib.postgres.operations import AddConstraintNotValid, ValidateConstraint
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("accounts", "0013_digests")]
    operations = [
        AddConstraintNotValid(
            model_name="app",
            constraint=models.CheckConstraint(
                condition=models.Q(("face_limit", None), ("face_limit__gte", 1), _connector="OR"),
                name="app_face_limit_positive",
            ),
        ),
        ValidateConstraint(model_name="app", name="app_face_limit_positive"),
    ]
