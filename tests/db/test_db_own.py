"""What the only writer keeps of what it read is what the tables say, also after a rollback (P11)."""

import random
from itertools import product

import apsw
import pytest

from syncd.db import own
from syncd.db.connection import Database
from syncd.db.decisions import Decision, GroupKind, Item
from syncd.db.nodes import Nodes
from syncd.model.node import Absent, Fingerprint, Kind, Place, Present, Reason, Tree, Unknown, Version
from syncd.model.op import Side
from syncd.model.path import ROOT, NodeKey

PRINT = Fingerprint(1, 2, 3, 4, 5)
PRINTS = (PRINT, Fingerprint(1, 3, 3, 4, 5), Fingerprint(2, 2, 3, 4, 5), Fingerprint(1, 2**63 + 7, 3, 4, 5))
INODES = [(one.dev, one.ino) for one in PRINTS]
IDS = [bytes([number]) * 16 for number in range(1, 6)]
NAMES = ("a", "A", "b", "caf\u00e9", "cafe\u0301")


def there(name: str, parent: NodeKey = ROOT) -> Present:
    return Present(Place(parent, name), b"h" * 32, size=1)


def undone(db: Database, key: NodeKey) -> None:
    with db.transaction():
        db.meta.set("cursor", "2")
        db.nodes.set_local(key, there("b"), PRINT)
        assert db.meta.get("cursor") == "2"
        assert db.nodes.path(Tree.LOCAL, key) == ("b",)
        raise LookupError


def refused(db: Database, key: NodeKey) -> None:
    with db.transaction():
        db.meta.set("cursor", "2")
        db.nodes.set_local(key, there("b"), PRINT)
        assert db.nodes.path(Tree.LOCAL, key) == ("b",)
        assert db.meta.get("cursor") == "2"


def test_a_rollback_takes_back_what_was_read_in_between(db: Database) -> None:
    db.meta.set("cursor", "1")
    key = db.nodes.insert(Kind.FILE, local=there("a"))
    before = db.nodes.node(key)
    with pytest.raises(LookupError):
        undone(db, key)
    assert db.meta.get("cursor") == "1"
    assert db.nodes.node(key) == before
    assert db.nodes.path(Tree.LOCAL, key) == ("a",)


def test_a_commit_that_fails_takes_back_what_was_read_in_between(db: Database) -> None:
    key = db.nodes.insert(Kind.FILE, local=there("a"))
    db._connection.set_commit_hook(lambda: True)
    with pytest.raises(apsw.ConstraintError):
        refused(db, key)
    db._connection.set_commit_hook(None)
    assert db.meta.get("cursor") is None
    assert db.nodes.path(Tree.LOCAL, key) == ("a",)


def test_every_write_is_seen(db: Database) -> None:
    folder = db.nodes.insert(Kind.DIRECTORY, local=Present(Place(ROOT, "folder")))
    key = db.nodes.insert(Kind.FILE, local=there("a", folder))
    assert db.nodes.path(Tree.LOCAL, key) == ("folder", "a")
    db.nodes.set_local(folder, Present(Place(ROOT, "other")), PRINT)
    assert db.nodes.path(Tree.LOCAL, key) == ("other", "a")
    db.nodes.set_local(key, Absent(), None)
    assert db.nodes.path(Tree.LOCAL, key) is None
    assert db.nodes.path(Tree.REMOTE, key) is None
    db.nodes.delete(key)
    assert db.nodes.node(key) is None
    again = db.nodes.insert(Kind.FILE, local=there("a"))
    assert db.nodes.path(Tree.LOCAL, again) == ("a",)


def write_something(db: Database, keys: list[NodeKey], chance: random.Random) -> None:
    """Call one of all the ways there are to write rows."""
    nodes, key = db.nodes, chance.choice(keys)
    place = Place(chance.choice((ROOT, *keys)), chance.choice(NAMES))
    version = chance.choice((None, Version(chance.randrange(9), "t"), Version(2**70, "")))
    content = Present(place, b"h" * 32, True, 3, -(2**65), version, b"m")
    states = (Present(place), content, Absent(), Absent(version), Unknown(Reason.HELD, place, "\udcff"))
    state, seen = chance.choice(states), chance.choice(PRINTS)
    free = [one for one in IDS if Nodes(db._connection).by_node_id(one) is None]
    node_id = chance.choice(free) if free and chance.random() < 0.5 else chance.randbytes(16)
    ways = (
        lambda: keys.append(nodes.insert(Kind.DIRECTORY, local=state)),
        lambda: keys.append(nodes.insert(Kind.FILE, node_id=node_id, local=state, fingerprint=seen)),
        lambda: keys.append(nodes.insert(Kind.FILE, node_id=node_id, remote=state)),
        lambda: keys.append(nodes.insert(Kind.FILE, node_id=node_id, remote=state, fingerprint=seen)),
        lambda: keys.append(nodes.insert(Kind.FILE, synced=content, remote=Unknown(Reason.HELD), racy=True)),
        lambda: nodes.set_local(key, state, chance.choice((seen, None)), chance.random() < 0.5),
        lambda: nodes.set_remote(key, state),
        lambda: nodes.set_synced(key, chance.choice((content, Absent(version)))),
        lambda: nodes.settle_remote(key, content, chance.choice((content, Absent(version)))),
        lambda: nodes.settle_local(key, Absent(), chance.choice((content, Present(place))), seen, racy=True),
        lambda: nodes.set_node_id(key, node_id),
        lambda: nodes.set_kind(key, chance.choice(list(Kind))),
        lambda: nodes.forget_synced(2),
        lambda: nodes.move_children(key, chance.choice(keys), 2),
        lambda: (nodes.delete(key), keys.remove(key)) if len(keys) > 4 else None,
        lambda: join(db, keys, key),
    )
    chance.choice(ways)()


