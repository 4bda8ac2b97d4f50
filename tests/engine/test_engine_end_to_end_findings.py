"""What real processes showed first, at its smallest: each of these once lost a name, a move or an edit."""

from collections.abc import Callable

from tests.engine.world import Device, World

Make = Callable[..., World]


def test_p2_a_deep_folder_that_becomes_a_file_takes_the_name(make_world: Make) -> None:
    """What vanished with a folder is known level by level: nothing is planned on half of that."""
    world = make_world("a", "b")
    a, b = world.devices
    a.write("notes/today.md", "two")
    a.write("notes/deep/er/old.md", "three")
    world.settle()
    a.remove("notes")
    a.write("notes", "now a file")
    world.settle()
    assert b.read("notes") == "now a file"
    assert list(b.tree()) == ["notes"]


def test_what_the_remotes_ignore_rules_name_is_never_uploaded_on_a_first_link(make_world: Make) -> None:
    """The rules are in force only once everything was looked at again under them."""
    world = make_world("a")
    (a,) = world.devices
    a.write(".syncignore", "secret*\nbig/\n")
    a.write("shared.txt", "shared")
    world.settle()
    b = Device(world.base, "b", world.hub, world.time, 99)
    world.devices.append(b)
    b.write("secret.txt", "never leaves")
    b.write("big/blob", "never leaves either")
    b.write("mine.txt", "travels")
    b.wait()
    uploaded = [getattr(mutation, "place", None) or mutation for mutation in b.wire.commits]
    assert len(b.wire.commits) == 1, uploaded
    assert b.read("secret.txt") == "never leaves"


def test_p1_late_writes_are_found_soon_however_many_deletes_follow_each_other(make_world: Make) -> None:
    """A sweep that comes too early for an entry is followed by one in time, not by the one an hour later."""
    world = make_world("a", "b")
    a, b = world.devices
    for number in range(2):
        a.write(f"log {number}", "line 1\n")
    a.write("stays", "here")
    world.settle()
    with b.path("log 1").open("ab", buffering=0) as late:
        for gone in ("log 0", "log 1"):
            a.remove(gone)
            a.wait()
            b.wait()
        late.write(b"line 2\n")
    before = b.time.now()
    while b.time.now() < before + 30.0 and not any("conflicted copy" in name for name in b.tree()):
        if not b.one():
            b.time.ahead += 0.5
    (copy,) = (name for name in b.tree() if name.startswith("log"))
    assert b.read(copy) == "line 1\nline 2\n"
