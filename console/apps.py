from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate
from django.utils.translation import gettext_lazy as _


class ConsoleConfig(AppConfig):
    name = "console"
    verbose_name = _("控制台")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register checks and the receiver of logins; give migrations their limits, and then their grants."""
        from console import sessions  # noqa: F401 - needs the models, which are ready now
        from facecloud import checks, database_role  # noqa: F401
        from facecloud.postgresql import processes

        pre_migrate.connect(processes.migration, sender=self)
        post_migrate.connect(database_role.after_migrations)
