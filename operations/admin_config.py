"""django.contrib.admin with the operators' site; apart from it because it loads before any model."""

from django.contrib.admin.apps import AdminConfig


class OperatorAdminConfig(AdminConfig):
    default_site = "operations.site.OperatorSite"
