"""The world of real processes that the soak shares with the end-to-end tests."""

from tests.end_to_end.conftest import pytest_runtest_makereport, world

__all__ = ["pytest_runtest_makereport", "world"]
