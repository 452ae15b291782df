from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ConsoleConfig(AppConfig):
    name = "console"
    verbose_name = _("控制台")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """The checks of `check --deploy` and the receiver of logins register themselves."""
        from console import sessions  # noqa: F401 - needs the models, which are ready now
        from facecloud import checks  # noqa: F401
