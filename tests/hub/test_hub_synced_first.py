"""P4: what the hub answers for is on the disk. Counted where the system is asked for it: of a power loss itself only a
disk that forgets can tell."""

import os
from collections.abc import Callable

import pytest
from blake3 import blake3

from syncd.hub import folder_blobs


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the inodes that were made durable, in order."""
    found: list[int] = []
    honest: Callable[[int], None] = os.fsync

    def fsync(descriptor: int) -> None:
        honest(descriptor)
        found.append(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(folder_blobs.os, "fsync", fsync)
    return found


@pytest.mark.parametrize("size", [100, 3_000_000], ids=["one chunk", "several"])
def test_p4_chunks_and_their_names_are_durable_before_they_are_recorded(world, one, synced, size, monkeypatch):
    seen: list[list[int]] = []
    blobs = world.hub.blobs
    record = type(blobs).record

    def watched(self, *given):
        seen.append(list(synced))
        return record(self, *given)

    monkeypatch.setattr(type(blobs), "record", watched)
    one.store(os.urandom(size))
    (container,) = world.containers()
    names = (container, container.parent, container.parent.parent)
    assert {os.stat(name).st_ino for name in names} <= set(seen[-1])


def test_p4_what_comes_by_and_by_is_durable_before_it_is_recorded(world, one, synced, monkeypatch):
    seen: list[list[int]] = []
    record = type(world.hub.blobs).record
    monkeypatch.setattr(
        type(world.hub.blobs), "record", lambda self, *given: (seen.append(list(synced)), record(self, *given))[1]
    )
    receiving = one.session.receiving()
    for data in (os.urandom(100), os.urandom(3_000_000)):
        receiving.add([(blake3(data).digest(), data)])
    assert synced == []
    receiving.finish()
    (container,) = world.containers()
    names = (container, container.parent, container.parent.parent)
    assert {os.stat(name).st_ino for name in names} <= set(seen[-1])


def test_p4_a_commit_is_answered_after_a_full_sync(world, one):
    """synchronous = FULL on the connection that writes: with less, the last commits die with the power."""
    with world.hub.store.write() as change:
        assert change._sql.pragma("synchronous") == 2
    one.file("a")
    with world.hub.store.write() as change:
        assert change._sql.pragma("synchronous") == 2
