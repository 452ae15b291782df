from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ConsoleConfig(AppConfig):
    name = "console"
    verbose_name = _("控制台")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the receiver of logins."""
        from console.middleware import sessions  # noqa: F401 - needs the models, which are ready now
