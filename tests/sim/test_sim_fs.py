"""What the simulated root adds to the contract: hooks at every call, and processes that die."""

import errno
import os
import random
from collections.abc import Callable

import pytest

from syncd.model.errors import NoSpace, RootGone
from syncd.ports import Dir
from tests.sim.disk import Dead, Policy
from tests.sim.fs import SimFs
from tests.sim.root_world import MTIME, Stop, World


def place(world: World, name: str, data: bytes) -> None:
    """Put a file in place the way an executor does: stage, make durable, exchange or rename, make durable."""
    with world.fs.own("staging") as staging, world.fs.open_dir(()) as root:
        with staging.create("part") as file:
            file.write(data[:3])
            file.write(data[3:])
            file.finish(MTIME, 0o644)
            world.fs.make_durable([file])
        if root.stat(name) is None:
            staging.rename_new("part", root, name)
        else:
            staging.exchange("part", root, name)
        world.fs.make_durable([root, staging])


# --- hooks ---


def test_hooks_run_before_and_after_each_effect() -> None:
    world = World()
    world.person.write("a", b"1")
    told: list[str] = []
    world.fs.on_call = lambda name: told.append(f"{name}? {world.person.names()[1:]}")
    world.fs.on_done = lambda name: told.append(f"{name}! {world.person.names()[1:]}")
    with world.fs.open_dir(()) as root:
        told.clear()
        root.rename_new("a", root, "b")
        assert told == ["rename_new? ['a']", "rename_new! ['b']"]
        told.clear()
        with pytest.raises(FileNotFoundError):
            root.unlink("nothing")
        assert told == ["unlink? ['b']"]


def test_what_was_asked_is_known_to_the_hook() -> None:
    world = World()
    world.person.write("a", b"1")
    with world.fs.open_dir(()) as root:
        given: list[tuple[object, ...]] = []
        world.fs.on_call = lambda name: given.append(world.fs.given)
        root.stat("a")
        root.rename_new("a", root, "b")
        assert [tuple(map(str, each)) for each in given] == [("a",), ("a", ".", "b")]


def test_a_person_may_act_in_the_middle_of_any_call() -> None:
    world = World()
    world.person.write("a", b"1")

    def meddle(name: str) -> None:
        if name == "rename_new" and not world.person.exists("b"):
            world.person.write("b", b"theirs")

    world.fs.on_call = meddle
    with world.fs.open_dir(()) as root, pytest.raises(FileExistsError):
        root.rename_new("a", root, "b")
    assert world.person.snapshot() == {"a": ("file", False, b"1"), "b": ("file", False, b"theirs")}


@pytest.mark.parametrize(
    ("call", "number", "expected"),
    [
        pytest.param(lambda f, d: d.names(), errno.EIO, OSError, id="a listing"),
        pytest.param(lambda f, d: d.create("x"), errno.ENOSPC, NoSpace, id="create on a full disk"),
        pytest.param(lambda f, d: d.create("x"), errno.EIO, OSError, id="create on a bad disk"),
        pytest.param(lambda f, d: d.mkdir("x"), errno.EDQUOT, NoSpace, id="mkdir over quota"),
        pytest.param(lambda f, d: d.symlink("x", b"y"), errno.ENOSPC, NoSpace, id="symlink on a full disk"),
        pytest.param(lambda f, d: f.make_durable([]), errno.ENOSPC, NoSpace, id="make_durable on a full disk"),
        pytest.param(lambda f, d: f.make_all_durable(), errno.ENOSPC, NoSpace, id="make_all_durable on a full disk"),
        pytest.param(lambda f, d: f.prove(), errno.EIO, RootGone, id="prove on a bad disk"),
        pytest.param(lambda f, d: f.prove(), errno.ENOMEM, OSError, id="prove without memory"),
    ],
)
def test_a_fault_from_a_hook_is_what_the_real_one_makes_of_it(
    call: Callable[[SimFs, Dir], object], number: int, expected: type[Exception]
) -> None:
    world = World()
    with world.fs.open_dir(()) as root:

        def fail(name: str) -> None:
            raise OSError(number, os.strerror(number))

        world.fs.on_call = fail
        with pytest.raises(expected) as raised:
            call(world.fs, root)
        world.fs.on_call = None
        if isinstance(raised.value, OSError):
            assert raised.value.errno == number
        assert root.names() == [".syncd"]


