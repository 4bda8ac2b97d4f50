"""What every Remote promises, of the hub in memory and of the hub over real loopback HTTP."""

import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from syncd.chunks.manifest import Manifest, Piece, encode, manifest_hash
from syncd.hub.core import Hub
from syncd.model.errors import Corrupt, CursorExpired, HistoryChanged, NotAuthorised, OtherRemote, Outdated
from syncd.model.node import Kind, Version
from syncd.model.path import ROOT_ID
from syncd.model.remote import Content, Create, Delete, Edit, Moves, RemoteNode, Step, Verdict
from syncd.ports import Remote
from tests.contract.serving import served
from tests.hub.conftest import FakeClock, SeededChance, h


@dataclass
class Pair:
    """Two devices of one space, and the hub behind them."""

    hub: Hub
    one: Remote
    two: Remote
    made: random.Random = field(default_factory=lambda: random.Random(7))

    def key(self) -> bytes:
        return self.made.randbytes(16)

    def creation(self, name: str, data: bytes = b"x", parent: bytes = ROOT_ID, kind: Kind = Kind.FILE) -> Create:
        if kind is Kind.DIRECTORY:
            return Create(self.key(), self.key(), parent, name, kind)
        if data:
            self.one.put_chunks([(h(data), data)])
        return Create(self.key(), self.key(), parent, name, kind, content=Content(h(data), len(data)), mtime_ns=-5)

    def create(self, name: str, data: bytes = b"x", parent: bytes = ROOT_ID, kind: Kind = Kind.FILE) -> RemoteNode:
        (outcome,) = self.one.commit([self.creation(name, data, parent, kind)])
        assert outcome.verdict is Verdict.DONE
        return outcome.nodes[0]

    def cursor(self) -> str:
        return self.one.listing(None, 1).cursor


@pytest.fixture(params=["in memory", "over HTTP"])
def pair(request: pytest.FixtureRequest, tmp_path) -> Iterator[Pair]:
    if request.param == "in memory":
        hub = Hub.open(tmp_path / "hub", FakeClock(), SeededChance())
        hub.create_space("home")
        one, two = [hub.authenticate(hub.enroll(hub.invite("home"), name).token) for name in ("one", "two")]
        yield Pair(hub, one, two)
        hub.close()
        return
    with served(tmp_path / "hub") as made:
        one, two = made.device("one"), made.device("two")
        yield Pair(made.hub, one, two)
        one.close()
        two.close()


def test_a_remote_says_who_answers_and_as_whom(pair):
    mine, theirs = pair.one.identify(), pair.two.identify()
    assert (mine.space, mine.device, theirs.device) == ("home", "one", "two")
    assert (mine.remote_id, mine.space_id) == (theirs.remote_id, theirs.space_id)
    assert mine.device_id != theirs.device_id
    assert all(getattr(pair.one.capabilities, name) for name in pair.one.capabilities.__struct_fields__)


def test_changes_arrive_in_order_page_by_page_and_the_cursor_resumes(pair):
    start = pair.cursor()
    nodes = [pair.create(f"f{number}") for number in range(5)]
    first = pair.two.changes(start, 2)
    assert first.more
    rest = pair.two.changes(first.cursor, 10)
    assert not rest.more
    assert [change.node for change in (*first.changes, *rest.changes)] == nodes
    assert pair.two.changes(rest.cursor, 10).changes == ()
    assert pair.two.changes(start, 2) == first


def test_changes_carry_the_writers_key(pair):
    start, creation = pair.cursor(), pair.creation("a")
    pair.one.commit([creation])
    assert [change.key for change in pair.two.changes(start, 9).changes] == [creation.key]


def test_a_listing_holds_everything_alive_and_one_cursor(pair):
    folder = pair.create("folder", kind=Kind.DIRECTORY)
    kept, gone = pair.create("kept", parent=folder.node_id), pair.create("gone")
    pair.one.commit([Delete(pair.key(), gone.node_id, gone.version)])
    found, cursors, page = [], set(), None
    while True:
        answer = pair.two.listing(page, 1)
        found += [change.node for change in answer.changes]
        cursors.add(answer.cursor)
        page = answer.next
        if page is None:
            break
    assert sorted(node.node_id for node in found) == sorted([folder.node_id, kept.node_id])
    assert len(cursors) == 1
    assert pair.two.changes(cursors.pop(), 9).changes == ()


@pytest.mark.parametrize(
    ("cursor_of", "error"),
    [
        pytest.param(lambda text: text.rsplit(".", 1)[0] + ".0000000000000000", HistoryChanged, id="other history"),
        pytest.param(lambda text: text.replace(text.split(".")[1], "0" * 32), OtherRemote, id="other hub"),
        pytest.param(lambda text: text.replace(text.split(".")[2], "0" * 32), OtherRemote, id="other space"),
    ],
)
def test_a_foreign_cursor_is_told_apart(pair, cursor_of, error):
    cursor = cursor_of(pair.cursor())
    for ask in (lambda: pair.one.changes(cursor, 1), lambda: pair.one.wait(cursor, 0.0)):
        with pytest.raises(error):
            ask()


