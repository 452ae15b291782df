"""Creation, renaming, tagging and archiving of Apps; the only writer of App."""

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction

from accounts import keys
from accounts.errors import RuleError
from accounts.models import App, Region, User
from accounts.names import check_app_description, check_app_name

MAX_TAGS = 5


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


def tag(app: App, tags: Iterable[str]) -> App:
    """Set the App's tags: each valid by the rule for App names, without duplicates. Raises RuleError."""
    chosen = list(dict.fromkeys(check_app_name(one) for one in tags))
    if len(chosen) > MAX_TAGS:
        raise RuleError("tags_too_many", limit=MAX_TAGS)
    app.tags = chosen
    app.save(update_fields=["tags"])
    return app


def archive(app: App, at: datetime) -> None:
    """Hide the App from its customer's lists. Its keys and packages keep working."""
    App.objects.filter(pk=app.pk, archived_at=None).update(archived_at=at)


def restore(app: App) -> None:
    """Show an archived App in its customer's lists again."""
    App.objects.filter(pk=app.pk).update(archived_at=None)