# --- dying ---


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("policy", [None, *Policy], ids=lambda policy: policy or "killed")
def test_p4_placing_a_file_safely_is_safe_at_every_call(policy: Policy | None, when: str) -> None:
    number, stopped = 0, True
    while stopped:
        number += 1
        for seed in range(8 if policy in (Policy.SOME, Policy.TORN) else 1):
            world, left = World(), [number]
            world.person.write("a", b"old!")
            world.disk.write_back()

            def stop(name: str, left: list[int] = left) -> None:
                left[0] -= 1
                if left[0] == 0:
                    raise Stop

            setattr(world.fs, "on_call" if when == "before" else "on_done", stop)
            try:
                place(world, "a", b"new content")
                stopped = False
            except Stop:
                pass
            if policy is None:
                world.disk.kill()
            else:
                world.disk.power_loss(policy, random.Random(seed))
            assert world.person.read("a") in ((b"old!", b"new content") if stopped else (b"new content",))
            assert world.process().prove() == world.identity
    assert number > 12


def test_the_order_of_syncs_matters_to_the_simulated_disk() -> None:
    """The same without making the content durable first: the simulator would catch it."""
    seen = set()
    for seed in range(50):
        world = World()
        world.person.write("a", b"old!")
        world.disk.write_back()
        with world.fs.own("staging") as staging, world.fs.open_dir(()) as root:
            with staging.create("part") as file:
                file.write(b"new content")
                file.finish(MTIME, 0o644)
            staging.exchange("part", root, "a")
        world.disk.power_loss(Policy.SOME, random.Random(seed))
        seen.add(world.person.read("a"))
    assert seen == {b"old!", b"new content", b""}


def test_a_killed_process_loses_its_handles_and_nothing_else() -> None:
    world = World()
    with world.fs.open_dir(()) as root:
        file = root.create("a")
        file.write(b"half")
        with root.create("b") as unnamed:
            root.unlink("b")
            number = unnamed.stat().fingerprint.ino
            world.disk.kill()
            for call in (
                root.names,
                file.stat,
                lambda: file.write(b"x"),
                world.fs.prove,
                lambda: world.fs.open_dir(()),
            ):
                with pytest.raises(Dead):
                    call()
        file.close()  # what unwinds the stack is no call
    assert world.person.read("a") == b"half"
    again = world.process()
    with again.open_dir(()) as root:
        assert root.writers("a") is False
        with root.create("c") as new:
            assert new.stat().fingerprint.ino == number, "nobody holds it any more"


def test_a_hook_may_kill_its_own_process() -> None:
    world = World()
    with world.fs.open_dir(()) as root:
        world.fs.on_call = lambda name: world.disk.kill()
        with pytest.raises(Dead):
            root.mkdir("a")
    assert world.person.names() == [".syncd"]


def test_a_person_keeps_a_file_open_over_a_kill_and_not_over_a_power_loss() -> None:
    world = World()
    file = world.person.open("a")
    file.write(b"1")
    world.disk.kill()
    file.write(b"2")
    assert world.person.read("a") == b"12"
    with world.process().open_dir(()) as root:
        assert root.writers("a") is True
    world.disk.write_back()
    world.disk.power_loss(Policy.SOME, random.Random(0))
    with pytest.raises(OSError) as refused:
        file.write(b"3")
    assert refused.value.errno == errno.EBADF
    file.close()
    with world.process().open_dir(()) as root:
        assert root.writers("a") is False
