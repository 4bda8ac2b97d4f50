"""Leases and collection: what nobody needs goes, what anybody needs stays, whatever happens meanwhile."""

import os

import pytest

from syncd.hub.folder_blobs import FolderBlobs, FolderWriter
from syncd.model.errors import Transient
from syncd.model.node import Kind
from syncd.model.path import ROOT_ID
from syncd.model.remote import Create
from tests.hub.conftest import DAY, h, noise


def test_what_was_stored_and_never_committed_goes_when_its_lease_ends(world, one):
    content = one.store(b"never committed")
    world.clock.at += 6.9 * DAY
    assert world.hub.gc().chunks == 0
    world.clock.at += 0.2 * DAY
    report = world.hub.gc()
    assert (report.chunks, report.containers) == (1, 1)
    assert list(one.session.missing([content.hash])) == [content.hash]
    assert world.containers() == []


def test_saying_present_renews_the_lease(world, one):
    content = one.store(b"x" * 10, pieces=2)
    world.clock.at += 6 * DAY
    assert list(one.session.missing([content.manifest, h(b"x" * 5)])) == []
    world.clock.at += 6 * DAY
    assert world.hub.gc().chunks == 0
    one.done(Create(one.key(), one.key(), ROOT_ID, "f", Kind.FILE, content=content))


def test_p1_collection_keeps_what_any_retained_version_of_any_space_needs(world):
    here, there = world.device("here"), world.device("there")
    nodes = [here.file("one", b"one chunk"), here.file("many", noise(5000), pieces=5)]
    shared = there.file("shared", b"one chunk")
    old = here.file("old", b"old content")
    new = here.edit(old, b"new content")
    world.clock.at += 30 * DAY
    assert world.hub.gc().chunks == 0
    world.clock.at += 70 * DAY
    assert world.hub.gc().chunks == 1
    assert [here.content(node) for node in (*nodes, new)] == [b"one chunk", noise(5000), b"new content"]
    here.delete(nodes[0])
    world.clock.at += 100 * DAY
    world.hub.gc()
    assert list(here.session.missing([h(b"one chunk")])) == [h(b"one chunk")]
    assert there.content(shared) == b"one chunk"


def test_p1_two_manifests_share_pieces_and_one_of_them_goes(world, one):
    start = noise(2000)
    keep = one.file("keep", start + b"1" * 2000, pieces=2)
    drop = one.file("drop", start + b"2" * 2000, pieces=2)
    one.delete(drop)
    world.clock.at += 100 * DAY
    assert world.hub.gc().chunks == 2  # the manifest, and the piece only it named
    assert one.content(keep) == start + b"1" * 2000
    assert world.hub.verify().faults == ()


def test_p1_a_commit_between_collections_look_and_its_removal_keeps_the_chunk(world, one, monkeypatch):
    content = one.store(b"just in time")
    world.clock.at += 8 * DAY
    store, looked = world.hub.store, []
    write = store.write

    def write_after_a_commit():
        # Collection has looked and is about to remove: its second write transaction comes after this commit.
        if looked == [1]:
            looked.append(2)
            one.done(Create(one.key(), one.key(), ROOT_ID, "f", Kind.FILE, content=content))
        return write()

    from syncd.hub.sqlite_reads import SqliteReads

    look = SqliteReads.unreferenced_after

    def noticed(self, *arguments):
        found = look(self, *arguments)
        if found and not looked:
            looked.append(1)
        return found

    monkeypatch.setattr(SqliteReads, "unreferenced_after", noticed)
    monkeypatch.setattr(store, "write", write_after_a_commit)
    assert world.hub.gc().chunks == 0
    assert looked == [1, 2]
    monkeypatch.undo()
    assert [data for _, data in one.session.get_chunks([content.hash])] == [b"just in time"]


def test_many_small_packs_become_one_and_stay_so(world, one):
    nodes = [one.file(str(number), noise(500, number)) for number in range(30)]
    assert len(world.containers()) == 30
    world.hub.gc()
    assert len(world.containers()) == 1
    before = world.containers()
    world.hub.gc()
    assert world.containers() == before
    assert [one.content(node) for node in nodes] == [noise(500, number) for number in range(30)]


def test_large_chunks_are_never_copied_by_collection(world, one):
    for seed in range(3):
        one.file(str(seed), noise(530_000, seed))
    before = world.containers()
    world.hub.gc()
    assert world.containers() == before


def test_a_mostly_empty_pack_is_packed_closer(world, one):
    parts = [noise(10_000, seed) for seed in range(100)]
    one.session.put_chunks([(h(part), part) for part in parts])
    node = one.file("kept", parts[50])
    world.clock.at += 8 * DAY
    report = world.hub.gc()
    assert report.chunks == 99
    assert sum(path.stat().st_size for path in world.containers()) < 11_000
    assert one.content(node) == parts[50]


def test_p4_a_crash_before_the_record_leaves_a_harmless_file(world, one):
    loose = FolderBlobs(world.folder / "chunks", world.chance)
    (location,) = loose.write([(h(b"left by a crash"), b"left by a crash")])
    assert list(one.session.missing([h(b"left by a crash")])) == [h(b"left by a crash")]
    path = loose.path_of(location.container)
    os.utime(path, (world.clock.at - 60, world.clock.at - 60))
    assert world.hub.gc().containers == 0, "it may belong to an upload that is about to be recorded"
    os.utime(path, (world.clock.at - 7200, world.clock.at - 7200))
    (path.parent / "a person's note").write_text("kept")
    assert world.hub.gc().containers == 1
    assert [found.name for found in world.containers()] == ["a person's note"]


def test_p4_an_upload_whose_file_was_swept_before_its_record_is_sent_again(world, one, monkeypatch):
    finish = FolderWriter.finish

    def finish_and_lose(self):
        locations = finish(self)
        self._blobs.remove(locations[0].container)
        return locations

    monkeypatch.setattr(FolderWriter, "finish", finish_and_lose)
    with pytest.raises(Transient, match="send what is missing again"):
        one.store(b"swept")
    monkeypatch.undo()
    assert list(one.session.missing([h(b"swept")])) == [h(b"swept")]
    content = one.store(b"swept")
    assert next(one.session.get_chunks([content.hash]))[1] == b"swept"
