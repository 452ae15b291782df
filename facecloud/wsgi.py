"""The WSGI entry point that gunicorn serves."""

import os

from django.core.wsgi import get_wsgi_application

from common.postgresql import processes

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "facecloud.settings")
_site = get_wsgi_application()

# Their modules import models, so the apps must be set up first.
from faceapi.limits.shedding import Shedding  # noqa: E402
from faceapi.urls import ADDRESSES  # noqa: E402

application = Shedding(_site, {address: view.api.value for address, view in ADDRESSES.items()})
processes.web()
