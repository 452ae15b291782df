"""Convert the stored vectors and index the new ones; nothing is locked for long. May be run again."""

import pgvector.django.indexes
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently, ValidateConstraint
from django.db import migrations, models

from gallery.vectors import conversion


def convert(apps, schema_editor):
    conversion.convert()


class Migration(migrations.Migration):
    atomic = False
    dependencies = [
        ('gallery', '0004_vectors_of_one_length'),
    ]
    operations = [
        ValidateConstraint(model_name='face', name='gallery_face_has_vector'),
        AddIndexConcurrently(
            model_name='face',
            index=models.Index(
                condition=models.Q(('embedding__isnull', False)),
                fields=['group'],
                name='gallery_face_of_version_before',
            ),
        ),
        migrations.RunPython(convert, migrations.RunPython.noop),
        RemoveIndexConcurrently(model_name='face', name='gallery_face_hnsw'),
        AddIndexConcurrently(
            model_name='face',
            index=pgvector.django.indexes.HnswIndex(
                condition=models.Q(('indexed', True)),
                ef_construction=128,
                fields=['vector'],
                m=24,
                name='gallery_face_vector_hnsw',
                opclasses=['halfvec_ip_ops'],
            ),
        ),
    ]
