"""What comes round by itself: retention of records, folders that cannot be watched, lost events, a person's words."""

import dataclasses
import os
from collections.abc import Callable

from syncd.db.activity import ActivityRow
from syncd.db.runs import RunKind, RunStatus
from syncd.engine.desk import EngineSettings
from syncd.engine.intake import ROWS_A_STEP
from syncd.model.conflict import ConflictKind
from syncd.model.job import LookJob, ProveJob, RecoverJob, SendJob
from syncd.model.node import Fingerprint
from syncd.model.observation import (
    Ask,
    ClockJumped,
    HintsLost,
    JobFailed,
    Looked,
    Message,
    Unhashed,
    Unproven,
    Unwatched,
    Verb,
    Watching,
)
from syncd.model.path import ROOT
from syncd.model.status import Phase
from tests.engine.world import World

Make = Callable[..., World]
DAY = 86400.0


def test_records_past_their_retention_are_forgotten_with_the_hourly_sweep(make_world: Make) -> None:
    world = make_world("ann", settings=EngineSettings(activity_retention=DAY))
    (ann,) = world.devices
    ann.write("file", "content")
    ann.wait()
    now = world.time.now()
    with ann.db.transaction():
        ann.db.activity.add([ActivityRow(now - 2 * DAY, None, f"old {n}", "upload", "", "done") for n in range(5000)])
        ann.db.activity.add([ActivityRow(now, None, f"new {n}", "upload", "", "done") for n in range(10)])
        for _ in range(12):
            ann.db.runs.finish(ann.db.runs.start(RunKind.QUICK, "{}", 1.0), RunStatus.COMPLETED, 2.0)
        ann.db.commands.finish(ann.db.commands.add("pause", (), 1.0), 2.0)
        ann.db.conflicts.resolve(ann.db.conflicts.add(ROOT, ConflictKind.NAME, "a", "b", 1.0), "keep both", 2.0)
        still_open = ann.db.conflicts.add(ROOT, ConflictKind.NAME, "c", "d", 1.0)
    for _ in range(6):
        world.time.ahead += 3601.0
        ann.wait(expect=3)
    assert not [row for row in ann.db.activity.recent(9999) if row.path.startswith("old")]
    assert len([row for row in ann.db.activity.recent(9999) if row.path.startswith("new")]) == 10
    assert len(ann.db.runs.recent(99)) <= 10 + 7
    assert not ann.db.commands.recent(9)
    assert [row.id for row in ann.db.conflicts.recent(9)] == [still_open]


def test_what_cannot_be_watched_is_looked_at_every_minute_and_shown(make_world: Make) -> None:
    world = make_world("ann", "bob")
    ann, bob = world.devices
    ann.write("deaf/below/file", "one")
    ann.write("heard/file", "one")
    world.settle()
    ann.engine.step([Watching(), Unwatched((("deaf",),), "no watches left"), Unwatched((("gone",),), "not permitted")])
    assert set(ann.engine.live.unwatched) == {"deaf", "gone"}
    runs = len(ann.db.runs.recent(99))
    ann.write("deaf/below/file", "two")
    world.time.ahead += 61.0
    while ann.one():
        pass
    ann.wait()
    bob.wait()
    assert bob.read("deaf/below/file") == "two"
    assert ann.engine.live.unwatched == ("deaf",)
    ann.engine.step([Watching()])
    ann.wait()
    assert not ann.engine.live.unwatched
    assert len(ann.db.runs.recent(99)) >= runs


def test_a_poll_of_unwatched_folders_looks_nowhere_else(make_world: Make) -> None:
    world = make_world("ann")
    (ann,) = world.devices
    ann.write("deaf/below/file", "one")
    ann.write("heard/file", "one")
    world.settle()
    ann.engine.step([Unwatched((("deaf",),), "no watches left")])
    world.time.ahead += 61.0
    ann.engine.step([])
    seen = []
    while ann.jobs:
        seen += [unit.path for job in ann.jobs if isinstance(job, LookJob) for unit in job.units]
        if not ann.one():
            break
    assert sorted(set(seen)) == [("deaf",), ("deaf", "below")]


def test_lost_events_of_a_known_folder_are_looked_for_there(make_world: Make) -> None:
    world = make_world("ann")
    (ann,) = world.devices
    ann.write("lost/below/file", "one")
    ann.write("other/file", "one")
    world.settle()
    runs = len(ann.db.runs.recent(99))
    ann.write("lost/below/file", "two")
    ann.engine.step([HintsLost(("lost",), "moved while it was being watched")])
    while ann.one():
        pass
    assert len(ann.db.runs.recent(99)) == runs, "no full walk"
    assert len(ann.wire.commits) == 6, "five creations before, one new content now"


def test_a_suspend_doubts_the_watcher_and_looks_at_everything(make_world: Make) -> None:
    world = make_world("ann")
    (ann,) = world.devices
    ann.write("file", "one")
    world.settle()
    ann.engine.step([ClockJumped(3600.0)])
    assert ProveJob(watcher=True) in ann.jobs
    ann.wait()
    ann.engine.step([HintsLost((), "overflow")])
    assert ProveJob(watcher=False) in ann.jobs


