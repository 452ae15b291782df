"""The Django app of the composition root."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate


class ProjectConfig(AppConfig):
    """The last application in INSTALLED_APPS: set-up that needs all other apps to be loaded."""

    name = "facecloud"
    verbose_name = "facecloud"

    def ready(self) -> None:
        """Create the Celery app, register the checks, and connect the migration signals."""
        from common.postgresql import processes
        from facecloud import celery, checks, database_role  # noqa: F401 - importing registers them

        pre_migrate.connect(processes.migration)
        post_migrate.connect(database_role.after_migrations)
