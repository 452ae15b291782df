"""Convert the stored vectors in batches; nothing is locked for long. May be run again if it failed."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations

from gallery.vectors import conversion


class Migration(migrations.Migration):
    atomic = False
    dependencies = [
        ('gallery', '0004_vectors_of_one_length'),
    ]
    operations = [
        migrations.RunPython(conversion.convert_at_migrate, migrations.RunPython.noop),
        ValidateConstraint(model_name='face', name='gallery_face_has_vector'),
    ]
