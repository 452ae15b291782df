"""Which static files are collected: those of the pages."""

from django.contrib.staticfiles.apps import StaticFilesConfig


class ServedFiles(StaticFilesConfig):
    """Leave out the files of REST framework's browsable API, which is switched off: 2 MB of the web image."""

    ignore_patterns: list[str] = [*StaticFilesConfig.ignore_patterns, "rest_framework"]
