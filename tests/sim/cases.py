"""One case of a sweep: a workload, one fault, and what must hold afterwards. And which faults a workload has."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator

import msgspec

from syncd.model.conflict import is_conflicted_copy
from syncd.model.node import Kind
from tests.sim.device import SimDevice
from tests.sim.faults import CALM, HUB, RAW, Counted, Fault, How, SweepPlay
from tests.sim.operations import BASE, DEVICES, Workload
from tests.sim.stage import Stage, mend, try_to_settle


class Void(Exception):
    """The workload cannot be done: an operation finds nothing to work on."""


def perform(play: SweepPlay, workload: Workload, fault: Fault) -> Counted:
    """Do *workload* while *fault* happens, mend everything, and check the promises. Returns what was counted."""
    before = {data for data in BASE.values() if data}
    try:
        for number, step in enumerate(workload):
            step.do(play.devices[step.device].person, number)
    except OSError as error:
        raise Void from error
    play.time.ahead += 5.0
    if not fault.how.raw:
        for device in play.devices:
            device.disk.write_back()
    expected = play.devices[0].tree()
    written = set().union(*(_files(play, number) for number in range(len(DEVICES))))
    play.arm(fault)
    one_editor = all(step.device == 0 for step in workload)
    if fault.how.lasts:
        try_to_settle(play)
    else:  # what bob did comes to ann in her second turn
        for device in play.devices if one_editor else (*play.devices, play.devices[0]):
            work(play, device)
    mend(play)
    play.finish()
    _check(play, fault, one_editor, written, before)
    if one_editor and not (fault.how.raw and fault.victim == DEVICES[0]):
        found = play.devices[0].tree()
        assert found == expected, f"P4: not as she left it: {sorted(found.items() ^ expected.items())}"
    return play.counted


def work(play: SweepPlay, device: SimDevice) -> None:
    """Let *device* settle; with a call that fails, it may also say that it cannot, and why."""
    try:
        play.settle_one(device, None)
    except AssertionError:
        if not play.fault.how.fails or device.tickets not in device.replies:
            raise


def _files(play: SweepPlay, device: int) -> set[bytes]:
    shown = play.devices[device].person.snapshot().values()
    return {content for kind, _, content in shown if kind == Kind.FILE and content}


def _check(play: SweepPlay, fault: Fault, one_editor: bool, written: set[bytes], before: set[bytes]) -> None:
    """P1, P2, P4 and the hub's own examination; P3 was checked on the way."""
    play.check_queues()
    play.power_taken -= before  # that was durable everywhere: no power loss may take it
    lost = play.lost(sorted(written))
    assert not lost, f"P1: lost {lost}"
    assert not play.failed_jobs, play.failed_jobs
    found = play.devices[0].person.snapshot()
    assert found["keep"][2] == BASE["keep"], "P4: a file that nobody touched"
    copies = [path for path in found if is_conflicted_copy(path.rpartition("/")[2])]
    play.counted.conflicts = len(copies)
    assert not (one_editor and copies), f"P4: one device edits, and there is {copies}"
    assert len(copies) <= 3, f"P4: more conflicted copies than edits: {copies}"
    faults = play.hub.verify().faults
    assert faults == (), f"hub verify: {faults}"


# --- all cases of a workload ----------------------------------------------------------------------------------------


def reference(stage: Stage, workload: Workload) -> Counted | None:
    """Do *workload* with nothing going wrong; None where it is void. Raises AssertionError when a promise is broken."""

    def case(play: SweepPlay) -> dict[str, object] | None:
        try:
            return dataclasses.asdict(perform(play, workload, CALM))
        except Void:
            return None

    well, out = stage.apart(case)
    assert well, out
    return None if out is None else msgspec.convert(out, Counted)


def broken(stage: Stage, workload: Workload, fault: Fault) -> str | None:
    """Do one case; returns what was wrong, None when all held."""

    def case(play: SweepPlay) -> None:
        perform(play, workload, fault)

    well, out = stage.apart(case)
    return None if well else str(out)


def faults(counted: Counted, workload: Workload, *, failing: bool) -> Iterator[Fault]:
    """Yield every fault of a workload: crashes at each point, lost replies, results that are never told, and with
    *failing* each call that fails.

    Each point: killed; power lost with a random part or a torn last write, in turns; with all that was not synced
    wherever that may be something else than at the point before; and at a device where people edited also before their
    edits were durable, the three policies in turns.
    """
    editors = {DEVICES[step.device] for step in workload}
    for victim, points in counted.points.items():
        fresh = set(counted.fresh[victim])
        for number in range(1, points + 1):
            yield Fault(victim, How.KILL, number)
            yield Fault(victim, How.LOSE_SOME if number % 2 else How.LOSE_TORN, number)
            if number in fresh:
                yield Fault(victim, How.LOSE_ALL, number)
            if victim in editors:
                yield Fault(victim, RAW[number % len(RAW)], number)
    for victim in DEVICES:
        for number in range(1, counted.parts[victim] + 1):
            yield Fault(victim, How.UNTOLD, number)
    for number in range(1, counted.commits + 1):
        yield Fault(HUB, How.REPLY, number)
    if failing:
        yield from failures(counted)


def in_turns(counted: Counted, workload: Workload) -> Iterator[Fault]:
    """Yield one crash at each point, its way chosen in turns that begin elsewhere with each workload, and each lost
    reply: over all workloads every operation meets every way, at a fifth of the cost of ``faults``."""
    editors = {DEVICES[step.device] for step in workload}
    first = int(hashlib.blake2s("+".join(map(str, workload)).encode(), digest_size=4).hexdigest(), 16)
    for victim, points in counted.points.items():
        fresh = set(counted.fresh[victim])
        for number in range(1, points + 1):
            ways = [How.KILL, How.LOSE_SOME, How.LOSE_TORN, *([How.LOSE_ALL] if number in fresh else [])]
            if victim in editors:
                ways.append(RAW[number % len(RAW)])
            yield Fault(victim, ways[(first + number) % len(ways)], number)
    for number in range(1, counted.commits + 1):
        yield Fault(HUB, How.REPLY, number)


def failures(counted: Counted) -> Iterator[Fault]:
    """Yield every call that fails, once and from then on: of folders, chunks and databases, by error and full disk."""
    for victim, calls in counted.calls.items():
        for number in range(1, calls + 1):
            for how in (How.EIO, How.EIO_ON, How.FULL, How.FULL_ON):
                yield Fault(victim, how, number)
    for victim, calls in counted.database.items():
        for number in range(1, calls + 1):
            for how in (How.DB, How.DB_ON, How.DB_FULL, How.DB_FULL_ON):
                yield Fault(victim, how, number)
