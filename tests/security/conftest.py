"""The casts of the console's and the operators' tests."""

from tests.console.conftest import *  # noqa: F403
from tests.operations.conftest import *  # noqa: F403
