"""Chunks: verified, durable, per space, leased, collected, and what a crash or a bad disk leaves."""

import os
import random
import threading

import pytest
from blake3 import blake3

from syncd.chunks.manifest import MAX_PIECE, Manifest, Piece, encode, manifest_hash
from syncd.hub.folder_blobs import FolderBlobs
from syncd.hub.spaces import SpaceWriter
from syncd.model.errors import Corrupt, Outdated, Refused
from syncd.model.node import Kind
from syncd.model.path import ROOT_ID
from syncd.model.remote import Content, Create, Verdict

DAY = 86_400.0


def h(data):
    return blake3(data).digest()


def noise(size, seed=1):
    return random.Random(seed).randbytes(size)


def test_chunks_come_back_in_the_order_asked(one):
    parts = [b"a", b"b" * 100_000, noise(700_000), noise(3)]
    one.session.put_chunks([(h(part), part) for part in parts])
    asked = [h(parts[number]) for number in (2, 0, 3, 1, 0)]
    assert [digest for digest, _ in one.session.get_chunks(asked)] == asked
    assert [h(data) for _, data in one.session.get_chunks(asked)] == asked


def test_p4_chunks_survive_a_restart(world, one):
    content = one.store(noise(100_000))
    world.reopened()
    one = world.again(one)
    assert list(one.session.missing([content.hash])) == []
    assert len(next(one.session.get_chunks([content.hash]))[1]) == 100_000


def test_small_chunks_share_a_file_and_large_ones_have_their_own(world, one):
    small = [noise(1000, seed) for seed in range(200)]
    large = [noise(600_000, seed) for seed in range(3)]
    one.session.put_chunks([(h(part), part) for part in [*small, *large]])
    assert len(world.containers()) == 1 + 3


def test_chunks_are_compressed_when_that_helps(world, one):
    one.store(b"again and again " * 10_000)
    assert sum(path.stat().st_size for path in world.containers()) < 2_000
    one.store(noise(100_000))
    assert sum(path.stat().st_size for path in world.containers()) < 103_000


def test_p5_bytes_that_do_not_match_their_hash_are_not_stored(world, one):
    with pytest.raises(Corrupt):
        one.session.put_chunks([(h(b"right"), b"right"), (h(b"a"), b"b")])
    assert list(one.session.missing([h(b"right"), h(b"a")])) == [h(b"right"), h(b"a")]
    assert world.containers() == []


@pytest.mark.parametrize(
    "chunk",
    [
        pytest.param((h(b""), b""), id="an empty chunk"),
        pytest.param((b"short", b"x"), id="a short hash"),
        pytest.param((bytes(32), bytes(MAX_PIECE + 1)), id="a chunk too large"),
    ],
)
def test_odd_chunks_are_refused(one, chunk):
    with pytest.raises(Refused):
        one.session.put_chunks([chunk])


def test_odd_questions_are_refused(one):
    with pytest.raises(Refused):
        one.session.missing([b"short"])
    with pytest.raises(Refused):
        one.session.missing([bytes(32)] * 10_001)
    with pytest.raises(Refused):
        one.session.get_chunk_range(bytes(32), -1, 1)


def test_storing_a_chunk_again_writes_no_file(world, one):
    one.store(noise(1000))
    before = world.containers()
    one.store(noise(1000))
    assert world.containers() == before


def test_a_range_of_a_chunk_resumes_a_download(one):
    one.store(b"0123456789")
    assert one.session.get_chunk_range(h(b"0123456789"), 4, 3) == b"456"
    assert one.session.get_chunk_range(h(b"0123456789"), 8, 99) == b"89"


def test_a_chunk_that_is_not_there_is_told_before_the_first_byte(one):
    content = one.store(b"here")
    with pytest.raises(Outdated):
        one.session.get_chunks([content.hash, h(b"not here")])
    with pytest.raises(Outdated):
        one.session.get_manifest(h(b"not here"))
    with pytest.raises(Outdated):
        one.session.get_manifest(content.hash)  # a chunk, not a manifest


def test_manifests_are_checked_on_receipt(one):
    encoded = encode(Manifest("test", 1, (Piece(h(b"a"), 1), Piece(h(b"b"), 1))))
    with pytest.raises(Corrupt):
        one.session.put_manifest(bytes(32), encoded)
    with pytest.raises(Corrupt):
        one.session.put_manifest(manifest_hash(b"odd"), b"odd")
    one.session.put_manifest(manifest_hash(encoded), encoded)
    one.session.put_manifest(manifest_hash(encoded), encoded)
    assert one.session.get_manifest(manifest_hash(encoded)) == encoded
    assert list(one.session.missing([manifest_hash(encoded)])) == []


# --- spaces are apart -------------------------------------------------------------------------------------------


def test_p10_a_space_neither_sees_nor_reads_nor_uses_what_another_stored(world):
    here, there = world.device("here"), world.device("there")
    content = here.store(b"secret of one space", pieces=2)
    node = here.done(Create(here.key(), here.key(), ROOT_ID, "f", Kind.FILE, content=content))
    pieces = [h(b"secret of one space"[:10]), h(b"secret of one space"[10:])]
    assert list(there.session.missing([*pieces, content.manifest])) == [*pieces, content.manifest]
    for ask in (lambda: there.session.get_chunks(pieces), lambda: there.session.get_manifest(content.manifest)):
        with pytest.raises(Outdated):
            ask()
    answer = there.one(Create(there.key(), there.key(), ROOT_ID, "f", Kind.FILE, content=content))
    assert answer.verdict is Verdict.CHUNKS_MISSING
    assert list(there.session.look([node.node_id])) == [None]
    assert list(there.session.history(node.node_id)) == []
    assert there.tree() == {}
    assert there.file("f", b"secret of one space", pieces=2).content == content  # by sending the bytes


