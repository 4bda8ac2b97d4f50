"""Processes that read small files, for suites that have only a few: started for two files, and ended with the test."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from syncd.adapters import reading
from syncd.adapters.reading import Readers


@contextmanager
def eager_readers() -> Iterator[Readers]:
    """Have some for which two files are many."""
    with pytest.MonkeyPatch.context() as patch, closing(Readers()) as readers:
        patch.setattr(reading, "MANY", 2)
        patch.setattr(reading, "FEW", 2)
        yield readers
