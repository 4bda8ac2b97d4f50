"""What every LocalFs promises of renames: nothing is replaced, everything displaced is kept."""

import pytest

from syncd.ports import Dir, LocalFs
from tests.contract.local_worlds import Person, content, found, put


@pytest.mark.parametrize("there", ["file", "directory", "link", "dangling"])
@pytest.mark.parametrize("what", ["new", "newdir", "newlink"])
def test_p6_rename_new_replaces_nothing(fs: LocalFs, root: Dir, person: Person, what: str, there: str) -> None:
    person.write("file", b"theirs")
    person.mkdir("directory")
    person.symlink("link", "file")
    person.symlink("dangling", "nowhere")
    person.write("new", b"ours")
    person.mkdir("newdir")
    person.symlink("newlink", "file")
    before = (found(root, there), found(root, what))
    with pytest.raises(FileExistsError):
        root.rename_new(what, root, there)
    assert (found(root, there), found(root, what)) == before


def test_rename_new_moves_between_directories(fs: LocalFs, root: Dir, person: Person) -> None:
    person.mkdir("a")
    person.mkdir("b")
    person.write("a/x", b"1")
    ino = found(root, "a").fingerprint.ino
    with root.child("a") as a, root.child("b") as b:
        x = found(a, "x").fingerprint
        a.rename_new("x", b, "y")
        assert x.same_but_ctime(found(b, "y").fingerprint)
        assert a.names() == []
        b.sync()
    root.rename_new("a", root, "moved")
    assert found(root, "moved").fingerprint.ino == ino
    with pytest.raises(FileNotFoundError):
        root.rename_new("nothing", root, "z")


@pytest.mark.parametrize("first", ["file", "directory", "link"])
@pytest.mark.parametrize("second", ["other-file", "other-directory", "other-link"])
def test_p6_exchange_swaps_any_two_names(fs: LocalFs, root: Dir, person: Person, first: str, second: str) -> None:
    for prefix in ("", "other-"):
        person.write(prefix + "file", prefix.encode())
        person.mkdir(prefix + "directory")
        person.symlink(prefix + "link", prefix + "target")
    one, two = found(root, first).fingerprint, found(root, second).fingerprint
    names = root.names()
    root.exchange(first, root, second)
    assert two.same_but_ctime(found(root, first).fingerprint)
    assert one.same_but_ctime(found(root, second).fingerprint)
    assert root.names() == names


def test_p6_exchange_leaves_what_was_displaced_in_the_other_directory(fs: LocalFs, root: Dir, person: Person) -> None:
    person.write("a", b"theirs")
    with fs.own("trash", "op") as entry:
        put(entry, "data", b"ours")
        entry.exchange("data", root, "a")
        assert content(entry, "data") == b"theirs"
    assert person.read("a") == b"ours"


def test_p6_exchange_with_nothing_changes_nothing(root: Dir, person: Person) -> None:
    person.write("a", b"1")
    for pair in (("a", "nothing"), ("nothing", "a")):
        with pytest.raises(FileNotFoundError):
            root.exchange(pair[0], root, pair[1])
    assert person.names("") == [".syncd", "a"]
    assert person.read("a") == b"1"


def test_p6_a_directory_is_not_exchanged_with_what_it_holds(root: Dir, person: Person) -> None:
    person.mkdir("a")
    person.write("a/x", b"1")
    with root.child("a") as a, pytest.raises(OSError):
        root.exchange("a", a, "x")
    assert person.read("a/x") == b"1"
