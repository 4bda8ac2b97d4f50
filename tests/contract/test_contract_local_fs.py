"""What every LocalFs promises: one suite, run on the real file system and on any simulated one.

``Person`` is whoever works in the root without syncd. A simulator brings its own person and its own ``fs`` fixture and
inherits ``LocalFsContract``; nothing in the suite knows how either is made.
"""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from syncd.adapters import posix_syscalls
from syncd.adapters.posix_fs import PosixFs, tie_root
from syncd.model.errors import Outdated, RootGone
from syncd.model.node import Fingerprint, Kind
from syncd.ports import Dir, LocalFs, ReadFile, Stat

ABSOLUTE = "an absolute path"
MTIME = 1_700_000_000_123_456_789


class Person(Protocol):
    """Somebody at work in the root. Paths are relative, separated by slashes; ``""`` is the root."""

    def write(self, path: str, data: bytes) -> None: ...
    def read(self, path: str) -> bytes: ...
    def mkdir(self, path: str) -> None: ...
    def symlink(self, path: str, target: str) -> None: ...
    def hard_link(self, path: str, new_path: str) -> None: ...
    def fifo(self, path: str) -> None: ...
    def rename(self, path: str, new_path: str) -> None: ...
    def chmod(self, path: str, mode: int) -> None: ...
    def names(self, path: str) -> list[str]: ...
    def outside(self) -> str:
        """Return the absolute path of a directory outside the root that holds a file ``secret``."""
        ...

    def outside_is_untouched(self) -> bool:
        """Return whether that directory still holds exactly the file ``secret``."""
        ...

    def writing(self, path: str) -> AbstractContextManager[None]:
        """Another process holds the file open for writing."""
        ...

    def replace_root(self) -> None:
        """Put an empty directory in the root's place, as an unmount does."""
        ...

    def lose_marker(self) -> None:
        """Remove the root's marker."""
        ...


def found(directory: Dir, name: str) -> Stat:
    stat = directory.stat(name)
    assert stat is not None, f"{name} is missing"
    return stat


def content(directory: Dir, name: str) -> bytes:
    with directory.open(name) as file:
        return file.read(0, file.stat().fingerprint.size + 1)


def put(directory: Dir, name: str, data: bytes, mode: int = 0o666) -> Stat:
    with directory.create(name) as file:
        file.write(data)
        return file.finish(MTIME, mode)


