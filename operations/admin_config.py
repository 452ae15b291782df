"""django.contrib.admin with the operators' site; separate, because Django loads it before the models."""

from django.contrib.admin.apps import AdminConfig


class OperatorAdminConfig(AdminConfig):
    default_site = "operations.site.OperatorSite"
