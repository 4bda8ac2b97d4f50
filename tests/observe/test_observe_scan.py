"""What a look sees, what it reads, and what it refuses to conclude."""

import errno
import os
import socket
from dataclasses import replace

import pytest
from blake3 import blake3
from msgspec.structs import replace as changed

from syncd.model.job import KnownEntry, LookJob, LookUnit
from syncd.model.node import Kind, Reason
from syncd.model.observation import UnitFault
from syncd.observe.durable import CANNOT
from syncd.observe.hashing import MANY_THREADS_ABOVE
from tests.observe.conftest import known_of


def h(data):
    return blake3(data).digest()


def test_everything_new_is_seen_with_its_content(root, look):
    (root / "a.txt").write_bytes(b"alpha")
    (root / "run").write_bytes(b"#!")
    (root / "run").chmod(0o755)
    (root / "empty").touch()
    (root / "sub").mkdir()
    (root / "link").symlink_to("../anywhere at all")
    unit = look()
    assert [(s.name, s.kind, s.hash, s.executable, s.racy) for s in unit.seen] == [
        ("a.txt", Kind.FILE, h(b"alpha"), False, False),
        ("empty", Kind.FILE, h(b""), False, False),
        ("link", Kind.SYMLINK, h(b"../anywhere at all"), False, False),
        ("run", Kind.FILE, h(b"#!"), True, False),
        ("sub", Kind.DIRECTORY, None, False, False),
    ]
    assert unit.whole
    assert unit.directories == ("sub",)
    assert (unit.dev, unit.ino) == (os.stat(root).st_dev, os.stat(root).st_ino)
    assert unit.fault is None
    assert unit.unseen == unit.unhashed == unit.gone == ()


def test_p3_an_unchanged_directory_reports_nothing_and_opens_nothing(root, look, fs):
    (root / "a").write_bytes(b"1")
    (root / "sub").mkdir()
    (root / "link").symlink_to("a")
    known = known_of(look())
    opened = fs.opened
    unit = look(known=known)
    assert (unit.seen, unit.unhashed, unit.unseen, unit.gone) == ((), (), (), ())
    assert unit.directories == ("sub",)
    assert fs.opened == opened


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda p: p.write_bytes(b"2"), id="another content of the same size"),
        pytest.param(lambda p: p.chmod(0o755), id="the executable bit"),
        pytest.param(lambda p: os.replace(other(p), p), id="saved by rename"),
        pytest.param(lambda p: (p.write_bytes(b"2"), os.utime(p, (1, 1))), id="with its mtime set back"),
    ],
)
def test_a_changed_file_is_read_again(root, look, change):
    path = root / "a"
    path.write_bytes(b"1")
    known = known_of(look())
    change(path)
    (seen,) = look(known=known).seen
    assert seen.hash == h(path.read_bytes())
    assert seen.executable is bool(path.stat().st_mode & 0o100)


def other(path):
    beside = path.with_name("beside")
    beside.write_bytes(b"2")
    return beside


def test_a_young_file_is_racy_and_read_again_until_it_is_not(root, look, clock):
    clock.ahead = -1.0  # as if it had been written just now, however slow this machine is
    (root / "a").write_bytes(b"1")
    first = look()
    assert first.seen[0].racy
    clock.ahead = 60.0
    second = look(known=known_of(first))
    assert [(s.name, s.racy) for s in second.seen] == [("a", False)]
    assert look(known=known_of(second)).seen == ()


def test_gone_is_concluded_from_the_listing_only(root, look):
    for name in ("a", "b", "c"):
        (root / name).write_bytes(b"x")
    known = known_of(look())
    os.unlink(root / "a")
    os.unlink(root / "c")
    assert look(known=known).gone == ("a", "c")
    assert look(names=("a", "b"), known=known[:2]).gone == ("a",)
    assert look(names=("a",), known=known).gone == ("a",), "names that were not asked for are not concluded"


def test_a_look_at_names_looks_at_nothing_else(root, look, faults):
    for name in ("a", "b", "new"):
        (root / name).write_bytes(name.encode())
    unit = look(names=("new", "never was"))
    assert [s.name for s in unit.seen] == ["new"]
    assert not unit.whole
    assert unit.directories == ()
    assert {name for call, name in faults.calls if call in ("open", "stat")} <= {"new", ".syncignore"}


