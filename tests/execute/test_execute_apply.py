"""Contents and deletes in this folder: what is expected is checked last, what is displaced is judged, none is lost."""

import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import IO

import pytest
from execute_world import NOW_NS, PAST_NS, World, digest, endings, noise

from syncd.model.node import Kind
from syncd.model.observation import Ending

COPY = "a (conflicted copy, laptop, 2027-01-15 080000).txt"


def test_p5_a_download_appears_whole_with_mtime_and_executable_bit(world: World) -> None:
    (result,) = world.apply(world.download("a.txt", b"#!/bin/sh\n", executable=True))
    assert result.ending is Ending.DONE
    raw = os.stat(world.root / "a.txt")
    assert raw.st_mtime_ns == PAST_NS + 7
    assert raw.st_mode & 0o100
    assert result.local is not None
    assert result.local.fingerprint == world.fingerprint("a.txt")
    assert (result.local.hash, result.local.executable) == (digest(b"#!/bin/sh\n"), True)


def test_a_replaced_file_keeps_mode_and_attributes_but_takes_the_ops_bit(world: World) -> None:
    world.write("a.txt", b"old")
    os.chmod(world.root / "a.txt", 0o640)
    os.setxattr(world.root / "a.txt", "user.colour", b"red")
    assert endings(world.apply(world.download("a.txt", b"new", executable=True))) == [Ending.DONE]
    assert stat.S_IMODE(os.stat(world.root / "a.txt").st_mode) & 0o700 == 0o700
    assert stat.S_IMODE(os.stat(world.root / "a.txt").st_mode) & 0o007 == 0
    assert os.getxattr(world.root / "a.txt", "user.colour") == b"red"


def edit(world: World) -> None:
    world.write("a.txt", b"edited meanwhile", NOW_NS)


def save_by_rename(world: World) -> None:
    world.write("b.txt", b"edited meanwhile", NOW_NS)
    os.rename(world.root / "b.txt", world.root / "a.txt")


def same_size_same_mtime(world: World) -> None:
    world.write("a.txt", b"OLD", PAST_NS)


EDITS = [
    pytest.param(edit, b"edited meanwhile", id="edited in place"),
    pytest.param(save_by_rename, b"edited meanwhile", id="saved by rename"),
]


@pytest.mark.parametrize(("change", "content"), EDITS)
@pytest.mark.parametrize("call", ["exchange", "get_chunks"])
def test_p6_an_edit_before_the_exchange_survives(world: World, change: object, content: bytes, call: str) -> None:
    """Before the look: nothing is changed. After it: it becomes a conflicted copy, never an exchange back."""
    world.write("a.txt", b"old")
    assignment = world.download("a.txt", b"new")
    if call == "get_chunks":
        change(world)  # type: ignore[operator]
        results = world.apply(assignment)
        assert endings(results) == [Ending.STALE]
        assert world.tree() == {"a.txt": content}
        assert world.trash() == []
        return
    world.fs.before = lambda name: change(world) if name == "exchange" else None  # type: ignore[operator]
    (result,) = world.apply(assignment)
    assert result.ending is Ending.DONE
    assert world.tree() == {"a.txt": b"new", COPY: content}
    assert [(d.name, d.path) for d in result.displaced] == [(COPY, (COPY,))]


def test_p6_an_edit_that_leaves_size_and_mtime_is_found_by_its_hash(world: World) -> None:
    world.write("a.txt", b"old")
    assignment = world.download("a.txt", b"new")
    same_size_same_mtime(world)
    (result,) = world.apply(assignment)
    assert world.tree() == {"a.txt": b"new", COPY: b"OLD"}
    assert len(result.displaced) == 1


def test_equal_content_is_no_conflict(world: World) -> None:
    world.write("a.txt", b"old")
    assignment = world.download("a.txt", b"new")
    world.fs.before = lambda name: world.write("a.txt", b"new", NOW_NS) if name == "exchange" else None
    (result,) = world.apply(assignment)
    assert (result.ending, result.displaced) == (Ending.DONE, ())
    assert world.tree() == {"a.txt": b"new"}


def test_p6_a_name_taken_at_the_last_moment_is_not_replaced(world: World) -> None:
    assignment = world.download("a.txt", b"new")
    world.fs.before = lambda name: world.write("a.txt", b"mine") if name == "rename_new" else None
    assert endings(world.apply(assignment)) == [Ending.STALE]
    assert world.tree() == {"a.txt": b"mine"}
    # A crash right here must not take the person's file for the one that was to be placed.
    assert endings(world.recover(assignment)) == [Ending.NOT_DONE]
    assert endings(world.recover(assignment)) == [Ending.NOT_DONE]
    world.sweep(after=2 * 86400)
    assert world.trash() == []


def test_p4_a_file_edited_between_crash_and_restart_is_an_edit_not_a_conflict(world: World) -> None:
    assignment = world.download("a.txt", b"new")
    assert endings(world.apply(assignment)) == [Ending.DONE]
    save_by_rename(world)  # the result was never written down; then the person edits, then the daemon starts
    (result,) = world.recover(assignment)
    assert result.ending is Ending.DONE
    assert result.local is not None
    assert result.local.fingerprint != world.fingerprint("a.txt")


