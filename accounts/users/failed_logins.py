"""What is stored of a failed login: name, address, path and browser, but nothing that was sent."""

from typing import Any

from axes.models import AccessAttempt
from django.db.models.signals import pre_save
from django.dispatch import receiver


@receiver(pre_save, sender=AccessAttempt)
def forget_what_was_sent(sender: type[AccessAttempt], instance: AccessAttempt, **kwargs: Any) -> None:
    """Store no form and no query.

    axes masks parameters by their names. The form of a new password has passwords under other names.
    """
    instance.get_data = instance.post_data = ""
