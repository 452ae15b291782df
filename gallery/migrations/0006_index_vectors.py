"""Index the new vectors, and find those that still have a former one."""

import pgvector.django.indexes
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [
        ('gallery', '0005_convert_vectors'),
    ]
    operations = [
        AddIndexConcurrently(
            model_name='face',
            index=models.Index(
                condition=models.Q(('embedding__isnull', False)),
                fields=['group'],
                name='gallery_face_of_version_before',
            ),
        ),
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
