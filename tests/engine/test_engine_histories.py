"""A hub that goes back to a backup: what a device knew of the other history is doubted, and no file is lost."""

import shutil
from collections.abc import Callable

import pytest

from syncd.engine.desk import EngineSettings
from syncd.engine.receive import EPOCH
from syncd.hub.core import Hub
from syncd.model.errors import HistoryChanged
from syncd.model.job import PollJob, PullJob, SendJob
from syncd.model.node import Absent, Tree, Version
from syncd.model.observation import Hints, Message, PullFailed, PullFault
from tests.engine.pausing import hold_listing, stop_at, work_on
from tests.engine.world import Device, Luck, World

Make = Callable[..., World]


@pytest.fixture
def two(make_world: Make) -> World:
    return make_world("ann", "bob")


def back_up(world: World) -> None:
    world.hub.close()
    shutil.copytree(world.base / "hub", world.base / "backup")
    world.hub = Hub.open(world.base / "hub", world.time, Luck(5))
    for device in world.devices:
        device.hub = world.hub
        device.wire._remote = world.hub.authenticate(device.enrolled.token)


def reopen_older(world: World) -> None:
    """The hub comes back from its backup; the devices run on."""
    world.hub.close()
    shutil.rmtree(world.base / "hub")
    shutil.copytree(world.base / "backup", world.base / "hub")
    world.hub = Hub.open(world.base / "hub", world.time, Luck(77))
    for device in world.devices:
        device.hub = world.hub
        device.wire._remote = world.hub.authenticate(device.enrolled.token)


@pytest.mark.parametrize("restart", [False, True], ids=["it runs on", "it is killed"])
@pytest.mark.parametrize("others", [False, True], ids=["nobody writes", "others write at the same positions"])
def test_p2_a_hub_that_lost_our_last_commit_but_not_our_cursor_is_noticed(
    two: World, restart: bool, others: bool
) -> None:
    """R held what the hub no longer had: nobody else ever got the file, and each edit of it was stale for ever."""
    ann, bob = two.devices
    ann.write("a", "first")
    two.settle()
    back_up(two)
    cursor = ann.db.meta.get("cursor")
    ann.write("a", "second")
    ann.write("new", "new")
    ann.deadline = ann.engine.step([Hints((((), "a"), ((), "new")))])
    stop_at(ann, lambda job: isinstance(job, SendJob))
    for _ in range(20):  # the commit, and its result; the feed has not told it yet
        if [job for job in ann.jobs if isinstance(job, SendJob)]:
            ann.jobs = type(ann.jobs)(job for job in ann.jobs if not isinstance(job, PullJob))
            ann.one()
    assert ann.wire.commits
    assert ann.db.meta.get("cursor") == cursor
    reopen_older(two)
    if others:
        bob.write("from bob 1", "1")
        bob.write("from bob 2", "2")
        bob.wait()
    if restart:
        ann.crash()
        ann.start()
    two.settle(expect=None)
    assert bob.read("a") == "second"
    assert bob.read("new") == "new"


@pytest.mark.parametrize("edited", [False, True], ids=["nobody edits", "edited since"])
def test_p2_a_hub_that_goes_back_after_our_cursor_expired_is_noticed(two: World, edited: bool) -> None:
    """Nobody compared the cursors: the listing was taken for newer, and what we had done there was stale for ever."""
    ann, bob = two.devices
    ann.write("a", "first")
    two.settle()
    back_up(two)
    bob.wire.cut = True
    ann.write("a", "second")
    ann.wait()
    ann.write("new", "new")
    ann.wait()
    with ann.db.transaction():
        ann.db.meta.delete("cursor")  # as after an expired one
    ann.crash()
    reopen_older(two)
    bob.wire.cut = False
    bob.write("by bob", "1")
    bob.wait()
    ann.start()
    if edited:
        ann.write("a", "third")
    two.settle(expect=None)
    assert bob.read("a") == ("third" if edited else "second")
    assert ann.read("new") == bob.read("new") == "new"
    assert not ann.trash()
    assert bob.tree().keys() == {"a", "new", "by bob"}


@pytest.mark.parametrize("others", [False, True], ids=["nobody else writes", "others write at the same positions"])
def test_p2_a_hub_that_goes_back_and_forgets_its_journal_is_noticed(two: World, others: bool) -> None:
    """It said only that the cursor had expired: what the backup lacked was taken for deleted."""
    ann, bob = two.devices
    ann.write("a", "first")
    two.settle()
    back_up(two)
    bob.wire.cut = True
    ann.write("new", "new")
    ann.wait()
    ann.crash()
    reopen_older(two)
    bob.wire.cut = False
    for number in range(3 if others else 0):
        bob.write("a", f"edit {number}")
        bob.write(f"by bob {number}", "1")
        bob.wait()
    two.hub.gc(0.0)
    ann.start()
    two.settle(expect=None)
    assert ann.read("new") == bob.read("new") == "new"
    assert not ann.trash() & {b"new"}


