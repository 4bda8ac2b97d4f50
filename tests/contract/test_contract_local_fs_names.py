"""What every LocalFs promises of names: exact, single, listed in order, and told apart by kind."""

import errno
import sys

import pytest

from syncd.model.node import Fingerprint, Kind
from syncd.ports import Dir, LocalFs
from tests.contract.local_worlds import Person, content, found, put

ABSOLUTE = "an absolute path"


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("plain", id="plain"),
        pytest.param(" two  spaces ", id="spaces at both ends"),
        pytest.param("-rf", id="looks like an option"),
        pytest.param("line\nbreak\ttab\x1b[0m", id="control characters"),
        pytest.param("caf\u00e9", id="composed"),
        pytest.param("cafe\u0301", id="decomposed"),
        pytest.param("\u65e5\u672c\U0001f600", id="wide"),
        pytest.param("bytes-\udcff\udc80", id="not UTF-8"),
        pytest.param("..hidden", id="starts with two dots"),
        pytest.param("x" * 255, id="as long as allowed"),
    ],
)
def test_p10_names_are_exact(fs: LocalFs, root: Dir, name: str) -> None:
    if fs.traits.normalises and not name.isascii():
        pytest.skip("this file system changes or merges normal forms")
    if "\udcff" in name and sys.platform == "darwin":
        pytest.skip("names here are UTF-8")
    put(root, name, b"1")
    assert name in root.names()
    assert found(root, name).kind is Kind.FILE
    assert content(root, name) == b"1"


# ABSOLUTE stands for a path inside the test's own folder: were the check ever broken, this suite (which may run as
# root) must have nothing within reach that matters. Never put a path of the machine here.
@pytest.mark.parametrize("name", ["", ".", "..", "a/b", ABSOLUTE, "../outside/secret", "../x", "a\0b", "\ud800"])
@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda d, n: d.stat(n), id="stat"),
        pytest.param(lambda d, n: d.child(n), id="child"),
        pytest.param(lambda d, n: d.open(n), id="open"),
        pytest.param(lambda d, n: d.create(n), id="create"),
        pytest.param(lambda d, n: d.readlink(n), id="readlink"),
        pytest.param(lambda d, n: d.symlink(n, b"x"), id="symlink"),
        pytest.param(lambda d, n: d.mkdir(n), id="mkdir"),
        pytest.param(lambda d, n: d.unlink(n), id="unlink"),
        pytest.param(lambda d, n: d.rmdir(n), id="rmdir"),
        pytest.param(lambda d, n: d.writers(n), id="writers"),
        pytest.param(lambda d, n: d.rename_new(n, d, "new"), id="rename_new from"),
        pytest.param(lambda d, n: d.rename_new("old", d, n), id="rename_new to"),
        pytest.param(lambda d, n: d.exchange(n, d, "old"), id="exchange"),
        pytest.param(lambda d, n: d.exchange("old", d, n), id="exchange with"),
        pytest.param(lambda d, n: d.copy_metadata(n, d, "old"), id="copy_metadata"),
        pytest.param(lambda d, n: d.chmod_executable(n, True, Fingerprint(0, 0, 0, 0, 0)), id="chmod"),
    ],
)
def test_p10_what_is_not_one_name_is_refused(root: Dir, person: Person, call, name: str) -> None:
    person.write("old", b"1")
    with pytest.raises(OSError) as refused:
        call(root, f"{person.outside()}/secret" if name == ABSOLUTE else name)
    assert refused.value.errno in (errno.EINVAL, errno.EILSEQ)
    assert person.names("") == [".syncd", "old"]
    assert person.outside_is_untouched()


@pytest.mark.parametrize("path", [(".syncd",), (".SYNCD", "trash"), ("..",), ("a", "..", ".."), ("",), ("a/b",)])
def test_p10_paths_stay_in_the_users_part_of_the_root(fs: LocalFs, person: Person, path) -> None:
    person.mkdir("a")
    with pytest.raises(OSError):
        fs.open_dir(path)


def test_a_name_that_is_too_long_is_an_os_error(root: Dir) -> None:
    with pytest.raises(OSError) as refused:
        root.create("x" * 256)
    assert refused.value.errno == errno.ENAMETOOLONG


def test_a_listing_is_sorted_and_tells_kinds(root: Dir, person: Person) -> None:
    person.mkdir("b")
    person.write("a", b"123")
    person.symlink("d", "a")
    person.fifo("c")
    entries = [entry for entry in root.entries() if entry.name != ".syncd"]
    kinds = [(entry.name, entry.stat.kind if entry.stat else "none") for entry in entries]
    assert kinds == [("a", Kind.FILE), ("b", Kind.DIRECTORY), ("c", None), ("d", Kind.SYMLINK)]
    assert [entry.name for entry in root.entries()] == root.names()
    for entry in entries:
        assert entry.stat == root.stat(entry.name)


def test_a_directory_lists_again_and_again(root: Dir, person: Person) -> None:
    assert root.names() == [".syncd"]
    person.write("a", b"")
    assert root.names() == root.names() == [entry.name for entry in root.entries()] == [".syncd", "a"]


def test_stat_of_nothing_is_none(root: Dir) -> None:
    assert root.stat("nothing") is None


def test_a_fingerprint_changes_with_the_content(root: Dir, person: Person) -> None:
    person.write("a", b"one")
    before = found(root, "a").fingerprint
    assert before.size == 3
    assert before == found(root, "a").fingerprint
    person.write("a", b"longer")
    assert found(root, "a").fingerprint != before


def test_hard_links_are_counted(root: Dir, person: Person) -> None:
    person.write("a", b"1")
    person.hard_link("a", "b")
    assert found(root, "a").links == found(root, "b").links == 2
