"""What every LocalFs promises of modes, and of writers that still hold a file."""

import pytest

from syncd.model.errors import Outdated
from syncd.ports import Dir, LocalFs
from tests.contract.local_worlds import MTIME, Person, found, put

# --- metadata ---


def test_p6_chmod_executable_sets_and_clears(fs: LocalFs, root: Dir, person: Person) -> None:
    if not fs.traits.executable_bit:
        pytest.skip("no executable bit here")
    person.write("a", b"1")
    person.chmod("a", 0o640)
    before = found(root, "a")
    on = root.chmod_executable("a", True, before.fingerprint)
    assert on.mode & 0o100
    assert on.mode & 0o001 == 0, "who may not read may not execute"
    assert before.fingerprint.same_but_ctime(on.fingerprint)
    off = root.chmod_executable("a", False, on.fingerprint)
    assert off.mode == 0o640
    assert off == found(root, "a")


def test_p6_chmod_executable_declines_another_file(root: Dir, person: Person) -> None:
    person.write("a", b"1")
    expected = found(root, "a").fingerprint
    person.rename("a", "b")
    person.write("a", b"2")
    before = found(root, "a")
    with pytest.raises(Outdated):
        root.chmod_executable("a", not before.mode & 0o100, expected)
    assert found(root, "a") == before


def test_p10_chmod_executable_does_not_follow(root: Dir, person: Person) -> None:
    person.write("file", b"1")
    person.chmod("file", 0o600)
    person.symlink("link", "file")
    with pytest.raises(OSError):
        root.chmod_executable("link", True, found(root, "file").fingerprint)
    with pytest.raises(FileNotFoundError):
        root.chmod_executable("nothing", True, found(root, "file").fingerprint)
    assert found(root, "file").mode == 0o600


def test_a_replaced_file_keeps_its_mode(fs: LocalFs, root: Dir, person: Person) -> None:
    person.write("a", b"1")
    person.chmod("a", 0o604)
    with fs.own("trash", "op") as entry:
        put(entry, "data", b"2")
        before = found(entry, "data").fingerprint
        root.copy_metadata("a", entry, "data")
        after = found(entry, "data")
    assert after.mode == 0o604
    assert before.same_but_ctime(after.fingerprint), "neither content nor mtime are touched"


def test_metadata_is_not_copied_between_kinds(root: Dir, person: Person) -> None:
    person.write("file", b"1")
    person.chmod("file", 0o600)
    person.mkdir("directory")
    person.symlink("link", "file")
    before = found(root, "directory")
    root.copy_metadata("file", root, "directory")
    root.copy_metadata("link", root, "file")
    assert found(root, "directory") == before
    assert found(root, "file").mode == 0o600


# --- late writers ---


def test_p1_a_writer_in_another_process_is_noticed(root: Dir, person: Person) -> None:
    person.write("a", b"1")
    if root.writers("a") is None:
        pytest.skip("this platform cannot tell")
    assert root.writers("a") is False
    with person.writing("a"):
        assert root.writers("a") is True
        root.rename_new("a", root, "b")
        assert root.writers("b") is True, "also under its new name"
    assert root.writers("b") is False


def test_p1_a_writer_of_our_own_is_noticed(root: Dir) -> None:
    with root.create("a") as file:
        file.write(b"1")
        file.finish(MTIME, 0o644)
        assert root.writers("a") in (True, None)
    assert root.writers("a") in (False, None)


def test_a_reader_is_not_a_writer(root: Dir, person: Person) -> None:
    person.write("a", b"1")
    with root.open("a"):
        assert root.writers("a") in (False, None)
