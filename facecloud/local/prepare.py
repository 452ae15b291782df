"""`python -m facecloud.local.prepare URL`: tables, catalogue and the demo customer, with one load of Django.

Writes the demo's keys and passwords to var/demo.env: made at random on the first start, and kept.
"""

import io
import json
import os
import sys

import django
from django.core.management import call_command

from facecloud.local.environment import read_env, write_env
from facecloud.local.places import here


def main(url: str) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "facecloud.settings")
    django.setup()
    call_command("migrate", interactive=False, verbosity=1)
    output = io.StringIO()
    call_command("seed_demo", "--json", stdout=output)
    demo = here().demo
    kept = read_env(demo) if demo.exists() else {}
    seeded = {name: value for name, value in json.loads(output.getvalue()).items() if value}
    write_env(demo, {**kept, **seeded, "FACECLOUD_URL": url})


if __name__ == "__main__":
    main(sys.argv[1])
