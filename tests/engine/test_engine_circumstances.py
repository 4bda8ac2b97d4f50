"""What a database says of whose it is and what it was worked under, for whoever examines it (section 5)."""

import json
from collections.abc import Callable
from dataclasses import replace

from syncd.db.codec import HASH_ALG
from tests.engine.world import World


def test_a_database_says_whose_it_is_and_what_it_was_worked_under(make_world: Callable[..., World]) -> None:
    (ann,) = make_world("ann").devices
    ann.engine.desk.facts.device_id = "d" * 32
    ann.engine.desk.settings = replace(ann.engine.desk.settings, guard_nodes=7)
    with ann.db.transaction():
        ann.engine.desk.note_circumstances()
    meta = ann.db.meta
    assert meta.get("device id") == "d" * 32
    assert meta.get("hash algorithm") == str(HASH_ALG)
    assert json.loads(meta.get("settings") or "")["guard_nodes"] == 7
    ann.crash()
    ann.start()
    assert json.loads(ann.db.meta.get("settings") or "")["guard_nodes"] == 1000, "written anew at each start"