def test_p10_a_manifest_of_another_spaces_chunks_opens_nothing(world):
    here, there = world.device("here"), world.device("there")
    here.store(b"aa", pieces=2)
    first, second = b"secret", b"other"
    here.store(first)
    there.store(second)
    encoded = encode(Manifest("test", 1, (Piece(h(first), 6), Piece(h(second), 5))))
    there.session.put_manifest(manifest_hash(encoded), encoded)
    content = Content(h(first + second), 11, manifest_hash(encoded))
    answer = there.one(Create(there.key(), there.key(), ROOT_ID, "f", Kind.FILE, content=content))
    assert (answer.verdict, answer.missing) == (Verdict.CHUNKS_MISSING, (h(first),))


def test_the_same_ids_and_keys_in_two_spaces_are_not_the_same(world):
    here, there = world.device("here"), world.device("there")
    mutation = here.creation("a")
    there.store(b"x")
    assert here.one(mutation).verdict is there.one(mutation).verdict is Verdict.DONE


# --- leases and collection --------------------------------------------------------------------------------------


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


def test_p4_an_upload_whose_file_was_swept_before_its_record_writes_it_again(world, one, monkeypatch):
    written = []
    write = FolderBlobs.write

    def write_and_lose(self, blobs):
        locations = write(self, blobs)
        if not written and locations:
            self.remove(locations[0].container)
        written.extend(locations)
        return locations

    monkeypatch.setattr(FolderBlobs, "write", write_and_lose)
    content = one.store(b"swept")
    assert len(written) == 2
    assert next(one.session.get_chunks([content.hash]))[1] == b"swept"


# --- bad disks --------------------------------------------------------------------------------------------------


def spoil_bit(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


SPOIL = {
    "a flipped bit": spoil_bit,
    "a cut file": lambda path: os.truncate(path, path.stat().st_size - 1),
    "an emptied file": lambda path: os.truncate(path, 0),
    "a lost file": lambda path: path.unlink(),
}


@pytest.mark.parametrize("data", [pytest.param(noise(5000), id="raw"), pytest.param(b"z" * 5000, id="compressed")])
@pytest.mark.parametrize("how", SPOIL)
def test_p5_damaged_bytes_are_never_served_and_can_be_stored_anew(world, one, data, how):
    node = one.file("f", data)
    SPOIL[how](world.containers()[0])
    with pytest.raises(Corrupt):
        one.content(node)
    assert list(one.session.missing([h(data)])) == [h(data)]
    answer = one.one(Create(one.key(), one.key(), ROOT_ID, "g", Kind.FILE, content=node.content))
    assert answer.missing == (h(data),)
    one.store(data)
    assert one.content(node) == data
    assert world.hub.verify().faults == ()


@pytest.mark.parametrize("how", SPOIL)
def test_verify_names_what_is_damaged(world, one, how):
    one.file("fine", b"fine")
    before = set(world.containers())
    bad = one.file("bad", noise(5000), pieces=3)
    pack = max(set(world.containers()) - before, key=lambda path: path.stat().st_size)
    SPOIL[how](pack)
    report = world.hub.verify()
    assert report.chunks == 5
    assert any("damaged" in fault or "lost" in fault for fault in report.faults)
    assert any(f"version {bad.version.position} of space 'home'" in fault for fault in report.faults)


def test_verify_puts_contents_together(world, one):
    one.file("good", noise(5000), pieces=3)
    pieces = (b"not what", b"it says")
    one.session.put_chunks([(h(piece), piece) for piece in pieces])
    encoded = encode(Manifest("test", 1, tuple(Piece(h(piece), len(piece)) for piece in pieces)))
    one.session.put_manifest(manifest_hash(encoded), encoded)
    liar = Content(h(b"something else.."), 15, manifest_hash(encoded))
    one.done(Create(one.key(), one.key(), ROOT_ID, "lie", Kind.FILE, content=liar))
    told = []
    report = world.hub.verify(told.append)
    assert report.contents == 1
    assert report.faults == ("version 2 of space 'home': its chunks do not make up its content",)
    assert told == sorted(told)
    assert told[-1] == report.bytes_read


# --- many at once -----------------------------------------------------------------------------------------------


def test_uploads_commits_and_collections_at_once_lose_nothing(world):
    devices = [world.device(name=str(number)) for number in range(3)]
    nodes, failures = [], []

    def work(number):
        try:
            for step in range(15):
                nodes.append(
                    (devices[number], devices[number].file(f"{number}-{step}", noise(300, step % 5), pieces=2))
                )
        except BaseException as error:  # noqa: BLE001 - shown by the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        world.hub.gc()
    for thread in threads:
        thread.join()
    assert failures == []
    for device, node in nodes:
        assert len(device.content(node)) == 300
    assert sorted(node.version.position for node in devices[0].tree().values()) == list(range(1, 46))
    assert world.hub.verify().faults == ()


def test_a_failure_inside_a_batch_undoes_all_of_it(world, one, monkeypatch):
    good, bad = one.creation("good"), one.creation("bad")
    apply = SpaceWriter.apply

    def failing(self, mutation):
        if mutation is bad:
            raise OSError("the disk is gone")
        return apply(self, mutation)

    monkeypatch.setattr(SpaceWriter, "apply", failing)
    with pytest.raises(OSError, match="disk"):
        one.session.commit([good, bad])
    monkeypatch.undo()
    assert one.tree() == {}
    assert one.session.outcomes([good.key]) == [None]
    assert one.one(good).verdict is Verdict.DONE
