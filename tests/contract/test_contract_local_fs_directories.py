"""What every LocalFs promises of directories: found without following a symlink, made, removed, kept apart."""

import errno

import pytest

from syncd.model.node import Kind
from syncd.ports import Dir, LocalFs
from tests.contract.local_worlds import Person, content, found, put


def test_open_dir_goes_down(fs: LocalFs, person: Person) -> None:
    person.mkdir("a")
    person.mkdir("a/b")
    person.write("a/b/c", b"1")
    with fs.open_dir(("a", "b")) as directory, fs.open_dir(()) as root:
        assert directory.names() == ["c"]
        stat = found(root.child("a"), "b").fingerprint
        assert (directory.dev, directory.ino) == (stat.dev, stat.ino)


@pytest.mark.parametrize(
    ("path", "error"),
    [
        pytest.param(("nothing",), FileNotFoundError, id="missing"),
        pytest.param(("nothing", "deeper"), FileNotFoundError, id="missing above"),
        pytest.param(("file",), NotADirectoryError, id="a file"),
        pytest.param(("file", "deeper"), NotADirectoryError, id="a file above"),
        pytest.param(("link",), NotADirectoryError, id="a symlink"),
        pytest.param(("link", "deeper"), (NotADirectoryError, FileNotFoundError), id="a symlink above"),
        pytest.param(("inner",), NotADirectoryError, id="a symlink that stays inside"),
        pytest.param(("fifo",), NotADirectoryError, id="a FIFO"),
    ],
)
def test_p10_open_dir_opens_only_directories(fs: LocalFs, person: Person, path, error) -> None:
    person.write("file", b"1")
    person.mkdir("real")
    person.symlink("link", person.outside())
    person.symlink("inner", "real")
    person.fifo("fifo")
    with pytest.raises(error):
        fs.open_dir(path)


def test_p10_a_symlink_swapped_in_for_a_directory_is_not_followed(fs: LocalFs, person: Person) -> None:
    person.mkdir("a")
    person.mkdir("a/b")
    with fs.open_dir(("a",)) as opened:
        person.rename("a", "moved")
        person.symlink("a", person.outside())
        with pytest.raises(NotADirectoryError):
            fs.open_dir(("a",))
        with pytest.raises(NotADirectoryError):
            fs.open_dir(("a", "b"))
        put(opened, "new", b"1")  # an open directory stays the one it was
    assert person.read("moved/new") == b"1"
    assert person.outside_is_untouched()


def test_mkdir_and_rmdir(root: Dir, person: Person) -> None:
    stat = root.mkdir("new")
    assert stat.kind is Kind.DIRECTORY
    assert stat == found(root, "new")
    with pytest.raises(FileExistsError):
        root.mkdir("new")
    person.write("new/x", b"")
    with pytest.raises(OSError) as refused:
        root.rmdir("new")
    assert refused.value.errno in (errno.ENOTEMPTY, errno.EEXIST)
    with root.child("new") as new:
        new.unlink("x")
        new.sync()
    root.rmdir("new")
    root.sync()
    assert root.stat("new") is None


def test_p10_own_directories_are_for_this_user_only(fs: LocalFs, root: Dir) -> None:
    with fs.own("trash", "0123") as entry:
        put(entry, "data", b"1")
    with fs.own("trash", "0123") as again:
        assert content(again, "data") == b"1"
    with fs.own() as own:
        assert "trash" in own.names()
        assert found(own, "trash").mode & 0o077 == 0
        assert own.dev == root.dev  # staging and trash lie on the root's own file system
    assert found(root, ".syncd").mode & 0o077 == 0


def test_p10_own_names_are_single_names(fs: LocalFs) -> None:
    for names in (("..",), ("trash", ".."), ("trash", "a/b"), ("",)):
        with pytest.raises(OSError):
            fs.own(*names)
