"""Every entry of the schedule is a task that workers have registered."""

import json
import subprocess
import sys

from django.conf import settings

from tests.conftest import REPOSITORY

# In a process of its own: here, the tests have imported every room's tasks.
KNOWN_TO_A_WORKER = """
import json
from facecloud.celery import app as celery_app
celery_app.loader.import_default_modules()
print(json.dumps(sorted(celery_app.tasks)))
"""


def test_every_scheduled_task_is_registered_in_a_worker() -> None:
    command = [sys.executable, "-c", KNOWN_TO_A_WORKER]
    listing = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True).stdout
    scheduled = {str(entry["task"]) for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    known = set(json.loads(listing))
    assert scheduled - known == set()
    assert "console.note_schedule" in known  # what a beat of the previous version sends during an upgrade
