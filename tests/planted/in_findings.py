"""What the storms and the real processes found once, planted again: each fix taken out, one by one.

These are the bugs whose regression tests came after the fix; here each is seen to fail without it.
"""

from typing import Final

from tests.planted.bug import Bug

STORM: Final = "tests/engine/test_engine_storm_findings.py"
REAL: Final = "tests/engine/test_engine_end_to_end_findings.py"
IGNORED: Final = ("tests/engine/test_engine_ignored_later.py",)
BARRIERS: Final = ("tests/engine/test_engine_barriers.py",)
MOVED: Final = ("tests/engine/test_engine_recovery_moved.py",)
EMPTIED: Final = ("tests/engine/test_engine_leftovers.py", "-k", "goes_once_nothing_is_in_it")


def histories(words: str) -> tuple[str, ...]:
    return ("tests/engine/test_engine_histories.py", "-k", words)


def storm(words: str) -> tuple[str, ...]:
    return (STORM, "-k", words)


def real(words: str) -> tuple[str, ...]:
    return (REAL, "-k", words)


def hub(test: str) -> tuple[str, ...]:
    return ("tests/hub", "-k", test)


BUGS: Final = (
    Bug(
        "a folder that moved is taken for one that is gone",
        "What ran at a crash was not done when its folder is not where it was.",
        "P4",
        "syncd/execute/recover.py",
        "        return unsure(assignment, error)\n    if result",
        "        return _not_done(assignment)\n    if result",
        MOVED,
    ),
    Bug(
        "what ran at a crash is sought where its folder was",
        "How an op ended is asked with the directories it was handed out with.",
        "P4",
        "syncd/engine/recovery.py",
        "        return self.desk.directory(place.parent) or was",
        "        return was",
        MOVED,
    ),
    Bug(
        "a folder that no look has found yet is gone",
        "A directory that L has no more is gone, also while a walk may find it elsewhere.",
        "P4",
        "syncd/engine/recovery.py",
        "        if complete and (node is None",
        "        if (node is None",
        MOVED,
    ),
    Bug(
        "a moved file's ctime is taken on trust",
        "What an op moved or marked is known by the ctime that it left.",
        "P1",
        "syncd/execute/tree.py",
        "before is not None and before.fingerprint == expected and is_expected(stat, expected)",
        "is_expected(stat, expected)",
        ("tests/engine/test_engine_unseen_edit.py",),
    ),
    Bug(
        "who waits for a folder does not hear that it stays",
        "An op that becomes another one leaves those alone that wait for it.",
        "P2",
        "syncd/engine/decide.py",
        "        for other in self.desk.db.queue.waiting_on(key):",
        "        for other in ():",
        IGNORED,
    ),
    Bug(
        "a look at one hard link asks for the next",
        "Only the first of a file's other names is looked at together with the new one.",
        "P2",
        "syncd/engine/identity.py",
        "            self.looks.together([(place.parent, place.name) for place in (*others, here)])",
        "            self.looks.together([(place.parent, place.name) for place in (others[0], here)])",
        storm("three_hard_links"),
    ),
    Bug(
        "a locked folder is looked at for ever",
        "What could not be listed does not count as looked at.",
        "P2",
        "syncd/engine/intake.py",
        "for unit, names in (*usable, *closed) for name",
        "for unit, names in usable for name",
        storm("cannot_be_listed"),
    ),
    Bug(
        "an op that cannot leave keeps the loop awake",
        "The next step is due when the oldest ready op is, also when it was just tried.",
        "P2",
        "syncd/engine/core.py",
        "        next_op = self.desk.db.queue.next_due(after=tried)",
        "        next_op = self.desk.db.queue.next_due()",
        ("tests/engine/test_engine_wakefulness.py", "-k", "keeps_nobody_awake"),
    ),
    Bug(
        "a crash leaves orphans",
        "After a start nobody looks for what lies below folders that had vanished.",
        "P4",
        "syncd/engine/local_rows.py",
        "    orphaned: bool = True",
        "    orphaned: bool = False",
        storm("no_orphans"),
    ),
    Bug(
        "a crash forgets absences that are due",
        "Absences are concluded only by the process that began the listing.",
        "P4",
        "syncd/engine/receive.py",
        "        if generation is None:\n            return\n",
        "        if generation is None or int(generation) != self.generation:\n            return\n",
        ("tests/engine/test_engine_absences.py", "-k", "due_at_a_crash"),
    ),
    Bug(
        "a restored hub is taken for the same one",
        "That the feed no longer tells our own last change is not noticed.",
        "P1",
        "syncd/engine/pulls.py",
        "        if self.intake.contradicted or (not pulled.more and self.intake.taken_back()):",
        "        if self.intake.contradicted:",
        histories("lost_our_last_commit"),
    ),
    Bug(
        "any younger change is taken for ours",
        "A change of the same file by another device counts as the feed's word on our own.",
        "P1",
        "syncd/engine/receive.py",
        "(version == own or (listed and version.position > own.position))",
        "version.position >= own.position",
        histories("has_anothers_in_its_place"),
    ),
    Bug(
        "an op that ends late names a merge base that was forgotten",
        "S is written by an op that ran when the remote's history changed.",
        "P1",
        "syncd/engine/settle.py",
        "            self.remote.settled_late()\n",
        "",
        histories("however_late"),
    ),
    Bug(
        "a listing of another history is believed",
        "A listing that lacks what this device did before it began does not count as another history.",
        "P1",
        "syncd/engine/receive.py",
        "                self._check_listed()\n",
        "                pass\n",
        histories("does_not_show_what_was_known"),
    ),
    Bug(
        "an older version that is listed is passed over",
        "A listing with an older version than what the feed had told does not count as another history.",
        "P1",
        "syncd/engine/receive.py",
        "            self.contradicted |= listed  # the feed follows behind our own changes, a listing does not\n",
        "",
        histories("cannot_tell_histories_apart"),
    ),
    Bug(
        "what a listing did not show is kept by the remote",
        "Content that leaves because a listing did not name it is dropped as if a version of it were kept.",
        "P1",
        "syncd/execute/trash.py",
        "op.type is not OpType.LOCAL_DELETE or op.base is not None",
        "True",
        histories("cannot_tell_histories_apart"),
    ),
    Bug(
        "a restart forgets what the feed must tell",
        "Changes of ours that the feed has not told yet are kept in memory alone.",
        "P1",
        "syncd/engine/core.py",
        "            self.remote.load_untold()\n",
        "",
        histories("lost_our_last_commit"),
    ),
    Bug(
        "an old conversation's answer is believed",
        "A poll that failed before a listing, and is told after it, makes the device list again.",
        "P2",
        "syncd/engine/pulls.py",
        "            case PullFault.EXPIRED | PullFault.HISTORY if not self._goes_on(failure.job):",
        "            case PullFault.EXPIRED | PullFault.HISTORY if failure.job is None:",
        histories("old_conversation"),
    ),
    Bug(
        "a folder under way is a new folder",
        "A folder that an op is moving is taken for a new one at its new name.",
        "P2",
        "syncd/engine/identity.py",
        "        if any(node.kind is Kind.DIRECTORY and self.desk.stale(node.id, job.began) for node in here):",
        "        if False:",
        storm("an_op_moved_it_is_no_news"),
    ),
    Bug(
        "a walk that was asked for meanwhile is not begun",
        "Nothing wakes the loop for a walk that was asked for while another ran.",
        "P12",
        "syncd/engine/core.py",
        "self.planning.due or self._must_prove() or any(",
        "self.planning.due or any(",
        ("tests/engine/test_engine_wakefulness.py", "-k", "walk_asked_for"),
    ),
    Bug(
        "a tombstone's version is not learnt",
        "The answer that names the tombstone is thrown away with the refusal.",
        "P7",
        "syncd/engine/settle.py",
        "        self._learn_tombstones(result.remote)\n",
        "",
        storm("only_a_full_listing"),
    ),
    Bug(
        "a deep folder is planned level by level",
        "Nodes are planned before everything below a vanished folder is marked.",
        "P2",
        "syncd/engine/intake.py",
        "        return self.rows.orphaned or self.begun",
        "        return self.begun",
        real("deep_folder"),
    ),
    Bug(
        "uploads do not wait for new ignore rules",
        "New rules are in force once they were read, not once everything was looked at under them.",
        "P2",
        "syncd/engine/exclusion.py",
        "            if self.looks.completed < self.walk or plans_left:",
        "            if plans_left:",
        real("never_uploaded"),
    ),
    Bug(
        "late writers are looked for an hour later",
        "A sweep that came too early is followed by the hourly one.",
        "P1",
        "syncd/engine/upkeep.py",
        "            self.sweep_at = self.tend_at if self.tend_at > now else now + SWEEP_INTERVAL",
        "            self.sweep_at = now + SWEEP_INTERVAL",
        real("late_writes"),
    ),
    Bug(
        "a look that finds the root gone stops nothing",
        "Only a proof that was asked for can fail; what a look found is left to the next one.",
        "P8",
        "syncd/engine/core.py",
        "                    self.looks.proving = False\n                self._root_lost(why)",
        "                    self.looks.proving = False\n                    self._root_lost(why)",
        ("tests/engine/test_engine_upkeep.py", "-k", "root_gone"),
    ),
    Bug(
        "ops whose recovery broke are stuck",
        "When the recovery job itself fails, its ops stay running.",
        "P4",
        "syncd/engine/core.py",
        "                self.settler.take(OpsEnded(job, ()))  # no op",
        "                # no op",
        ("tests/engine/test_engine_upkeep.py", "-k", "recovery_broke"),
    ),
    Bug(
        "a forgotten tombstone hinders a revival",
        "A node whose tombstone the hub forgot cannot come back under its own id.",
        "P7",
        "syncd/hub/spaces.py",
        "if current is not None and (current.version != wanted.base or not current.deleted):",
        "if (None if current is None else current.version) != wanted.base or (current and not current.deleted):",
        hub("test_p7_a_device_that_knows_a_forgotten_tombstone_can_still_revive_the_node"),
    ),
    Bug(
        "a scan follows itself for ever",
        "The next scan is due an interval after the last one's begin.",
        "P12",
        "syncd/engine/core.py",
        "            self._scan_at = None  # the next one",
        "            self._scan_at = self.desk.clock.monotonic() + self.desk.settings.scan_interval  # the next one",
        (
            "tests/engine/test_engine_barriers.py",
            "-k",
            "test_p12_a_scan_that_takes_longer_than_its_interval_does_not_follow_itself_for_ever",
        ),
    ),
    Bug(
        "status is older than an answer",
        "What is shown is refreshed twice a second, also after an answer.",
        "P12",
        "syncd/engine/core.py",
        "at_once=told)",
        "at_once=False)",
        ("tests/engine/test_engine_barriers.py", "-k", "test_p12_status_is_never_older_than_an_answer"),
    ),
    Bug(
        "rows are not stamped by the scan that changed them",
        "The number of the scan is written for rows that went missing only.",
        "P12",
        "syncd/db/nodes.py",
        '_SET_LOCAL: Final = _set_sql((*_columns(Tree.LOCAL), "l_hash_alg", *_PRINT_COLUMNS, "l_racy"), _SCANNED)',
        '_SET_LOCAL: Final = _set_sql((*_columns(Tree.LOCAL), "l_hash_alg", *_PRINT_COLUMNS, "l_racy"))',
        BARRIERS,
    ),
    Bug(
        "what is left of a folder is not shown",
        "A folder that is kept for ignored content is no name that is not synced.",
        "P12",
        "syncd/db/views.py",
        "            for path, node in self.unknown(Tree.LOCAL, Reason.LEFTOVER, limit):",
        "            for path, node in self.unknown(Tree.LOCAL, Reason.LEFTOVER, 0):",
        EMPTIED,
    ),
    Bug(
        "what is left of a folder stays when it is empty",
        "A folder that was kept for ignored content is kept for good.",
        "P2",
        "syncd/engine/intake.py",
        "                self._emptied(unit)\n",
        "",
        EMPTIED,
    ),
    Bug(
        "only a whole look finds what is left of a folder empty",
        "The watcher tells of the last name that goes, and nobody asks whether it was the last.",
        "P2",
        "syncd/engine/intake.py",
        "            self.looks.hint_all(unit.path)  # what was asked for",
        "            pass  # what was asked for",
        EMPTIED,
    ),
    Bug(
        "what is left of a folder stays for what was left in it",
        "Nobody looks at a folder again when the one in it has gone that it was kept for.",
        "P2",
        "syncd/engine/settle.py",
        "            self._look_whether_empty(op.place.parent)\n",
        "",
        EMPTIED,
    ),
    Bug(
        "nothing can be done in what is left of a folder",
        "Only a folder that is in sync can be opened for an op: what is kept in one that is kept never goes.",
        "P2",
        "syncd/engine/desk.py",
        "(isinstance(node.local, Present) or is_leftover(node)):",
        "isinstance(node.local, Present):",
        EMPTIED,
    ),
    Bug(
        "what is left of a folder stays for litter",
        "A folder is empty when nothing at all is in it.",
        "P2",
        "syncd/observe/scan.py",
        "return all(is_litter(entry.name) for entry in entries)",
        "return not list(entries)",
        EMPTIED,
    ),
)
