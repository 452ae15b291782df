"""The selection of the static files that are collected and served."""

from django.contrib.staticfiles.apps import StaticFilesConfig


class ServedFiles(StaticFilesConfig):
    """Leaves out the files of REST framework's browsable API, which is disabled: 2 MB of the web image."""

    ignore_patterns: list[str] = [*StaticFilesConfig.ignore_patterns, "rest_framework"]
