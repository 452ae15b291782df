"""Existing accounts: their addresses count as verified, and their names take their skeletons.

The addresses have received notices and reset links all along; as unverified they would silently stop receiving
them, and nobody could log in by address. What made unverified addresses harmful is bounded for them too: one mail
an hour, 20 unpaid orders. Of names that look alike, the oldest takes the skeleton; the others stay valid without.
"""

import unicodedata

from django.db import migrations
from django.db.models import F

ALIKE = str.maketrans({'0': 'o', '1': 'l', 'i': 'l', '|': 'l'})


def skeleton(name):
    """The rule of accounts/users/usernames.py at the time of this migration."""
    text = unicodedata.normalize('NFKC', name).casefold().translate(ALIKE)
    return text.replace('rn', 'm').replace('vv', 'w')


def accept(apps, schema_editor):
    users = apps.get_model('accounts', 'User').objects.using(schema_editor.connection.alias)
    users.filter(email_verified_at=None).exclude(email='').update(email_verified_at=F('date_joined'))
    taken = set(users.exclude(name_skeleton=None).values_list('name_skeleton', flat=True))
    for pk, name in users.filter(name_skeleton=None).order_by('pk').values_list('pk', 'username').iterator():
        text = skeleton(name)[:150]
        if text not in taken:
            taken.add(text)
            users.filter(pk=pk).update(name_skeleton=text)


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0006_verified_addresses'),
    ]

    operations = [
        migrations.RunPython(accept, migrations.RunPython.noop),
    ]
