from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate


class ProjectConfig(AppConfig):
    """The project itself as the last application: what needs every other one to be ready."""

    name = "facecloud"
    verbose_name = "facecloud"

    def ready(self) -> None:
        """Create the Celery app, register the checks; give migrations their limits and then their grants."""
        from common.postgresql import processes
        from facecloud import celery, checks, database_role  # noqa: F401

        pre_migrate.connect(processes.migration)
        post_migrate.connect(database_role.after_migrations)
