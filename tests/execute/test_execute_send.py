"""Sending to the remote: untorn, only what is missing, checked once more, and resolved by looking."""

import os
from dataclasses import replace

import pytest
from blake3 import blake3
from execute_world import PAST_NS, World, digest, endings, noise

from syncd.chunks.chunker import CHUNKER, LARGE_AVERAGE, MIDDLE_AVERAGE, SMALL_AVERAGE
from syncd.chunks.manifest import Manifest, Piece, decode, encode, manifest_hash
from syncd.execute.upload import average_over
from syncd.model.job import MoveRef
from syncd.model.node import Kind, Version
from syncd.model.observation import Ending
from syncd.model.op import OpType
from syncd.model.remote import Cause, Create, Edit, Moves

LATER = PAST_NS + 10**9


def test_small_files_travel_and_commit_together(world: World) -> None:
    for n in range(30):
        world.write(f"f{n}", f"content {n}")
    results = world.send(*[world.upload(f"f{n}") for n in range(30)])
    assert set(endings(results)) == {Ending.DONE}
    assert [len(batch) for batch in world.remote.commits] == [30]
    assert results[7].remote[0].name == "f7"
    assert results[7].bytes_moved == len("content 7")


@pytest.mark.parametrize(
    ("content", "chunks"), [pytest.param(b"", 0, id="empty"), pytest.param(b"x", 1, id="one chunk")]
)
def test_content_of_at_most_one_chunk_has_no_manifest(world: World, content: bytes, chunks: int) -> None:
    world.write("a", content)
    (result,) = world.send(world.upload("a"))
    assert result.remote[0].content is not None
    assert result.remote[0].content.manifest is None
    assert result.remote[0].content.hash == digest(content)
    assert len(world.remote.chunks) == chunks


def test_a_symlink_is_its_targets_bytes(world: World) -> None:
    os.symlink("../anywhere", world.root / "link")
    (result,) = world.send(world.upload("link"))
    assert result.remote[0].kind is Kind.SYMLINK
    assert world.remote.chunks[digest(b"../anywhere")] == b"../anywhere"


