"""What a look does with the rules of the root: when it reads them, what they hide, and when they cannot be read."""

import errno

import pytest

from syncd.model.job import KnownEntry, LookJob
from syncd.model.node import Kind, Reason
from tests.observe.conftest import known_of


def test_ignored_names_are_unknown_when_known_and_silent_otherwise(root, look, looker):
    for name in ("a.o", "b.o", "c.txt"):
        (root / name).write_bytes(b"x")
    (root / "build").mkdir()
    known = [entry for entry in known_of(look()) if entry.name != "b.o"]
    (root / ".syncignore").write_text("*.o\nbuild/\n")
    unit = look(known=known)
    assert [(u.name, u.reason) for u in unit.unseen] == [("a.o", Reason.IGNORED), ("build", Reason.IGNORED)]
    assert unit.directories == ()
    assert unit.gone == ()
    assert looker.look(LookJob((), began=1)).rules == "*.o\nbuild/\n"


def test_rules_count_at_the_top_only(root, look):
    (root / "sub").mkdir()
    (root / "sub" / ".syncignore").write_text("*\n")
    (root / "sub" / "a").write_bytes(b"x")
    assert [s.name for s in look(("sub",)).seen] == [".syncignore", "a"]


def test_rules_are_read_again_only_when_they_changed(root, look, fs):
    (root / ".syncignore").write_text("*.o\n")
    (root / "a.o").write_bytes(b"x")
    known = known_of(look())
    opened = fs.opened
    look(known=known)
    assert fs.opened == opened
    (root / ".syncignore").write_text("*.c\n")
    assert "a.o" in [s.name for s in look(known=known).seen]
    (root / ".syncignore").unlink()
    (root / "b.c").write_bytes(b"x")
    assert "b.c" in [s.name for s in look(known=known).seen]


def test_unreadable_rules_leave_the_last_ones_in_force(root, look, faults):
    (root / ".syncignore").write_text("*.o\n")
    (root / "a.o").write_bytes(b"x")
    (root / "b").write_bytes(b"x")
    look()
    (root / ".syncignore").write_text("*.o\n*.c\n")
    faults.errors["open", ".syncignore"] = PermissionError(errno.EACCES, "Permission denied")
    assert [s.name for s in look().seen] == ["b"]


def test_rules_that_were_never_readable_ignore_everything(root, look, faults):
    (root / ".syncignore").write_text("*.o\n")
    (root / "secret.o").write_bytes(b"x")
    faults.errors["open", ".syncignore"] = PermissionError(errno.EACCES, "Permission denied")
    unit = look(known=[KnownEntry("secret.o", Kind.FILE, None, False, True)])
    assert unit.seen == ()
    assert [(u.name, u.reason) for u in unit.unseen] == [("secret.o", Reason.IGNORED)]
    del faults.errors["open", ".syncignore"]
    assert [s.name for s in look().seen] == [".syncignore"]


@pytest.mark.parametrize("make", [lambda p: p.mkdir(), lambda p: p.symlink_to("elsewhere")])
def test_rules_that_are_no_regular_file_are_no_rules(root, look, make):
    make(root / ".syncignore")
    (root / "a.o").write_bytes(b"x")
    assert [s.name for s in look().seen] == [".syncignore", "a.o"]
