"""What a commit answers: verdicts, idempotency, place groups, revival, limits."""

import msgspec
import pytest
from blake3 import blake3

from syncd.chunks.manifest import Manifest, Piece, encode, manifest_hash
from syncd.model.errors import Corrupt, Refused
from syncd.model.node import Kind, Version
from syncd.model.path import ROOT_ID
from syncd.model.remote import Cause, Content, Create, Delete, Edit, Moves, Step, Verdict

V = Version(99, "other")
K = bytes(range(16))
N = bytes(range(1, 17))
EMPTY = Content(blake3(b"").digest(), 0)


def test_p6_create_edit_move_delete_each_write_one_entry(one):
    cursor = one.cursor()
    node = one.file("a", b"1")
    edited = one.edit(node, b"2")
    (moved,) = one.moves((edited, ROOT_ID, "b")).nodes
    gone = one.delete(moved)
    page = one.session.changes(cursor, 100)
    assert [change.node for change in page.changes] == [node, edited, moved, gone]
    assert [change.node.version.position for change in page.changes] == [1, 2, 3, 4]
    assert gone.deleted
    assert gone.content is None
    assert (gone.parent_id, gone.name) == (ROOT_ID, "b")


def test_p3_the_same_request_again_gets_the_same_answer(one):
    mutation = one.creation("a")
    first, again = one.one(mutation), one.one(mutation)
    assert first == again
    assert first.verdict is Verdict.DONE
    assert len(one.session.changes(first.nodes[0] and one.session.listing(None, 9).cursor, 9).changes) == 0


def test_p3_the_same_request_twice_in_one_batch_is_done_once(one):
    mutation = one.creation("a")
    first, again = one.session.commit([mutation, mutation])
    assert first == again
    assert len(one.tree()) == 1


def test_p6_a_key_used_for_another_request_is_refused(one):
    mutation = one.creation("a")
    one.done(mutation)
    answer = one.one(msgspec.structs.replace(mutation, name="b"))
    assert answer.verdict is Verdict.REFUSED
    assert "key" in answer.detail


def test_p3_what_was_declined_may_be_asked_again_under_its_key(one):
    occupant = one.file("a")
    mutation = one.creation("a")
    assert one.one(mutation).verdict is Verdict.NAME_TAKEN
    assert one.session.outcomes([mutation.key]) == [None]
    one.delete(occupant)
    assert one.one(mutation).verdict is Verdict.DONE


def test_p4_outcomes_tell_what_was_done_and_nothing_of_the_rest(one):
    mutation = one.creation("a")
    answer = one.one(mutation)
    assert one.session.outcomes([mutation.key, K, b"odd"]) == [answer, None, None]


def test_p4_outcomes_survive_a_restart(world, one):
    mutation = one.creation("a")
    answer = one.one(mutation)
    world.reopened()
    one = world.again(one)
    assert one.session.outcomes([mutation.key]) == [answer]
    assert one.one(mutation) == answer


def test_p6_each_mutation_of_a_batch_is_answered_by_itself(one):
    good, bad, better = one.creation("a"), one.creation("a"), one.creation("b")
    verdicts = [outcome.verdict for outcome in one.session.commit([good, bad, better])]
    assert verdicts == [Verdict.DONE, Verdict.NAME_TAKEN, Verdict.DONE]
    assert sorted(node.name for node in one.tree().values()) == ["a", "b"]


def test_later_mutations_of_a_batch_see_earlier_ones(one):
    folder = Create(one.key(), one.key(), ROOT_ID, "d", Kind.DIRECTORY)
    inside = one.creation("f", parent=folder.node_id)
    assert [outcome.verdict for outcome in one.session.commit([folder, inside])] == [Verdict.DONE, Verdict.DONE]


