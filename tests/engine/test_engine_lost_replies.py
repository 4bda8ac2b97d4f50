"""A commit whose reply was lost happened all the same: with one device editing, no conflict ever follows from it (P4).

The way to the hub breaks right after a commit, the person goes on working before it is mended, with or without a
restart in between, and at the end every folder holds what that person left.
"""

from collections.abc import Callable

import pytest

from syncd.model.conflict import is_conflicted_copy
from syncd.model.errors import Offline
from syncd.model.observation import Ask, Hints, Verb
from tests.engine.world import Device, World

Deed = Callable[[Device], None]


def write(name: str, content: str) -> Deed:
    return lambda device: (device.write(name, content), None)[1]


def rename(source: str, target: str) -> Deed:
    return lambda device: (device.path(source).rename(device.path(target)), None)[1]


def remove(name: str) -> Deed:
    return lambda device: device.remove(name)


def mkdir(name: str) -> Deed:
    return lambda device: device.path(name).mkdir()


def mark(name: str) -> Deed:
    return lambda device: device.path(name).chmod(0o755)


CASES = [
    pytest.param(write("new", "one"), write("new", "two"), id="created, then edited"),
    pytest.param(write("new", "one"), rename("new", "other"), id="created, then renamed"),
    pytest.param(write("new", "one"), remove("new"), id="created, then removed"),
    pytest.param(write("old", "one"), write("old", "two"), id="edited, then edited again"),
    pytest.param(write("old", "one"), rename("old", "other"), id="edited, then renamed"),
    pytest.param(write("old", "one"), remove("old"), id="edited, then removed"),
    pytest.param(write("old", "one"), write("old", "before"), id="edited, then put back"),
    pytest.param(rename("old", "other"), write("other", "two"), id="renamed, then edited"),
    pytest.param(rename("old", "other"), rename("other", "third"), id="renamed, then renamed again"),
    pytest.param(rename("old", "other"), rename("other", "old"), id="renamed, then renamed back"),
    pytest.param(rename("old", "other"), remove("other"), id="renamed, then removed"),
    pytest.param(remove("old"), write("old", "two"), id="removed, then made again"),
    pytest.param(remove("old"), write("old", "before"), id="removed, then restored"),
    pytest.param(mark("old"), write("old", "two"), id="made executable, then edited"),
    pytest.param(mkdir("folder"), rename("folder", "other"), id="folder made, then renamed"),
    pytest.param(mkdir("folder"), write("folder/inside", "one"), id="folder made, then filled"),
    pytest.param(mkdir("folder"), remove("folder"), id="folder made, then removed"),
    pytest.param(rename("full", "other"), rename("other", "third"), id="full folder renamed, then renamed again"),
    pytest.param(rename("full", "other"), rename("other", "full"), id="full folder renamed, then renamed back"),
    pytest.param(remove("full"), write("full/a", "two"), id="full folder removed, then made again"),
    pytest.param(rename("full/a", "full/b"), rename("full", "other"), id="file renamed, then its folder"),
]


@pytest.mark.parametrize("listed", [False, True], ids=["the feed tells", "a listing tells"])
@pytest.mark.parametrize("restart", [False, True], ids=["it runs on", "it is killed"])
@pytest.mark.parametrize("notice", [False, True], ids=["seen later", "seen while away"])
@pytest.mark.parametrize(("first", "then"), CASES)
def test_p4_a_lost_reply_makes_no_conflict(
    make_world: Callable[..., World], first: Deed, then: Deed, notice: bool, restart: bool, listed: bool
) -> None:
    world = make_world("ann", "bob")
    ann, bob = world.devices
    ann.write("old", "before")
    ann.write("full/a", "inside")
    world.settle()
    first(ann)
    cut_after_commit(ann)
    then(ann)
    if notice:
        notices(ann)
    if listed:
        with ann.db.transaction():
            ann.db.meta.delete("cursor")  # as after an expired one
    if restart:
        ann.crash()
        ann.start()
    ann.wire.cut = False
    expected = ann.tree()
    world.settle()
    assert ann.tree() == bob.tree() == expected
    assert not [path for path in ann.tree() if is_conflicted_copy(path.rpartition("/")[2])]
    assert not [event for device in world.devices for event, _ in device.log if "history" in event]


def cut_after_commit(device: Device) -> None:
    """Let the device work until the hub has taken a commit; its reply and all that follows is lost."""
    honest = device.wire._commit

    def commit(batch: object) -> object:
        honest(batch)
        device.wire.cut = True
        raise Offline("the connection broke")

    device.wire._commit = commit  # type: ignore[method-assign]
    device.tickets += 1
    device.deadline = device.engine.step([Ask(device.tickets, Verb.WAIT)])
    for _ in range(500):
        if device.wire.cut:
            break
        if not device.one() and device.deadline is not None:
            device.time.ahead += max(0.0, device.deadline - device.time.monotonic())
    assert device.wire.cut, device.doings()
    device.wire._commit = honest  # type: ignore[method-assign]


def notices(device: Device) -> None:
    """Let the device see what its person did, while the hub is away."""
    names = sorted({((), name) for name in ("new", "old", "other", "third", "folder", "full")})
    device.deadline = device.engine.step([Hints(tuple(names))])
    for _ in range(60):
        if not device.one() and device.deadline is not None:
            device.time.ahead += min(1.0, max(0.0, device.deadline - device.time.monotonic()))
