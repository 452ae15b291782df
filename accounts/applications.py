"""Apps: made at the moment of payment, renamed by their customer; the only writer of App."""

from datetime import datetime

from django.db import transaction

from accounts import keys
from accounts.models import App, Region, User
from accounts.names import check_app_description, check_app_name


@transaction.atomic
def create_app(*, customer: User, region: Region, name: str, description: str, at: datetime) -> App:
    """A new App with its first AppKey. RuleError as in names.py. A region closed by now still serves."""
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
    """A new name and description by the rules of names.py; changes nothing when one of them is refused."""
    app.name, app.description = check_app_name(name), check_app_description(description)
    app.save(update_fields=["name", "description"])
    return app
