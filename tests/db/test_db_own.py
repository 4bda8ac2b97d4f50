"""What the only writer keeps of what it read is what the tables say, also after a rollback (P11)."""

import apsw
import pytest

from syncd.db.connection import Database
from syncd.model.node import Absent, Fingerprint, Kind, Place, Present, Tree
from syncd.model.path import ROOT, NodeKey

PRINT = Fingerprint(1, 2, 3, 4, 5)


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