def test_a_poll_of_an_old_conversation_does_not_forget_what_a_new_one_learnt(two: World) -> None:
    """A long poll that failed before a listing, and is told after it, made the device forget S a second time."""
    ann, _ = two.devices
    ann.write("a", "content")
    two.settle()
    late = PollJob("the cursor it had", 55.0)
    ann.engine.desk.in_flight[late.lane] = ann.engine.desk.in_flight.get(late.lane, 0) + 1
    ann.deadline = ann.engine.step([PullFailed(late, PullFault.HISTORY, str(HistoryChanged("restored")))])
    assert ann.db.meta.get(EPOCH) is None
    node = ann.db.nodes.node(ann.db.nodes.find(Tree.LOCAL, ("a",)))
    assert not isinstance(node.synced, Absent)
    two.settle()


def commit_untold(device: Device) -> list[Message]:
    """Look, and commit what was found; returns what the executor says, which the engine has not heard yet."""
    stop_at(device, lambda job: isinstance(job, SendJob))
    job = next(job for job in device.jobs if isinstance(job, SendJob))
    device.jobs.remove(job)
    return list(device.runner.send(job))


def poll(device: Device) -> None:
    """End the long poll, as the hub ends it now."""
    device.jobs.remove(next(job for job in device.jobs if isinstance(job, PollJob)))
    job = PollJob(device.db.meta.get("cursor") or "", 1.0)
    device.deadline = device.engine.step([device.lister.poll(job)])


def test_p1_what_was_committed_to_a_hub_that_went_back_is_not_in_sync_however_late_that_is_told(two: World) -> None:
    """S was forgotten when the history changed, and then named again, by an op that ended before the listing, what the
    hub had no more: the older content was taken for an edit, and replaced the only copy (seed 1000375)."""
    ann, bob = two.devices
    ann.write("a", "first")
    two.settle()
    back_up(two)
    bob.write("b", "so that the cursor shows it")
    bob.wait()
    ann.wait()
    ann.write("a", "second")
    ann.deadline = ann.engine.step([Hints((((), "a"),))])
    late = commit_untold(ann)
    reopen_older(two)
    poll(ann)
    while ann.engine.remote.forgetting:
        ann.deadline = ann.engine.step([])
    assert ann.engine.remote.any_position
    for message in late:
        ann.deadline = ann.engine.step([message])
    two.settle(expect=None)
    assert ann.read("a") == bob.read("a") == "second"


@pytest.mark.parametrize("restart", [False, True], ids=["it runs on", "it is killed"])
def test_p1_a_hub_that_lost_our_edit_and_has_anothers_in_its_place_is_noticed(two: World, restart: bool) -> None:
    """A younger change of the same file was taken for the feed's word on ours: the edit was replaced as if in sync."""
    ann, bob = two.devices
    ann.write("a", "first")
    two.settle()
    back_up(two)
    cursor = ann.db.meta.get("cursor")
    ann.write("a", "from ann")
    ann.deadline = ann.engine.step([Hints((((), "a"),))])
    for message in commit_untold(ann):
        ann.deadline = ann.engine.step([message])
    assert ann.db.meta.get("cursor") == cursor
    reopen_older(two)
    bob.write("b", "from bob, at the position of ann's edit")
    bob.wait()
    bob.write("a", "from bob, and longer")
    bob.wait()
    if restart:
        ann.crash()
        ann.start()
    two.settle(expect=None)
    assert {b"from ann", b"from bob, and longer"} <= ann.everything() & bob.everything()


@pytest.mark.parametrize("name", ["a", "new"], ids=["an edit", "a new file"])
@pytest.mark.parametrize("told", [False, True], ids=["the feed had not told it", "the feed had told it"])
def test_p1_a_listing_that_does_not_show_what_was_known_is_of_another_history(
    two: World, name: str, told: bool
) -> None:
    """The cursor expired, so that it could not tell; the older version that was listed was passed over for ever, and a
    file that was not listed was taken for deleted, and for one that the hub keeps."""
    world, (ann, bob) = two, two.devices
    ann.write("a", "first")
    world.settle()
    back_up(world)
    ann.write(name, "second")
    ann.deadline = ann.engine.step([Hints((((), name),))])
    for message in commit_untold(ann):
        ann.deadline = ann.engine.step([message])
    if told:
        ann.wait()
    reopen_older(world)
    for number in range(5):
        bob.write(f"from bob {number}", "others go on")
        bob.wait()
    world.time.ahead += 1.0
    world.hub.gc(0.0)
    world.settle(expect=None)
    world.time.ahead += 86_400.0
    world.settle(expect=None)
    assert bob.read(name) == ann.read(name) == "second"