def join(db: Database, keys: list[NodeKey], keep: NodeKey) -> None:
    for drop in keys:
        node = db.nodes.node(drop)
        if drop != keep and node is not None and isinstance(node.remote, Absent):
            db.nodes.merge_local_into(keep, drop)
            keys.remove(drop)
            return


@pytest.mark.parametrize("rows", [own.KEPT, 3])
@pytest.mark.parametrize("answers", [own.ANSWERS_KEPT, 3])
@pytest.mark.parametrize("paths", [own.PATHS_KEPT, 1])
@pytest.mark.parametrize("seed", range(8))
def test_what_is_kept_is_what_the_table_says_whoever_writes(
    db: Database, seed: int, rows: int, answers: int, paths: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own, "KEPT", rows)
    monkeypatch.setattr(own, "ANSWERS_KEPT", answers)
    monkeypatch.setattr(own, "PATHS_KEPT", paths)
    monkeypatch.setattr(own, "AT_ONCE", 2)
    monkeypatch.setattr(own, "MANY", 1)
    chance, fresh = random.Random(seed), Nodes(db._connection)
    keys = [db.nodes.insert(Kind.DIRECTORY, local=there(name)) for name in "abcd"]
    for _ in range(60):
        before = tuple(keys)
        for key in before:
            assert db.nodes.node(key) == fresh.node(key)
        if chance.random() < 0.3:
            db.nodes.expect(INODES)
            db.nodes.expect_ids(IDS)
        write_something(db, keys, chance)
        for key in (*before, *keys):
            node = fresh.node(key)
            assert db.nodes.node(key) == node
            if node is not None and node.node_id is not None:
                assert db.nodes.by_node_id(node.node_id) == node
        for tree, parent, name in product((Tree.REMOTE, Tree.LOCAL), (ROOT, *before), NAMES):
            assert db.nodes.at(tree, parent, name) == fresh.at(tree, parent, name)
            free = db.nodes.nobody_has(parent, name)  # before anybody asks, and so learns
            assert db.nodes.at_folded(tree, parent, name) == fresh.at_folded(tree, parent, name)
            assert not (free and fresh.at_folded(tree, parent, name))
        for inode in INODES:
            assert db.nodes.by_inode(*inode) == fresh.by_inode(*inode)
        for one in IDS:
            assert db.nodes.by_node_id(one) == fresh.by_node_id(one)
        for kind in Kind:
            assert db.nodes.vanished_with_hash(kind, b"h" * 32) == fresh.vanished_with_hash(kind, b"h" * 32)
        for tree, key in product(Tree, (*before, *keys)):
            assert db.nodes.path(tree, key) == fresh.path(tree, key)


@pytest.mark.parametrize("rows", [own.KEPT, 2])
@pytest.mark.parametrize("seed", range(12))
def test_whoever_concludes_from_l_is_told_where_it_is_written(
    db: Database, seed: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own, "KEPT", rows)
    chance, fresh = random.Random(seed), Nodes(db._connection)
    keys = [db.nodes.insert(Kind.DIRECTORY, local=there(name)) for name in "abcd"]
    told: set[NodeKey | None] = set()
    db.nodes.written_in = told.add
    for _ in range(100):
        before = {key: fresh.known(key) for key in (ROOT, *keys)}
        told.clear()
        write_something(db, keys, chance)
        written = {key for key, known in before.items() if fresh.known(key) != known}
        assert written <= told or None in told


def test_a_path_that_runs_in_a_circle_is_none(db: Database) -> None:
    one = db.nodes.insert(Kind.DIRECTORY, local=Present(Place(ROOT, "one")))
    two = db.nodes.insert(Kind.DIRECTORY, local=Present(Place(one, "two")))
    db.nodes.set_local(one, Present(Place(two, "one")), PRINT)
    assert db.nodes.path(Tree.LOCAL, two) is None


def test_a_fact_that_is_forgotten_is_gone(db: Database) -> None:
    db.meta.set("cursor", "1")
    assert db.meta.get("cursor") == "1"
    db.meta.delete("cursor")
    assert db.meta.get("cursor", "none") == "none"


def hold_in_vain(db: Database, key: NodeKey) -> None:
    with db.transaction():
        group = db.decisions.open(GroupKind.HELD, Side.LOCAL, "why", 1.0)
        db.decisions.add(group, [Item(key)])
        assert db.decisions.standing(key) is not None
        raise LookupError


def test_a_node_that_is_held_is_so_from_the_first_item_on(db: Database) -> None:
    key = db.nodes.insert(Kind.FILE, local=there("a"))
    assert db.decisions.standing(key) is None
    with pytest.raises(LookupError):
        hold_in_vain(db, key)
    assert db.decisions.standing(key) is None
    group = db.decisions.open(GroupKind.HELD, Side.LOCAL, "why", 1.0)
    assert db.decisions.standing(key) is None
    db.decisions.add(group, [Item(key)])
    assert db.decisions.standing(key) == (group, Decision.UNDECIDED, 0.0)
