"""kill -9 of daemons and hub at random moments under load: nothing is lost, all converge, no spurious conflict (P1-P4).

SYNCD_KILLS chooses how many kills (two hundred, unless given; `test_chaos` has the short form for `make test`),
SYNCD_SEED which schedule. Real processes are not deterministic: a seed repeats what people do and who is killed, not
every race.
"""

import os
import random
import time
from collections import Counter
from collections.abc import Callable

import pytest

from syncd.model.conflict import original_name
from tests.end_to_end.harness import Device, World
from tests.soak.mishaps import UNGUARDED
from tests.soak.people import SHARED, Load, Person

SEED = int(os.environ.get("SYNCD_SEED", "1"))
KILLS = int(os.environ.get("SYNCD_KILLS", "200"))
KILLS_A_ROUND = 25
PAUSES = ((0.0, 0.3), (0.3, 1.5), (1.0, 3.0))

pytestmark = [pytest.mark.slow, pytest.mark.soak]


def test_p4_one_device_edits_and_no_conflicted_copy_ever_appears(world: World) -> None:
    a, b = devices(world)
    people = [Person(a, "work", random.Random(SEED), shares=False)]

    def check() -> None:
        assert not a.copies(), a.copies()
        assert not b.copies(), b.copies()

    soak(world, people, KILLS, check)


def test_p4_two_devices_edit_and_each_edit_makes_at_most_one_copy(world: World) -> None:
    people = [
        Person(device, f"home of {device.name}", random.Random(f"{SEED} {device.name}"), shares=True)
        for device in devices(world)
    ]
    soak(world, people, KILLS, lambda: check_copies(people))


def check_copies(people: list[Person]) -> None:
    """Only what two people edit can clash, and an edit that lost is kept exactly once."""
    shared = {content: name for person in people for content, name in person.shared_edits.items()}
    for person in people:
        kept: Counter[bytes] = Counter()
        for copy in person.device.copies():
            content = person.device.path(copy).read_bytes()
            folder, _, name = copy.rpartition("/")
            assert folder == SHARED, f"a conflicted copy of what only one person edits: {copy}"
            assert shared.get(content) == f"{folder}/{original_name(name)}", f"{copy} is not an edit of its original"
            kept[content] += 1
        for name in sorted(set(shared.values())):
            if (path := person.device.path(name)).exists():
                kept[path.read_bytes()] += 1
        twice = [content[:40] for content, times in sorted(kept.items()) if times > 1]
        assert not twice, f"kept more than once: {twice}"


def devices(world: World) -> tuple[Device, Device]:
    """Return two tied devices, running."""
    made = []
    for name in "ab":
        device = world.bare(name)
        device.configure(UNGUARDED)
        device.init(world.hub.invite())
        device.start()
        made.append(device)
    return made[0], made[1]


def soak(world: World, people: list[Person], kills: int, check: Callable[[], None]) -> None:
    """Kill somebody *kills* times while people work; let all come to rest, and check, every now and then."""
    luck = random.Random(SEED * 7919)
    killed: Counter[str] = Counter()
    left = kills
    while left:
        this_round = min(left, KILLS_A_ROUND)
        with Load(people, luck=random.Random(luck.random())) as load:
            for _ in range(this_round):
                # Often during the start of what was killed a moment ago, too: recovery must survive its own end.
                time.sleep(luck.uniform(*luck.choice(PAUSES)))
                victim = luck.choice([*world.devices, world.hub])
                victim.kill9()
                victim.launch()
                killed[getattr(victim, "name", "hub")] += 1
        left -= this_round
        began = time.monotonic()
        for one in [*world.devices, world.hub]:
            one.answers()
        world.settle()
        check()
        waits = [device for device in world.devices if device.status()["conflicts"]]
        world.check_all(waits=waits)
        check()
        print(f"{kills - left} kills {dict(sorted(killed.items()))}, {load.done} actions, settled in "
              f"{time.monotonic() - began:.1f} s, {sum(len(d.copies()) for d in world.devices)} copies")  # fmt: skip
    assert world.hub.command("verify").code == 0
