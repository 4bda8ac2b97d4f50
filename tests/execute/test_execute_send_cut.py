"""An upload of a file that was cut when it was looked at: only what travels is read, and nothing of it is believed."""

import os
from pathlib import Path

import pytest
from execute_world import PAST_NS, Later, World, digest, noise

from syncd.adapters.posix_file import PosixReadFile
from syncd.chunks.manifest import decode
from syncd.execute import upload
from syncd.model.observation import Ending, OpResult
from syncd.observe.cuts import Cuts

DATA = noise(3_000_000)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of all reads of files."""
    sizes: list[int] = []
    read, read_into = PosixReadFile.read, PosixReadFile.read_into
    monkeypatch.setattr(
        PosixReadFile, "read", lambda self, offset, size: sizes.append(size) or read(self, offset, size)
    )
    monkeypatch.setattr(
        PosixReadFile, "read_into", lambda self, offset, into: sizes.append(len(into)) or read_into(self, offset, into)
    )
    return sizes


def look(world: World, path: str) -> None:
    """Cut the file as a look does."""
    world.cuts = Cuts(Later(), least=0)
    with world.real.open_dir(()) as directory, directory.open(path) as file:
        assert world.cuts.read(file, file.stat(), 0) is not None


def edit(world: World, data: bytes) -> OpResult:
    world.write("big", DATA)
    (first,) = world.send(world.upload("big"))
    world.write("big", data)
    look(world, "big")
    return first


def test_only_what_travels_is_read(world: World, reads: list[int]) -> None:
    new = DATA[:1_500_000] + b"!" + DATA[1_500_000:]
    first = edit(world, new)
    assignment = world.upload("big", base=first.remote[0].version)
    reads.clear()
    sent = world.remote.sent_bytes
    (result,) = world.send(assignment)
    assert result.ending is Ending.DONE
    assert sum(reads) == result.bytes_moved == world.remote.sent_bytes - sent < 600_000
    content = result.remote[0].content
    assert content is not None
    assert content.hash == digest(new)
    manifest = decode(world.remote.manifests[content.manifest or b""])
    assert b"".join(world.remote.chunks[piece.hash] for piece in manifest.pieces) == new


def test_a_piece_that_occurs_often_travels_once(world: World) -> None:
    world.write("big", bytes(3_000_000))
    look(world, "big")
    (result,) = world.send(world.upload("big"))
    assert result.ending is Ending.DONE
    assert result.bytes_moved == sum(map(len, world.remote.chunks.values())) < 600_000


@pytest.mark.parametrize("known", [False, True], ids=["cut while it is sent", "cut before"])
def test_what_is_still_on_its_way_is_not_sent_again(world: World, monkeypatch: pytest.MonkeyPatch, known: bool) -> None:
    """The remote lacks it until it has all arrived."""
    monkeypatch.setattr(upload, "ASKED", 8)
    world.write("big", noise(1_000_000) * 4)
    if known:
        look(world, "big")
    put = world.remote.put_chunks
    world.remote.put_chunks = lambda chunks: put(list(chunks))  # type: ignore[method-assign]
    (result,) = world.send(world.upload("big"))
    assert result.ending is Ending.DONE
    assert result.bytes_moved == sum(map(len, world.remote.chunks.values())) == world.remote.sent_bytes


def test_p5_a_piece_that_is_another_by_now_does_not_travel(world: World) -> None:
    """Its stamps are as they were: only the hash tells."""
    first = edit(world, DATA[:1_500_000] + b"!" + DATA[1_500_000:])
    path = world.root / "big"
    found = world.fingerprint("big")
    with path.open("r+b") as file:
        file.seek(1_500_000)
        file.write(b"?")
    os.utime(path, ns=(PAST_NS, PAST_NS))
    now = world.fingerprint("big")
    world.cuts._known = {now: world.cuts._known[found]}
    content = world.cuts._known[now][0]
    assignment = world.upload("big", base=first.remote[0].version, hash=content)
    (result,) = world.send(assignment)
    assert result.ending is Ending.STALE
    assert len(world.remote.commits) == 1


@pytest.mark.parametrize("again", [False, True], ids=["touched", "replaced"])
def test_p5_another_file_is_read_anew(world: World, reads: list[int], again: bool) -> None:
    first = edit(world, DATA + b"!")
    path = world.root / "big"
    if again:
        other = Path(f"{path}.other")
        other.write_bytes(path.read_bytes())
        other.rename(path)
    os.utime(path, ns=(PAST_NS + 5, PAST_NS + 5))
    assignment = world.upload("big", base=first.remote[0].version)
    reads.clear()
    (result,) = world.send(assignment)
    assert result.ending is Ending.DONE
    assert sum(reads) >= len(DATA)


def test_p5_a_file_that_changes_while_it_is_sent_is_not_committed(world: World) -> None:
    first = edit(world, noise(3_000_000, seed=5))
    put = world.remote.put_chunks

    def change(chunks: object) -> None:
        put(chunks)  # type: ignore[arg-type]
        with (world.root / "big").open("ab") as file:
            file.write(b"!")

    world.remote.put_chunks = change  # type: ignore[method-assign,assignment]
    (result,) = world.send(world.upload("big", base=first.remote[0].version))
    assert result.ending is Ending.STALE
    assert len(world.remote.commits) == 1


def test_an_interrupted_upload_sends_the_rest(world: World) -> None:
    world.write("big", DATA)
    look(world, "big")
    assignment = world.upload("big")
    world.cancelled = True
    assert world.send(assignment)[0].ending is Ending.RETRY
    first = world.remote.sent_bytes
    assert 0 < first < len(DATA)
    world.cancelled = False
    (result,) = world.send(assignment)
    assert result.ending is Ending.DONE
    assert result.bytes_moved == len(DATA) - first