# --- staleness --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["edit", "move", "delete"])
@pytest.mark.parametrize("state", ["superseded", "deleted", "never seen", "same position, other tag"])
def test_p6_a_base_that_is_not_current_is_stale_and_shows_what_is(one, verb, state):
    node = one.file("a", b"1")
    base, current = node.version, None
    if state == "superseded":
        current = one.edit(node, b"2")
    elif state == "deleted":
        current = one.delete(node)
    elif state == "same position, other tag":
        base, current = Version(node.version.position, "00" * 8), node
    node_id = N if state == "never seen" else node.node_id
    mutation = {
        "edit": Edit(K, node_id, base, EMPTY),
        "move": Moves(K, (Step(node_id, base, ROOT_ID, "z"),)),
        "delete": Delete(K, node_id, base),
    }[verb]
    answer = one.one(mutation)
    assert answer.verdict is Verdict.STALE
    assert answer.nodes == (() if current is None else (current,))


def test_p6_creating_what_exists_is_stale(one):
    node = one.file("a")
    answer = one.one(Create(K, node.node_id, ROOT_ID, "b", Kind.FILE, content=EMPTY))
    assert (answer.verdict, answer.nodes) == (Verdict.STALE, (node,))
    answer = one.one(Create(K, node.node_id, ROOT_ID, "b", Kind.FILE, base=node.version, content=EMPTY))
    assert (answer.verdict, answer.nodes) == (Verdict.STALE, (node,))


def test_p7_a_tombstone_is_revived_only_on_its_own_version(one):
    node = one.file("a", b"1")
    gone = one.delete(node)
    answer = one.one(Create(one.key(), node.node_id, ROOT_ID, "a", Kind.FILE, content=EMPTY))
    assert (answer.verdict, answer.nodes) == (Verdict.STALE, (gone,))
    revived = one.done(
        Create(one.key(), node.node_id, ROOT_ID, "a", Kind.FILE, gone.version, EMPTY, cause=Cause.REVIVE)
    )
    assert revived.node_id == node.node_id
    assert not revived.deleted
    history = one.session.history(node.node_id)
    assert [(info.cause, info.parent) for info in history] == [
        (Cause.REVIVE, gone.version),
        (Cause.EDIT, node.version),
        (Cause.EDIT, None),
    ]


def test_a_node_keeps_its_kind_when_revived(one):
    gone = one.delete(one.file("a"))
    answer = one.one(Create(K, gone.node_id, ROOT_ID, "a", Kind.DIRECTORY, gone.version))
    assert answer.verdict is Verdict.REFUSED


# --- places -----------------------------------------------------------------------------------------------------


def test_a_name_is_taken_by_its_exact_bytes_only(one):
    occupant = one.file("é")
    answer = one.one(one.creation("é"))
    assert (answer.verdict, answer.nodes) == (Verdict.NAME_TAKEN, (occupant,))
    one.file("e\u0301")  # the other normal form, and the other case, are other names
    one.file("É")


@pytest.mark.parametrize("parent", ["never seen", "deleted", "a file", "itself"])
def test_p6_a_parent_must_be_a_living_directory(one, parent):
    folder, file = one.directory("d"), one.file("f")
    node_id = one.key()
    parents = {
        "never seen": N,
        "deleted": one.delete(folder).node_id,
        "a file": file.node_id,
        "itself": node_id,
    }
    assert one.one(Create(K, node_id, parents[parent], "x", Kind.DIRECTORY)).verdict is Verdict.PARENT_GONE
    if parent != "itself":
        assert one.moves((file, parents[parent], "x")).verdict is Verdict.PARENT_GONE


def test_p7_a_directory_with_a_living_child_is_not_deleted(one):
    folder = one.directory("d")
    child = one.file("f", parent=folder.node_id)
    answer = one.one(Delete(K, folder.node_id, folder.version))
    assert (answer.verdict, answer.nodes) == (Verdict.NOT_EMPTY, (folder,))
    one.delete(child)
    one.delete(folder)
    assert one.tree() == {}


def test_two_names_are_swapped_in_one_place_group(one):
    a, b = one.file("a"), one.file("b")
    answer = one.moves((a, ROOT_ID, "b"), (b, ROOT_ID, "a"))
    assert answer.verdict is Verdict.DONE
    assert [(node.node_id, node.name) for node in answer.nodes] == [(a.node_id, "b"), (b.node_id, "a")]
    assert {node.node_id: node.name for node in one.tree().values()} == {a.node_id: "b", b.node_id: "a"}


