"""What a LocalFs also promises where neither kernel nor file system knows renames with flags."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.ports import Dir, LocalFs
from tests.contract.local_worlds import LocalWorld, MakeWorld, Person, posix_without_rename_flags
from tests.contract.sim_worlds import WITHOUT_RENAME_FLAGS


@pytest.fixture(params=[posix_without_rename_flags, WITHOUT_RENAME_FLAGS], ids=["posix", "simulated"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LocalWorld]:
    make: MakeWorld = request.param
    with make(tmp_path) as made:
        yield made


def test_the_missing_traits_are_seen(fs: LocalFs) -> None:
    assert (fs.traits.exchange, fs.traits.no_replace) == (False, False)


def test_p6_nothing_is_left_in_staging(fs: LocalFs, root: Dir, person: Person) -> None:
    person.write("a", b"1")
    person.write("b", b"2")
    root.exchange("a", root, "b")
    assert (person.read("a"), person.read("b")) == (b"2", b"1")
    assert person.names(".syncd/staging") == []


def test_p1_a_failed_exchange_puts_everything_back(fs: LocalFs, root: Dir, person: Person) -> None:
    person.mkdir("a")
    person.mkdir("a/b")
    person.write("a/b/x", b"1")
    with root.child("a") as a, pytest.raises(OSError):
        root.exchange("a", a, "b")  # a directory cannot go where its own child was
    assert person.read("a/b/x") == b"1"
    assert person.names(".syncd/staging") == []