def test_p8_a_look_that_finds_the_root_gone_stops_everything_at_once(make_world: Make) -> None:
    world = make_world("ann")
    (ann,) = world.devices
    ann.write("file", "one")
    ann.write("other", "one")
    world.settle()
    ann.write("file", "two")
    ann.engine.looks.hint((), "file")
    ann.engine.step([])
    look = next(job for job in ann.jobs if isinstance(job, LookJob))
    ann.jobs.remove(look)
    ann.engine.step([JobFailed(look, "the root is gone"), Unproven("the root is gone", proving=False)])
    assert ann.engine.live.phase is Phase.STOPPED
    assert not [job for job in ann.jobs if isinstance(job, LookJob)]
    world.time.ahead += 11.0
    ann.engine.step([])
    while ann.one():
        pass
    ann.wait()  # it is proven again, and what was being looked at is not forgotten
    assert ann.engine.live.phase is Phase.IN_SYNC


def test_a_persons_word_is_written_down_and_durable_before_it_is_answered(make_world: Make) -> None:
    world = make_world("ann")
    (ann,) = world.devices
    ann.write("file", "one")
    world.settle()
    states: list[bool] = []
    transaction = ann.db.transaction

    def watched(*, durable: bool = False) -> object:
        states.append(durable)
        return transaction(durable=durable)

    ann.db.transaction = watched  # type: ignore[method-assign,assignment]
    answered: list[int] = []
    ann.engine.asks.post = lambda reply: answered.append(len(ann.db.commands.recent(9)))
    ann.engine.step([Ask(1, Verb.PAUSE)])
    assert states[0] is True
    ann.engine.step([Ask(2, Verb.RESUME)])
    assert answered == [1, 2]
    assert [command.verb for command in ann.db.commands.recent(9)] == ["resume", "pause"]
    assert {command.state for command in ann.db.commands.recent(9)} == {"done"}
    states.clear()
    ann.engine.step([])
    assert states[0] is False


def test_p11_a_huge_folder_is_written_in_short_transactions_and_planned_once_it_is_whole(make_world: Make) -> None:
    """Half of a look is never planned: what moved within the folder is a move, not a delete and a new file."""
    world = make_world("ann")
    (ann,) = world.devices
    for number in range(1500):
        ann.write(f"huge/{number:04}", f"content {number}")
    world.settle()
    for number in range(1500):
        ann.path(f"huge/{number:04}").rename(ann.path(f"huge/moved {number:04}"))
    commits = len(ann.wire.commits)
    rows: list[int] = []
    step = ann.engine.step

    def counted(messages: list[Message]) -> float | None:
        due = step(messages)
        rows.append(ann.engine.intake.rows_left)
        return due

    ann.engine.step = counted  # type: ignore[method-assign]
    ann.wait()
    assert len(ann.wire.commits) - commits == 1500
    assert {type(mutation).__name__ for mutation in ann.wire.commits[commits:]} == {"Moves"}
    assert rows.count(0) >= 1500 * 3 // ROWS_A_STEP - 1, "it took several transactions"
    assert not ann.engine.intake.busy


def test_p12_a_file_that_never_rests_is_shown_with_the_time_it_began(make_world: Make) -> None:
    world = make_world("ann")
    (ann,) = world.devices
    ann.write("log", "one")
    ann.wait()
    began = world.time.now()
    ann.engine.looks.hint((), "log")
    for _ in range(4):  # written again whenever it is read
        while not (looks := [job for job in ann.jobs if isinstance(job, LookJob)]):
            world.time.ahead += 0.2
            ann.engine.step([])
        (look,) = looks
        ann.jobs.remove(look)
        (unit,) = ann.handle(look)[0].units  # type: ignore[union-attr]
        fingerprint = os.stat(ann.path("log"))
        busy = Unhashed("log", Fingerprint(unit.dev, fingerprint.st_ino, 1, 1, 3), busy=True)
        ann.engine.step([Looked(look, (dataclasses.replace(unit, seen=(), unhashed=(busy,)),), "")])
    ((path, since),) = ann.engine.live.busy
    assert path == "log"
    assert abs(since - began) < 5.0


def test_p4_ops_whose_recovery_broke_are_tried_again_and_not_stuck(make_world: Make) -> None:
    world = make_world("ann", "bob")
    ann, bob = world.devices
    ann.write("file", "one")
    while not [job for job in ann.jobs if isinstance(job, SendJob)]:
        ann.one()
    ann.crash()
    ann.start()
    recover = next(job for job in ann.jobs if isinstance(job, RecoverJob))
    ann.jobs.remove(recover)
    ann.engine.step([JobFailed(recover, "ValueError: nobody foresaw this")])
    assert not ann.engine.desk.running
    ann.wait()
    bob.wait()
    assert bob.read("file") == "one"