@pytest.mark.parametrize(
    ("prepare", "error", "expected"),
    [
        pytest.param(None, None, UnitFault.GONE, id="missing"),
        pytest.param(lambda p: p.write_bytes(b""), None, UnitFault.NOT_A_DIRECTORY, id="a file"),
        pytest.param(lambda p: p.symlink_to("/tmp"), None, UnitFault.NOT_A_DIRECTORY, id="a symlink is not followed"),
        pytest.param(lambda p: p.mkdir(), errno.EACCES, UnitFault.UNREADABLE, id="locked"),
        pytest.param(lambda p: p.mkdir(), errno.EXDEV, UnitFault.OTHER_FILE_SYSTEM, id="a mount"),
        pytest.param(lambda p: p.mkdir(), errno.EMFILE, UnitFault.UNREADABLE, id="our own limits prove nothing"),
    ],
)
def test_p10_a_directory_that_cannot_be_opened_is_a_fault_not_an_absence(root, look, faults, prepare, error, expected):
    if prepare:
        prepare(root / "d")
    if error:
        faults.errors["open_dir", ("d",)] = OSError(error, os.strerror(error))
    known = KnownEntry("x", Kind.DIRECTORY, None, False, False)
    unit = look(("d",), known=[known])
    assert unit.fault is expected
    assert unit.gone == ()


def test_a_listing_that_breaks_off_concludes_nothing(root, look, faults):
    (root / "a").write_bytes(b"x")
    faults.errors["entries", ""] = OSError(errno.EIO, "input/output error")
    unit = look(known=[KnownEntry("b", Kind.DIRECTORY, None, False, False)])
    assert unit.fault is UnitFault.UNREADABLE
    assert (unit.gone, unit.seen) == ((), ())


def test_one_unit_that_fails_stops_no_other(root, looker):
    (root / "a").write_bytes(b"x")
    job = LookJob((LookUnit(2, ("no",), None, ()), LookUnit(1, (), None, ())), began=1)
    bad, good = looker.look(job).units
    assert bad.fault is UnitFault.GONE
    assert [s.name for s in good.seen] == ["a"]


def test_p10_what_can_never_be_a_node_is_held_and_never_opened(root, look, faults):
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(root / "socket"))
    for name in (b"latin-\xe9", b".Syncd"):
        with open(os.path.join(os.fsencode(root), name), "wb"):
            pass
    (root / "ok").write_bytes(b"x")
    unit = look()
    assert [s.name for s in unit.seen] == ["ok"]
    held = {u.name: (u.kind, u.detail) for u in unit.unseen if u.reason is Reason.HELD}
    assert set(held) == {"pipe", "socket", "latin-\udce9", ".Syncd"}
    assert held["pipe"] == (None, "is neither a file nor a directory nor a symlink")
    assert held["latin-\udce9"] == (Kind.FILE, "is not UTF-8")
    assert {name for call, name in faults.calls if call == "open"} == {"ok"}


def test_p10_our_own_folder_is_never_reported(root, look):
    (root / ".syncd" / "trash").mkdir(parents=True)
    (root / "sub" / ".syncd").mkdir(parents=True)
    assert [s.name for s in look().seen] == ["sub"]
    (held,) = look(("sub",)).unseen
    assert (held.name, held.reason) == (".syncd", Reason.HELD)


def test_an_unreadable_file_is_unknown_not_absent(root, look, faults):
    (root / "a").write_bytes(b"x")
    (root / "b").write_bytes(b"y")
    faults.errors["open", "a"] = PermissionError(errno.EACCES, "Permission denied")
    unit = look()
    (unseen,) = unit.unseen
    assert (unseen.name, unseen.kind, unseen.reason) == ("a", Kind.FILE, Reason.UNREADABLE)
    assert unseen.detail == "permission denied"
    assert [s.name for s in unit.seen] == ["b"]
    assert unit.gone == ()


def test_a_disk_error_while_reading_is_unreadable(root, look, faults):
    (root / "a").write_bytes(b"x")
    faults.errors["read", "a"] = OSError(errno.EIO, "Input/output error")
    assert [u.reason for u in look().unseen] == [Reason.UNREADABLE]