@pytest.mark.parametrize("size", [700_000, 3_000_000], ids=["held", "streamed"])
def test_an_edit_of_a_large_file_sends_only_what_is_new(world: World, size: int) -> None:
    data = noise(size)
    world.write("big", data)
    (result,) = world.send(world.upload("big"))
    assert result.ending is Ending.DONE
    first = world.remote.sent_bytes
    assert first == size
    world.write("big", data[: size // 2] + b"!" + data[size // 2 :])
    (again,) = world.send(world.upload("big", base=result.remote[0].version))
    assert again.ending is Ending.DONE
    assert isinstance(world.remote.commits[-1][0], Edit)
    assert 0 < world.remote.sent_bytes - first < 500_000


def test_a_revived_node_is_created_over_its_tombstone(world: World) -> None:
    world.write("a", b"a")
    assignment = world.upload("a")
    assignment = replace(assignment, op=replace(assignment.op, base=Version(4, "tomb")))
    world.send(assignment)
    (create,) = world.remote.commits[0]
    assert isinstance(create, Create)
    assert (create.base, create.cause) == (Version(4, "tomb"), Cause.REVIVE)


CHANGES = [
    pytest.param(lambda w: w.write("a", b"changed", LATER), id="edited"),
    pytest.param(lambda w: w.write("a", b"aaaa", PAST_NS), id="edited, same size and mtime"),
    pytest.param(lambda w: os.unlink(w.root / "a"), id="deleted"),
    pytest.param(lambda w: os.replace(w.root / "b", w.root / "a"), id="replaced"),
    pytest.param(lambda w: (os.unlink(w.root / "a"), os.symlink("b", w.root / "a")), id="now a symlink"),
    pytest.param(lambda w: (os.unlink(w.root / "a"), os.mkfifo(w.root / "a")), id="now a pipe"),
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("when", ["before", "while it is read"])
def test_p5_p6_a_file_that_changes_is_not_uploaded_and_stops_nothing_else(
    world: World, change: object, when: str
) -> None:
    world.write("a", b"0000")
    world.write("b", b"1111", LATER)
    world.write("c", b"fine")
    assignments = [world.upload("a"), world.upload("c")]
    if when == "before":
        change(world)  # type: ignore[operator]
    else:
        done: list[str] = []
        world.fs.before = lambda name: (
            (done.append(name), change(world)) if name == "make_durable" and not done else None  # type: ignore[operator]
        )
    results = world.send(*assignments)
    assert endings(results) == [Ending.STALE, Ending.DONE]
    assert [m.name for batch in world.remote.commits for m in batch if isinstance(m, Create)] == ["c"]


def test_p4_the_source_is_durable_before_the_commit(world: World) -> None:
    world.write("a", b"a")
    calls: list[str] = []
    world.fs.before = calls.append
    world.remote.before_commit = lambda: calls.append("commit")
    world.send(world.upload("a"))
    assert calls[: calls.index("commit")].count("make_durable") == 2  # the content, then its directory


def test_a_lost_reply_is_resolved_by_looking(world: World) -> None:
    world.write("a", b"a")
    world.remote.lose_replies = 1
    (result,) = world.send(world.upload("a"))
    assert result.ending is Ending.DONE
    assert len(world.remote.commits) == 1


def test_offline_is_tried_again_later_under_the_same_key(world: World) -> None:
    world.write("a", b"a")
    assignment = world.upload("a")
    world.remote.offline = True
    (result,) = world.send(assignment)
    assert (result.ending, result.error_class) == (Ending.RETRY, "offline")
    world.remote.offline = False
    assert endings(world.send(assignment)) == [Ending.DONE]
    assert endings(world.send(assignment)) == [Ending.DONE]  # as if the first reply had been lost
    assert len([n for n in world.remote.nodes.values() if n.name == "a"]) == 1


def test_an_edit_after_a_lost_reply_does_not_hide_the_commit(world: World) -> None:
    world.write("a", b"a")
    assignment = world.upload("a")
    assert endings(world.send(assignment)) == [Ending.DONE]  # its reply was lost, say
    world.write("a", b"edited", LATER)
    (result,) = world.send(assignment)
    assert result.ending is Ending.DONE
    assert result.remote[0].content is not None
    assert result.remote[0].content.hash == digest(b"a")


@pytest.mark.parametrize("size", [10, 3_000_000], ids=["small", "large"])
def test_chunks_collected_before_the_commit_are_sent_again(world: World, size: int) -> None:
    data = noise(size)
    world.write("a", data)
    world.send(world.upload("a"))
    world.remote.forget_at_commit = list(world.remote.chunks)[:2]
    world.write("b", data)
    (result,) = world.send(world.upload("b"))
    assert result.ending is Ending.DONE
    assert len(world.remote.commits) == 3


def test_a_stale_base_brings_the_current_state_home(world: World) -> None:
    world.write("a", b"a")
    (done,) = world.send(world.upload("a"))
    world.write("a", b"b")
    (result,) = world.send(world.upload("a", base=Version(99, "old")))
    assert result.ending is Ending.STALE
    assert result.remote == done.remote


def test_a_taken_name_is_stale_and_the_rest_is_done(world: World) -> None:
    world.write("a", b"a")
    world.send(world.upload("a"))
    world.write("b", b"b")
    again = replace(world.upload("a"), node_id=b"another node    ")
    assert endings(world.send(again, world.upload("b"))) == [Ending.STALE, Ending.DONE]


def existing(world: World, path: str) -> Version:
    world.write(path, b"content")
    (result,) = world.send(world.upload(path))
    return result.remote[0].version


def test_p7_a_remote_delete_looks_at_the_place_again(world: World) -> None:
    version = existing(world, "d/a")
    op = world.op(OpType.REMOTE_DELETE, base=version)
    assert endings(world.send(world.assign(op, "d/a", "d/a"))) == [Ending.STALE]
    os.unlink(world.root / "d/a")
    done: list[str] = []
    world.fs.before = lambda name: (
        (done.append(name), world.write("d/a", b"back")) if name == "prove" and not done else None
    )
    assignment = world.assign(op, "d/a", "d/a")
    os.rmdir(world.root / "d")
    assert endings(world.send(assignment)) == [Ending.DONE]
    assert [node.deleted for node in world.remote.nodes.values()] == [True]


def test_p8_a_remote_delete_needs_a_proven_root_at_its_last_moment(world: World) -> None:
    """An empty folder in the root's place, after all was looked at, looks like a root in which all was deleted."""
    version = existing(world, "d/a")
    os.unlink(world.root / "d/a")
    assignment = world.assign(world.op(OpType.REMOTE_DELETE, base=version), "d/a", "d/a")
    replaced: list[str] = []

    def replace(name: str) -> None:
        if name == "prove" and not replaced:
            replaced.append(name)
            world.root.rename(world.root.with_name("unmounted"))
            world.root.mkdir()

    world.fs.before = replace
    (result,) = world.send(assignment, prove=True)
    assert replaced
    assert (result.ending, result.error_class) == (Ending.RETRY, "root gone")
    assert [node.deleted for node in world.remote.nodes.values()] == [False]


def test_a_remote_move_needs_the_node_at_its_local_place(world: World) -> None:
    version = existing(world, "a")
    os.rename(world.root / "a", world.root / "b")
    op = world.op(OpType.REMOTE_MOVE, base=version, expected=world.fingerprint("b"))
    assignment = world.assign(op, "b", "a", node_id=digest(b"a")[:16])
    os.rename(world.root / "b", world.root / "c")
    assert endings(world.send(assignment)) == [Ending.STALE]
    os.rename(world.root / "c", world.root / "b")
    (result,) = world.send(assignment)
    assert (result.ending, result.remote[0].name) == (Ending.DONE, "b")


def test_a_place_group_is_one_mutation(world: World) -> None:
    one, two = existing(world, "a"), existing(world, "b")
    os.rename(world.root / "a", world.root / "x")
    os.rename(world.root / "b", world.root / "a")
    os.rename(world.root / "x", world.root / "b")
    op = world.op(OpType.REMOTE_MOVE, base=one, expected=world.fingerprint("b"))
    assignment = world.assign(op, "b", "a", node_id=digest(b"a")[:16])
    steps = (
        MoveRef(digest(b"a")[:16], one.position, one.tag, assignment.parent_id or b"", "b"),
        MoveRef(digest(b"b")[:16], two.position, two.tag, assignment.parent_id or b"", "a"),
    )
    (result,) = world.send(replace(assignment, steps=steps))
    assert [node.name for node in result.remote] == ["b", "a"]
    assert isinstance(world.remote.commits[-1][0], Moves)


def test_a_directory_and_a_bit_are_sent(world: World) -> None:
    version = existing(world, "a")
    os.chmod(world.root / "a", 0o755)
    (world.root / "d").mkdir()
    mkdir = world.assign(world.op(OpType.REMOTE_MKDIR, Kind.DIRECTORY, expected=world.fingerprint("d")), "d")
    chmod = world.assign(
        world.op(OpType.REMOTE_CHMOD, executable=True, base=version, expected=world.fingerprint("a")), "a", "a"
    )
    results = world.send(mkdir, chmod)
    assert endings(results) == [Ending.DONE, Ending.DONE]
    assert (results[0].remote[0].kind, results[1].remote[0].executable) == (Kind.DIRECTORY, True)


def test_p4_ops_found_running_are_asked_for_by_their_keys(world: World) -> None:
    world.write("a", b"a")
    done, never = world.upload("a"), world.upload("a")
    world.send(done)
    results = world.recover(remote=(done, never))
    assert endings(results) == [Ending.DONE, Ending.NOT_DONE]
    assert results[0].remote[0].name == "a"
    world.remote.offline = True
    assert endings(world.recover(remote=(done,))) == [Ending.RETRY]


@pytest.mark.parametrize(
    ("base", "size", "average"),
    [
        pytest.param(SMALL_AVERAGE, 1 << 29, SMALL_AVERAGE, id="grown over a boundary: cut as its base was"),
        pytest.param(SMALL_AVERAGE, 2 << 30, MIDDLE_AVERAGE, id="grown far: cut as is right for its size"),
        pytest.param(LARGE_AVERAGE, 2 << 30, LARGE_AVERAGE, id="shrunk below a boundary"),
        pytest.param(None, 1 << 29, MIDDLE_AVERAGE, id="the base's manifest is gone"),
    ],
)
def test_an_edit_is_cut_the_way_its_base_was(world: World, base: int | None, size: int, average: int) -> None:
    world.write("a", b"a")
    encoded = encode(Manifest(CHUNKER, base or 1, (Piece(digest(b"1"), 1), Piece(digest(b"2"), 1))))
    if base is not None:
        world.remote.put_manifest(manifest_hash(encoded), encoded)
    op = replace(world.upload("a", base=Version(1, "b")).op, manifest=manifest_hash(encoded))
    assert average_over(world.remote, op, size) == average


def test_a_way_of_cutting_that_could_not_matter_is_not_asked_for(world: World) -> None:
    world.write("a", b"a")
    op = replace(world.upload("a", base=Version(1, "b")).op, manifest=digest(b"unknown"))
    world.remote.offline = True
    assert average_over(world.remote, op, 48 << 20) == SMALL_AVERAGE


@pytest.mark.slow
def test_a_large_edit_is_sent_in_the_pieces_of_its_base(world: World) -> None:
    encoded = encode(Manifest(CHUNKER, LARGE_AVERAGE, (Piece(digest(b"1"), 1), Piece(digest(b"2"), 1))))
    world.remote.put_manifest(manifest_hash(encoded), encoded)
    path, size = world.root / "big", (1 << 30) + (1 << 20)
    world.write("big", b"small yet")
    (first,) = world.send(world.upload("big"))
    with path.open("wb") as file:
        file.truncate(size)  # a hole: nothing is written
    content = blake3().update_mmap(path).digest()
    os.utime(path, ns=(PAST_NS, PAST_NS))
    op = world.op(
        OpType.UPLOAD,
        hash=content,
        size=size,
        mtime_ns=PAST_NS,
        manifest=manifest_hash(encoded),
        base=first.remote[0].version,
        expected=world.fingerprint("big"),
        expected_hash=content,
    )
    world.send(world.assign(op, "big", "big"))
    (sent,) = [decode(each) for each in world.remote.manifests.values() if each != encoded]
    assert sent.average == LARGE_AVERAGE
    assert sent.size == size
