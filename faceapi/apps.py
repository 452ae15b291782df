from django.apps import AppConfig
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from inference.calibration import tables
from inference.errors import ModelError


class FaceApiConfig(AppConfig):
    name = "faceapi"
    verbose_name = _("接口调用")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Select the calibration set that scores and documents are based on; reject an altered one."""
        try:
            tables.use(settings.CALIBRATION_DIR)
        except ModelError as error:
            raise ImproperlyConfigured(f"CALIBRATION_DIR: {error.detail}") from error