def test_p2_a_result_of_another_history_is_not_what_the_feed_has_told(two: World) -> None:
    """It ended while positions started anew: what was done later at smaller ones, and lost with the hub's next way
    back, counted as told, and a restart forgot to doubt it."""
    ann, bob = two.devices
    ann.write("a", "first")
    two.settle()
    back_up(two)
    remote, key = ann.engine.remote, ann.db.nodes.find(Tree.REMOTE, ("a",))
    assert key is not None
    with ann.db.transaction():
        ann.engine.pulls._list_history("as after a restore")
        remote.own_change(key, Version(40, "of the former history"))  # an op that ran, and ends now
    ann.wait()
    ann.write("b", "second")
    ann.wait()
    ann.crash()
    reopen_older(two)
    bob.write("by bob", "1")
    bob.wait()
    ann.start()
    two.settle()
    assert ann.read("b") == bob.read("b") == "second"


@pytest.mark.parametrize("name", ["a", "new"], ids=["an edit", "a new file"])
def test_p1_a_cursor_that_expired_at_a_hub_that_cannot_tell_histories_apart(two: World, name: str) -> None:
    """Only the listing can tell: of an older version, that it is of another history; of a file that is not in it,
    nothing, so that it leaves for the trash, and stays there (the remote has no version of it)."""
    ann, bob = two.devices
    ann.write("a", "first")
    two.settle()
    back_up(two)
    ann.write(name, "second")
    two.settle()
    for device in two.devices:
        device.crash()
    reopen_older(two)
    for device in two.devices:
        device.start()
        with device.db.transaction():
            device.db.meta.delete("cursor")
    two.settle(expect=None)
    two.time.ahead += 86_400.0
    two.settle(expect=None)
    assert b"second" in ann.everything()
    if name == "a":
        assert ann.read("a") == bob.read("a") == "second"
        bob.write("a", "third")  # the hub has to have it again, or this is stale for ever
        two.settle(expect=None)
        assert ann.read("a") == "third"


def test_p1_nothing_is_concluded_from_a_listing_of_another_history(make_world: Callable[..., World]) -> None:
    """It tells an older version of one file, and lacks another one: that leaves nobody's folder."""
    world = make_world("ann", "bob", settings=EngineSettings(delete_rest=0.0))
    ann = world.devices[0]
    ann.write("a", "first")
    world.settle()
    back_up(world)
    ann.write("a", "second")
    ann.write("new", "new")
    world.settle()
    reopen_older(world)
    with ann.db.transaction():
        ann.db.meta.delete("cursor")  # as after an expired one, at a hub that cannot tell
    ann.crash()
    ann.start()
    world.settle(expect=None)
    assert not ann.trash()
    assert ann.read("a") == "second"
    assert ann.read("new") == "new"


@pytest.mark.parametrize(
    "deed",
    [
        pytest.param(lambda ann: ann.write("a", "second"), id="an edit"),
        pytest.param(lambda ann: ann.write("c", "new"), id="a new file"),
        pytest.param(lambda ann: ann.remove("a"), id="a removal"),
        pytest.param(lambda ann: ann.path("folder").rename(ann.path("c")), id="a move"),
        pytest.param(lambda ann: ann.path("a").chmod(0o755), id="an executable bit"),
    ],
)
def test_p2_what_is_done_while_everything_is_listed_is_not_lost_with_a_hub_that_goes_back(
    two: World, deed: Callable[[Device], object]
) -> None:
    """It was sent while the listing was on its way, and the hub went back before that arrived: neither the listing nor
    the feed had to tell it, nobody else ever got it, and whatever it was in was stale for ever (seed 1001697)."""
    ann, bob = two.devices
    ann.write("a", "first")
    ann.write("folder/b", "first")
    two.settle()
    back_up(two)
    listing = hold_listing(ann)
    deed(ann)
    work_on(ann, "a", "c", "folder")
    reopen_older(two)
    for number in range(3):
        bob.write(f"by bob {number}", "others go on")
        bob.wait()
    ann.jobs.append(listing)
    theirs = {path: what for path, what in bob.tree().items() if path.startswith("by bob")}
    wanted = {**ann.tree(), **theirs}
    two.settle(expect=None)
    assert ann.tree() == wanted
