"""What a simulated power loss may leave: tables of what was done, what was synced, and every state allowed after it.

The real disk cannot be asked (nothing here cuts its power); what the tables say is the model of ``tests.sim.journal``.
Each table is checked both ways: no other state ever appears, and each one listed does.
"""

import random
from collections.abc import Callable

import pytest

from tests.sim.disk import Disk, Policy
from tests.sim.inode import Inode
from tests.sim.person import SimPerson

State = dict[str, bytes | None]
Act = Callable[[SimPerson], None]

OLD, NEW = b"old content", b"n" * 1200
PARTS = [NEW[:512], NEW[:1024]]
"""What a torn write of NEW leaves: nothing, or whole sectors."""


def state_of(person: SimPerson) -> State:
    return {path: None if kind == "directory" else data for path, (kind, _, data) in person.snapshot().items()}


def made(seed: int = 0) -> tuple[Disk, SimPerson]:
    clock = [10**18]

    def now() -> int:
        clock[0] += 1
        return clock[0]

    disk = Disk(now)
    disk.add("root")
    return disk, SimPerson(disk, "root")


def after(before: Act, act: Act, policy: Policy, seed: int) -> State:
    disk, person = made()
    before(person)
    disk.write_back()
    act(person)
    disk.power_loss(policy, random.Random(seed))
    check_sound(disk)
    return state_of(person)


def check_sound(disk: Disk) -> None:
    """What fsck would: counts, numbers, and that everything durable is what is there."""
    for volume in disk.volumes:
        links: dict[int, int] = {}
        inodes: dict[int, Inode] = {}
        stack, used = [volume.root], 0
        while stack:
            directory = stack.pop()
            assert directory.entries is not None
            assert directory.entries == directory.saved_entries
            subdirectories = [inode for inode in directory.entries.values() if inode.entries is not None]
            assert directory.links == 2 + len(subdirectories)
            stack += subdirectories
            for inode in directory.entries.values():
                assert inodes.setdefault(inode.ino, inode) is inode, "two inodes of one number"
                assert inode.entries is None or inode.parent is directory
                assert (inode.handles, inode.writers) == (0, 0)
                links[inode.ino] = links.get(inode.ino, 0) + 1
                assert inode.data == inode.saved_data
                assert not inode.unsynced
        for ino, inode in inodes.items():
            if inode.entries is None:
                assert inode.links == links[ino]
                used += len(inode.data)
        assert volume.used == used
        assert volume.count == len(inodes)


def nothing(person: SimPerson) -> None:
    pass


def with_old(person: SimPerson) -> None:
    person.write("a", OLD)


def with_two(person: SimPerson) -> None:
    person.write("a", b"1")
    person.write("b", b"2")


def with_folders(person: SimPerson) -> None:
    for name in ("x", "y"):
        person.mkdir(name)
    person.write("x/a", OLD)


def steps(*acts: Act) -> Act:
    def act(person: SimPerson) -> None:
        for each in acts:
            each(person)

    return act


def synced(*paths: str) -> Act:
    return lambda person: [person.sync(path) for path in paths] and None


def create(path: str = "a") -> Act:
    return lambda person: person.write(path, NEW)


def renamed(path: str, to: str) -> Act:
    return lambda person: person.rename(path, to)


SAVE = steps(create("t"), renamed("t", "a"))


def deleted(path: str) -> Act:
    return lambda person: person.delete(path)


def folder_moves(person: SimPerson) -> None:
    person.rename("a/b", "b")
    person.rename("a", "b/a")


def mkdir_and_file(person: SimPerson) -> None:
    person.mkdir("d")
    person.write("d/x", NEW)
    person.sync("d/x")


def nested(person: SimPerson) -> None:
    person.mkdir("a")
    person.mkdir("a/b")


def link_and_unlink(person: SimPerson) -> None:
    person.hard_link("a", "b")
    person.delete("a")


def three_renames(person: SimPerson) -> None:
    person.rename("a", "t")
    person.rename("b", "a")
    person.rename("t", "b")