def test_a_conflict_sets_the_local_content_aside_and_numbers_a_taken_name(world: World) -> None:
    world.write("a.txt", b"mine")
    world.write(COPY, b"an older copy")
    (result,) = world.apply(world.conflict("a.txt", b"theirs", COPY))
    assert result.ending is Ending.DONE
    (copy,) = result.displaced
    tree = world.tree()
    assert copy.name != COPY
    assert tree == {"a.txt": b"theirs", COPY: b"an older copy", copy.name: b"mine"}


def test_p10_an_op_in_another_directory_than_planned_does_nothing(world: World) -> None:
    world.write("d/a.txt", b"old")
    assignment = world.download("d/a.txt", b"new")
    os.rename(world.root / "d", world.root / "elsewhere")
    world.write("d/a.txt", b"old")
    assert endings(world.apply(assignment)) == [Ending.STALE]
    assert world.tree()["d/a.txt"] == b"old"


def test_p10_a_symlink_in_place_of_the_directory_is_not_followed(world: World, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (world.root / "d").mkdir()
    assignment = world.download("d/a.txt", b"new")
    os.rmdir(world.root / "d")
    os.symlink(outside, world.root / "d")
    assert endings(world.apply(assignment)) == [Ending.STALE]
    assert list(outside.iterdir()) == []


def test_a_full_disk_stops_downloads_and_damages_nothing(world: World) -> None:
    world.write("a.txt", b"old")
    world.limits = replace(world.limits, free_floor_bytes=1 << 60)
    (result,) = world.apply(world.download("a.txt", b"new"))
    assert (result.ending, result.error_class) == (Ending.RETRY, "no space")
    assert world.tree() == {"a.txt": b"old"}
    assert world.trash() == []


def test_wrong_content_from_the_remote_is_refused_and_the_others_go_on(world: World) -> None:
    bad, good = world.download("bad", b"right"), world.download("good", b"good")
    world.remote.chunks[digest(b"right")] = b"wrong"
    results = world.apply(bad, good)
    assert endings(results) == [Ending.REFUSED, Ending.DONE]
    assert results[0].error_class == "corrupt"
    assert world.tree() == {"good": b"good"}


def test_a_chunk_that_is_gone_stops_only_its_op(world: World) -> None:
    gone, good = world.download("gone", b"gone"), world.download("good", b"good")
    del world.remote.chunks[digest(b"gone")]
    assert endings(world.apply(gone, good)) == [Ending.STALE, Ending.DONE]


def test_small_contents_come_in_one_request(world: World) -> None:
    assignments = [world.download(f"f{n}", f"content {n}".encode()) for n in range(40)]
    asked: list[int] = []
    get = world.remote.get_chunks
    world.remote.get_chunks = lambda hashes: asked.append(len(hashes)) or get(hashes)  # type: ignore[method-assign,func-returns-value]
    assert set(endings(world.apply(*assignments))) == {Ending.DONE}
    assert asked == [40]
    assert len(world.tree()) == 40


def test_an_edit_of_a_large_file_fetches_only_what_is_new(world: World) -> None:
    old = noise(3_000_000)
    world.write("big", old)
    new = old[:1_500_000] + b"!" + old[1_500_000:]
    (result,) = world.apply(world.download("big", new))
    assert result.ending is Ending.DONE
    assert world.tree() == {"big": new}
    assert world.remote.fetched_bytes == result.bytes_moved < 600_000


def test_an_interrupted_download_goes_on_where_it_stopped(world: World) -> None:
    data = noise(3_000_000)
    assignment = world.download("big", data)
    world.remote.fail_fetch_after = 15
    (result,) = world.apply(assignment)
    assert (result.ending, result.error_class) == (Ending.RETRY, "offline")
    first = world.remote.fetched_bytes
    assert first > 500_000
    world.remote.fail_fetch_after, world.remote.offline = None, False
    assert endings(world.recover(assignment)) == [Ending.NOT_DONE]
    (result,) = world.apply(world.renewed(assignment))  # also when it was planned again under another key
    assert result.ending is Ending.DONE
    assert world.tree() == {"big": data}
    assert result.bytes_moved <= len(data) - first + 300_000


def test_a_stopping_daemon_ends_a_download_between_windows(world: World) -> None:
    world.cancelled = True
    (result,) = world.apply(world.download("big", noise(700_000)))
    assert result.ending is Ending.RETRY
    assert world.tree() == {}


def test_p8_an_unproven_root_is_never_written(world: World) -> None:
    world.write("a.txt", b"old")
    assignment = world.delete("a.txt")
    (world.root / ".syncd").rename(world.root / "moved away")
    (result,) = world.apply(assignment, prove=True)
    assert (result.ending, result.error_class) == (Ending.RETRY, "root gone")
    assert world.tree()["a.txt"] == b"old"


# --- deletes ----------------------------------------------------------------------------------------------------


def test_p7_a_delete_goes_to_the_trash(world: World) -> None:
    world.write("d/a.txt", b"old")
    assert endings(world.apply(world.delete("d/a.txt"))) == [Ending.DONE]
    assert world.tree() == {"d": None}
    assert world.trash() == [b"old"]


@pytest.mark.parametrize(("change", "content"), EDITS)
def test_p7_an_edit_in_the_last_moment_beats_a_delete(world: World, change: object, content: bytes) -> None:
    world.write("a.txt", b"old")
    assignment = world.delete("a.txt")
    renames = [0]

    def before(name: str) -> None:
        renames[0] += name == "rename_new"
        if name == "rename_new" and renames[0] == 2:  # the first one puts the info in its place
            change(world)  # type: ignore[operator]

    world.fs.before = before
    (result,) = world.apply(assignment)
    assert result.ending is Ending.STALE
    assert world.tree() == {"a.txt": content}


DIRECTORIES = [
    pytest.param([], Ending.DONE, id="empty: removed"),
    pytest.param([".DS_Store"], Ending.DONE, id="litter: goes to the trash with it"),
    pytest.param(["x.ign", ".DS_Store"], Ending.LEFTOVER, id="ignored: kept as a leftover"),
    pytest.param(["in/x.ign"], Ending.LEFTOVER, id="a folder of ignored content: kept"),
    pytest.param(["x.ign", "new.txt"], Ending.STALE, id="something new: planned again"),
    pytest.param(["in/"], Ending.STALE, id="an empty folder in it: planned again"),
]


@pytest.mark.parametrize(("inside", "ending"), DIRECTORIES)
def test_a_deleted_directory(world: World, inside: list[str], ending: Ending) -> None:
    (world.root / "d").mkdir()
    for name in inside:
        (world.root / "d" / "in").mkdir() if name == "in/" else world.write(f"d/{name}", b"x")
    world.ignored = lambda path, directory: path[-1].endswith(".ign")
    before = world.tree()
    assert endings(world.apply(world.delete("d", Kind.DIRECTORY))) == [ending]
    assert world.tree() == ({} if ending is Ending.DONE else before)


# --- durability -------------------------------------------------------------------------------------------------


def test_p4_durable_before_and_after_the_change(world: World) -> None:
    """What is staged and recorded is durable before the exchange, the exchange before it is reported."""
    world.write("a.txt", b"old")
    world.write("gone", b"old")
    assignments = [world.download("a.txt", b"new"), world.download("new", b"new"), world.delete("gone")]
    calls: list[str] = []
    world.fs.before = calls.append
    assert set(endings(world.apply(*assignments))) == {Ending.DONE}
    first, last = calls.index("exchange"), len(calls) - 1 - calls[::-1].index("rename_new")
    durable = [n for n, call in enumerate(calls) if call == "make_durable"]  # contents, then directories
    assert max(n for n, call in enumerate(calls) if call == "finish") < durable[0] < durable[1] < first
    assert durable[-1] > max(first, last)


@pytest.mark.parametrize("what", ["new", "replaced", "deleted"])
def test_p5_many_small_ops_become_durable_together(world: World, what: str) -> None:
    """Content before any rename, entries before any result; and no wait for each file by itself."""
    names = [f"{number:03}" for number in range(60)]
    if what != "new":
        for name in names:
            world.write(name, b"old")
    assignments = [
        world.delete(name) if what == "deleted" else world.download(name, b"new " + name.encode()) for name in names
    ]
    calls: list[str] = []
    world.fs.before = calls.append
    assert set(endings(world.apply(*assignments))) == {Ending.DONE}
    durable = [n for n, call in enumerate(calls) if call == "make_durable"]
    moved = [n for n, call in enumerate(calls) if call == ("exchange" if what == "replaced" else "rename_new")][-60:]
    assert max((n for n, call in enumerate(calls) if call == "finish"), default=0) < durable[0] < durable[1] < moved[0]
    assert moved[-1] < durable[-1]
    assert len(durable) + calls.count("sync") < 10


# --- late writers -----------------------------------------------------------------------------------------------


def appending(world: World, name: str) -> IO[bytes]:
    return open(world.root / name, "ab", buffering=0)


@pytest.mark.parametrize("how", ["replaced", "deleted"])
def test_p1_late_writes_become_a_conflicted_copy(world: World, how: str) -> None:
    world.write("log.txt", b"start ")
    with appending(world, "log.txt") as application:
        assignment = world.download("log.txt", b"new") if how == "replaced" else world.delete("log.txt")
        assert endings(world.apply(assignment)) == [Ending.DONE]
        assert world.sweep().dropped == 0  # somebody still holds it open: not trash yet
        application.write(b"late")
        swept = world.sweep()
    assert len(swept.late) == 1
    assert world.tree()[swept.late[0].name] == b"start late"
    assert world.sweep().late == ()


def test_what_the_remote_keeps_is_dropped_once_nobody_writes_to_it(world: World) -> None:
    world.write("a.txt", b"old")
    with appending(world, "a.txt"):
        world.apply(world.delete("a.txt"))
        world.sweep()
        assert world.trash() == [b"old"]
    assert world.sweep().dropped == 1
    assert world.trash() == []
