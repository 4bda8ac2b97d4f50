"""The marks of the first release, measured with real processes on loopback.

Run: python -m bench.acceptance [--only NAME]... [--json] [--scratch DIR]

Each row prints the figure, the mark it must keep and the verdict; rows without a mark are for information. Ends with 1
when a mark is missed. Linux only: figures come from /proc.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from bench.rig import PATIENCE, Device, Failed, Hub, peak, reset_peak, resident, rest, space, until, usage
from bench.trees import insert_byte, large, mixed_files, small_files, tree
from bench.wire import Relay

MIB: Final = 1 << 20
IDLE_SECONDS: Final = 60
IDLE_FILES: Final = 100_000
SMALL_FILES: Final = 10_000
SETTLE_SECONDS: Final = 20


@dataclass(frozen=True, slots=True)
class Row:
    """One figure; *kept* is None where there is no mark."""

    what: str
    figure: str
    mark: str = ""
    kept: bool | None = None


Rows = Iterator[Row]


def limit(what: str, value: float, most: float, unit: str, digits: int = 0) -> Row:
    """Return a row whose figure may be at most *most*."""
    return Row(what, f"{value:,.{digits}f} {unit}", f"<= {most:,g} {unit}", value <= most)


# --- the rows -----------------------------------------------------------------------------------------------------


def mixed(base: Path) -> Rows:
    """2,000 files of mixed sizes, 200 MB in all, from one device through the hub to another."""
    with space(base, "ab") as (hub, (a, b)):
        mixed_files(a.root, 2000, 200_000_000)
        began = time.monotonic()
        a.cli("run", "--once")
        sent = time.monotonic()
        b.cli("run", "--once")
        yield Row("2,000 files, 200 MB: A to hub", f"{sent - began:.1f} s")
        yield Row("2,000 files, 200 MB: hub to B", f"{time.monotonic() - sent:.1f} s")
        same = tree(a.root) == tree(b.root)
        yield Row("2,000 files: A and B byte-identical", "yes" if same else "NO", "yes", same)
        for device in (a, b):
            yield from _again(hub, device)


def _again(hub: Hub, device: Device) -> Rows:
    before = hub.commits
    command = [sys.executable, str(Path(__file__).parent / "once_probe.py")]
    done = subprocess.run(command, check=False, env=device.env, capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise Failed(f"{device.name}: the second run ended with {done.returncode}: {done.stderr}")
    said = json.loads(done.stdout)
    yield limit(f"second run on {device.name.upper()}: mutations committed", hub.commits - before, 0, "mutations")
    yield limit(f"second run on {device.name.upper()}: files opened", said["opened"], 0, "files")


def insert(base: Path) -> Rows:
    """One byte inserted in the middle of a 1 GiB file of random content."""
    relay = Relay()
    with space(base, "ab", relay) as (hub, devices):
        a, b = devices
        for device in devices:
            device.start()
        began = time.monotonic()
        large(a.root / "large.bin", 1024 * MIB)
        a.wait()
        sent = time.monotonic() - began
        b.wait()
        yield Row("1 GiB file, first time: written and sent / at B", f"{sent:.1f} s / {time.monotonic() - began:.1f} s")
        processes = {"daemon A": a.daemon.pid, "daemon B": b.daemon.pid, "hub": hub.process.pid}
        rest(processes.values())
        resident = {name: reset_peak(pid) for name, pid in processes.items()}
        up, down = relay.up, relay.down
        insert_byte(a.root / "large.bin", 512 * MIB)
        began = time.monotonic()
        a.wait()
        b.wait()
        yield Row("1 byte inserted in 1 GiB: wall time", f"{time.monotonic() - began:.1f} s")
        yield limit("1 byte inserted in 1 GiB: to the hub", (relay.up - up) / MIB, 8, "MiB", 2)
        yield limit("1 byte inserted in 1 GiB: from the hub", (relay.down - down) / MIB, 8, "MiB", 2)
        for name, pid in processes.items():
            grown = (peak(pid) - resident[name]) / MIB
            yield limit(f"1 byte inserted in 1 GiB: {name} grows by", grown, 150, "MiB", 1)
        same = tree(a.root) == tree(b.root)
        yield Row("1 byte inserted in 1 GiB: byte-identical", "yes" if same else "NO", "yes", same)


def small(base: Path) -> Rows:
    """10,000 files of 4 KiB from A to B; then the folder that holds them is renamed."""
    relay = Relay()
    with space(base, "ab", relay) as (hub, (a, b)):
        a.start()
        b.start()
        pids = {"daemon A": a.daemon.pid, "daemon B": b.daemon.pid, "hub": hub.process.pid}
        before = {name: usage(pid) for name, pid in pids.items()}
        began = time.monotonic()
        small_files(a.root / "many", SMALL_FILES, 4096)
        written = time.monotonic() - began
        a.wait()
        sent = time.monotonic() - began
        b.wait()
        yield Row(f"{SMALL_FILES:,} x 4 KiB, written in {written:.1f} s: A in sync / B in sync",
                  f"{sent:.1f} s / {time.monotonic() - began:.1f} s")  # fmt: skip
        for name, pid in pids.items():
            yield Row(f"{SMALL_FILES:,} x 4 KiB: CPU of {name}", f"{usage(pid).since(before[name]).cpu:.1f} s")
        same = tree(a.root) == tree(b.root)
        yield Row(f"{SMALL_FILES:,} x 4 KiB: byte-identical", "yes" if same else "NO", "yes", same)
        yield from _rename(hub, a, b, relay)


def _rename(hub: Hub, a: Device, b: Device, relay: Relay) -> Rows:
    rest((a.daemon.pid, b.daemon.pid, hub.process.pid))
    commits, stored, up, down = hub.commits, hub.stored, relay.up, relay.down
    began = time.monotonic()
    (a.root / "many").rename(a.root / "renamed")
    a.wait()
    b.wait()
    took = time.monotonic() - began
    yield Row(f"folder of {SMALL_FILES:,} files renamed: A and B in sync", f"{took:.1f} s")
    made = hub.commits - commits
    yield Row(f"folder of {SMALL_FILES:,} files renamed: mutations", f"{made}", "1", made == 1)
    yield limit(f"folder of {SMALL_FILES:,} files renamed: content stored", hub.stored - stored, 0, "bytes")
    yield Row("... all bytes on the wire, to / from the hub", f"{relay.up - up:,} / {relay.down - down:,}")
    same = tree(a.root) == tree(b.root) and not (b.root / "many").exists()
    yield Row(f"folder of {SMALL_FILES:,} files renamed: byte-identical", "yes" if same else "NO", "yes", same)


def idle(base: Path) -> Rows:
    """60 seconds of nothing on 100,000 files, and how fast `syncd status` answers."""
    with space(base, "a") as (hub, (a,)):
        small_files(a.root, IDLE_FILES, 64)
        began = time.monotonic()
        a.start()
        a.wait()
        yield Row(f"{IDLE_FILES:,} files of 64 bytes: first sync", f"{time.monotonic() - began:.1f} s")
        pids = {"daemon": a.daemon.pid, "hub": hub.process.pid}
        rest(pids.values(), SETTLE_SECONDS)
        memory = " / ".join(f"{resident(pid) / MIB:.0f}" for pid in pids.values())
        yield Row(f"{IDLE_FILES:,} files: resident at rest, daemon / hub", f"{memory} MiB")
        os.sync()
        before = {name: usage(pid) for name, pid in pids.items()}
        time.sleep(IDLE_SECONDS)  # what is measured is this very time of doing nothing
        for name, pid in pids.items():
            used = usage(pid).since(before[name])
            yield limit(f"idle {IDLE_SECONDS} s on {IDLE_FILES:,} files: CPU of {name}", used.cpu, 0.1, "s", 3)
            yield limit(f"idle {IDLE_SECONDS} s: disk writes of {name}", used.written, 0, "bytes")
            yield Row(f"idle {IDLE_SECONDS} s: context switches of {name}", f"{used.switches}")
        yield from _status(a, "`syncd status`")
        quiet = usage(pids["daemon"])
        with subprocess.Popen([sys.executable, "-m", "syncd.cli.main", "scan", "--deep"], env=a.env,
                              stdout=subprocess.DEVNULL) as scan:  # fmt: skip
            until(
                lambda: scan.poll() is not None or usage(pids["daemon"]).since(quiet).cpu > 0.1,
                PATIENCE,
                lambda: "the scan does not begin",
            )
            rows = list(_status(a, "`syncd status` while a scan runs"))
            ended = scan.poll() is not None
            scan.wait()
        yield from rows
        if ended:
            yield Row("... the scan ended before the last of the ten calls", "yes")


def _status(device: Device, what: str) -> Rows:
    """Call it ten times; where other work shares the cores, the time it computes says more than the time it takes."""
    times, computed = [], []
    for _ in range(10):
        began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        device.cli("status", codes=(0, 3))
        times.append((time.perf_counter() - began) * 1000)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        computed.append((after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000)
    yield limit(f"{what}, median of 10", statistics.median(times), 150, "ms")
    busy = os.getloadavg()[0] / (os.cpu_count() or 1)
    yield Row(
        "... of which computing; load for each core meanwhile", f"{statistics.median(computed):.0f} ms; {busy:.1f}"
    )


PARTS: Final[dict[str, Callable[[Path], Rows]]] = {"mixed": mixed, "insert": insert, "small": small, "idle": idle}


def main() -> int:
    """Measure, print, and return 1 when a mark was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=sorted(PARTS), help="only this part; may be repeated")
    parser.add_argument("--json", action="store_true", help="print rows as JSON")
    parser.add_argument("--scratch", type=Path, help="where to work (about 3 GB); removed afterwards")
    arguments = parser.parse_args()
    if arguments.scratch:
        arguments.scratch.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    for name in arguments.only or PARTS:
        with tempfile.TemporaryDirectory(prefix="accept-", dir=arguments.scratch) as folder:
            try:
                for row in PARTS[name](Path(folder)):
                    rows.append(row)
                    if not arguments.json:
                        print(_shown(row), flush=True)
            except (Failed, OSError, subprocess.SubprocessError) as error:
                rows.append(Row(name, str(error), "ends", False))
                print(_shown(rows[-1]), file=sys.stderr, flush=True)
    if arguments.json:
        print(json.dumps([asdict(row) for row in rows], indent=1))
    return 1 if any(row.kept is False for row in rows) else 0


def _shown(row: Row) -> str:
    verdict = {True: "kept", False: "MISSED", None: ""}[row.kept]
    return f"{row.what:<58} {row.figure:>20}  {row.mark:<12} {verdict}".rstrip()


if __name__ == "__main__":
    sys.exit(main())