def test_an_expired_cursor_is_told(pair):
    start = pair.cursor()
    node = pair.create("a")
    pair.one.commit([Delete(pair.key(), node.node_id, node.version)])
    row = next(iter(pair.hub.spaces()))
    with pair.hub.store.write() as change:
        key = change.space_named(row.name).key
        change.set_floor(key, change.head(key))
    with pytest.raises(CursorExpired):
        pair.two.changes(start, 9)


def test_wait_ends_at_a_change_and_at_its_time(pair):
    cursor = pair.cursor()
    assert pair.two.wait(cursor, 0.0) is False
    assert pair.two.wait(cursor, 0.05) is False
    answers: list[bool] = []
    waiter = threading.Thread(target=lambda: answers.append(pair.two.wait(cursor, 30.0)))
    waiter.start()
    pair.create("a")
    waiter.join(10)
    assert answers == [True]
    assert pair.two.wait(cursor, 30.0) is True  # what happened before the call counts too


def test_look_tells_the_living_the_dead_and_the_unknown(pair):
    alive, dead = pair.create("alive"), pair.create("dead")
    (outcome,) = pair.one.commit([Delete(pair.key(), dead.node_id, dead.version)])
    assert outcome.verdict is Verdict.DONE
    assert list(pair.two.look([dead.node_id, bytes(15) + b"?", alive.node_id])) == [outcome.nodes[0], None, alive]
    assert outcome.nodes[0].deleted
    assert list(pair.two.look([])) == []


def test_p6_every_mutation_is_answered_by_itself(pair):
    taken, folder = pair.create("taken"), pair.create("folder", kind=Kind.DIRECTORY)
    inside = pair.create("inside", parent=folder.node_id)
    stale = Version(taken.version.position + 100, "none")
    absent = Content(h(b"never sent"), 10)
    batch = [
        pair.creation("fresh"),
        pair.creation("taken"),
        Edit(pair.key(), taken.node_id, stale, Content(h(b""), 0)),
        Edit(pair.key(), taken.node_id, taken.version, absent),
        pair.creation("orphan", parent=b"?" * 16),
        Delete(pair.key(), folder.node_id, folder.version),
        Moves(pair.key(), (Step(folder.node_id, folder.version, folder.node_id, "self"),)),
        pair.creation(".Syncd"),
    ]
    outcomes = pair.one.commit(batch)
    assert [outcome.verdict for outcome in outcomes] == [
        Verdict.DONE,
        Verdict.NAME_TAKEN,
        Verdict.STALE,
        Verdict.CHUNKS_MISSING,
        Verdict.PARENT_GONE,
        Verdict.NOT_EMPTY,
        Verdict.CYCLE,
        Verdict.REFUSED,
    ]
    assert [outcome.key for outcome in outcomes] == [mutation.key for mutation in batch]
    assert outcomes[1].nodes[0].node_id == taken.node_id
    assert outcomes[2].nodes == (taken,)
    assert outcomes[3].missing == (absent.hash,)
    assert pair.two.look([inside.node_id]) == [inside]


def test_p3_a_repeated_commit_is_answered_alike_and_outcomes_tell(pair):
    creation = pair.creation("a")
    first, again = pair.one.commit([creation]), pair.one.commit([creation])
    assert list(first) == list(again)
    assert list(pair.two.outcomes([b"?" * 16, creation.key])) == [None, first[0]]


def test_a_place_group_swaps_two_names_at_once(pair):
    a, b = pair.create("a"), pair.create("b")
    steps = (Step(a.node_id, a.version, ROOT_ID, "b"), Step(b.node_id, b.version, ROOT_ID, "a"))
    (outcome,) = pair.one.commit([Moves(pair.key(), steps)])
    assert outcome.verdict is Verdict.DONE
    assert [(node.node_id, node.name) for node in outcome.nodes] == [(a.node_id, "b"), (b.node_id, "a")]


def test_history_is_newest_first_and_names_who_did_it(pair):
    node = pair.create("a", b"1")
    pair.two.put_chunks([(h(b"2"), b"2")])
    (outcome,) = pair.two.commit([Edit(pair.key(), node.node_id, node.version, Content(h(b"2"), 1))])
    versions = pair.one.history(node.node_id)
    assert [version.node for version in versions] == [outcome.nodes[0], node]
    assert [version.device for version in versions] == [pair.two.identify().device, pair.one.identify().device]
    assert list(pair.one.history(b"?" * 16)) == []


