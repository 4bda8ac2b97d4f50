"""A tree in sync on two devices and a hub, from which each case of a sweep starts in a process of its own.

The folders, the chunks and the clock are in memory and come with the fork; the databases are files, closed in the
parent, and are copied. So a case costs its own work and a few milliseconds, and cannot disturb another one.
"""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import signal
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

import apsw
import msgspec

from syncd.model.errors import SyncdError
from syncd.model.observation import Ask, Verb
from tests.sim.device import SimDevice
from tests.sim.faults import SweepPlay
from tests.sim.operations import BASE

CASE_SECONDS = 60
"""A case that has computed for so long hangs."""


class Stage:
    """The play before anything happened, asleep. *base* is a folder for the databases, best in memory."""

    def __init__(self, base: Path) -> None:
        self.base = base / "stage"
        self.cases = base
        play = self.play = SweepPlay(self.base)
        ann = play.devices[0].person
        for path, content in BASE.items():
            if content is None:
                ann.mkdir(path)
            else:
                ann.write(path, content)
        play.settle()
        play.time.ahead += 60.0
        play.settle()
        self._sleep()
        gc.collect()
        gc.freeze()

    def _sleep(self) -> None:
        """Stop everything, all of it durable."""
        play = self.play
        for device in play.devices:
            device.disk.kill()
            device.db.close()
            device.opened = False
            device.under_way = []
            device.disk.write_back()
            device.vfs.kept.clear()
        play._close_hub()
        play.vfs.kept.clear()
        play.blobs.write_back()

    def wake(self, base: Path) -> SweepPlay:
        """Start everything, on copies of the databases in *base*."""
        play = self.play
        shutil.copytree(self.base, base)
        play.base = base
        play.hub = play._open_hub()
        for device in play.devices:
            device.base, device.hub = base / device.name, play.hub
            device.start()
            note_transactions(play, device)
        return play

    def apart(self, case: Callable[[SweepPlay], object]) -> tuple[bool, object]:
        """Do *case* in a process of its own. Returns whether it ended well, and what it returned, or what was wrong."""
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            self._do(case, reader, writer)
        os.close(writer)
        with open(reader, "rb") as file:
            told = file.read()
        _, status = os.waitpid(pid, 0)
        if not told:
            return False, f"its process ended with status {status}"
        well, out = msgspec.json.decode(told)
        return well, out

    def _do(self, case: Callable[[SweepPlay], object], reader: int, writer: int) -> None:
        """The child's whole life."""
        signal.setitimer(signal.ITIMER_PROF, CASE_SECONDS)
        gc.disable()  # it would touch, and so copy, all that came with the fork
        os.close(reader)
        base = Path(tempfile.mkdtemp(prefix="case-", dir=self.cases)) / "case"
        try:
            told = (True, case(self.wake(base)))
        except BaseException as error:  # noqa: BLE001 - whatever it is, the parent must be told
            trace = "\n".join(self.play.trace[-12:])
            where = "".join(traceback.format_exception(error)[-3:])
            told = (False, f"{type(error).__name__}: {error}\n{where}\n{trace}")
        shutil.rmtree(base.parent, ignore_errors=True)
        with open(writer, "wb") as file:
            file.write(msgspec.json.encode(told))
        os._exit(0)

    def close(self) -> None:
        """End it for good."""
        for device in self.play.devices:
            device.vfs.unregister()
        self.play.vfs.unregister()
        gc.unfreeze()


def note_transactions(play: SweepPlay, device: SimDevice) -> None:
    """Tell *play* where one transaction of the device's database ends and the next one's writes begin."""

    def committing() -> bool:
        play.new_transaction[device.name] = True
        return False

    device.db._connection.set_commit_hook(committing)


def mend(play: SweepPlay) -> None:
    """Mend what was arranged to break, start anew what it broke, and let what was parked be tried again."""
    fault = play.fault
    play.disarm()
    for device in play.devices:
        if (fault.how.lasts and fault.victim == device.name) or device.database_broken:
            device.restart(calm=True)
    if fault.how.lasts and fault.victim == "hub":
        play.hub_dies(power=False)
    play.time.ahead += 15.0
    for device in play.devices:
        for _ in range(60):
            if not device.one():
                break
        device.tickets += 1
        device.step([Ask(device.tickets, Verb.RETRY)])


def try_to_settle(play: SweepPlay) -> None:
    """Let every device work for a while, also where what lasts keeps it from getting anywhere."""
    with contextlib.suppress(SyncdError, apsw.Error, OSError):
        for _ in range(2):
            for device in play.devices:
                for _ in range(40):
                    if not device.one() and device.deadline is not None:
                        play.time.ahead += max(0.0, min(30.0, device.deadline - play.time.monotonic()))