def test_three_names_go_round_across_directories(one):
    folder = one.directory("d")
    a, b, c = one.file("a"), one.file("b"), one.file("c", parent=folder.node_id)
    answer = one.moves((a, ROOT_ID, "b"), (b, folder.node_id, "c"), (c, ROOT_ID, "a"))
    assert answer.verdict is Verdict.DONE


def test_a_directory_and_its_child_change_places(one):
    outer = one.directory("outer")
    inner = one.directory("inner", outer.node_id)
    answer = one.moves((inner, ROOT_ID, "outer"), (outer, inner.node_id, "inner"))
    assert answer.verdict is Verdict.DONE
    assert one.tree()[outer.node_id].parent_id == inner.node_id


@pytest.mark.parametrize("length", [1, 2, 3])
def test_p2_a_move_below_itself_is_a_cycle_and_changes_nothing(one, length):
    chain = [one.directory("0")]
    for number in range(1, length):
        chain.append(one.directory(str(number), chain[-1].node_id))
    before = one.tree()
    assert one.moves((chain[0], chain[-1].node_id, "again")).verdict is Verdict.CYCLE
    assert one.tree() == before


def test_p2_moves_that_close_a_cycle_only_together_are_refused_together(one):
    a, b = one.directory("a"), one.directory("b")
    before, cursor = one.tree(), one.cursor()
    assert one.moves((a, b.node_id, "x"), (b, a.node_id, "y")).verdict is Verdict.CYCLE
    assert one.tree() == before
    assert one.cursor() == cursor
    assert one.file("after").version.position == 3


def test_p6_a_place_group_with_one_stale_step_moves_nothing(one):
    a, b = one.file("a"), one.file("b")
    newer = one.edit(b, b"2")
    answer = one.moves((a, ROOT_ID, "b"), (b, ROOT_ID, "a"))
    assert (answer.verdict, answer.nodes) == (Verdict.STALE, (newer,))
    assert one.tree()[a.node_id] == a


def test_a_place_group_on_a_taken_name_moves_nothing(one):
    a, b, c = one.file("a"), one.file("b"), one.file("c")
    answer = one.moves((a, ROOT_ID, "b"), (b, ROOT_ID, "c"))
    assert (answer.verdict, answer.nodes) == (Verdict.NAME_TAKEN, (c,))
    assert one.moves((a, ROOT_ID, "z"), (b, ROOT_ID, "z")).verdict is Verdict.NAME_TAKEN
    assert one.tree() == {node.node_id: node for node in (a, b, c)}


# --- content ----------------------------------------------------------------------------------------------------


def test_p4_content_without_its_chunk_is_not_committed(one):
    digest = blake3(b"absent").digest()
    answer = one.one(Create(K, N, ROOT_ID, "a", Kind.FILE, content=Content(digest, 6)))
    assert (answer.verdict, answer.missing) == (Verdict.CHUNKS_MISSING, (digest,))


def test_p4_content_without_a_piece_of_its_manifest_is_not_committed(one):
    there, absent = b"there", b"absent"
    pieces = tuple(Piece(blake3(part).digest(), len(part)) for part in (there, absent))
    encoded = encode(Manifest("test", 1024, pieces))
    content = Content(blake3(there + absent).digest(), 11, manifest_hash(encoded))
    mutation = Create(K, N, ROOT_ID, "a", Kind.FILE, content=content)
    assert one.one(mutation).missing == (manifest_hash(encoded),)
    one.session.put_manifest(manifest_hash(encoded), encoded)
    one.store(there)
    assert one.one(mutation).missing == (pieces[1].hash,)
    one.store(absent)
    assert one.content(one.done(mutation)) == there + absent


def test_the_executable_bit_changes_alone_and_content_with_its_mtime(one):
    node = one.file("a", b"1")
    first = one.done(Edit(one.key(), node.node_id, node.version, executable=True, mtime_ns=77))
    assert (first.executable, first.content, first.mtime_ns) == (True, node.content, 0)
    second = one.done(Edit(one.key(), node.node_id, first.version, one.store(b"2"), mtime_ns=-5))
    assert (second.executable, second.mtime_ns) == (True, -5)