def in_place(person: SimPerson) -> None:
    person.write("a", NEW)


def emptied(person: SimPerson) -> None:
    person.delete("x")


def number_given_again(person: SimPerson) -> None:
    before = person.stat("a").fingerprint.ino
    person.delete("a")
    person.write("b", b"2")
    assert person.stat("b").fingerprint.ino == before


OLD_A: State = {"a": OLD}
NEW_A: State = {"a": NEW}
FOLDERS: State = {"x": None, "y": None}
CASES: list[object] = [
    # (before, act, all that is lost, what else may be; "torn" adds parts of NEW wherever it says NEW)
    pytest.param(nothing, create(), {}, [{}, {"a": b""}, NEW_A], id="new file, nothing synced"),
    pytest.param(nothing, steps(create(), synced("a")), {}, [{}, NEW_A], id="new file, file synced"),
    pytest.param(
        nothing, steps(create(), synced("")), {"a": b""}, [{"a": b""}, NEW_A], id="new file, only its folder synced"
    ),
    pytest.param(nothing, steps(create(), synced("a", "")), NEW_A, [NEW_A], id="new file, both synced"),
    pytest.param(nothing, steps(create(), synced("", "a")), NEW_A, [NEW_A], id="new file, both synced, folder first"),
    pytest.param(
        with_old,
        SAVE,
        OLD_A,
        [OLD_A, {"a": OLD, "t": b""}, {"a": OLD, "t": NEW}, {"a": b""}, NEW_A],
        id="saved by rename, nothing synced: may be empty",
    ),
    pytest.param(
        with_old,
        steps(create("t"), synced("t"), renamed("t", "a")),
        OLD_A,
        [OLD_A, {"a": OLD, "t": NEW}, NEW_A],
        id="saved by rename, file synced: old or new, never neither",
    ),
    pytest.param(with_old, steps(create("t"), synced("t"), renamed("t", "a"), synced("")), NEW_A, [NEW_A],
                 id="saved by rename, both synced: exactly new"),
    pytest.param(with_old, steps(SAVE, synced("")), {"a": b""}, [{"a": b""}, NEW_A],
                 id="saved by rename, only the folder synced: the old is gone, the new may be empty"),
    pytest.param(with_old, in_place, OLD_A, [OLD_A, {"a": b""}, NEW_A], id="truncated and written"),
    pytest.param(with_old, steps(in_place, synced("a")), NEW_A, [NEW_A], id="truncated, written, synced"),
    pytest.param(with_old, lambda p: p.append("a", NEW), OLD_A, [OLD_A, {"a": OLD + NEW}], id="appended"),
    pytest.param(with_old, deleted("a"), OLD_A, [OLD_A, {}], id="deleted"),
    pytest.param(with_old, steps(deleted("a"), synced("")), {}, [{}], id="deleted, folder synced"),
    pytest.param(with_old, link_and_unlink, OLD_A, [OLD_A, {"a": OLD, "b": OLD}, {"b": OLD}],
                 id="linked, then the first name removed: never no name"),
    pytest.param(with_old, number_given_again, OLD_A, [OLD_A, {}, {"b": b""}, {"b": b"2"}],
                 id="a number is not given again before its removal is there"),
    pytest.param(with_two, lambda p: p.swap("a", "b"), {"a": b"1", "b": b"2"},
                 [{"a": b"1", "b": b"2"}, {"a": b"2", "b": b"1"}], id="exchanged: never one half of it"),
    pytest.param(with_two, steps(lambda p: p.swap("a", "b"), synced("")), {"a": b"2", "b": b"1"},
                 [{"a": b"2", "b": b"1"}], id="exchanged, synced"),
    pytest.param(
        with_two,
        three_renames,
        {"a": b"1", "b": b"2"},
        [{"a": b"1", "b": b"2"}, {"t": b"1", "b": b"2"}, {"t": b"1", "a": b"2"}, {"a": b"2", "b": b"1"}],
        id="rotated by three renames: in order",
    ),
    pytest.param(with_folders, renamed("x/a", "y/a"), FOLDERS | {"x/a": OLD},
                 [FOLDERS | {"x/a": OLD}, FOLDERS | {"y/a": OLD}], id="moved: in one place, always"),
    pytest.param(with_folders, steps(renamed("x/a", "y/a"), synced("x")), FOLDERS | {"y/a": OLD},
                 [FOLDERS | {"y/a": OLD}], id="moved, old folder synced"),
    pytest.param(with_folders, steps(renamed("x/a", "y/a"), synced("y")), FOLDERS | {"y/a": OLD},
                 [FOLDERS | {"y/a": OLD}], id="moved, new folder synced"),
    pytest.param(with_folders, emptied, FOLDERS | {"x/a": OLD},
                 [FOLDERS | {"x/a": OLD}, FOLDERS, {"y": None}], id="a folder goes after what was in it"),
    pytest.param(nothing, mkdir_and_file, {}, [{}, {"d": None}, {"d": None, "d/x": NEW}], id="new folder, file synced"),
    pytest.param(nothing, steps(mkdir_and_file, synced("d")), {"d": None, "d/x": NEW}, [{"d": None, "d/x": NEW}],
                 id="new folder synced: its own name goes before what is in it"),
    pytest.param(nothing, steps(mkdir_and_file, synced("")), {"d": None}, [{"d": None}, {"d": None, "d/x": NEW}],
                 id="new folder, the one above synced"),
    pytest.param(nested, folder_moves, {"a": None, "a/b": None},
                 [{"a": None, "a/b": None}, {"a": None, "b": None}, {"b": None, "b/a": None}],
                 id="a folder moved out, and its old parent into it: never a ring"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "act", "lost", "allowed"), CASES)
