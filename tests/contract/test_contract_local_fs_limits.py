"""What every LocalFs says at the edges: refusals with their errno, links and times, things removed while open."""

import errno

import pytest

from syncd.model.node import Kind
from syncd.ports import Dir, LocalFs
from tests.contract.local_worlds import MTIME, Person, content, found, put

LONG = "x" * 256
LONG_IN_BYTES = "\u65e5" * 85 + "x"  # 256 bytes in 86 characters


def refused(number: int, call) -> None:
    with pytest.raises(OSError) as error:
        call()
    assert error.value.errno == number, errno.errorcode.get(error.value.errno or 0)


# --- names ---


@pytest.mark.parametrize("name", [LONG, LONG_IN_BYTES], ids=["256 characters", "256 bytes"])
@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda d, n: d.stat(n), id="stat"),
        pytest.param(lambda d, n: d.child(n), id="child"),
        pytest.param(lambda d, n: d.open(n), id="open"),
        pytest.param(lambda d, n: d.create(n), id="create"),
        pytest.param(lambda d, n: d.mkdir(n), id="mkdir"),
        pytest.param(lambda d, n: d.symlink(n, b"x"), id="symlink"),
        pytest.param(lambda d, n: d.readlink(n), id="readlink"),
        pytest.param(lambda d, n: d.unlink(n), id="unlink"),
        pytest.param(lambda d, n: d.rmdir(n), id="rmdir"),
        pytest.param(lambda d, n: d.rename_new("old", d, n), id="rename_new to"),
        pytest.param(lambda d, n: d.exchange("old", d, n), id="exchange with"),
    ],
)
def test_too_long_is_too_long_everywhere(root: Dir, person: Person, call, name: str) -> None:
    person.write("old", b"1")
    refused(errno.ENAMETOOLONG, lambda: call(root, name))
    assert person.names("") == [".syncd", "old"]


def test_255_bytes_are_a_name(root: Dir) -> None:
    for name in ("x" * 255, "\u65e5" * 85):
        put(root, name, b"1")
        root.rename_new(name, root, "short")
        root.rename_new("short", root, name)
        assert name in root.names()


def test_a_symlinks_target_has_limits(fs: LocalFs, root: Dir) -> None:
    refused(errno.ENOENT, lambda: root.symlink("empty", b""))
    refused(errno.ENAMETOOLONG, lambda: root.symlink("long", b"x" * 5000))
    assert root.names() == [".syncd"]


# --- what is what ---


@pytest.mark.parametrize(
    ("number", "call"),
    [
        pytest.param(errno.EISDIR, lambda d: d.open("directory"), id="open a directory"),
        pytest.param(errno.ELOOP, lambda d: d.open("link"), id="open a symlink"),
        pytest.param(errno.EINVAL, lambda d: d.open("fifo"), id="open a FIFO"),
        pytest.param(errno.ENOENT, lambda d: d.open("nothing"), id="open nothing"),
        pytest.param(errno.ENOTDIR, lambda d: d.child("file"), id="enter a file"),
        pytest.param(errno.ENOTDIR, lambda d: d.child("loop"), id="enter a symlink to itself"),
        pytest.param(errno.ENOTDIR, lambda d: d.child("fifo"), id="enter a FIFO"),
        pytest.param(errno.ENOENT, lambda d: d.child("nothing"), id="enter nothing"),
        pytest.param(errno.ELOOP, lambda d: d.open("loop"), id="open a symlink to itself"),
        pytest.param(errno.EINVAL, lambda d: d.readlink("file"), id="readlink of a file"),
        pytest.param(errno.EINVAL, lambda d: d.readlink("directory"), id="readlink of a directory"),
        pytest.param(errno.ENOENT, lambda d: d.readlink("nothing"), id="readlink of nothing"),
        pytest.param(errno.EEXIST, lambda d: d.mkdir("link"), id="mkdir over a symlink"),
        pytest.param(errno.EEXIST, lambda d: d.create("fifo"), id="create over a FIFO"),
        pytest.param(errno.EEXIST, lambda d: d.create("directory"), id="create over a directory"),
        pytest.param(errno.EEXIST, lambda d: d.symlink("file", b"x"), id="symlink over a file"),
        pytest.param(errno.ENOTDIR, lambda d: d.rmdir("file"), id="rmdir of a file"),
        pytest.param(errno.ENOTDIR, lambda d: d.rmdir("link"), id="rmdir of a symlink"),
        pytest.param(errno.ENOENT, lambda d: d.rmdir("nothing"), id="rmdir of nothing"),
        pytest.param(errno.ENOTEMPTY, lambda d: d.rmdir("full"), id="rmdir with something in it"),
        pytest.param(errno.ENOENT, lambda d: d.unlink("nothing"), id="unlink of nothing"),
        pytest.param(errno.ENOENT, lambda d: d.rename_new("nothing", d, "new"), id="rename of nothing"),
        pytest.param(errno.EEXIST, lambda d: d.rename_new("file", d, "file"), id="rename onto itself"),
        pytest.param(errno.EEXIST, lambda d: d.rename_new("full", d, "directory"), id="rename onto an empty directory"),
        pytest.param(errno.ENOENT, lambda d: d.copy_metadata("nothing", d, "file"), id="metadata of nothing"),
        pytest.param(errno.ENOENT, lambda d: d.copy_metadata("file", d, "nothing"), id="metadata for nothing"),
    ],
)
def test_a_refusal_says_which(root: Dir, person: Person, number: int, call) -> None:
    person.write("file", b"1")
    person.mkdir("directory")
    person.mkdir("full")
    person.write("full/x", b"")
    person.symlink("link", "directory")
    person.symlink("loop", "loop")
    person.fifo("fifo")
    before = [entry for entry in root.entries() if entry.name != ".syncd"]
    refused(number, lambda: call(root))
    assert [entry for entry in root.entries() if entry.name != ".syncd"] == before


