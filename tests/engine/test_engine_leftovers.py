"""Folders that are kept for ignored content after they were deleted, moved to where they are excluded, or given way to
a twin: what is left of them comes to rest (P2, P3), and stands in nobody's way.
"""

import os
from collections.abc import Callable

import pytest

from syncd.db.views import open_view
from syncd.model.conflict import ConflictKind
from syncd.model.observation import Hints
from tests.engine.test_engine_excluded import ignores, looks, move, online
from tests.engine.test_engine_twins import folding
from tests.engine.world import Device, World

Make = Callable[..., World]
DEPTHS = pytest.mark.parametrize("inside", ["d/a.log", "d/e/a.log"], ids=["in it", "deeper in it"])


def tied(make_world: Make, *names: str) -> World:
    """Devices in sync on ``a``, ``d/x``, ``d/e/y`` and ``q/z``, under rules that ignore ``*.log``."""
    world = make_world(*names)
    first = world.devices[0]
    first.write(".syncignore", "*.log\n")
    for name in ("a", "d/x", "d/e/y", "q/z"):
        first.write(name, f"content of {name}")
    world.settle()
    return world


def below(device: Device, *tops: str) -> list[str]:
    return [path for path in device.tree() if path.split("/")[0] in tops]


def kept(device: Device) -> int:
    """Return how often a folder was kept for what is in it."""
    return sum(row.outcome == "kept" for row in device.db.activity.recent(1000))


def left_over(world: World, inside: str) -> None:
    """Bob deletes ``d``, and ann has something ignored in it."""
    ann, bob = world.devices[:2]
    ann.write(inside, "ann's own")
    ann.wait()
    for name in ("d/x", "d/e/y"):
        bob.remove(name)
    bob.path("d/e").rmdir()
    bob.path("d").rmdir()
    bob.wait()
    ann.wait(expect=0)
    assert inside in ann.tree()


def test_p2_ignored_content_deep_in_a_folder_that_leaves_does_not_keep_it_leaving(make_world: Make) -> None:
    """What was left of a folder was joined with the one at the remote again, whose place in its parent is the same:
    they left anew every two seconds, and whatever waited for its parent waited for good."""
    world = tied(make_world, "ann", "bob")
    ann, bob = world.devices
    ignores(ann, "/q/\n*.log\n")
    ann.write("d/e/a.log", "ann's own")
    move(bob, "d", "q/d")
    bob.wait()
    online(ann)
    assert below(ann, "d") == ["d", "d/e", "d/e/a.log"]
    assert kept(ann) == 2
    looks(ann)
    ann.wait(expect=0)
    assert kept(ann) == 2
    ann.write("d/e/fresh", "put where the folder was")
    world.settle_all(expect=0)
    assert bob.read("d/e/fresh") == "put where the folder was"
    ann.write(".syncignore", "*.log\n")
    world.settle_all(expect=0)
    assert ann.read("q/d/e/y") == bob.read("q/d/e/y") == "content of d/e/y"
    assert below(bob, "d") == ["d", "d/e", "d/e/fresh"]


@pytest.mark.parametrize("inside", ["a.log", "deeper/a.log"])
def test_p10_a_folder_with_ignored_content_gives_way_to_its_twin(make_world: Make, inside: str) -> None:
    world = make_world("ann", "bob")
    ann, bob = world.devices
    folding(bob)
    bob.write(".syncignore", "*.log\n")
    for number in range(6):
        bob.write(f"name{number}/deeper/x", "content")
    bob.wait()
    ann.wait()
    for number in range(6):
        bob.write(f"name{number}/{inside}", "bob's own")
        ann.write(f"Name{number}/twin", "twin")
    ann.wait()
    world.settle_one(bob, None)
    gave_way = [number for number in range(6) if bob.path(f"Name{number}").exists()]
    assert 0 < len(gave_way) < 6
    for number in gave_way:
        assert bob.read(f"Name{number}/twin") == "twin"
        assert not bob.path(f"name{number}").exists()
        assert [p for p in bob.tree() if p.startswith(f"name{number} (conflicted") and p.endswith(inside)]
    done = kept(bob)
    looks(bob)
    world.settle_one(bob, None)
    assert kept(bob) == done
    world.settle_one(ann, None)
    assert not [path for path in ann.tree() if "conflicted" in path]  # what is left over is not uploaded


@DEPTHS
def test_p3_looking_again_at_what_is_left_over_brings_nothing_back(make_world: Make, inside: str) -> None:
    """A leftover in a leftover passed for something that is not ignored."""
    world = tied(make_world, "ann", "bob")
    ann, bob = world.devices
    left_over(world, inside)
    commits = len(ann.wire.commits)
    looks(ann)
    ann.wait(expect=0)
    assert len(ann.wire.commits) == commits
    bob.wait()
    assert not below(bob, "d")


@DEPTHS
@pytest.mark.parametrize("old", ["a", "q", None], ids=["a file moves", "a folder moves", "a new file"])
def test_p2_what_comes_to_the_name_of_a_leftover_gets_it(make_world: Make, inside: str, old: str | None) -> None:
    """It waited for a name that nobody was ever to free."""
    world = tied(make_world, "ann", "bob")
    ann, bob = world.devices
    left_over(world, inside)
    if old is None:
        bob.write("d", "new")
    else:
        move(bob, old, "d")
    bob.wait()
    ann.wait(expect=3)  # a conflict is shown
    (row,) = ann.db.conflicts.recent(5)
    assert row.kind is (ConflictKind.NAME if old == "q" else ConflictKind.TYPE)
    aside = {path.split("/")[0] for path in ann.tree() if "conflicted copy" in path}
    assert len(aside) == 1
    assert ann.read(f"{aside.pop()}/{inside.removeprefix('d/')}") == "ann's own"
    looks(ann)
    ann.wait(expect=3)
    bob.wait()
    assert below(ann, "d") == below(bob, "d")
    assert not [path for path in bob.tree() if "conflicted copy" in path]
    assert not ann.db.queue.in_state(None, 5)