def test_p4_power_loss(before: Act, act: Act, lost: State, allowed: list[State]) -> None:
    assert after(before, act, Policy.ALL, 0) == lost
    seen = [after(before, act, Policy.SOME, seed) for seed in range(150)]
    assert [state for state in seen if state not in allowed] == []
    assert [state for state in allowed if state not in seen] == [], "allowed and never seen"
    torn = [after(before, act, Policy.TORN, seed) for seed in range(150)]
    assert [state for state in torn if not any(is_torn(state, whole) for whole in allowed)] == []


def is_torn(state: State, whole: State) -> bool:
    """Return whether *state* is *whole*, but that what nobody synced may end at a sector's end."""
    if state.keys() != whole.keys():
        return False
    return all(mine == whole[path] or cut_at_sector(mine, whole[path]) for path, mine in state.items())


def cut_at_sector(mine: bytes | None, whole: bytes | None) -> bool:
    if mine is None or whole is None or not whole.startswith(mine):
        return False
    return len(mine) % 512 == 0 or mine == OLD  # an append's part begins in the sector the old content ends in


def test_a_torn_write_ends_at_a_sector() -> None:
    seen = {after(nothing, steps(create(), synced("")), Policy.TORN, seed)["a"] for seed in range(100)}
    assert seen == {b"", *PARTS}
    appended = {after(with_old, lambda p: p.append("a", NEW), Policy.TORN, seed)["a"] for seed in range(100)}
    assert appended == {OLD, (OLD + NEW)[:512], (OLD + NEW)[:1024]}


@pytest.mark.parametrize("policy", Policy)
def test_what_was_synced_as_a_whole_stays_as_it_is(policy: Policy) -> None:
    disk, person = made()
    for name in ("d", "d/e"):
        person.mkdir(name)
    person.write("d/e/x", NEW)
    person.symlink("d/link", "e")
    person.fifo("d/fifo")
    person.hard_link("d/e/x", "y")
    person.chmod("y", 0o755)
    person.set_mtime("y", 5)
    person.chmod("d", 0o700)
    for volume in disk.volumes:
        volume.sync_all()
    before = (person.snapshot(), {path: person.stat(path) for path in person.snapshot()})
    disk.power_loss(policy, random.Random(1))
    assert (person.snapshot(), {path: person.stat(path) for path in person.snapshot()}) == before
    check_sound(disk)


