"""What every LocalFs promises of the content of files and symlinks, read and written."""

import pytest

from syncd.model.node import Kind
from syncd.ports import Dir, LocalFs
from tests.contract.local_worlds import MTIME, Person, content, found, put

# --- reading ---


def test_reading_at_offsets(root: Dir, person: Person) -> None:
    person.write("a", bytes(range(10)))
    with root.open("a") as file:
        assert file.read(0, 4) == bytes([0, 1, 2, 3])
        assert file.read(8, 100) == bytes([8, 9])
        assert file.read(10, 1) == b""
        assert file.read(2, 2) == bytes([2, 3])
        assert file.stat() == found(root, "a")
        file.sync()


@pytest.mark.parametrize("name", ["directory", "link", "fifo", "nothing"])
def test_p10_only_regular_files_are_opened(root: Dir, person: Person, name: str) -> None:
    person.mkdir("directory")
    person.write("file", b"1")
    person.symlink("link", "file")
    person.fifo("fifo")
    with pytest.raises(OSError):  # and at once: a FIFO without a writer would wait for ever
        root.open(name)
    with pytest.raises(OSError):
        root.writers(name)


def test_an_open_file_stays_the_one_it_was(root: Dir, person: Person) -> None:
    person.write("a", b"old")
    with root.open("a") as file:
        person.rename("a", "b")
        person.write("a", b"new")
        assert file.read(0, 10) == b"old"
        assert file.stat().fingerprint.ino == found(root, "b").fingerprint.ino


# --- writing ---


def test_p5_a_new_file_is_private_until_it_is_finished(root: Dir) -> None:
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


def test_p6_create_never_opens_what_exists(root: Dir, person: Person) -> None:
    person.write("a", b"theirs")
    person.symlink("link", "nowhere")
    for name in ("a", "link"):
        with pytest.raises(FileExistsError):
            root.create(name)
    assert person.read("a") == b"theirs"
    assert root.stat("nowhere") is None


@pytest.mark.parametrize("mode", [0o666, 0o777], ids=["plain", "executable"])
def test_the_executable_bit_is_given_on_finish(fs: LocalFs, root: Dir, mode: int) -> None:
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
def test_any_mtime_is_accepted(fs: LocalFs, root: Dir, mtime_ns: int) -> None:
    with root.create("a") as file:
        stat = file.finish(mtime_ns, 0o644)
    assert stat.fingerprint == found(root, "a").fingerprint
    assert -(1 << 63) <= stat.fingerprint.mtime_ns < 1 << 63
    if 0 <= mtime_ns <= 2_000_000_000_000_000_000:
        assert abs(stat.fingerprint.mtime_ns - mtime_ns) <= fs.traits.time_tick_ns


@pytest.mark.parametrize("target", [b"file", b"../../outside", b"/absolute/path", b"no\xff utf-8", b"x" * 300])
def test_a_symlink_keeps_its_target_byte_for_byte(fs: LocalFs, root: Dir, target: bytes) -> None:
    if not fs.traits.symlinks:
        pytest.skip("no symlinks here")
    root.symlink("link", target)
    assert root.readlink("link") == target
    assert found(root, "link").kind is Kind.SYMLINK
    with pytest.raises(FileExistsError):
        root.symlink("link", b"other")


def test_unlink_removes_the_link_and_not_its_target(root: Dir, person: Person) -> None:
    person.write("file", b"1")
    person.symlink("link", "file")
    root.unlink("link")
    assert root.names() == [".syncd", "file"]
    with pytest.raises(FileNotFoundError):
        root.unlink("link")
    root.mkdir("directory")
    with pytest.raises(OSError):
        root.unlink("directory")