def test_a_directory_is_not_unlinked(root: Dir, person: Person) -> None:
    person.mkdir("directory")
    with pytest.raises(OSError) as error:
        root.unlink("directory")
    assert error.value.errno in (errno.EISDIR, errno.EPERM)  # Linux, and what POSIX asks for
    assert root.names() == [".syncd", "directory"]


def test_stat_of_a_fifo_is_of_no_kind(root: Dir, person: Person) -> None:
    person.fifo("fifo")
    assert found(root, "fifo").kind is None
    assert found(root, "fifo").links == 1
    root.rename_new("fifo", root, "other")
    root.unlink("other")


def test_p6_a_directory_does_not_go_into_itself(root: Dir, person: Person) -> None:
    person.mkdir("a")
    person.mkdir("a/b")
    with root.child("a") as a, a.child("b") as b:
        refused(errno.EINVAL, lambda: root.rename_new("a", a, "x"))
        refused(errno.EINVAL, lambda: root.rename_new("a", b, "x"))
    assert person.names("a") == ["b"]


def test_p6_exchange_of_two_directories_keeps_what_they_hold(root: Dir, person: Person) -> None:
    for name in ("a", "a/in-a", "b"):
        person.mkdir(name)
    person.write("a/x", b"of a")
    person.write("b/y", b"of b")
    inodes = (found(root, "a").fingerprint.ino, found(root, "b").fingerprint.ino)
    with root.child("a") as a:
        root.exchange("a", root, "b")
        assert a.names() == ["in-a", "x"]
        a.rename_new("in-a", root, "out")
    assert (found(root, "b").fingerprint.ino, found(root, "a").fingerprint.ino) == inodes
    assert (person.names("a"), person.names("b")) == (["y"], ["x"])


def test_p6_exchange_of_a_file_and_a_directory_in_different_places(root: Dir, person: Person) -> None:
    person.mkdir("here")
    person.mkdir("here/directory")
    person.write("here/directory/x", b"1")
    person.write("file", b"2")
    before = found(root, "here").links
    with root.child("here") as here:
        root.exchange("file", here, "directory")
        assert content(here, "directory") == b"2"
    assert person.names("file") == ["x"]
    assert found(root, "here").links in (before - 1, before)  # not every file system counts subdirectories


def test_another_file_system_is_another(fs: LocalFs, root: Dir, person: Person) -> None:
    person.write("a", b"1")
    person.mkdir("d")
    with person.elsewhere() as other, other.open_dir(()) as there:
        assert there.dev != root.dev
        put(there, "b", b"2")
        refused(errno.EXDEV, lambda: root.rename_new("a", there, "a"))
        refused(errno.EXDEV, lambda: root.rename_new("d", there, "d"))
        refused(errno.EXDEV, lambda: root.exchange("a", there, "b"))
        assert there.names() == [".syncd", "b"]
    assert root.names() == [".syncd", "a", "d"]