class LocalFsContract:
    """The suite. Subclasses give the fixtures ``fs`` (a tied, empty root) and ``person``."""

    @pytest.fixture
    def root(self, fs: LocalFs) -> Iterator[Dir]:
        with fs.open_dir(()) as directory:
            yield directory

    # --- names and looking ---

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
    def test_p10_names_are_exact(self, fs: LocalFs, root: Dir, name: str) -> None:
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
    def test_p10_what_is_not_one_name_is_refused(self, root: Dir, person: Person, call, name: str) -> None:
        person.write("old", b"1")
        with pytest.raises(OSError) as refused:
            call(root, f"{person.outside()}/secret" if name == ABSOLUTE else name)
        assert refused.value.errno in (errno.EINVAL, errno.EILSEQ)
        assert person.names("") == [".syncd", "old"]
        assert person.outside_is_untouched()

    @pytest.mark.parametrize("path", [(".syncd",), (".SYNCD", "trash"), ("..",), ("a", "..", ".."), ("",), ("a/b",)])
    def test_p10_paths_stay_in_the_users_part_of_the_root(self, fs: LocalFs, person: Person, path) -> None:
        person.mkdir("a")
        with pytest.raises(OSError):
            fs.open_dir(path)

    def test_a_name_that_is_too_long_is_an_os_error(self, root: Dir) -> None:
        with pytest.raises(OSError) as refused:
            root.create("x" * 256)
        assert refused.value.errno == errno.ENAMETOOLONG

    def test_a_listing_is_sorted_and_tells_kinds(self, root: Dir, person: Person) -> None:
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

    def test_a_directory_lists_again_and_again(self, root: Dir, person: Person) -> None:
        assert root.names() == [".syncd"]
        person.write("a", b"")
        assert root.names() == root.names() == [entry.name for entry in root.entries()] == [".syncd", "a"]

    def test_stat_of_nothing_is_none(self, root: Dir) -> None:
        assert root.stat("nothing") is None

    def test_a_fingerprint_changes_with_the_content(self, root: Dir, person: Person) -> None:
        person.write("a", b"one")
        before = found(root, "a").fingerprint
        assert before.size == 3
        assert before == found(root, "a").fingerprint
        person.write("a", b"longer")
        assert found(root, "a").fingerprint != before

    def test_hard_links_are_counted(self, root: Dir, person: Person) -> None:
        person.write("a", b"1")
        person.hard_link("a", "b")
        assert found(root, "a").links == found(root, "b").links == 2

    # --- directories ---

    def test_open_dir_goes_down(self, fs: LocalFs, person: Person) -> None:
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
    def test_p10_open_dir_opens_only_directories(self, fs: LocalFs, person: Person, path, error) -> None:
        person.write("file", b"1")
        person.mkdir("real")
        person.symlink("link", person.outside())
        person.symlink("inner", "real")
        person.fifo("fifo")
        with pytest.raises(error):
            fs.open_dir(path)

    def test_p10_a_symlink_swapped_in_for_a_directory_is_not_followed(self, fs: LocalFs, person: Person) -> None:
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

    def test_mkdir_and_rmdir(self, root: Dir, person: Person) -> None:
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

    def test_p10_own_directories_are_for_this_user_only(self, fs: LocalFs, root: Dir) -> None:
        with fs.own("trash", "0123") as entry:
            put(entry, "data", b"1")
        with fs.own("trash", "0123") as again:
            assert content(again, "data") == b"1"
        with fs.own() as own:
            assert "trash" in own.names()
            assert found(own, "trash").mode & 0o077 == 0
            assert own.dev == root.dev  # staging and trash lie on the root's own file system
        assert found(root, ".syncd").mode & 0o077 == 0

    def test_p10_own_names_are_single_names(self, fs: LocalFs) -> None:
        for names in (("..",), ("trash", ".."), ("trash", "a/b"), ("",)):
            with pytest.raises(OSError):
                fs.own(*names)

    # --- reading ---

    def test_reading_at_offsets(self, root: Dir, person: Person) -> None:
        person.write("a", bytes(range(10)))
        with root.open("a") as file:
            assert file.read(0, 4) == bytes([0, 1, 2, 3])
            assert file.read(8, 100) == bytes([8, 9])
            assert file.read(10, 1) == b""
            assert file.read(2, 2) == bytes([2, 3])
            assert file.stat() == found(root, "a")
            file.sync()

    @pytest.mark.parametrize("name", ["directory", "link", "fifo", "nothing"])
    def test_p10_only_regular_files_are_opened(self, root: Dir, person: Person, name: str) -> None:
        person.mkdir("directory")
        person.write("file", b"1")
        person.symlink("link", "file")
        person.fifo("fifo")
        with pytest.raises(OSError):  # and at once: a FIFO without a writer would wait for ever
            root.open(name)
        with pytest.raises(OSError):
            root.writers(name)

    def test_an_open_file_stays_the_one_it_was(self, root: Dir, person: Person) -> None:
        person.write("a", b"old")
        with root.open("a") as file:
            person.rename("a", "b")
            person.write("a", b"new")
            assert file.read(0, 10) == b"old"
            assert file.stat().fingerprint.ino == found(root, "b").fingerprint.ino

    # --- writing ---

    def test_p5_a_new_file_is_private_until_it_is_finished(self, root: Dir) -> None:
        with root.create("a") as file:
            assert found(root, "a").mode & 0o077 == 0
            file.write(b"12")
            file.write(memoryview(bytearray(b"34")))
            file.write(b"")
            stat = file.finish(MTIME, 0o644)
            assert stat == file.stat() == found(root, "a")
        assert content(root, "a") == b"1234"
        assert stat.fingerprint.size == 4
        assert stat.mode & 0o600 == 0o600

    def test_p6_create_never_opens_what_exists(self, root: Dir, person: Person) -> None:
        person.write("a", b"theirs")
        person.symlink("link", "nowhere")
        for name in ("a", "link"):
            with pytest.raises(FileExistsError):
                root.create(name)
        assert person.read("a") == b"theirs"
        assert root.stat("nowhere") is None

    @pytest.mark.parametrize("mode", [0o666, 0o777], ids=["plain", "executable"])
    def test_the_executable_bit_is_given_on_finish(self, fs: LocalFs, root: Dir, mode: int) -> None:
        if not fs.traits.executable_bit:
            pytest.skip("no executable bit here")
        assert bool(put(root, "a", b"", mode).mode & 0o100) is (mode == 0o777)

    @pytest.mark.parametrize(
        "mtime_ns",
        [
            pytest.param(MTIME, id="ordinary"),
            pytest.param(0, id="the epoch"),
            pytest.param(-1, id="just before the epoch"),
            pytest.param(-(10**18), id="1938"),
            pytest.param(1 << 31, id="small"),
            pytest.param((1 << 63) - 1, id="2262"),
            pytest.param(1 << 80, id="beyond all bounds"),
            pytest.param(-(1 << 80), id="before all bounds"),
        ],
    )
    def test_any_mtime_is_accepted(self, fs: LocalFs, root: Dir, mtime_ns: int) -> None:
        with root.create("a") as file:
            stat = file.finish(mtime_ns, 0o644)
        assert stat.fingerprint == found(root, "a").fingerprint
        assert -(1 << 63) <= stat.fingerprint.mtime_ns < 1 << 63
        if 0 <= mtime_ns <= 2_000_000_000_000_000_000:
            assert abs(stat.fingerprint.mtime_ns - mtime_ns) <= fs.traits.time_tick_ns

    @pytest.mark.parametrize("target", [b"file", b"../../outside", b"/absolute/path", b"no\xff utf-8", b"x" * 300])
    def test_a_symlink_keeps_its_target_byte_for_byte(self, fs: LocalFs, root: Dir, target: bytes) -> None:
        if not fs.traits.symlinks:
            pytest.skip("no symlinks here")
        root.symlink("link", target)
        assert root.readlink("link") == target
        assert found(root, "link").kind is Kind.SYMLINK
        with pytest.raises(FileExistsError):
            root.symlink("link", b"other")

    def test_unlink_removes_the_link_and_not_its_target(self, root: Dir, person: Person) -> None:
        person.write("file", b"1")
        person.symlink("link", "file")
        root.unlink("link")
        assert root.names() == [".syncd", "file"]
        with pytest.raises(FileNotFoundError):
            root.unlink("link")
        root.mkdir("directory")
        with pytest.raises(OSError):
            root.unlink("directory")

    # --- renaming ---

    @pytest.mark.parametrize("there", ["file", "directory", "link", "dangling"])
    @pytest.mark.parametrize("what", ["new", "newdir", "newlink"])
    def test_p6_rename_new_replaces_nothing(
        self, fs: LocalFs, root: Dir, person: Person, what: str, there: str
    ) -> None:
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

    def test_rename_new_moves_between_directories(self, fs: LocalFs, root: Dir, person: Person) -> None:
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
    def test_p6_exchange_swaps_any_two_names(
        self, fs: LocalFs, root: Dir, person: Person, first: str, second: str
    ) -> None:
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

    def test_p6_exchange_leaves_what_was_displaced_in_the_other_directory(
        self, fs: LocalFs, root: Dir, person: Person
    ) -> None:
        person.write("a", b"theirs")
        with fs.own("trash", "op") as entry:
            put(entry, "data", b"ours")
            entry.exchange("data", root, "a")
            assert content(entry, "data") == b"theirs"
        assert person.read("a") == b"ours"

    def test_p6_exchange_with_nothing_changes_nothing(self, root: Dir, person: Person) -> None:
        person.write("a", b"1")
        for pair in (("a", "nothing"), ("nothing", "a")):
            with pytest.raises(FileNotFoundError):
                root.exchange(pair[0], root, pair[1])
        assert person.names("") == [".syncd", "a"]
        assert person.read("a") == b"1"

    def test_p6_a_directory_is_not_exchanged_with_what_it_holds(self, root: Dir, person: Person) -> None:
        person.mkdir("a")
        person.write("a/x", b"1")
        with root.child("a") as a, pytest.raises(OSError):
            root.exchange("a", a, "x")
        assert person.read("a/x") == b"1"

    # --- metadata ---

    def test_p6_chmod_executable_sets_and_clears(self, fs: LocalFs, root: Dir, person: Person) -> None:
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

    def test_p6_chmod_executable_declines_another_file(self, root: Dir, person: Person) -> None:
        person.write("a", b"1")
        expected = found(root, "a").fingerprint
        person.rename("a", "b")
        person.write("a", b"2")
        before = found(root, "a")
        with pytest.raises(Outdated):
            root.chmod_executable("a", not before.mode & 0o100, expected)
        assert found(root, "a") == before

    def test_p10_chmod_executable_does_not_follow(self, root: Dir, person: Person) -> None:
        person.write("file", b"1")
        person.chmod("file", 0o600)
        person.symlink("link", "file")
        with pytest.raises(OSError):
            root.chmod_executable("link", True, found(root, "file").fingerprint)
        with pytest.raises(FileNotFoundError):
            root.chmod_executable("nothing", True, found(root, "file").fingerprint)
        assert found(root, "file").mode == 0o600

    def test_a_replaced_file_keeps_its_mode(self, fs: LocalFs, root: Dir, person: Person) -> None:
        person.write("a", b"1")
        person.chmod("a", 0o604)
        with fs.own("trash", "op") as entry:
            put(entry, "data", b"2")
            before = found(entry, "data").fingerprint
            root.copy_metadata("a", entry, "data")
            after = found(entry, "data")
        assert after.mode == 0o604
        assert before.same_but_ctime(after.fingerprint), "neither content nor mtime are touched"

    def test_metadata_is_not_copied_between_kinds(self, root: Dir, person: Person) -> None:
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

    def test_p1_a_writer_in_another_process_is_noticed(self, root: Dir, person: Person) -> None:
        person.write("a", b"1")
        if root.writers("a") is None:
            pytest.skip("this platform cannot tell")
        assert root.writers("a") is False
        with person.writing("a"):
            assert root.writers("a") is True
            root.rename_new("a", root, "b")
            assert root.writers("b") is True, "also under its new name"
        assert root.writers("b") is False

    def test_p1_a_writer_of_our_own_is_noticed(self, root: Dir) -> None:
        with root.create("a") as file:
            file.write(b"1")
            file.finish(MTIME, 0o644)
            assert root.writers("a") in (True, None)
        assert root.writers("a") in (False, None)

    def test_a_reader_is_not_a_writer(self, root: Dir, person: Person) -> None:
        person.write("a", b"1")
        with root.open("a"):
            assert root.writers("a") in (False, None)

    # --- the whole ---

    @pytest.mark.parametrize("count", [0, 1, 40])
    def test_p4_make_durable(self, fs: LocalFs, root: Dir, person: Person, count: int) -> None:
        files: list[ReadFile] = []
        for number in range(count):
            person.write(f"f{number}", b"x" * number)
            files.append(root.open(f"f{number}"))
        fs.make_durable(files)
        for number, file in enumerate(files):
            assert file.read(0, 100) == b"x" * number
            file.close()
            file.close()  # twice does no harm

    @pytest.mark.parametrize("count", [2, 40], ids=["few", "many"])
    def test_p5_what_was_finished_becomes_durable_with_its_directory(self, fs: LocalFs, root: Dir, count: int) -> None:
        files = [root.create(f"f{number}") for number in range(count)]
        for number, file in enumerate(files):
            file.write(b"x" * number)
            file.finish(MTIME, 0o644)
        fs.make_durable([*files, root])
        files[0].sync()  # one by itself, too
        for number, file in enumerate(files):
            file.close()
            assert content(root, f"f{number}") == b"x" * number

    def test_free_bytes(self, fs: LocalFs) -> None:
        assert fs.free_bytes() > 0

    def test_traits_make_sense(self, fs: LocalFs) -> None:
        traits = fs.traits
        assert 1 <= traits.time_tick_ns <= 2_000_000_000
        assert fs.traits == traits

    def test_p8_a_proven_root_stays_the_same(self, fs: LocalFs) -> None:
        assert fs.prove() == fs.prove()

    def test_p8_a_root_without_marker_is_not_proven(self, fs: LocalFs, person: Person) -> None:
        fs.prove()
        person.lose_marker()
        with pytest.raises(RootGone):
            fs.prove()

    def test_p8_a_replaced_root_is_neither_proven_nor_opened_nor_written(self, fs: LocalFs, person: Person) -> None:
        fs.prove()
        person.replace_root()
        for call in (fs.prove, lambda: fs.open_dir(()), lambda: fs.own("trash", "op"), fs.free_bytes):
            with pytest.raises(RootGone):
                call()
        assert person.names("") == []

    def test_a_closed_directory_says_so(self, fs: LocalFs) -> None:
        directory = fs.open_dir(())
        directory.close()
        directory.close()
        with pytest.raises(OSError) as refused:
            directory.names()
        assert refused.value.errno == errno.EBADF


