"""Creation and renaming of Apps; the only writer of App."""

from datetime import datetime

from django.db import transaction

from accounts import keys
from accounts.models import App, Region, User
from accounts.names import check_app_description, check_app_name


@transaction.atomic
def create_app(*, customer: User, region: Region, name: str, description: str, at: datetime) -> App:
    """Create an App with its first AppKey.

    Raises RuleError as in names.py. A region closed to new orders is accepted: the order was placed before.
    """
    app = App.objects.create(
        customer=customer,
        region=region,
        name=check_app_name(name),
        description=check_app_description(description),
        created_at=at,
    )
    keys.issue(app, at)
    return app


def rename(app: App, *, name: str, description: str) -> App:
    """Change an App's name and description. Raises RuleError as in names.py, without changing either."""
    app.name, app.description = check_app_name(name), check_app_description(description)
    app.save(update_fields=["name", "description"])
    return app
