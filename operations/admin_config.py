"""django.contrib.admin with the operators' site; separate, because it is loaded before models."""

from django.contrib.admin.apps import AdminConfig


class OperatorAdminConfig(AdminConfig):
    default_site = "operations.site.OperatorSite"
