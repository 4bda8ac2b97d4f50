"""P8: a person's word on a group is taken on by its items once: what had been decided before stays as it was."""

from syncd.db.connection import Database
from syncd.db.decisions import Decision, GroupKind, Item, Word
from syncd.model.op import Side


def test_p8_an_item_that_took_a_decision_on_keeps_it(db: Database) -> None:
    group = db.decisions.open(GroupKind.HELD, Side.LOCAL, "many deletes", 1.0)
    db.decisions.add(group, [Item(node, f"p{node}", "delete", 10) for node in (5, 6)])
    db.decisions.take_on(Word(group, Decision.ALLOW, 2.0), [5])
    db.decisions.take_on(Word(group, Decision.REFUSE, 3.0), [5, 6])
    assert [(item.node, item.decision, item.decided) for item in db.decisions.items(group, 9)] == [
        (5, Decision.ALLOW, 2.0),
        (6, Decision.REFUSE, 3.0),
    ]