@pytest.mark.parametrize(
    "meanwhile",
    [
        pytest.param(lambda p: p.write_bytes(b"longer than before"), id="it grew"),
        pytest.param(lambda p: os.truncate(p, 1), id="it shrank"),
        pytest.param(lambda p: os.replace(other(p), p), id="it was replaced"),
        pytest.param(lambda p: p.unlink(), id="it was deleted"),
        pytest.param(lambda p: p.chmod(0o755), id="its mode changed"),
    ],
)
def test_p5_a_file_that_changes_while_it_is_read_has_no_content(root, look, faults, meanwhile):
    (root / "a").write_bytes(b"before")
    faults.before["read", "a"] = lambda: meanwhile(root / "a")
    unit = look(names=("a",))
    assert unit.seen == ()
    assert [(u.name, u.busy) for u in unit.unhashed] == [("a", True)]


@pytest.mark.parametrize(
    "meanwhile",
    [
        pytest.param(lambda p: p.unlink(), id="gone"),
        pytest.param(lambda p: (p.unlink(), p.mkdir()), id="a directory"),
        pytest.param(lambda p: (p.unlink(), p.symlink_to("/etc/passwd")), id="a symlink out of the root"),
        pytest.param(lambda p: (p.unlink(), os.mkfifo(p)), id="a pipe"),
    ],
)
def test_p10_a_name_that_became_something_else_before_it_was_opened_is_busy(root, look, faults, meanwhile):
    (root / "a").write_bytes(b"before")
    faults.before["open", "a"] = lambda: meanwhile(root / "a")
    unit = look()
    assert unit.seen == ()
    assert [(u.name, u.busy) for u in unit.unhashed] == [("a", True)]


def test_a_symlink_replaced_while_it_is_read_is_busy(root, look, faults):
    (root / "a").symlink_to("x")
    faults.before["readlink", "a"] = lambda: ((root / "a").unlink(), (root / "a").symlink_to("yy"))
    assert [u.busy for u in look().unhashed] == [True]


def test_names_that_vanish_during_the_listing_are_looked_up_in_a_new_one(root, look, faults, fs):
    for name in ("a", "b"):
        (root / name).write_bytes(b"x")
    known = known_of(look())

    def vanish():
        os.unlink(root / "a")
        os.unlink(root / "new")

    (root / "new").write_bytes(b"x")
    faults.before["stat", "a"] = vanish
    unit = look(names=("a", "b", "new"), known=known)
    assert unit.gone == ("a",)
    assert (unit.seen, unit.unseen) == ((), ())


def test_a_name_that_is_listed_but_cannot_be_looked_up_is_unreadable(root, look, faults):
    (root / "a").write_bytes(b"x")
    faults.errors["stat", "a"] = OSError(errno.EIO, "Input/output error")
    known = KnownEntry("a", Kind.FILE, None, False, True)
    unit = look(names=("a",), known=[known])
    assert unit.gone == ()
    assert [(u.name, u.reason, u.detail) for u in unit.unseen] == [("a", Reason.UNREADABLE, "input/output error")]


def test_files_over_the_limit_come_back_in_a_job_of_their_own(root, look):
    for name in ("a", "b", "c"):
        (root / name).write_bytes(name.encode() * 100)
    unit = look(hash_limit=250)
    assert [s.name for s in unit.seen] == ["a", "b"]
    assert [(u.name, u.busy) for u in unit.unhashed] == [("c", False)]
    assert [s.hash for s in look(names=("c",), hash_limit=None).seen] == [h(b"c" * 100)]


def test_a_large_file_is_hashed_in_pieces(root, look, faults):
    data = os.urandom(1 << 20) * ((MANY_THREADS_ABOVE >> 20) + 1) + b"tail"
    (root / "large").write_bytes(data)
    (seen,) = look().seen
    assert seen.hash == h(data)
    assert faults.calls.count(("read", "large")) > 4


def test_a_directory_is_news_when_it_is_new_or_another_one(root, look):
    (root / "d").mkdir()
    known = known_of(look())
    (root / "d" / "x").touch()  # changes the directory's mtime and ctime
    assert look(known=known).seen == ()
    (root / "d").rename(root / "old")
    (root / "d").mkdir()
    assert {s.name for s in look(known=known).seen} == {"d", "old"}


