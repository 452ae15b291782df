"""The WSGI entry point that gunicorn serves."""

import os

from django.core.wsgi import get_wsgi_application

from common.postgresql import processes

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "facecloud.settings")
_site = get_wsgi_application()

from faceapi.limits.shedding import Shedding  # noqa: E402 - imports models, so the apps must be set up first

application = Shedding(_site)
processes.web()