# --- permission bits ---


def test_what_may_not_be_read_is_refused_and_listed(fs: LocalFs, root: Dir, person: Person) -> None:
    if not person.bits_count():
        pytest.skip("permission bits stop nobody here: running as root")
    person.write("secret", b"1")
    person.mkdir("closed")
    person.write("closed/x", b"1")
    person.mkdir("blind")
    person.write("blind/x", b"1")
    for name, mode in (("secret", 0), ("closed", 0), ("blind", 0o600)):
        person.chmod(name, mode)
    refused(errno.EACCES, lambda: root.open("secret"))
    assert root.writers("secret") is None
    refused(errno.EACCES, lambda: root.child("closed"))
    refused(errno.EACCES, lambda: fs.open_dir(("closed",)))
    assert found(root, "secret").kind is Kind.FILE
    with root.child("blind") as blind:
        assert blind.names() == ["x"]
        assert [(entry.name, entry.stat) for entry in blind.entries()] == [("x", None)]
        refused(errno.EACCES, lambda: blind.stat("x"))
        refused(errno.EACCES, lambda: blind.create("y"))
    root.rename_new("secret", root, "moved")  # the directory's bits count, not the file's
    root.unlink("moved")
    for name in ("closed", "blind"):
        person.chmod(name, 0o700)


def test_nothing_is_changed_in_a_directory_without_the_right(root: Dir, person: Person) -> None:
    if not person.bits_count():
        pytest.skip("permission bits stop nobody here: running as root")
    person.mkdir("fixed")
    person.write("fixed/x", b"1")
    person.write("new", b"2")
    person.chmod("fixed", 0o500)
    with root.child("fixed") as fixed:
        assert content(fixed, "x") == b"1"
        for call in (
            lambda: fixed.create("y"),
            lambda: fixed.mkdir("y"),
            lambda: fixed.symlink("y", b"x"),
            lambda: fixed.unlink("x"),
            lambda: fixed.rename_new("x", root, "x"),
            lambda: root.rename_new("new", fixed, "new"),
            lambda: root.exchange("new", fixed, "x"),
        ):
            refused(errno.EACCES, call)
    person.mkdir("other")
    with root.child("other") as other:  # to move a directory is to write into it: its ".." is another
        refused(errno.EACCES, lambda: root.rename_new("fixed", other, "fixed"))
        root.rename_new("fixed", root, "renamed")
        root.rename_new("renamed", root, "fixed")
    person.chmod("fixed", 0o700)
    assert (person.names("fixed"), person.read("fixed/x")) == (["x"], b"1")


# --- links, times, numbers ---


def test_hard_links_are_one_file(root: Dir, person: Person) -> None:
    person.write("a", b"1")
    person.hard_link("a", "b")
    assert found(root, "a") == found(root, "b")
    person.write("b", b"22")
    assert content(root, "a") == b"22"
    root.exchange("a", root, "b")  # one inode: nothing to do, and no error
    refused(errno.EEXIST, lambda: root.rename_new("a", root, "b"))
    root.unlink("a")
    assert found(root, "b").links == 1
    assert person.read("b") == b"22"


def test_a_directory_in_another_changes_that_ones_time(fs: LocalFs, root: Dir, person: Person) -> None:
    person.mkdir("d")
    with root.child("d") as d:
        for act in (
            lambda: put(d, "x", b""),
            lambda: d.rename_new("x", d, "y"),
            lambda: d.unlink("y"),
            lambda: d.mkdir("z"),
            lambda: d.rmdir("z"),
        ):
            before = found(root, "d").fingerprint
            act()
            after = found(root, "d").fingerprint
            assert after.mtime_ns >= before.mtime_ns
            assert after.ctime_ns >= before.ctime_ns
            assert after.ino == before.ino


