"""For the trail of one person, and for the faces that were enrolled into a group since a moment."""

import django.contrib.postgres.indexes
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('gallery', '0002_notes_and_epochs'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='trailentry',
            index=django.contrib.postgres.indexes.GinIndex(fields=['tags'], name='gallery_trail_of_person'),
        ),
        AddIndexConcurrently(
            model_name='face',
            index=models.Index(fields=['group', 'created_at'], name='gallery_face_of_group_since'),
        ),
    ]
