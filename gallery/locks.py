"""The only lock of this room, which serialises the writers of an App's gallery."""

from accounts.models import App


def lock(app: App) -> App:
    """Lock the App against other writers of its gallery until the transaction ends, and return it."""
    return App.objects.select_for_update(no_key=True).get(pk=app.pk)