@DEPTHS
@pytest.mark.parametrize("elsewhere", [False, True], ids=["where it was", "under another name"])
def test_p7_a_folder_that_an_edit_revives_comes_back_to_what_is_left_of_it(
    make_world: Make, inside: str, elsewhere: bool
) -> None:
    """The remote had the folder again, L said only that something was left of it: what came into it waited for good."""
    world = tied(make_world, "ann", "bob", "cleo")
    ann, _, cleo = world.devices
    cleo.wire.cut = True
    cleo.write("d/e/y", "edited by cleo")
    if elsewhere:
        move(cleo, "d", "p")
    looks(cleo)
    left_over(world, inside)
    cleo.wire.cut = False
    cleo.wait(expect=3)
    ann.wait(expect=0)
    assert ann.read("p/e/y" if elsewhere else "d/e/y") == "edited by cleo"
    assert ann.read(inside) == "ann's own"
    world.settle_all(expect=None)
    for device in world.devices:
        assert not device.db.queue.in_state(None, 5)


def shown(device: Device) -> list[str]:
    """Return what ``status`` lists as not synced here."""
    with open_view(str(device.base / "syncd.db")) as view:
        return [f"{one.path}: {one.why}" for one in view.not_synced()]


def goes_on(device: Device, seconds: float) -> None:
    """Let *device* do what comes in so many seconds: too few for a look at everything."""
    end = device.time.monotonic() + seconds
    while device.one() or (device.deadline is not None and device.deadline < end):
        if not device.busy:
            device.sleep()


@DEPTHS
@pytest.mark.parametrize("litter", [False, True], ids=["nothing", "litter"])
@pytest.mark.parametrize("told", [False, True], ids=["found by a look", "told by the watcher"])
def test_p2_p12_what_is_left_over_is_shown_and_goes_once_nothing_is_in_it(
    make_world: Make, inside: str, told: bool, litter: bool
) -> None:
    """The folder that others had removed differed from theirs, nobody said why, and it stayed when it was empty."""
    world = tied(make_world, "ann", "bob")
    ann, _ = world.devices
    left_over(world, inside)
    folders = ["d", "d/e"][: inside.count("/")]
    assert shown(ann) == [f"{path}: kept for ignored content" for path in folders]
    above, name = inside.rsplit("/", 1)
    if litter:
        ann.write(f"{above}/.DS_Store", "where its windows were")
    ann.remove(inside)
    if told:
        ann.step([Hints(((tuple(above.split("/")), name),))])
        goes_on(ann, 30.0)
    else:
        looks(ann)
        ann.wait()
    assert not below(ann, "d")
    assert not shown(ann)
    world.settle()


def pipe(device: Device) -> Callable[[], None]:
    os.mkfifo(device.path("d/e/a.pipe"))
    return device.path("d/e/a.pipe").unlink


def no_name(device: Device) -> Callable[[], None]:
    """Make a file whose name cannot travel."""
    name = os.fsencode(device.path("d/e")) + b"/\xff"
    os.close(os.open(name, os.O_CREAT | os.O_WRONLY))
    return lambda: os.unlink(name)


@pytest.mark.parametrize("make", [pipe, no_name])
def test_p2_a_folder_that_was_deleted_stays_for_what_can_never_be_synced(
    make_world: Make, make: Callable[[Device], Callable[[], None]]
) -> None:
    """It was not empty, so it was looked at again, and was not empty, for ever."""
    world = tied(make_world, "ann", "bob")
    ann, bob = world.devices
    remove = make(ann)
    ann.wait()
    for name in ("d/x", "d/e/y"):
        bob.remove(name)
    bob.path("d/e").rmdir()
    bob.path("d").rmdir()
    bob.wait()
    ann.wait()
    assert kept(ann) == 2
    assert not ann.db.queue.in_state(None, 5)
    remove()
    looks(ann)
    ann.wait()
    assert not below(ann, "d")
    world.settle()


def test_p2_what_is_left_over_stays_until_the_last_of_it_goes(make_world: Make) -> None:
    world = tied(make_world, "ann", "bob")
    ann, _ = world.devices
    ann.write("d/b.log", "ann's other own")
    left_over(world, "d/a.log")
    ann.remove("d/a.log")
    ann.step([Hints(((("d",), "a.log"),))])
    ann.wait()
    assert below(ann, "d") == ["d", "d/b.log"]
    assert kept(ann) == 1
    assert shown(ann) == ["d: kept for ignored content"]


def test_p1_p7_a_file_that_comes_to_an_emptied_leftover_in_the_last_moment_keeps_it(make_world: Make) -> None:
    world = tied(make_world, "ann", "bob")
    ann, bob = world.devices
    left_over(world, "d/a.log")
    ann.remove("d/a.log")
    looks(ann)
    assert ann.db.queue.in_state(None, 5), "the delete rests"
    ann.write("d/fresh", "put where the folder was")
    world.settle_all(expect=None)
    assert ann.read("d/fresh") == bob.read("d/fresh") == "put where the folder was"
    world.settle()