class PosixPerson:
    """A person with a shell, beside whom syncd runs."""

    def __init__(self, root: Path, outside: Path) -> None:
        self._root = root
        self._outside = outside

    def write(self, path: str, data: bytes) -> None:
        (self._root / path).write_bytes(data)

    def read(self, path: str) -> bytes:
        return (self._root / path).read_bytes()

    def mkdir(self, path: str) -> None:
        (self._root / path).mkdir()

    def symlink(self, path: str, target: str) -> None:
        (self._root / path).symlink_to(target)

    def hard_link(self, path: str, new_path: str) -> None:
        (self._root / new_path).hardlink_to(self._root / path)

    def fifo(self, path: str) -> None:
        os.mkfifo(self._root / path)

    def rename(self, path: str, new_path: str) -> None:
        (self._root / path).rename(self._root / new_path)

    def chmod(self, path: str, mode: int) -> None:
        (self._root / path).chmod(mode)

    def names(self, path: str) -> list[str]:
        return sorted(os.listdir(self._root / path))

    def outside(self) -> str:
        return str(self._outside)

    def outside_is_untouched(self) -> bool:
        return {file.name: file.read_bytes() for file in self._outside.iterdir()} == {"secret": b"secret"}

    @contextmanager
    def writing(self, path: str) -> Iterator[None]:
        script = "import sys; f = open(sys.argv[1], 'ab'); print('open', flush=True); sys.stdin.read()"
        with subprocess.Popen(
            [sys.executable, "-c", script, str(self._root / path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"open\n"
            yield
            process.communicate()

    def replace_root(self) -> None:
        self._root.rename(self._root.with_name("moved away"))
        self._root.mkdir()

    def lose_marker(self) -> None:
        (self._root / ".syncd" / "root.json").unlink()


class TestPosixFs(LocalFsContract):
    """The real thing, in the tests' temporary directory."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Path:
        root = tmp_path / "root"
        root.mkdir()
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "secret").write_bytes(b"secret")
        return root

    @pytest.fixture
    def fs(self, place: Path) -> PosixFs:
        return PosixFs(str(place), expected=tie_root(str(place), "ab" * 16))

    @pytest.fixture
    def person(self, place: Path) -> PosixPerson:
        return PosixPerson(place, place.with_name("outside"))


class TestPosixFsWithoutRenameFlags(TestPosixFs):
    """The same promises where neither kernel nor file system knows renames with flags: other ways, same outcome."""

    @pytest.fixture(autouse=True)
    def an_old_kernel(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(posix_syscalls, "_RENAME", None)  # as where libc does not have the call

    def test_the_missing_traits_are_seen(self, fs: PosixFs) -> None:
        assert (fs.traits.exchange, fs.traits.no_replace) == (False, False)

    def test_p6_nothing_is_left_in_staging(self, fs: PosixFs, root: Dir, person: Person) -> None:
        person.write("a", b"1")
        person.write("b", b"2")
        root.exchange("a", root, "b")
        assert (person.read("a"), person.read("b")) == (b"2", b"1")
        assert person.names(".syncd/staging") == []

    def test_p1_a_failed_exchange_puts_everything_back(self, fs: PosixFs, root: Dir, person: Person) -> None:
        person.mkdir("a")
        person.mkdir("a/b")
        person.write("a/b/x", b"1")
        with root.child("a") as a, pytest.raises(OSError):
            root.exchange("a", a, "b")  # a directory cannot go where its own child was
        assert person.read("a/b/x") == b"1"
        assert person.names(".syncd/staging") == []
