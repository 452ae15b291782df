from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ConsoleConfig(AppConfig):
    name = "console"
    verbose_name = _("控制台")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """The checks of `manage.py check --deploy` register themselves."""
        from facecloud import checks  # noqa: F401 - needs the settings, which are ready now
