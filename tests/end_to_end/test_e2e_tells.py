"""What the commands say of real daemons (P12): one answer is of one moment, and every trouble is told with its mend."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.end_to_end.harness import Device, World
from tests.end_to_end.processes import Process, until

Pair = tuple[World, Device, Device]


def test_p12_status_never_says_in_sync_above_work(pair: Pair) -> None:
    world, a, _ = pair
    world.settle()
    done = threading.Event()

    def write() -> None:
        for number in range(40):
            a.write(f"turn/{number}.txt", f"turn {number}")
            done.wait(0.08)  # the pace of a person's program, not a condition
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    busy = 0
    while not done.is_set():
        found = a.status()
        if found["ops"].get("ready") or found["ops"].get("running"):
            busy += 1
            assert found["live"]["phase"] != "in sync", found
    writer.join()
    world.settle()
    assert busy, "status was asked while there was work"
    world.check_all()


def test_p12_the_doctor_and_why_tell_what_is_in_the_way(pair: Pair) -> None:
    world, a, b = pair
    a.write("gone.txt", "will be here")
    world.settle()
    assert b.fine("doctor").out.rstrip().endswith("all is well")
    os.mkfifo(b.path("pipe"))
    a.write("pipe", "a file for the name of a pipe")
    a.write("big.iso", "ignored later")
    a.wait()
    until(lambda: b.cli("doctor", "--offline").code == 3, "the doctor finds what is in the way")
    assert "pipe" in b.cli("doctor", "--offline").out
    assert "neither a file nor a directory" in b.cli("why", str(b.path("pipe"))).out
    b.path("pipe").unlink()
    world.settle()
    assert b.fine("doctor").code == 0
    world.check_all()


def test_p12_a_database_deleted_under_its_daemon_is_told_with_its_mend(pair: Pair) -> None:
    world, a, _ = pair
    a.write("x.txt", "x")
    world.settle()
    a.lose_database()
    assert "start it again" in a.cli("status").out
    ran = a.cli("doctor", "--offline")
    assert ran.code == 1
    assert "was deleted while the daemon runs" in ran.out
    a.kill9()
    a.start()
    world.settle()
    world.check_all()


def test_every_option_a_person_may_give_through_real_processes(pair: Pair) -> None:
    """One pair of daemons, many commands: what no other test of whole processes gives."""
    world, a, b = pair
    a.write("x.txt", "one")
    a.write("d/y.txt", "two")
    world.settle()

    _watches(a)

    assert "deep" in a.fine("scan", "--deep").out + a.fine("runs").out
    assert a.fine("retry").code == 0

    a.path("d/.DS_Store").write_bytes(b"what no hub keeps")
    b.remove("d")
    world.settle()
    until(lambda: not a.path("d").exists(), "the folder goes")
    entry = json.loads(a.fine("trash", "list", "--json").out)[0]
    said = a.fine("trash", "restore", entry["id"]).out
    assert a.path(said.removeprefix("restored ").partition(" in ")[0]).exists(), said
    a.remove("d")  # what came back is nothing that is synced
    world.settle()
    world.check_all()


def _watches(device: Device) -> None:
    """``status --watch`` shows the folder and ends when interrupted."""
    command = [sys.executable, "-m", "syncd.cli.main", "status", "--watch"]
    here = Path(__file__).parents[2]
    ours, its = pty.openpty()  # what is no terminal is shown the last picture only
    shown = subprocess.Popen(
        command, env={**device.env, "TERM": "xterm"}, stdin=its, stdout=its, stderr=subprocess.PIPE, cwd=here,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509 - shells have & ignore it
    )  # fmt: skip
    os.close(its)
    seen = b""
    try:
        while b"in sync" not in seen and select.select([ours], [], [], 20)[0]:
            seen += os.read(ours, 4096)
        assert b"in sync" in seen
        shown.send_signal(signal.SIGINT)
        _, errors = shown.communicate(timeout=20)
    finally:
        shown.kill()
        os.close(ours)
    assert (shown.returncode, errors) == (0, b"")


def test_a_log_in_json_is_one_object_a_line(world: World) -> None:
    a = world.device("a")
    a.stop()
    log = a.base / "json.log"
    process = Process(["run", "--log-format", "json"], a.env, log)
    until(lambda: a.live() is not None, "the daemon answers")
    assert process.stop() == 0
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert "running" in [line["event"] for line in lines]
    a.start()
    world.settle()
    world.check_all()


@pytest.mark.parametrize(("side", "stays"), [("--mine", "from b"), ("--theirs", "from a")])
def test_a_conflict_is_resolved_as_one_says(pair: Pair, side: str, stays: str) -> None:
    world, a, b = pair
    a.write("x.txt", "before")
    world.settle()
    b.stop()
    a.write("x.txt", "from a")
    a.wait()
    b.write("x.txt", "from b")
    b.start()
    world.settle()
    (conflict,) = b.conflicts()
    assert b.fine("resolve", str(conflict["id"]), side).code == 0
    world.settle()
    assert b.conflicts() == a.conflicts() == []
    assert a.read("x.txt") == b.read("x.txt") == stays
    assert not a.copies() + b.copies()
    world.check_all()
