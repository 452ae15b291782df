"""Fixtures of the console's and the operators' tests."""

from tests.operations.conftest import *  # noqa: F403 - these tests have the same operators
