"""The WSGI entry point that gunicorn serves."""

import os

from django.core.wsgi import get_wsgi_application

from facecloud.postgresql import processes

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "facecloud.settings")
application = get_wsgi_application()
processes.web()
