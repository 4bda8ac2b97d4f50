"""How numbers and names look."""

import errno

import pytest

from syncd.cli.main import say_error
from syncd.cli.render import ago, ahead, columns, count, progress_text, size, span
from syncd.cli.status import lines_of, waits
from syncd.model.errors import Refused
from syncd.model.status import LiveStatus, Phase, RunningOp


@pytest.mark.parametrize(
    ("number", "shown"),
    [(0, "0 B"), (999, "999 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (10 << 10, "10 KiB"),
     ((1 << 20) - 1, "1.0 MiB"), (20 << 30, "20 GiB"), (5 << 50, "5120 TiB")],
)  # fmt: skip
def test_size(number: int, shown: str) -> None:
    assert size(number) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-3, "under 1 s"), (0.2, "under 1 s"), (4, "4 s"), (89, "89 s"), (90, "2 min"), (3600, "60 min"),
     (5400, "1 h 30 min"), (7200, "2 h"), (200_000, "2 days")],
)  # fmt: skip
def test_span(seconds: float, shown: str) -> None:
    assert span(seconds) == shown


def test_moments_relative_to_now() -> None:
    assert (ago(100, 101), ago(100, 130)) == ("just now", "30 s ago")
    assert (ahead(100, 100), ahead(130, 100)) == ("at once", "in 30 s")


def test_p12_progress_is_one_line() -> None:
    running = (RunningOp(1, "remote_mkdir", "a", 0, 0), RunningOp(2, "x", "b", 1, 2))
    live = LiveStatus(phase=Phase.SYNCING, ops_waiting=1200, running=running)
    assert progress_text(live) == "syncing, 1,202 to do, remote mkdir a"
    assert progress_text(LiveStatus(phase=Phase.SCANNING, scanned=5)) == "scanning, 5 looked at"


def test_count_speaks_english() -> None:
    assert (count(1, "file"), count(0, "file"), count(1234, "entry", "entries")) == (
        "1 file",
        "0 files",
        "1,234 entries",
    )


def test_columns_align_and_leave_the_last_one_free() -> None:
    assert columns([["a", "bbb", "x"], ["aaa", "b", "long name"]]) == ["  a    bbb  x", "  aaa  b    long name"]
    assert columns([]) == []


def test_p10_an_error_is_one_line_that_cannot_steer_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    say_error(Refused("bad\nname \x1b[31mred"))
    assert capsys.readouterr().err == "syncd: bad name \\x1b[31mred\n"


LIVE = {
    "phase": "syncing", "why": "", "since": 0.0, "remote_online": False, "remote_detail": "no route", "next_at": None,
    "running": [{"type": "upload", "path": "a/b", "bytes_done": 512, "bytes_total": 1024}], "unwatched": ["x"],
    "busy": [["log.txt", 1000.0]],
}  # fmt: skip
ROOT = {
    "path": "/home/me/Sync\x1b[0m", "remote": "syncd://h:1/s", "device": "laptop", "paused": False, "daemon": 1,
    "live": LIVE, "problem": "", "nodes": {"files": 2, "directories": 1, "symlinks": 0}, "bytes": 2048,
    "disagreeing": 1, "ops": {"ready": 2, "blocked": 1}, "conflicts": 1, "held_groups": 1, "held_items": 1500,
    "waiting": [{"path": "c", "op": "remote_delete", "state": "ready", "attempts": 2, "next_at": None, "why": "busy"}],
    "unsynced": [{"path": "pipe", "why": "held", "detail": "a FIFO"}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("error", "says"),
    [
        pytest.param(FileExistsError(errno.EEXIST, "File exists", "/a"), "/a: file exists: a folder is", id="a file"),
        pytest.param(PermissionError(errno.EACCES, "Permission denied", "/a"), "check who may", id="no permission"),
        pytest.param(OSError(errno.ENOSPC, "No space left on device"), "free some space", id="full"),
        pytest.param(OSError(errno.EIO, "Input/output error", b"/b"), "/b: input/output error: check it", id="other"),
    ],
)
def test_an_error_of_the_system_says_what_why_and_what_to_do(
    error: OSError, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    say_error(error)
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1


def test_p12_status_says_what_why_and_what_next() -> None:
    text = "\n".join(lines_of(ROOT))
    for part in (
        "syncing",
        "offline: no route",
        "2 files, 1 folder, 2.0 KiB",
        "upload",
        "50 %",
        "1 conflict: `syncd conflicts`",
        "1,500 changes held in 1 group: `syncd approve`",
        "remote delete",
        "busy",
        "pipe",
        "held (a FIFO)",
        "cannot be watched",
    ):
        assert part in text
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        pytest.param({}, True, id="conflicts and held groups wait"),
        pytest.param({"conflicts": 0, "held_groups": 0, "ops": {"ready": 3}}, False, id="work goes on by itself"),
        pytest.param({"conflicts": 0, "held_groups": 0, "ops": {"failed": 1}}, True, id="a parked op waits"),
    ],
)
def test_what_waits_for_a_person(more: dict, expected: bool) -> None:
    assert waits({**ROOT, **more}) is expected


def test_p12_in_sync_is_not_said_while_something_waits_for_a_person() -> None:
    live = {**LIVE, "phase": "in sync", "running": [], "unwatched": []}
    assert "waits for you" in lines_of({**ROOT, "live": live})[0]
    calm = {**ROOT, "live": live, "conflicts": 0, "held_groups": 0, "ops": {"ready": 0}}
    assert "in sync" in lines_of(calm)[0]


STUCK = {"conflicts": 0, "held_groups": 0, "ops": {"ready": 2}, "stuck": 2}


@pytest.mark.parametrize(
    ("more", "says"),
    [
        pytest.param({}, "waits for you", id="all that is left cannot go on before somebody helps"),
        pytest.param({"stuck": 1}, "syncing", id="other work goes on"),
        pytest.param({"ops": {"ready": 2, "running": 1}}, "syncing", id="something runs"),
    ],
)
def test_p12_syncing_is_not_said_while_nothing_can_move(more: dict, says: str) -> None:
    root = {**ROOT, **STUCK, "live": {**LIVE, "running": []}, **more}
    assert says in lines_of(root)[0]
    assert waits(root), "and `syncd status` ends with 3, as `syncd wait` does"


def test_p12_a_remote_that_is_away_is_explained_once() -> None:
    live = {**LIVE, "phase": "offline", "why": "no route", "remote_detail": "no route"}
    assert "\n".join(lines_of({**ROOT, "live": live})).count("no route") == 1


def test_p12_what_cannot_be_read_comes_with_what_to_do() -> None:
    unsynced = [{"path": "locked", "why": "unreadable", "detail": "denied", "mend": "get the right to read"}]
    assert any("denied): get the right to read" in line for line in lines_of({**ROOT, "unsynced": unsynced}))


def test_p12_a_thousand_held_deletes_are_a_few_lines_without_a_time() -> None:
    held = [
        {"path": f"f{n}", "op": "remote_delete", "state": "blocked", "attempts": 0, "next_at": 1.0, "why": "held: many"}
        for n in range(20)
    ]
    lines = [line for line in lines_of({**ROOT, "waiting": held}) if "held: many" in line]
    assert len(lines) == 3
    assert not [line for line in lines if "again" in line]
    assert any("syncd plan" in line for line in lines_of({**ROOT, "waiting": held}))