def test_a_directory_on_another_file_system_is_unknown_and_not_descended_into(root, looker, fs, look, monkeypatch):
    (root / "mnt").mkdir()
    unit = look()
    (seen,) = unit.seen
    real = type(fs.open_dir(())).entries

    def mounted(self):
        return [
            changed(e, stat=changed(e.stat, fingerprint=changed(e.stat.fingerprint, dev=e.stat.fingerprint.dev + 1)))
            for e in real(self)
        ]

    monkeypatch.setattr(type(fs.open_dir(())), "entries", mounted)
    unit = look(known=known_of(unit))
    assert [(u.name, u.kind, u.reason) for u in unit.unseen] == [("mnt", Kind.DIRECTORY, Reason.OTHER_FILE_SYSTEM)]
    assert unit.directories == ()
    assert unit.gone == ()
    assert seen.name == "mnt"


def test_a_change_of_kind_is_seen_as_the_new_kind(root, look):
    (root / "a").write_bytes(b"x")
    known = known_of(look())
    (root / "a").unlink()
    (root / "a").mkdir()
    unit = look(known=known)
    assert [(s.name, s.kind) for s in unit.seen] == [("a", Kind.DIRECTORY)]
    assert unit.directories == ("a",)


# --- deep ---------------------------------------------------------------------------------------------------------


def test_p3_a_deep_look_at_sound_files_reads_all_and_reports_nothing(root, look, fs):
    (root / "a").write_bytes(b"x")
    (root / "link").symlink_to("a")
    known = known_of(look())
    opened = fs.opened
    unit = look(known=known, deep=True)
    assert (unit.seen, unit.unseen, unit.unhashed) == ((), (), ())
    assert fs.opened == opened + 1


def test_a_deep_look_tells_damage_from_an_edit(root, look):
    for name in ("rotten", "edited", "unhashed"):
        (root / name).write_bytes(b"good")
    known = {entry.name: entry for entry in known_of(look())}
    known["rotten"] = replace(known["rotten"], hash=h(b"was good once"))
    known["unhashed"] = replace(known["unhashed"], hash=None)
    (root / "edited").write_bytes(b"new!")
    unit = look(known=known.values(), deep=True)
    assert {s.name: s.corrupt for s in unit.seen} == {"rotten": True, "edited": False, "unhashed": False}


def test_p4_what_cannot_be_made_durable_was_not_read_yet_and_holds_up_nothing_else(root, look, faults):
    for name in ("a", "b", "c"):
        (root / name).write_bytes(b"new")
    faults.errors["sync", "b"] = OSError(errno.EIO, "input/output error")
    unit = look()
    assert [seen.name for seen in unit.seen] == ["a", "c"]
    assert [(what.name, what.busy, what.detail) for what in unit.unhashed] == [("b", True, CANNOT)]


def test_p4_nothing_is_told_of_a_directory_whose_names_are_not_durable(root, look, faults):
    """Not of its files alone: a symlink that a power loss takes, or a name that comes back, is as much of an edit."""
    (root / "a").write_bytes(b"new")
    (root / "sub").mkdir()
    (root / "link").symlink_to("a")
    faults.errors["sync", ""] = OSError(errno.EIO, "input/output error")
    assert look().fault is UnitFault.NOT_DURABLE
    del faults.errors["sync", ""]
    unit = look()
    assert (unit.fault, sorted(seen.name for seen in unit.seen)) == (None, ["a", "link", "sub"])


def test_p4_a_file_that_was_replaced_after_it_was_read_is_not_durable_because_the_new_one_is(root, look, faults):
    (root / "a").write_bytes(b"old")
    (root / "other").write_bytes(b"new")
    opened = []

    def replace_at_the_second() -> None:
        """The first opening reads it, the second one is to make it durable."""
        opened.append("a")
        if len(opened) == 2:
            (root / "other").rename(root / "a")
        else:
            faults.before["open", "a"] = replace_at_the_second

    faults.before["open", "a"] = replace_at_the_second
    unit = look()
    assert "a" not in [seen.name for seen in unit.seen]
    assert [(what.name, what.busy) for what in unit.unhashed] == [("a", True), ("other", True)]


def test_p3_an_unchanged_directory_is_not_made_durable_again(root, look, faults):
    (root / "a").write_bytes(b"1")
    known = known_of(look())
    assert ("sync", "a") in faults.calls
    faults.calls.clear()
    look(known=known)
    assert not [call for call in faults.calls if call[0] == "sync"]
