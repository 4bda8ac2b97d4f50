"""What happens to devices and hub while people work: kills, stops, cuts, revocations, locked folders, full disks.

A director draws it from a seed. Most mishaps last a while, and others happen meanwhile; `heal` ends them all.
"""

import contextlib
import os
import random
import re
import shutil
import signal
import stat
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from tests.end_to_end.harness import CONFIG, Device, Hub, World
from tests.end_to_end.processes import tail
from tests.end_to_end.proxy import Proxy, Weather, proxied
from tests.end_to_end.small_disk import fill, on_a_small_disk, possible
from tests.soak.recorder import Recorder

PAUSES = ((0.0, 0.2), (0.1, 0.8), (0.5, 1.8))
SMALL_DISK = 96 << 20
UNGUARDED = CONFIG.replace("[guard]\n", "[guard]\nnodes = 1000000\nshare = 1.0\nshare_at_least = 1000000\n")
"""So much work in so short a time looks like a mass change, and would be held (P8); that has tests of its own."""


class Mishap(Enum):
    """What may happen, by the name that `--only` takes."""

    KILL = "kill"  # SIGKILL of a daemon or the hub, and a new start at once
    RESTART = "restart"  # the same, politely
    FREEZE = "freeze"  # SIGSTOP, for a while
    NETWORK = "network"  # anything that a line to the hub can do
    REVOKE = "revoke"  # the hub revokes a device; it is tied again with a new invite
    LOCK = "lock"  # chmod 000 of a file or a folder, for a while
    FILL = "fill"  # a disk without any room, for a while


OFTEN = {
    Mishap.KILL: 10, Mishap.RESTART: 1, Mishap.FREEZE: 3, Mishap.NETWORK: 6, Mishap.REVOKE: 1, Mishap.LOCK: 3,
    Mishap.FILL: 2,
}  # fmt: skip


@dataclass
class Stage:
    """A world whose devices each have a line of their own to the hub; one may live on a small disk."""

    world: World
    lines: dict[str, Proxy]
    small: Device | None = None


@contextlib.contextmanager
def staged(world: World, count: int, *, disk: bool) -> Iterator[Stage]:
    """Give *count* devices, tied and running; with *disk* the last one's root can be full, where that is permitted."""
    world.ledger = Recorder()
    with ExitStack() as stack:
        stage = Stage(world, {})
        for number, name in enumerate("abcd"[:count], 1):
            if disk and number == count and possible():
                device = stage.small = stack.enter_context(on_a_small_disk(world, name, SMALL_DISK))
            else:
                device = world.bare(name)
            device.mortal = True  # chmod 000 stops root's daemon, too
            device.configure(UNGUARDED)
            stage.lines[name] = stack.enter_context(proxied(world.hub.port))
            tie(stage, device)
            device.start()
        try:
            yield stage
        finally:
            for device in world.devices:
                device.end()


def tie(stage: Stage, device: Device) -> None:
    """Tie a device to the hub, through its line."""
    device.init(re.sub(r":\d+/", f":{stage.lines[device.name].port}/", stage.world.hub.invite()))


