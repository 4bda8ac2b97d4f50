"""A large content is written in a thread while the next part of it is fetched: what goes wrong in either ends both."""

import errno
import threading
from collections.abc import Callable
from dataclasses import replace
from itertools import accumulate

import pytest
from execute_world import World, digest, noise

from syncd.adapters.posix_file import PosixWriteFile
from syncd.adapters.threads import beside
from syncd.chunks.chunker import CHUNKER
from syncd.chunks.manifest import Manifest, Piece, decode, encode
from syncd.execute.tools import Wait
from syncd.model.observation import Ending
from tests.waiting import until

DATA = noise(3_000_000)


@pytest.fixture
def world(world: World) -> World:
    world.beside = beside
    return world


def at_the_last_moment(work: Callable[[], None]) -> Wait:
    """Do *work* only when somebody waits for its end: as late as may be."""
    done: list[bool] = []

    def wait() -> None:
        if not done:
            done.append(True)
            work()

    return wait


def test_p5_it_arrives_whole_however_slow_the_disk_is(world: World) -> None:
    """Each part is written only when the next one is complete: none may be overwritten before that."""
    for way in (at_the_last_moment, beside):
        world.beside = way
        name = way.__name__
        (result,) = world.apply(world.download(name, DATA))
        assert result.ending is Ending.DONE
        assert world.tree()[name] == DATA


def test_p5_tiny_pieces_of_another_program_are_no_exception(world: World) -> None:
    """Together they are no more than one window, and more than are asked for at a time."""
    pieces = [number.to_bytes(4, "big") * 225 for number in range(9_000)]
    encoded = encode(Manifest(CHUNKER, 900, tuple(Piece(digest(piece), len(piece)) for piece in pieces)))
    world.limits = replace(world.limits, window_bytes=16 << 20)
    world.beside = at_the_last_moment
    assignment = world.download("tiny", b"".join(pieces))
    world.remote.chunks |= {digest(piece): piece for piece in pieces}
    world.remote.manifests[digest(encoded)] = encoded
    (result,) = world.apply(replace(assignment, op=replace(assignment.op, manifest=digest(encoded))))
    assert result.ending is Ending.DONE
    assert world.tree() == {"tiny": b"".join(pieces)}


def test_p1_a_disk_that_fails_meanwhile_ends_the_download_and_it_begins_anew(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest, calls = PosixWriteFile.write, []

    def write(self: PosixWriteFile, data: memoryview) -> None:
        calls.append(threading.current_thread().name)
        if len(calls) == 3:
            raise OSError(errno.EIO, "input/output error")
        honest(self, data)

    monkeypatch.setattr(PosixWriteFile, "write", write)
    assignment = world.download("big", DATA)
    (result,) = world.apply(assignment)
    assert result.ending is Ending.RETRY
    assert calls == ["syncd-beside"] * 3, "nothing is written after what failed"
    assert world.tree() == {}
    monkeypatch.undo()
    (result,) = world.apply(assignment)
    assert result.ending is Ending.DONE
    assert world.tree() == {"big": DATA}


def test_nobody_writes_any_more_when_the_remote_goes_away(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    honest, open_ones = PosixWriteFile.write, []

    def write(self: PosixWriteFile, data: memoryview) -> None:
        until(lambda: world.remote.offline, "the remote went away")
        honest(self, data)
        open_ones.append(self.stat())  # fails when it was closed meanwhile

    monkeypatch.setattr(PosixWriteFile, "write", write)
    assignment = world.download("big", DATA)
    sizes = [piece.size for piece in decode(world.remote.manifests[assignment.op.manifest or b""]).pieces]
    world.remote.fail_fetch_after = sum(total <= world.limits.window_bytes for total in accumulate(sizes))
    (result,) = world.apply(assignment)
    assert result.ending is Ending.RETRY
    assert len(open_ones) == 1
    assert world.tree() == {}
