"""Forms of failed logins were stored, among them the fields of a new password."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def forget_what_was_sent(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    apps.get_model("axes", "AccessAttempt").objects.update(get_data="", post_data="")


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_squashed_0014_face_limit_positive"),
        ("axes", "0001_initial"),
    ]

    operations = [migrations.RunPython(forget_what_was_sent, migrations.RunPython.noop)]