def test_p5_chunks_come_back_as_sent_in_the_order_asked(pair):
    chunks = [(h(data), data) for data in (pair.made.randbytes(size) for size in (1, 70_000, 3_000_000, 9))]
    hashes = [chunk_hash for chunk_hash, _ in chunks]
    assert list(pair.one.missing(hashes)) == hashes
    pair.one.put_chunks(chunks)
    assert list(pair.two.missing([*hashes, h(b"other")])) == [h(b"other")]
    assert list(pair.two.get_chunks(hashes[::-1])) == chunks[::-1]
    assert list(pair.two.get_chunks([])) == []


def test_many_chunks_travel_in_many_requests(pair):
    chunks = [(h(data), data) for data in (number.to_bytes(4, "big") for number in range(1100))]
    pair.one.put_chunks(chunks)
    assert list(pair.two.get_chunks([chunk_hash for chunk_hash, _ in chunks])) == chunks


def test_p5_a_chunk_that_does_not_match_its_hash_is_not_stored(pair):
    with pytest.raises(Corrupt):
        pair.one.put_chunks([(h(b"right"), b"wrong")])
    assert list(pair.one.missing([h(b"right")])) == [h(b"right")]


def test_a_chunk_that_is_not_there_is_outdated(pair):
    pair.one.put_chunks([(h(b"here"), b"here")])
    with pytest.raises(Outdated):
        list(pair.one.get_chunks([h(b"here"), h(b"not here")]))
    with pytest.raises(Outdated):
        pair.one.get_manifest(h(b"not here"))


def test_a_manifest_comes_back_and_its_content_is_committed(pair):
    parts = [b"a" * 1000, b"b" * 2000]
    encoded = encode(Manifest("test", 1024, tuple(Piece(h(part), len(part)) for part in parts)))
    content = Content(h(b"".join(parts)), 3000, manifest_hash(encoded))
    creation = Create(pair.key(), pair.key(), ROOT_ID, "large", Kind.FILE, content=content)
    pair.one.put_manifest(manifest_hash(encoded), encoded)
    pair.one.put_chunks([(h(part), part) for part in parts[:1]])
    (lacking,) = pair.one.commit([creation])
    assert (lacking.verdict, lacking.missing) == (Verdict.CHUNKS_MISSING, (h(parts[1]),))
    pair.one.put_chunks([(h(part), part) for part in parts])
    assert pair.one.commit([creation])[0].verdict is Verdict.DONE
    assert pair.two.get_manifest(manifest_hash(encoded)) == encoded
    with pytest.raises(Corrupt):
        pair.one.put_manifest(h(b"?"), encoded)


def test_unusual_names_travel_unchanged(pair):
    names = ["u\u0308", "\u00fc", "日本", "a\nb", "\u202e", " ", "\U0001f600", "x" * 255]
    nodes = [pair.create(name, b"") for name in names]
    assert [node.name for node in pair.two.look([node.node_id for node in nodes])] == names


def test_a_revoked_device_is_shut_out_everywhere(pair):
    cursor, node = pair.cursor(), pair.create("a")
    pair.hub.revoke(pair.two.identify().device_id)
    for call in (
        pair.two.identify,
        lambda: pair.two.changes(cursor, 1),
        lambda: pair.two.wait(cursor, 0.0),
        lambda: pair.two.listing(None, 1),
        lambda: pair.two.commit([Delete(pair.key(), node.node_id, node.version)]),
        lambda: pair.two.outcomes([pair.key()]),
        lambda: pair.two.look([node.node_id]),
        lambda: pair.two.history(node.node_id),
        lambda: pair.two.missing([h(b"x")]),
        lambda: pair.two.put_chunks([(h(b"y"), b"y")]),
        lambda: list(pair.two.get_chunks([h(b"x")])),
        lambda: pair.two.get_manifest(h(b"x")),
    ):
        with pytest.raises(NotAuthorised):
            call()
    assert pair.one.look([node.node_id]) == [node]


def test_many_threads_share_one_remote(pair):
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            made = random.Random(number)
            chunks = [(h(data), data) for data in (made.randbytes(50_000) for _ in range(5))]
            pair.one.put_chunks(chunks)
            assert list(pair.one.get_chunks([chunk_hash for chunk_hash, _ in chunks])) == chunks
            creation = Create(
                made.randbytes(16),
                made.randbytes(16),
                ROOT_ID,
                f"t{number}",
                Kind.FILE,
                content=Content(chunks[0][0], 50_000),
            )
            assert pair.one.commit([creation])[0].verdict is Verdict.DONE
        except BaseException as error:  # noqa: BLE001  shown by the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []
    assert len(pair.two.listing(None, 100).changes) == 8