def test_restoring_writes_a_new_version_and_says_from_which(one):
    old = one.file("a", b"old")
    new = one.edit(old, b"new")
    again = one.done(
        Edit(one.key(), old.node_id, new.version, old.content, cause=Cause.RESTORE, restored_from=old.version)
    )
    newest = one.session.history(old.node_id)[0]
    assert (newest.version, newest.cause, newest.restored_from, newest.parent, newest.device) == (
        again.version,
        Cause.RESTORE,
        old.version,
        new.version,
        "laptop",
    )
    assert one.content(newest.node) == b"old"


# --- what is never valid ----------------------------------------------------------------------------------------

BIG = 1 << 63


@pytest.mark.parametrize(
    "mutation",
    [
        pytest.param(Create(K, N, ROOT_ID, ".syncd", Kind.DIRECTORY), id="p10 the reserved name"),
        pytest.param(Create(K, N, ROOT_ID, ".ＳyncD", Kind.DIRECTORY), id="p10 the reserved name in another form"),
        pytest.param(Create(K, N, ROOT_ID, "..", Kind.DIRECTORY), id="p10 the parent's name"),
        pytest.param(Create(K, N, ROOT_ID, "a/b", Kind.DIRECTORY), id="p10 a separator"),
        pytest.param(Create(K, N, ROOT_ID, "a\0", Kind.DIRECTORY), id="p10 a NUL"),
        pytest.param(Create(K, N, ROOT_ID, "a\udc80", Kind.DIRECTORY), id="p10 not UTF-8"),
        pytest.param(Create(K, N, ROOT_ID, "é" * 128, Kind.DIRECTORY), id="p10 too long"),
        pytest.param(Create(K, ROOT_ID, ROOT_ID, "a", Kind.DIRECTORY), id="the root's id"),
        pytest.param(Create(K, b"short", ROOT_ID, "a", Kind.DIRECTORY), id="a short id"),
        pytest.param(Create(b"k", N, ROOT_ID, "a", Kind.DIRECTORY), id="a short key"),
        pytest.param(Create(K, N, b"p", "a", Kind.DIRECTORY), id="a short parent id"),
        pytest.param(Create(K, N, ROOT_ID, "a", Kind.DIRECTORY, content=EMPTY), id="a directory with content"),
        pytest.param(Create(K, N, ROOT_ID, "a", Kind.DIRECTORY, executable=True), id="an executable directory"),
        pytest.param(Create(K, N, ROOT_ID, "a", Kind.FILE), id="a file without content"),
        pytest.param(Create(K, N, ROOT_ID, "a", Kind.SYMLINK), id="a symlink without target"),
        pytest.param(Create(K, N, ROOT_ID, "a", Kind.SYMLINK, content=EMPTY), id="a symlink with an empty target"),
        pytest.param(
            Create(K, N, ROOT_ID, "a", Kind.SYMLINK, content=Content(bytes(32), 4097)), id="a symlink too long"
        ),
        pytest.param(Create(K, N, ROOT_ID, "a", Kind.FILE, content=Content(bytes(31), 1)), id="a short hash"),
        pytest.param(Create(K, N, ROOT_ID, "a", Kind.FILE, content=Content(bytes(32), 0)), id="empty by size only"),
        pytest.param(Create(K, N, ROOT_ID, "a", Kind.FILE, content=Content(EMPTY.hash, 1)), id="empty by hash only"),
        pytest.param(
            Create(K, N, ROOT_ID, "a", Kind.FILE, content=Content(bytes(32), 1, b"m")), id="a short manifest hash"
        ),
        pytest.param(Create(K, N, ROOT_ID, "a", Kind.FILE, content=Content(bytes(32), -1)), id="a negative size"),
        pytest.param(Create(K, N, ROOT_ID, "a", Kind.FILE, content=Content(bytes(32), BIG)), id="a size out of range"),
        pytest.param(Create(K, N, ROOT_ID, "a", Kind.DIRECTORY, mtime_ns=BIG), id="an mtime out of range"),
        pytest.param(Create(K, N, ROOT_ID, "a", Kind.DIRECTORY, Version(BIG, "")), id="a version out of range"),
        pytest.param(
            Create(K, N, ROOT_ID, "a", Kind.DIRECTORY, restored_from=Version(1, "t" * 65)), id="a tag too long"
        ),
        pytest.param(Edit(K, ROOT_ID, V, EMPTY), id="editing the root"),
        pytest.param(Edit(K, N, V), id="an edit of nothing"),
        pytest.param(Delete(K, ROOT_ID, V), id="deleting the root"),
        pytest.param(Moves(K, ()), id="a place group of nobody"),
        pytest.param(Moves(K, (Step(ROOT_ID, V, N, "a"),)), id="moving the root"),
        pytest.param(Moves(K, (Step(N, V, ROOT_ID, ".syncd"),)), id="p10 moving to the reserved name"),
        pytest.param(Moves(K, (Step(N, V, ROOT_ID, "a"), Step(N, V, ROOT_ID, "b"))), id="one node in two steps"),
    ],
)
def test_what_is_never_valid_is_refused(one, mutation):
    answer = one.one(mutation)
    assert answer.verdict is Verdict.REFUSED
    assert answer.detail
    assert one.tree() == {}


