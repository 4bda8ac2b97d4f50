"""One value for a whole listing: it is another one as soon as anything in the listing is."""

from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from syncd.model.node import Fingerprint, Kind
from syncd.model.observation import UnitFault
from syncd.observe.sameness import digest_of
from syncd.ports import Entry, Stat
from tests.observe.conftest import known_of

HERE = Fingerprint(1, 20, 300, 400, 5)
FILE = Entry("a", Stat(Kind.FILE, HERE, 0o100644, 1))
FOLDER = Entry("f", Stat(Kind.DIRECTORY, msgspec.structs.replace(HERE, ino=21), 0o040755, 2))


def other(entry: Entry, **print_: int) -> Entry:
    assert entry.stat is not None
    fingerprint = msgspec.structs.replace(entry.stat.fingerprint, **print_)
    return Entry(entry.name, msgspec.structs.replace(entry.stat, fingerprint=fingerprint))


@pytest.mark.parametrize("field", ["dev", "ino", "mtime_ns", "ctime_ns", "size"])
def test_each_part_of_a_fingerprint_counts(field: str) -> None:
    assert digest_of(1, 2, [FILE]) != digest_of(1, 2, [other(FILE, **{field: 7})])


def test_names_kinds_numbers_and_the_directory_itself_count() -> None:
    stat = FILE.stat
    assert stat is not None
    listings = [
        (1, 2, [FILE]),
        (2, 2, [FILE]),
        (1, 3, [FILE]),
        (1, 2, []),
        (1, 2, [FILE, FOLDER]),
        (1, 2, [Entry("b", stat)]),
        (1, 2, [Entry("a\udcff", stat)]),
        (1, 2, [Entry("a", msgspec.structs.replace(stat, kind=Kind.SYMLINK))]),
        (1, 2, [Entry("a", msgspec.structs.replace(stat, kind=Kind.DIRECTORY))]),
        (1, 2, [Entry("a", msgspec.structs.replace(stat, kind=None))]),
        (1, 2, [FILE, Entry("b", stat)]),
    ]
    digests = [digest_of(*listing) for listing in listings]
    assert None not in digests
    assert len(set(digests)) == len(listings)


def test_of_a_folder_in_it_counts_only_which_one_it_is() -> None:
    assert digest_of(1, 2, [FOLDER]) == digest_of(1, 2, [other(FOLDER, mtime_ns=7, ctime_ns=8, size=9)])
    assert digest_of(1, 2, [FOLDER]) != digest_of(1, 2, [other(FOLDER, ino=7)])


@pytest.mark.parametrize("entry", [Entry("a", None), other(FILE, size=2**70), other(FILE, mtime_ns=-(2**70))])
def test_of_what_cannot_be_said_no_digest_is_made(entry: Entry) -> None:
    assert digest_of(1, 2, [FILE, entry]) is None


def test_a_look_gives_a_digest_only_where_all_was_as_it_is_known(root, look) -> None:
    (root / "a").write_text("content")
    first = look()
    assert first.digest is None
    again = look(known=known_of(first))
    assert again.digest is not None
    assert look(names=("a",), known=known_of(first)).digest is None, "one name is not the whole listing"
    same = look(digest=again.digest)
    assert (same.fault, same.seen, same.gone, same.digest, same.processed) == (
        None,
        (),
        (),
        again.digest,
        again.processed,
    )
    (root / "b").write_text("more")
    assert look(known=known_of(first)).digest is None
    assert look(digest=again.digest).fault is UnitFault.DIFFERS


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda root: (root / "folder").mkdir(), id="a folder"),
        pytest.param(lambda root: (root / ".syncd").mkdir(), id="syncds own"),
        pytest.param(lambda root: (root / "folder.tmp").mkdir(), id="an ignored folder"),
    ],
)
def test_a_listing_that_is_the_same_leads_to_the_same_folders(root, look, make: Callable) -> None:
    (root / ".syncignore").write_text("*.tmp\n")
    make(root)
    first = look()
    again = look(known=known_of(first))
    assert again.digest is not None
    same = look(digest=again.digest)
    assert same.directories == again.directories == first.directories
    assert (same.dev, same.ino, same.whole, same.empty) == (again.dev, again.ino, again.whole, again.empty)


def test_p2_a_chmod_that_moved_nothing_else_is_seen(root, look) -> None:
    """It came in the tick of a download: no look found it, and the next download waited for ever (seed 9001295)."""
    path = root / "a"
    path.write_text("content")
    path.chmod(0o755)
    (seen,) = look().seen
    assert seen.executable
    (known,) = known_of(look())
    for executable, found in ((False, 1), (True, 0), (None, 0)):
        unit = look(known=[replace(known, executable=executable)])
        assert [(each.executable, each.corrupt) for each in unit.seen] == [(True, False)] * found
        deep = look(known=[replace(known, executable=executable)], deep=True)
        assert [(each.executable, each.corrupt) for each in deep.seen] == [(True, False)] * found
    stat = FILE.stat
    assert stat is not None
    assert digest_of(1, 2, [FILE]) != digest_of(1, 2, [Entry("a", msgspec.structs.replace(stat, mode=0o100755))])
