"""What notes were before, and the epochs of remembered answers."""

import django.db.models.deletion
from django.db import migrations, models

# The version before deletes persons without knowing of their changes of notes.
CASCADE = """
ALTER TABLE gallery_notechange ADD CONSTRAINT gallery_notechange_of_person
    FOREIGN KEY (person_id) REFERENCES gallery_person (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
"""


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0011_face_limit'),
        ('gallery', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Erasures',
            fields=[
                ('app', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='+', serialize=False, to='accounts.app')),
                ('number', models.PositiveBigIntegerField(db_default=0, default=0)),
            ],
        ),
        migrations.CreateModel(
            name='NoteChange',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('call_id', models.UUIDField(db_index=True)),
                ('before', models.CharField(blank=True, max_length=200)),
                ('at', models.DateTimeField()),
                ('person', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='note_changes', to='gallery.person')),
            ],
        ),
        migrations.RunSQL(CASCADE, migrations.RunSQL.noop),
    ]