def test_a_directory_is_not_edited(one):
    folder = one.directory("d")
    assert one.one(Edit(K, folder.node_id, folder.version, EMPTY)).verdict is Verdict.REFUSED
    assert one.one(Edit(K, folder.node_id, folder.version, executable=True)).verdict is Verdict.REFUSED


def test_sizes_that_do_not_fit_the_chunks_are_refused(one):
    content = one.store(b"12345")
    assert one.one(Create(K, N, ROOT_ID, "a", Kind.FILE, content=Content(content.hash, 6))).verdict is Verdict.REFUSED
    content = one.store(b"1234567890", pieces=2)
    wrong = Content(content.hash, 11, content.manifest)
    assert one.one(Create(K, N, ROOT_ID, "a", Kind.FILE, content=wrong)).verdict is Verdict.REFUSED


def test_p5_a_manifest_that_states_a_chunks_size_wrongly_is_refused(one):
    parts = [one.store(b"12345"), one.store(b"6789")]
    encoded = encode(Manifest("test", 1, (Piece(parts[0].hash, 4), Piece(parts[1].hash, 5))))
    one.session.put_manifest(manifest_hash(encoded), encoded)
    content = Content(blake3(b"123456789").digest(), 9, manifest_hash(encoded))
    assert one.one(Create(K, N, ROOT_ID, "a", Kind.FILE, content=content)).verdict is Verdict.REFUSED
    encoded = encode(Manifest("test", 1, (Piece(parts[0].hash, 4), Piece(parts[0].hash, 5))))
    with pytest.raises(Corrupt, match="two sizes"):
        one.session.put_manifest(manifest_hash(encoded), encoded)


def test_place_groups_over_the_limit_are_refused_whole(one):
    steps = tuple(Step(one.key(), V, ROOT_ID, "a") for _ in range(6000))
    with pytest.raises(Refused, match="together"):
        one.session.commit([Moves(one.key(), steps), Moves(one.key(), steps)])
    assert one.one(Moves(K, tuple(Step(one.key(), V, ROOT_ID, "a") for _ in range(3)))).verdict is Verdict.STALE


def test_a_symlink_is_its_targets_bytes(one):
    target = b"../../etc/passwd\xff"
    node = one.done(Create(K, N, ROOT_ID, "l", Kind.SYMLINK, content=one.store(target)))
    assert one.content(node) == target


def test_a_batch_over_the_limit_is_refused_whole(one):
    with pytest.raises(Refused, match="at most"):
        one.session.commit([Create(one.key(), one.key(), ROOT_ID, str(n), Kind.DIRECTORY) for n in range(1001)])
    assert one.tree() == {}
