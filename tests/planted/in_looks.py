"""Bugs planted into how the control thread looks, takes looks in, and hands work out (``syncd/engine``)."""

from typing import Final

from tests.planted.bug import Bug

FRESH: Final = ("tests/engine/test_engine_freshness.py",)
UNCHANGED: Final = ("tests/engine/test_engine_unchanged.py",)
OBSTACLES: Final = ("tests/engine/test_engine_obstacles.py",)
RECORDED: Final = ("tests/engine/test_engine_recorded_first.py",)

BUGS: Final = (
    Bug(
        "S is advanced early",
        "S is moved when the op is handed out: the result will say the same.",
        "P4",
        "syncd/engine/dispatch.py",
        "                self._mark_running(assignment)\n",
        """                self._mark_running(assignment)
                if assignment.op.type is OpType.DOWNLOAD and (node := self.desk.db.nodes.node(assignment.op.node)):
                    from syncd.engine.carry import after_local_op

                    self.desk.db.nodes.set_synced(node.id, after_local_op(node, assignment.op))
""",
        ("tests/sim/test_sim_sweeps.py", "-k", "killed_at_each_point"),
    ),
    Bug(
        "a late observation is accepted",
        "A look that began before an op's result is taken in after it.",
        "P6",
        "syncd/engine/desk.py",
        "            if self.ended.get(key, 0) > began or (key in self.running and key not in self.harmless):",
        "            if key in self.running and key not in self.harmless:",
        FRESH,
    ),
    Bug(
        "an ancestor's op is not asked about",
        "Only an op on the node itself makes a look stale, not one on a folder above it.",
        "P6",
        "syncd/engine/desk.py",
        "            key = place.parent\n        return True",
        "            return False\n        return True",
        FRESH,
    ),
    Bug(
        "absence before the look is taken in",
        "Nodes are planned while a large look is only half written.",
        "P7",
        "syncd/engine/intake.py",
        "        return self.rows.orphaned or self.begun",
        "        return self.rows.orphaned",
        ("tests/engine/test_engine_absences.py", "-k", "half_of_a_look"),
    ),
    Bug(
        "a locked folder is a deleted folder",
        "What lies below a folder that cannot be listed is marked as gone.",
        "P7",
        "syncd/engine/intake.py",
        "        if unit.fault is UnitFault.UNREADABLE:\n            # A locked",
        "        if unit.fault is UnitFault.UNREADABLE:\n            self.rows.vanish(node)\n            # A locked",
        ("tests/engine/test_engine_absences.py", "-k", "cannot_be_listed"),
    ),
    Bug(
        "S is dropped for what is ignored",
        "An ignored node is not synced, so its S is emptied.",
        "P1",
        "syncd/engine/local_rows.py",
        "        state = Unknown(reason, place, detail)\n        if node.local != state:\n",
        "        state = Unknown(reason, place, detail)\n        if node.local != state:\n"
        "            if reason is Reason.IGNORED:\n"
        "                self.desk.db.nodes.set_synced(node.id, Absent())\n",
        ("tests/engine/test_engine_ignored_later.py",),
    ),
    Bug(
        "the key is minted when it is sent",
        "Each attempt gets a fresh key, which nobody stored.",
        "P4",
        "syncd/engine/dispatch.py",
        "            queued.id,\n            queued.key,\n",
        "            queued.id,\n            self.desk.chance.token(16),\n",
        ("tests/engine/test_engine_lost_replies.py", "-k", "lost_reply_makes_no_conflict and again"),
    ),
    Bug(
        "the guard is dropped",
        "Ops leave before the guard has seen the whole of a mass change.",
        "P8",
        "syncd/engine/dispatch.py",
        "        if not judged:\n            chosen = [q for q in chosen if not q.op.destructive]\n",
        "",
        (
            "tests/engine/test_engine_guard.py",
            "-k",
            "test_p8_a_mass_overwrite_arriving_in_many_pages_is_held_before_any_of_it",
        ),
    ),
    Bug(
        "a job runs ahead of its record",
        "A job is handed out at once, before the transaction that recorded it is committed.",
        "P4",
        "syncd/engine/desk.py",
        "        self.outbox.append(job)",
        "        self.workers.submit(job)",
        RECORDED,
    ),
    Bug(
        "a move is a delete and a create",
        "The old place of a moved file is not looked at together with the new one.",
        "P2",
        "syncd/engine/identity.py",
        "            if len(twins) == 1:\n                self.rows.put(twins[0], unit.directory, seen)\n"
        "                return\n",
        "",
        ("tests/engine/test_engine_moves_by_hash.py",),
    ),
    Bug(
        "two files of one content are one file",
        "A vanished file with the same hash is the one that moved, however many there are.",
        "P2",
        "syncd/engine/identity.py",
        "            if len(twins) == 1:",
        "            if twins:",
        ("tests/engine/test_engine_moves_by_hash.py",),
    ),
    Bug(
        "what is made at the remote makes looks late",
        "An op at the remote alone counts as one that changed this disk: what is in a new folder is read again.",
        "P3",
        "syncd/engine/dispatch.py",
        "            self.desk.harmless.add(op.node)",
        "            pass",
        FRESH,
    ),
    Bug(
        "an upload is taken for harmless",
        "No op at the remote can make a look late: what is older than the content that was sent is taken for an edit.",
        "P6",
        "syncd/engine/dispatch.py",
        "        if op.type is OpType.REMOTE_MKDIR:\n",
        "        if op.side is Side.REMOTE:\n",
        FRESH,
    ),
    Bug(
        "what was compared stays compared whatever is written",
        "A directory is taken to be as L says although L was written since.",
        "P2",
        "syncd/engine/unchanged.py",
        "            self.compared.pop(directory, None)\n            self.asked.pop(directory, None)\n",
        "            pass\n",
        UNCHANGED,
    ),
    Bug(
        "any comparison counts, however old",
        "A look that compared with what L said before counts for what it says now.",
        "P2",
        "syncd/engine/unchanged.py",
        "if digest is not None and self.asked.get(directory) == mark:",
        "if digest is not None:",
        UNCHANGED,
    ),
    Bug(
        "a deep walk believes the listing",
        "A deep walk passes over what looks as it did: damage on the disk is never found.",
        "P1",
        "syncd/engine/looks.py",
        "compared = None if deep else self.unchanged.compared.get(key)",
        "compared = self.unchanged.compared.get(key)",
        UNCHANGED,
    ),
    Bug(
        "another listing is the end of a look",
        "A directory whose listing differs is not compared name by name.",
        "P2",
        "syncd/engine/intake.py",
        "            self.looks.compare(unit.directory, run)\n",
        "",
        UNCHANGED,
    ),
    Bug(
        "a look waits until all is planned",
        "What a look told is planned to its end before the next is taken in, whatever that may take.",
        "P2",
        "syncd/engine/intake.py",
        "            if not self.begun and self.patience and not self.rows.orphaned and not self.planned():",
        "            if not self.begun and not self.rows.orphaned and not self.planned():",
        ("tests/engine/test_engine_absences.py", "-k", "never_planned"),
    ),
    Bug(
        "only what arrives is kept waiting by what has no row",
        "What moves to the name of a pipe is refused, and planned again, for ever.",
        "P2",
        "syncd/engine/intake.py",
        "        if moving:  # it is here, and says itself where it is: somebody else must say who has the name\n",
        "        if False:\n",
        OBSTACLES,
    ),
    Bug(
        "a name that is taken is nobody's in another case",
        "Where cases are one, a pipe keeps its name from nobody but who is written like it.",
        "P10",
        "syncd/engine/intake.py",
        "        look = nodes.at if self.desk.facts.traits.case_sensitive else nodes.at_folded\n",
        "        look = nodes.at\n",
        OBSTACLES,
    ),
)