@pytest.mark.parametrize("how", ["rename", "chmod", "link", "exchange"])
def test_ctime_moves_and_mtime_stays(fs: LocalFs, root: Dir, person: Person, how: str) -> None:
    """On each of these, a kernel marks the inode as changed; a scan must not take it for new content."""
    if fs.traits.time_tick_ns > 10_000_000:
        pytest.skip("times here are too coarse to see it")
    before = put(root, "a", b"1").fingerprint
    for attempt in range(1000):  # until the file system's clock has gone on
        match how:
            case "rename":
                root.rename_new("a", root, "b")
                root.rename_new("b", root, "a")
            case "chmod":
                person.chmod("a", 0o600 if attempt % 2 else 0o640)
            case "link":
                person.hard_link("a", f"link-{attempt}")
            case "exchange":
                if attempt == 0:
                    put(root, "other", b"2")
                root.exchange("a", root, "other")
                root.exchange("a", root, "other")
        if found(root, "a").fingerprint.ctime_ns > before.ctime_ns:
            break
    after = found(root, "a").fingerprint
    assert after.ctime_ns > before.ctime_ns
    assert before.same_but_ctime(after)
    assert after.mtime_ns // 10**9 == MTIME // 10**9


def test_a_number_is_not_given_again_while_somebody_holds_it(root: Dir, person: Person) -> None:
    person.write("a", b"held")
    with root.open("a") as file:
        person.delete("a")
        held = file.stat()
        assert held.links == 0
        for number in range(20):
            person.write(f"new-{number}", b"new")
        taken = {found(root, f"new-{number}").fingerprint.ino for number in range(20)}
        assert len(taken) == 20
        assert held.fingerprint.ino not in taken
        assert file.read(0, 10) == b"held"
    with root.create("b") as new:
        root.unlink("b")
        new.write(b"written after its name was gone")
        assert new.stat().links == 0
        new.sync()
    assert root.stat("b") is None


def test_a_directory_removed_while_open_is_nothing_to_work_in(root: Dir, person: Person) -> None:
    person.mkdir("d")
    with root.child("d") as d:
        root.rmdir("d")
        person.mkdir("d")
        assert found(root, "d").fingerprint.ino != d.ino
        assert d.names() == d.entries() == []  # as POSIX has it
        refused(errno.ENOENT, lambda: d.create("x"))
        refused(errno.ENOENT, lambda: d.mkdir("x"))
        assert d.stat("x") is None
        put(root, "y", b"1")
        refused(errno.ENOENT, lambda: root.rename_new("y", d, "y"))
    assert person.names("d") == []


# --- content ---


@pytest.mark.parametrize(("offset", "size"), [(0, 0), (3, 10), (4, 1), (1 << 40, 5)])
def test_reading_past_the_end_is_empty(root: Dir, person: Person, offset: int, size: int) -> None:
    person.write("a", b"123")
    with root.open("a") as file:
        assert file.read(offset, size) == b""


def test_a_reader_sees_what_is_written_meanwhile(root: Dir, person: Person) -> None:
    person.write("a", b"one")
    with root.open("a") as file:
        assert file.read(0, 10) == b"one"
        person.write("a", b"three")
        assert file.read(0, 10) == b"three"
        person.write("a", b"")
        assert file.read(0, 10) == b""
        assert file.stat().fingerprint.size == 0


def test_many_writes_are_one_content(root: Dir) -> None:
    with root.create("a") as file:
        for number in range(50):
            file.write(bytes([number]) * number)
            assert file.stat().fingerprint.size == number * (number + 1) // 2
    assert content(root, "a") == b"".join(bytes([number]) * number for number in range(50))


@pytest.mark.parametrize("seconds", [0, 2, 1_000_000_000, 4_000_000_000])
def test_finish_sets_the_time_and_a_later_write_moves_it(fs: LocalFs, root: Dir, seconds: int) -> None:
    with root.create("a") as file:
        stat = file.finish(seconds * 10**9 + 5, 0o644)
        assert stat.fingerprint.mtime_ns // 10**9 == seconds
        file.write(b"more")
        assert file.stat().fingerprint.mtime_ns // 10**9 != seconds
        assert file.finish(seconds * 10**9, 0o644) == file.stat() == found(root, "a")
        assert found(root, "a").fingerprint.mtime_ns == seconds * 10**9


def test_chmod_executable_leaves_time_and_content(fs: LocalFs, root: Dir) -> None:
    if not fs.traits.executable_bit:
        pytest.skip("no executable bit here")
    before = put(root, "a", b"1", 0o666)
    after = root.chmod_executable("a", True, before.fingerprint)
    assert before.fingerprint.same_but_ctime(after.fingerprint)
    assert after.mode & 0o111 == 0o111 & (after.mode & 0o444) >> 2
    assert root.chmod_executable("a", True, after.fingerprint) == after  # asked again: nothing to do
