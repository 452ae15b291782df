"""Store vectors of one length, with a smaller constant (docs/decisions/0501-face-gallery.md).

The former vectors stay for processes of the version before, which run during an upgrade.
"""

import pgvector.django.halfvec
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ('gallery', '0001_squashed_0003_indexes'),
    ]
    operations = [
        migrations.AddField(
            model_name='face',
            name='vector',
            field=pgvector.django.halfvec.HalfVectorField(dimensions=258, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='face',
            name='vector_remainder',
            field=pgvector.django.halfvec.HalfVectorField(dimensions=258, editable=False, null=True),
        ),
        migrations.AlterField(
            model_name='face',
            name='embedding',
            field=pgvector.django.halfvec.HalfVectorField(dimensions=257, editable=False, null=True),
        ),
        migrations.AlterField(
            model_name='face',
            name='remainder',
            field=pgvector.django.halfvec.HalfVectorField(dimensions=257, editable=False, null=True),
        ),
        AddConstraintNotValid(
            model_name='face',
            constraint=models.CheckConstraint(
                condition=models.Q(('vector__isnull', False), ('vector_remainder__isnull', False))
                | models.Q(('embedding__isnull', False), ('remainder__isnull', False)),
                name='gallery_face_has_vector',
            ),
        ),
    ]
