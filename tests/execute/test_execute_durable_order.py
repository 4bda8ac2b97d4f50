"""P4, P5: what must be on the disk before what. Counted where the system is asked to make something durable: of a power
loss itself only a disk that forgets can tell."""

import os
from collections.abc import Callable

import pytest
from execute_world import World, endings, noise

from syncd.adapters import posix_syscalls
from syncd.model.observation import Ending
from syncd.model.op import OpType

BIG = noise(700_000)


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the inodes that were made durable, in order; those of the whole file system are not among them."""
    found: list[int] = []
    honest: Callable[[int], None] = posix_syscalls.sync_file

    def sync_file(fd: int) -> None:
        honest(fd)
        found.append(os.fstat(fd).st_ino)

    monkeypatch.setattr(posix_syscalls, "sync_file", sync_file)
    monkeypatch.setattr(posix_syscalls, "sync_all", lambda fd: False)  # each by itself, so that it can be seen
    return found


@pytest.mark.parametrize("data", [pytest.param(b"small", id="small"), pytest.param(BIG, id="large")])
@pytest.mark.parametrize("there", [False, True], ids=["new", "replaced"])
def test_p5_content_is_durable_before_it_gets_its_name(
    world: World, synced: list[int], data: bytes, there: bool
) -> None:
    if there:
        world.write("a.txt", b"old")
    assignment = world.download("a.txt", data)
    before: list[list[int]] = []
    call = "exchange" if there else "rename_new"
    world.fs.before = lambda name: before.append(list(synced)) if name == call else None
    assert endings(world.apply(assignment)) == [Ending.DONE]
    assert os.stat(world.root / "a.txt").st_ino in before[-1]


@pytest.mark.parametrize("what", ["replaced", "deleted"])
def test_p4_the_trash_entry_is_durable_before_anything_is_moved_into_it(
    world: World, synced: list[int], what: str
) -> None:
    """Else a power loss leaves content without a word on what it is, or, on a file system that keeps no order among
    its folders, without a name at all."""
    world.write("a.txt", b"old")
    assignment = world.download("a.txt", b"new") if what == "replaced" else world.delete("a.txt")
    before: list[list[int]] = []
    call = "exchange" if what == "replaced" else "rename_new"
    world.fs.before = lambda name: before.append(list(synced)) if name == call else None
    assert endings(world.apply(assignment)) == [Ending.DONE]
    entry = world.root / ".syncd" / "trash" / assignment.key.hex()
    needed = {os.stat(path).st_ino for path in (entry.parent, entry, entry / "info.json")}
    assert needed <= set(before[-1])


@pytest.mark.parametrize("what", ["new", "replaced", "deleted", "moved"])
def test_p4_the_folders_are_durable_before_the_op_is_done(world: World, synced: list[int], what: str) -> None:
    """S advances with the result: the names it speaks of must outlive the power."""
    world.write("d/a.txt", b"old")
    assignment = {
        "new": lambda: world.download("d/b.txt", b"new"),
        "replaced": lambda: world.download("d/a.txt", b"new"),
        "deleted": lambda: world.delete("d/a.txt"),
        "moved": lambda: world.move("d/a.txt", "a.txt"),
    }[what]()
    moved: list[int] = []
    world.fs.before = lambda name: moved.append(len(synced)) if name in ("exchange", "rename_new") else None
    assert endings(world.apply(assignment)) == [Ending.DONE]
    after = synced[moved[-1] :]
    assert os.stat(world.root / "d").st_ino in after
    if what == "moved":
        assert os.stat(world.root).st_ino in after


def test_p4_what_recovery_finds_in_place_is_durable_before_it_is_called_done(world: World, synced: list[int]) -> None:
    """Who wrote it is not known: perhaps the process whose writes the power took with it."""
    assignment = world.download("a.txt", b"new")
    world.write("a.txt", b"new", assignment.op.mtime_ns)
    assert endings(world.recover(assignment)) == [Ending.DONE]
    assert os.stat(world.root / "a.txt").st_ino in synced


def test_p1_a_conflicted_copy_is_durable_before_its_trash_entry_goes(world: World, synced: list[int]) -> None:
    world.write("d/a.txt", b"mine")
    assignment = world.conflict("d/a.txt", b"theirs", "a (conflicted copy).txt")
    before: list[list[int]] = []
    moved: list[int] = []

    def watch(call: str) -> None:
        if call == "rename_new":
            moved.append(len(synced))
        if call == "rmdir":
            before.append(list(synced[moved[-1] :]))

    world.fs.before = watch
    assert endings(world.apply(assignment)) == [Ending.DONE]
    assert (world.root / "d" / "a (conflicted copy).txt").read_bytes() == b"mine"
    assert os.stat(world.root / "d").st_ino in before[-1]


def test_p4_the_executable_bit_is_durable_before_the_op_is_done(world: World, synced: list[int]) -> None:
    world.write("a.txt", b"content")
    op = world.op(OpType.LOCAL_CHMOD, executable=True, expected=world.fingerprint("a.txt"))
    assert endings(world.apply(world.assign(op, "a.txt", "a.txt"))) == [Ending.DONE]
    assert os.stat(world.root / "a.txt").st_ino in synced
