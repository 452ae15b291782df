"""The WSGI entry point that gunicorn serves."""

import os

from django.core.wsgi import get_wsgi_application

from common.postgresql import processes

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "facecloud.settings")
_site = get_wsgi_application()

from faceapi.limits.shedding import Shedding  # noqa: E402 - its models need the applications that are set up above

application = Shedding(_site)
processes.web()
