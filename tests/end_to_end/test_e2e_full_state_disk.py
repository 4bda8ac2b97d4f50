"""A full disk under everything: the folder, the database and the hub's data. All of it waits, and goes on by itself."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.processes import Process, Ran, command, environment, tail, until
from tests.end_to_end.small_disk import UNSHARE, fill, possible

DISK = 20 << 20


@dataclass
class Small:
    """A disk of its own. Processes *within* it know it as *address*; from here it is *path*."""

    base: Path
    address: Path
    path: Path
    within: tuple[str, ...]
    env: dict[str, str]

    @property
    def root(self) -> Path:
        return self.path / "Sync"

    @property
    def log(self) -> Path:
        return self.base / "up.log"

    def cli(self, *arguments: str) -> Ran:
        return command(arguments, self.env, within=self.within)

    def status(self) -> dict[str, Any]:
        said = json.loads(self.cli("status", "--json").out)
        root: dict[str, Any] = said["roots"][0]
        return root

    def phase(self) -> str:
        live = self.status()["live"]
        return str(live["phase"]) if live else "none"

    def up(self) -> Process:
        return Process(["up", str(self.address / "Sync")], self.env, self.log, within=self.within)


@contextmanager
def small_disk() -> Iterator[Small]:
    if sys.platform != "linux" or not possible():
        pytest.skip("no mount namespace may be made here")
    base = Path(tempfile.mkdtemp(prefix="e2e-", dir="/tmp"))
    disk = base / "disk"
    disk.mkdir()
    (base / "run").mkdir(mode=0o700)
    mount = f"mount -t tmpfs -o size={DISK} small {shlex.quote(str(disk))}"
    holder = subprocess.Popen(
        [*UNSHARE, f"{mount} && echo ready && exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n"
        pid = str(holder.pid)
        env = environment(base) | {"XDG_STATE_HOME": str(disk / "state"), "XDG_DATA_HOME": str(disk / "data")}
        within = ("nsenter", "--user", "--mount", "--preserve-credentials", "--target", pid)
        yield Small(base, disk, Path(f"/proc/{pid}/root{disk}"), within, env)
    finally:
        assert holder.stdin is not None
        holder.stdin.close()
        holder.wait()
        shutil.rmtree(base)


def test_p1_p4_p12_up_outlives_a_full_disk_under_everything() -> None:
    with small_disk() as disk:
        process = disk.up()
        try:
            until(lambda: answers(disk), "it runs")
            for number in range(100):
                (disk.root / f"{number}.txt").write_text(f"file {number}")
            until(lambda: disk.cli("wait", "--timeout", "60").code == 0, "all is in sync")
            fill(disk.path / "filler")
            round_ = 0
            while disk.phase() != "stopped":
                assert process.running, tail(disk.log)
                round_ += 1
                assert round_ < 200, "its records fit on a full disk"
                for number in range(100):
                    os.utime(disk.root / f"{number}.txt")
                    (disk.root / f"{number}.txt").write_text(f"file {number}, edit {round_}")
            assert "free some space" in disk.status()["live"]["why"]
            assert disk.cli("status").code == 3
            assert disk.cli("wait", "--timeout", "20").code == 3, "nobody is kept waiting for room"
            assert process.running, tail(disk.log)
            assert "embedded hub ended" not in tail(disk.log)
            assert process.stop() == 0
            process = disk.up()  # a full disk is no reason not to start
            until(lambda: disk.phase() == "stopped", "it says that it cannot begin")
            (disk.path / "filler").unlink()
            until(lambda: disk.phase() == "in sync", "it goes on by itself once there is room")
            (disk.root / "last.txt").write_text("last")
            until(lambda: disk.cli("wait", "--timeout", "60").code == 0, "all is in sync again")
            assert disk.status()["disagreeing"] == 0
            assert process.running, tail(disk.log)
            assert "embedded hub ended" not in tail(disk.log)
        finally:
            code = process.stop()
        assert code == 0, tail(disk.log)


def answers(disk: Small) -> bool:
    """Return whether the daemon answers."""
    return disk.cli("wait", "--timeout", "5").code == 0
