"""Chunks: verified, durable, per space, and what a bad disk leaves."""

import os
import threading

import pytest

from syncd.chunks.manifest import MAX_PIECE, Manifest, Piece, encode, manifest_hash
from syncd.hub.spaces import SpaceWriter
from syncd.model.errors import Corrupt, Outdated, Refused, Transient
from syncd.model.node import Kind
from syncd.model.path import ROOT_ID
from syncd.model.remote import Content, Create, Verdict
from tests.hub.conftest import h, noise


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


def test_what_is_stored_together_shares_a_file(world, one):
    small = [noise(1000, seed) for seed in range(200)]
    large = [noise(600_000, seed) for seed in range(3)]
    one.session.put_chunks([(h(part), part) for part in [*small, *large]])
    assert len(world.containers()) == 1


def test_what_comes_by_and_by_is_recorded_together(world, one):
    chunks = [(h(data), data) for data in (noise(1000, seed) for seed in range(6))]
    hashes = [digest for digest, _ in chunks]
    one.session.put_chunks(chunks[:1])
    receiving = one.session.receiving()
    receiving.add(chunks[:3])
    receiving.add(chunks[2:])  # one of them again
    assert list(one.session.missing(hashes)) == hashes[1:]
    receiving.finish()
    receiving.close()
    assert list(one.session.get_chunks(hashes)) == chunks
    assert len(world.containers()) == 2
    assert sum(path.stat().st_size for path in world.containers()) < 6 * 1100, "none of them was written twice"


def test_p1_a_chunk_that_was_collected_while_others_came_is_asked_for_again(world, one):
    there, new = (h(b"there"), b"there"), (h(b"new"), b"new")
    one.session.put_chunks([there])
    world.clock.at += 30 * 86_400.0  # nobody needs it any more
    receiving = one.session.receiving()
    receiving.add([there, new])
    assert world.hub.gc().chunks == 1
    with pytest.raises(Transient, match="send what is missing again"):
        receiving.finish()
    assert list(one.session.missing([there[0], new[0]])) == [there[0], new[0]]
    one.session.put_chunks([there, new])
    assert list(one.session.get_chunks([there[0], new[0]])) == [there, new]


def test_p5_of_an_upload_with_wrong_bytes_nothing_is_recorded(world, one):
    receiving = one.session.receiving()
    receiving.add([(h(b"right"), b"right")])
    with pytest.raises(Corrupt):
        receiving.add([(h(b"a"), b"b")])
    receiving.close()
    assert list(one.session.missing([h(b"right")])) == [h(b"right")]
    assert world.containers() == []


def test_chunks_are_compressed_when_that_helps(world, one):
    one.store(b"again and again " * 10_000)
    assert sum(path.stat().st_size for path in world.containers()) < 2_000
    one.store(noise(100_000))
    assert sum(path.stat().st_size for path in world.containers()) < 103_000


def test_what_does_not_shrink_is_not_tried_and_what_does_at_one_end_is(world, one):
    """A look at both ends of a chunk tells: most of what is large is compressed already."""
    head = b"again and again " * 4_000 + noise(36_000)
    for data in (head, head[::-1], noise(100_000)):
        content = one.store(data)
        assert next(one.session.get_chunks([content.hash]))[1] == data
    sizes = sorted(path.stat().st_size for path in world.containers())
    assert sizes[1] < 40_000
    assert 100_000 < sizes[2] < 101_000


def test_p4_more_chunks_than_one_call_writes_come_back(world, one):
    chunks = [noise(1000 + seed, seed) for seed in range(600)]
    one.session.put_chunks([(h(data), data) for data in chunks])
    assert len(world.containers()) == 1
    assert [data for _, data in one.session.get_chunks([h(data) for data in chunks])] == chunks


def test_p4_a_disk_that_takes_half_of_a_write_gets_the_rest(world, one, monkeypatch):
    writev = os.writev
    monkeypatch.setattr(os, "writev", lambda fd, parts: writev(fd, [bytes(parts[0])[: len(parts[0]) // 2 + 1]]))
    chunks = [noise(3000, seed) for seed in range(5)]
    one.session.put_chunks([(h(data), data) for data in chunks])
    assert [data for _, data in one.session.get_chunks([h(data) for data in chunks])] == chunks


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


def test_storing_a_chunk_again_writes_no_file(world, one):
    one.store(noise(1000))
    before = world.containers()
    one.store(noise(1000))
    assert world.containers() == before


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
        device = devices[number]
        try:
            for step in range(15):
                while True:
                    try:
                        node = device.file(f"{number}-{step}", noise(300, step % 5), pieces=2)
                        break
                    except Transient:  # by the hub's clock each file was written long ago: it may be swept
                        continue
                nodes.append((device, node))
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
