from importlib import import_module

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ConsoleConfig(AppConfig):
    name = "console"
    verbose_name = _("控制台")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the receiver of logins, whose module needs the models."""
        import_module("console.middleware.sessions")
