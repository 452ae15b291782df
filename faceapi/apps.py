from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class FaceApiConfig(AppConfig):
    name = "faceapi"
    verbose_name = _("接口调用")
    default_auto_field = "django.db.models.BigAutoField"