@dataclass
class Director:
    """Makes things happen. *done* counts them; *ends* are what is to end, and when (monotonic seconds)."""

    stage: Stage
    luck: random.Random
    only: tuple[Mishap, ...]
    done: Counter[str] = field(default_factory=Counter)
    ends: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def event(self) -> None:
        """Wait a moment, often a very short one, and have something happen."""
        time.sleep(self.luck.uniform(*self.luck.choice(PAUSES)))
        self.end_those(lambda due: due <= time.monotonic())
        weights = [OFTEN[mishap] for mishap in self.only]
        {
            Mishap.KILL: self.kill, Mishap.RESTART: self.restart, Mishap.FREEZE: self.freeze,
            Mishap.NETWORK: self.network, Mishap.REVOKE: self.revoke, Mishap.LOCK: self.lock, Mishap.FILL: self.fill,
        }[self.luck.choices(self.only, weights)[0]]()  # fmt: skip

    def heal(self) -> None:
        """End all that goes on, so that everything can come to rest."""
        self.end_those(lambda due: True)
        world = self.stage.world
        everybody: list[Device | Hub] = [*world.devices, world.hub]
        for one in everybody:
            one.answers()
        for device in world.devices:
            readable(device.root)

    # --- what happens ----------------------------------------------------------------------------------------------

    def kill(self) -> None:
        """Often during the start of what was killed a moment ago, too: recovery must survive its own end."""
        victim = self.victim()
        victim.kill9()
        victim.launch()
        self.done["kill hub" if victim is self.stage.world.hub else "kill daemon"] += 1

    def restart(self) -> None:
        self.end_those(lambda due: True)  # who is stopped cannot be polite
        victim = self.victim()
        victim.answers()
        code = victim.process.stop()
        # RACE: a hub listens before it heeds signals; SIGTERM is as harmless then as SIGKILL.
        assert code == 0 or (victim is self.stage.world.hub and code == -signal.SIGTERM), tail(victim.log)
        victim.kill9()
        victim.launch()
        self.done["restart"] += 1

    def freeze(self) -> None:
        process = self.victim().process
        process.freeze()
        self.later(process.thaw, 0.3, 4.0)
        self.done["freeze"] += 1

    def network(self) -> None:
        device = self.device()
        line = self.stage.lines[device.name]
        kind = self.luck.choice(("delay", "drip", "busy", "down", "silent", "sever", "swallow", "half", "cut"))
        weather = Weather(
            delay=self.luck.uniform(0.05, 0.8) if kind == "delay" else 0.0,
            drip=self.luck.uniform(0.01, 0.3) if kind == "drip" else 0.0,
            busy=self.luck.choice((429, 500, 502, 503)) if kind == "busy" else 0,
            retry_after="1" if self.luck.random() < 0.5 else "",
            down=kind == "down",
            silent=kind == "silent",
            swallow=self.luck.randrange(1, 6) if kind == "swallow" else 0,
            cut_requests=self.luck.randrange(1, 6) if kind == "half" else 0,
            cut_answers=self.luck.randrange(1, 6) if kind == "cut" else 0,
        )
        if kind in ("down", "sever"):
            line.sever()
        line.weather = weather
        self.later(line.clear, 0.5, 4.0)
        self.done[f"network {kind}"] += 1

    def revoke(self) -> None:
        """The device works on without rights for a moment, and gets new ones."""
        self.end_those(lambda due: True)
        hub, device = self.stage.world.hub, self.device()
        hub.answers()
        ran = hub.command("revoke", device.name)
        assert ran.code == 0, ran
        time.sleep(self.luck.uniform(0.0, 1.5))
        assert device.process.running, tail(device.log)
        device.kill9()  # `init` wants the root for itself
        hub.answers()
        tie(self.stage, device)
        device.launch()
        self.done["revoke"] += 1

    def lock(self) -> None:
        """chmod 000 of something in a root, held by its inode wherever it goes meanwhile."""
        root = self.device().root
        inside = [Path(folder) / name for folder, folders, files in os.walk(root) for name in (*folders, *files)]
        inside = [path for path in inside if ".syncd" not in path.parts and not path.is_symlink()]
        if not inside:
            return
        path = sorted(inside)[self.luck.randrange(len(inside))]
        try:
            held = os.open(path, os.O_PATH | os.O_NOFOLLOW)
        except OSError:  # gone meanwhile
            return
        mode = stat.S_IMODE(os.fstat(held).st_mode)
        os.chmod(f"/proc/self/fd/{held}", 0)

        def unlock() -> None:
            os.chmod(f"/proc/self/fd/{held}", mode or 0o755)
            os.close(held)

        self.later(unlock, 0.5, 5.0)
        self.done["lock"] += 1

    def fill(self) -> None:
        device = self.stage.small
        if device is None:
            self.kill()
            return
        filler = device.path("filler.part")  # ignored, as every half-made download is
        if filler.exists():
            return
        fill(filler)
        self.later(lambda: filler.unlink(missing_ok=True), 1.0, 6.0)
        self.done["fill"] += 1

    # --- choosing, and ends ------------------------------------------------------------------------------------------

    def device(self) -> Device:
        return self.luck.choice(self.stage.world.devices)

    def victim(self) -> Device | Hub:
        """Return a device or the hub, whose process has not ended by itself."""
        world = self.stage.world
        everybody: list[Device | Hub] = [*world.devices, world.hub]
        one = self.luck.choice(everybody)
        assert one.process.running, f"ended by itself:\n{tail(one.log)}"
        return one

    def later(self, end: Callable[[], None], least: float, most: float) -> None:
        self.ends.append((time.monotonic() + self.luck.uniform(least, most), end))

    def end_those(self, which: Callable[[float], bool]) -> None:
        """End the mishaps whose time *which* says so, in the order in which they were due."""
        for due, end in sorted(self.ends, key=lambda one: one[0]):
            if which(due):
                self.ends.remove((due, end))
                end()


def mishaps(names: str) -> tuple[Mishap, ...]:
    """Return the mishaps with these names, comma-separated; all that can happen here, when there are none."""
    wanted = [Mishap(name) for name in names.split(",") if name] or list(Mishap)
    if sys.platform != "linux" or shutil.which("unshare") is None:
        wanted = [one for one in wanted if one not in (Mishap.LOCK, Mishap.FILL)] or [Mishap.KILL]
    return tuple(wanted)


def readable(root: Path) -> None:
    """Give back to a root's person what they locked, also where its rights went on to another file."""
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = os.path.join(folder, name)
            with contextlib.suppress(FileNotFoundError):
                mode = os.lstat(path).st_mode
                if not stat.S_ISLNK(mode) and mode & 0o600 != 0o600:
                    os.chmod(path, stat.S_IMODE(mode) | (0o700 if stat.S_ISDIR(mode) else 0o600))
