"""Bugs planted into looking (``syncd/observe``)."""

from typing import Final

from tests.planted.bug import Bug

SCAN: Final = ("tests/observe/test_observe_scan.py",)
FINGERPRINT: Final = ("tests/observe/test_observe_fingerprint.py",)
LISTING: Final = ("tests/observe/test_observe_listing.py",)
COALESCE: Final = ("tests/observe/test_observe_coalesce.py",)


def observe(test: str) -> tuple[str, ...]:
    return ("tests/observe", "-k", test)


BUGS: Final = (
    Bug(
        "a young file that was read elsewhere is believed",
        "Files that are read together are never racy.",
        "P1",
        "syncd/observe/scan.py",
        "            racy = is_racy(here.fingerprint, read_ns, self.tick_ns)\n",
        "            racy = False\n",
        ("tests/observe/test_observe_small.py",),
    ),
    Bug(
        "what a look tells may be lost with the power",
        "Only an upload makes a file durable; what turns out to be in sync already is not.",
        "P4",
        "syncd/observe/scan.py",
        "made_durable(self._fs, job, tuple(units))",
        "tuple(units)",
        ("tests/sim/test_sim_engine.py", "-k", "in_sync_is_durable"),
    ),
    Bug(
        "a folder whose names are not durable is told all the same",
        "Only files are read again; a symlink, a folder or what is gone is believed.",
        "P4",
        "syncd/observe/durable.py",
        "    if (number, None) in failed:",
        "    if (number, None) in failed and not failed:",
        ("tests/engine/test_engine_not_durable.py",),
    ),
    Bug(
        "another file's being durable counts",
        "The name is opened again after reading, and whatever it leads to is made durable.",
        "P4",
        "syncd/observe/durable.py",
        "    if (here.dev, here.ino) != (what.fingerprint.dev, what.fingerprint.ino):",
        "    if here.dev != what.fingerprint.dev:",
        ("tests/observe/test_observe_scan.py", "-k", "replaced_after"),
    ),
    Bug(
        "the racy rule is ignored",
        "An equal fingerprint means equal content, however young the file was when it was read.",
        "P1",
        "syncd/observe/fingerprint.py",
        " and known.hashed and not known.racy",
        " and known.hashed",
        observe("test_unchanged"),
    ),
    Bug(
        "the kernel's tick is forgotten",
        "Time stamps are taken to be as fine as the file system stores them.",
        "P1",
        "syncd/observe/fingerprint.py",
        "    return max(tick_ns, KERNEL_TICK_NS)",
        "    return tick_ns",
        observe("test_racy"),
    ),
    Bug(
        "an unreadable folder is a deleted one",
        "A folder that cannot be opened is reported as gone.",
        "P7",
        "syncd/observe/scan.py",
        "            fault = _FAULTS.get(error.errno or 0, UnitFault.UNREADABLE)",
        "            fault = _FAULTS.get(error.errno or 0, UnitFault.GONE)",
        observe("test_p10_a_directory_that_cannot_be_opened_is_a_fault_not_an_absence"),
    ),
    Bug(
        "half a listing counts",
        "A listing that breaks off is taken for the whole: what it did not name is gone.",
        "P7",
        "syncd/observe/scan.py",
        """            except OSError:  # the listing itself failed: nothing may be concluded from half of it
                return UnitLooked(unit.directory, unit.path, whole, fault=UnitFault.UNREADABLE)""",
        """            except OSError:
                entries, found = [], _Found()
                gone = tuple(sorted(known.name for known in unit.known))
                return UnitLooked(unit.directory, unit.path, whole, dev=directory.dev, ino=directory.ino, gone=gone)""",
        observe("test_a_listing_that_breaks_off_concludes_nothing"),
    ),
    Bug(
        "torn content gets a hash",
        "Whether the file changed while it was hashed is not asked.",
        "P5",
        "syncd/observe/content.py",
        "    return after, digest if before.fingerprint == after.fingerprint else None",
        "    return after, digest",
        ("tests/observe", "-k", "test_p5"),
    ),
    Bug(
        "the name is not looked at after reading",
        "What was read is believed to be what the name still leads to.",
        "P5",
        "syncd/observe/content.py",
        " or named is None or named.kind is not stat.kind or named.fingerprint != found.fingerprint:",
        " or named is None:",
        observe("test_a_symlink_replaced_while_it_is_read_is_busy"),
    ),
    Bug(
        "bit rot is an edit",
        "Other content under an unchanged fingerprint is uploaded like an edit.",
        "P1",
        "syncd/observe/scan.py",
        "            what = replace(what, corrupt=before.hash is not None and what.hash != before.hash)",
        "            pass",
        observe("test_a_deep_look_tells_damage_from_an_edit"),
    ),
    Bug(
        "a mount inside the root is entered",
        "A folder is a folder, whatever file system it lies on.",
        "P8",
        "syncd/observe/scan.py",
        "        if here.dev != self.directory.dev:",
        "        if False:",
        observe("test_a_directory_on_another_file_system_is_unknown_and_not_descended_into"),
    ),
    Bug(
        "unreadable rules are no rules",
        "A `.syncignore` that cannot be read means that nothing is ignored.",
        "P1",
        "syncd/observe/rules.py",
        "            kept = self._kept or _Kept(None, Rules.parse(NOTHING_KNOWN))",
        "            kept = self._kept or _Kept(None, self._none)",
        observe("test_rules_that_were_never_readable_ignore_everything"),
    ),
    Bug(
        "the last hint is lost",
        "A hint that comes while the name is paced is dropped: the name was looked at a moment ago.",
        "P2",
        "syncd/observe/coalesce.py",
        "        self.due = now if self.released is None else max(now, self.released + self.interval)",
        "        self.due = now if self.released is None else None",
        observe("test_repeats_come_at_growing_intervals_and_the_last_hint_is_never_lost"),
    ),
    Bug(
        "a listing in circles is believed",
        "The remote's page tokens are followed wherever they lead.",
        "P10",
        "syncd/observe/listing.py",
        '            _sane(page.next != job.page and page.next not in self._pages, "a listing that goes in circles")\n',
        "",
        observe("test_listings_that_lead_nowhere_are_refused"),
    ),
    Bug(
        "a tombstone is listed as alive",
        "What a listing names is there.",
        "P10",
        "syncd/observe/listing.py",
        '            _sane(not change.node.deleted, "a listing of what is alive holds a tombstone")\n',
        "",
        observe("test_listings_that_lead_nowhere_are_refused"),
    ),
    Bug(
        "a listing is the same when its names are",
        "The digest of a listing leaves out what moves with an edit that keeps size and times.",
        "P2",
        "syncd/observe/sameness.py",
        "add(_PRINT(here.dev, here.ino, here.mtime_ns, here.ctime_ns, here.size))",
        "add(_PRINT(here.dev, here.ino, here.mtime_ns, 0, here.size))",
        ("tests/observe/test_observe_sameness.py",),
    ),
    Bug(
        "a digest is given although something is told",
        "What a look has to tell does not keep it from saying that all was as it is known.",
        "P2",
        "syncd/observe/scan.py",
        "or self.pairs.sidecars or found.anything)",
        "or self.pairs.sidecars)",
        ("tests/observe/test_observe_sameness.py",),
    ),
    Bug(
        "many files are durable without anybody's doing",
        "Where many files are news, the file system is taken to be durable as it is.",
        "P4",
        "syncd/observe/durable.py",
        "        return fs.make_all_durable()\n",
        "        return True\n",
        ("tests/sim/test_sim_engine.py", "-k", "in_sync_is_durable"),
    ),
    Bug(
        "new files are compared with nothing that vanished",
        "Whether anything has vanished is asked once, and never again.",
        "P2",
        "syncd/db/own.py",
        "        if isinstance(state, Absent):\n            self._any_vanished = None\n",
        "",
        ("tests/db/test_db_own.py",),
    ),
    Bug(
        "a chmod that moved nothing else is no change",
        "Only the fingerprint counts: an executable bit that was given in the tick of a download stays unseen.",
        "P2",
        "syncd/observe/fingerprint.py",
        " and known.executable in (None, stat.executable)",
        "",
        ("tests/observe/test_observe_sameness.py",),
    ),
)