def test_attributes_go_with_the_file_not_with_its_folder() -> None:
    def modes(sync: str | None, policy: Policy) -> set[int]:
        seen = set()
        for seed in range(40):
            disk, person = made()
            person.write("a", OLD)
            disk.write_back()
            person.chmod("a", 0o755)
            if sync is not None:
                person.sync(sync)
            disk.power_loss(policy, random.Random(seed))
            seen.add(person.stat("a").mode)
        return seen

    assert modes(None, Policy.ALL) == {0o644}
    assert modes("", Policy.ALL) == {0o644}
    assert modes(None, Policy.SOME) == {0o644, 0o755}
    assert modes("a", Policy.ALL) == modes("a", Policy.SOME) == {0o755}


def test_a_lost_content_brings_its_times_back_or_keeps_the_new_ones() -> None:
    disk, person = made()
    person.write("a", OLD)
    disk.write_back()
    before = person.stat("a")
    person.write("a", NEW)
    disk.power_loss(Policy.ALL, random.Random(1))
    assert person.stat("a") == before


# --- any sequence ---


def wander(person: SimPerson, luck: random.Random, count: int) -> None:
    """Do *count* random things; whatever is impossible is refused and tried no more."""
    names = [f"{a}{b}" for a in ("", "d/", "e/", "d/s/", "e/s/") for b in "123"] + ["d", "e", "d/s", "e/s"]
    for number in range(count):
        one, two = luck.choice(names), luck.choice(names)
        acts: list[Callable[[], None]] = [
            lambda one=one: person.mkdir(one),
            lambda one=one, number=number: person.write(one, b"%d" % number * luck.randint(1, 900)),
            lambda one=one, number=number: person.append(one, b"%d" % number * luck.randint(1, 900)),
            lambda one=one, number=number: person.save(one, b"%d" % number),
            lambda one=one, two=two: person.rename(one, two),
            lambda one=one, two=two: person.swap(one, two),
            lambda one=one, two=two: person.hard_link(one, two),
            lambda one=one: person.delete(one),
            lambda one=one: person.chmod(one, luck.choice([0o744, 0o755, 0o700])),
            lambda one=one: person.sync(one),
            lambda: person.sync(""),
        ]
        try:
            luck.choice(acts)()
        except OSError:
            continue


@pytest.mark.parametrize("policy", Policy)
def test_p4_any_sequence_leaves_a_sound_disk(policy: Policy) -> None:
    for seed in range(300):
        luck = random.Random(seed)
        disk, person = made()
        wander(person, luck, luck.randint(1, 60))
        disk.power_loss(policy, luck)
        check_sound(disk)
        wander(person, luck, 30)  # and it is of use afterwards
        disk.power_loss(policy, luck)
        check_sound(disk)


def test_p4_losing_all_goes_back_to_the_last_whole_sync() -> None:
    for seed in range(200):
        luck = random.Random(seed)
        disk, person = made()
        wander(person, luck, 40)
        disk.write_back()
        before = state_of(person)
        numbers = {path: person.stat(path).fingerprint.ino for path in before}
        for _ in range(30):  # without a sync
            one, two = luck.choice(["1", "d/1", "e", "d"]), luck.choice(["2", "d/2", "e/x", "n"])
            try:
                luck.choice([person.rename, person.swap, person.hard_link])(one, two)
                person.write(two, b"lost")
                person.delete(luck.choice([one, two]))
            except OSError:
                continue
        disk.power_loss(Policy.ALL, luck)
        assert state_of(person) == before
        assert {path: person.stat(path).fingerprint.ino for path in before} == numbers


def test_the_same_seed_is_the_same_disk() -> None:
    def run(seed: int) -> object:
        luck = random.Random(seed)
        disk, person = made()
        wander(person, luck, 60)
        disk.power_loss(Policy.TORN, luck)
        wander(person, luck, 60)
        return person.snapshot(), [person.stat(path) for path in person.snapshot()]

    for seed in range(20):
        assert run(seed) == run(seed)
