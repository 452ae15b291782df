from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = _("账户与应用")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from accounts.users import failed_logins  # noqa: F401 - connects its signal
