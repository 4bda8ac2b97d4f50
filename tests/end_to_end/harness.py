"""A hub and devices as real processes on loopback, and the checks that end every test: P1, P2 and P3."""

import contextlib
import json
import os
import re
import shutil
import socket
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from syncd.control import client
from syncd.service.hubs import HubData
from tests.end_to_end.ledger import Ledger
from tests.end_to_end.processes import PATIENCE, Process, Ran, command, environment, tail, until
from tests.end_to_end.trees import Tree, contents, copies, differences, tree

ROUNDS = 8
CONFIG = '[guard]\nrest = "0.3 s"\n[disk]\nfree_floor = 0\n'
"""Deletes rest 2 s by default; most tests do not look at that, and need not wait for it."""


class Hub:
    """A hub in a folder, served by a process that may be killed, stopped, restarted or replaced."""

    def __init__(self, base: Path) -> None:
        self.base, self.data = base, base / "data"
        base.mkdir(parents=True, exist_ok=True)
        self.log = base / "hub.log"
        self.port = _free_port()
        self._process: Process | None = None

    def launch(self) -> Process:
        """Start serving, without waiting for it."""
        arguments = ["hub", "serve", "--listen", f"127.0.0.1:{self.port}", "--data", str(self.data)]
        self._process = Process(arguments, environment(self.base), self.log)
        return self._process

    def start(self) -> None:
        """Serve, on the same port as before."""
        self.launch()
        self.answers()

    def answers(self) -> None:
        """Wait until it listens."""
        process = self.process
        until(lambda: not process.running or _listens(self.port), f"the hub listens on {self.port}")
        assert process.running, tail(self.log)

    def stop(self) -> None:
        if self._process is not None:
            assert self._process.stop() == 0, tail(self.log)
        self._process = None

    def kill9(self) -> None:
        if self._process is not None:
            self._process.kill9()
        self._process = None

    @property
    def process(self) -> Process:
        assert self._process is not None
        return self._process

    def command(self, *arguments: str) -> Ran:
        """Run `syncd hub ...` on this hub's data."""
        return command(["hub", *arguments, "--data", str(self.data)], environment(self.base))

    def invite(self, space: str = "files") -> str:
        """Return a fresh invite, as `syncd hub invite` prints it."""
        data = HubData(self.data)
        served = until(data.served, "the hub remembers its address")
        return data.invite(space, served)

    def backup(self, target: Path) -> None:
        done = command(["hub", "backup", str(target), "--data", str(self.data)], environment(self.base))
        assert done.code == 0, done

    def go_back(self, backup: Path) -> None:
        """Replace the data by an older backup. The hub is not running."""
        self.data.rename(self.base / f"data-before-{len(list(self.base.iterdir()))}")
        shutil.copytree(backup, self.data)

    def head(self, space: str = "files") -> int:
        """Return the last position of a space's journal."""
        with self._database() as database:
            row = database.execute("SELECT head FROM space WHERE name = ?", (space,)).fetchone()
        return 0 if row is None else int(row[0])

    def kept(self) -> set[bytes]:
        """Return every content that some version holds and whose bytes are there."""
        with self._database() as database:
            rows = database.execute(
                "SELECT DISTINCT hash FROM entry WHERE hash IS NOT NULL AND (manifest IS NOT NULL OR size = 0 OR "
                "EXISTS (SELECT 1 FROM chunk WHERE chunk.hash = entry.hash AND NOT damaged))"
            ).fetchall()
        return {bytes(row[0]) for row in rows}

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Return what a query says of the hub's database."""
        with self._database() as database:
            return database.execute(sql).fetchall()

    @contextlib.contextmanager
    def _database(self) -> Any:
        database = sqlite3.connect(f"file:{self.data / 'hub.sqlite'}?mode=ro", uri=True, timeout=10)
        try:
            yield database
        finally:
            database.close()

    def end(self) -> None:
        self.kill9()


class Device:
    """A device: folders of its own, a root, and a daemon that may be killed. *mortal*: root's rights do not help it.

    Its processes run *within* another command's world, if any, and know the root there as *address*."""

    def __init__(self, base: Path, name: str, ledger: Ledger, mortal: bool = False) -> None:
        self.base, self.name, self.ledger, self.mortal = base, name, ledger, mortal
        self.root = self.address = base / "root"
        self.within: tuple[str, ...] = ()
        for folder in (self.root, base / "run", base / "config" / "syncd"):
            folder.mkdir(parents=True)
        (base / "run").chmod(0o700)
        self.configure(CONFIG)
        self.env = environment(base)
        self.log = base / f"{name}.log"
        self._process: Process | None = None
        self.touched = False

    def configure(self, text: str) -> None:
        (self.base / "config" / "syncd" / "config.toml").write_text(text)

    # --- processes -----------------------------------------------------------------------------------------------

    def cli(self, *arguments: str, patience: float = PATIENCE) -> Ran:
        """Run any syncd command as this device's person."""
        return command(arguments, self.env, self.mortal, patience, self.within)

    def fine(self, *arguments: str, codes: Iterable[int] = (0,)) -> Ran:
        ran = self.cli(*arguments)
        assert ran.code in codes, f"{self.name}: syncd {' '.join(arguments)}: {ran}\n{tail(self.log)}"
        return ran

    def init(self, invite: str, *more: str) -> None:
        self.fine("init", str(self.address), "--remote", invite, "--device", self.name, *more)

    def launch(self) -> Process:
        """Start the daemon, without waiting for it."""
        assert not self.running
        self._process = Process(["run", "--log-level", "debug"], self.env, self.log, self.mortal, within=self.within)
        return self._process

    def start(self) -> None:
        """Start the daemon; returns when it answers."""
        self.launch()
        self.answers()

    def answers(self) -> None:
        """Wait until the daemon answers."""
        process = self.process
        until(lambda: not process.running or self.live() is not None, f"{self.name}'s daemon answers")
        assert process.running, tail(self.log)

    def stop(self) -> None:
        if self._process is not None:
            assert self._process.stop() == 0, tail(self.log)
        self._process = None

    def kill9(self) -> None:
        if self._process is not None:
            self._process.kill9()
        self._process = None

    def end(self) -> None:
        self.kill9()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.running

    @property
    def process(self) -> Process:
        assert self._process is not None
        return self._process

    # --- state ---------------------------------------------------------------------------------------------------

    @property
    def state(self) -> Path:
        """Return the folder of this root's database and root.json."""
        for folder in (self.base / "state" / "syncd" / "roots").iterdir():
            if json.loads((folder / "root.json").read_text())["path"] == str(self.address):
                return folder
        raise FileNotFoundError(f"{self.root} is not tied")

    def record(self) -> dict[str, Any]:
        return json.loads((self.state / "root.json").read_text())

    def lose_database(self) -> None:
        for path in self.state.glob("syncd.sqlite*"):
            path.unlink()

    def _socket(self) -> Path:
        return Path((self.state / "socket").read_text().strip())

    def live(self) -> dict[str, Any] | None:
        """Return the daemon's live status, or None when none answers."""
        try:
            return client.status(self._socket())["live"]
        except (client.NoDaemon, FileNotFoundError):
            return None

    def status(self) -> dict[str, Any]:
        """Return what `syncd status --json` says of this root."""
        ran = self.fine("status", str(self.address), "--json", codes=(0, 3))
        return next(root for root in json.loads(ran.out)["roots"] if root["path"] == str(self.address))

    def wait(self, patience: float = PATIENCE) -> int:
        """Pass the barrier of `syncd wait` and return its code; without a daemon, one `syncd run --once` does it."""
        if not self.running:
            ran = self.cli("run", "--once", "--timeout", f"{patience:g}", patience=patience + 20)
            assert ran.code in (0, 3), f"{self.name}: run --once: {ran}"
            code = ran.code
        else:
            try:
                answer = client.ask(self._socket(), "wait", {}, patience)
            except client.Offline as error:
                raise AssertionError(
                    f"{self.name} is not in sync: {error}; {self._doings()}\n{tail(self.log)}"
                ) from None
            assert answer.code in (0, 3), f"{self.name}: {answer}\n{tail(self.log)}"
            code = answer.code
        self.ledger.settled(self.name)
        return code

    def _doings(self) -> str:
        ran = self.cli("status")
        return f"{ran.out}\n{self.cli('plan', '--queue').out[-1500:]}"

    # --- what its person does --------------------------------------------------------------------------------------

    def path(self, name: str) -> Path:
        return self.root / name

    def write(self, name: str, content: str | bytes, *, executable: bool = False) -> Path:
        """Write a file in place, as an application that truncates does."""
        data = content.encode() if isinstance(content, str) else content
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        if executable:
            path.chmod(0o755)
        self._note(name, data)
        return path

    def save_by_rename(self, name: str, content: str) -> None:
        """Save as editors do: a temporary file, renamed over the old one."""
        temporary = self.path(name).with_name(f".{Path(name).name}.swp")
        temporary.write_text(content)
        temporary.rename(self.path(name))
        self._note(name, content.encode())

    def save_with_backup(self, name: str, content: str) -> None:
        """Save as other editors do: the old file is renamed away, the new one written, the old one removed."""
        backup = self.path(name).with_name(f"{Path(name).name}~")
        self.path(name).rename(backup)
        self.path(name).write_text(content)
        backup.unlink()
        self._note(name, content.encode())

    def link(self, name: str, target: str) -> None:
        """Make a symlink."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
        self._note(name, os.fsencode(target))

    def folder(self, name: str) -> None:
        self.path(name).mkdir(parents=True)
        self.touched = True

    def rename(self, source: str, target: str) -> None:
        self.path(target).parent.mkdir(parents=True, exist_ok=True)
        self.path(source).rename(self.path(target))
        self.ledger.moved(self.name, source, target)
        self.touched = True

    def remove(self, name: str) -> None:
        path = self.path(name)
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        self.ledger.removed(self.name, name)
        self.touched = True

    def read(self, name: str) -> str:
        return self.path(name).read_text()

    def _note(self, name: str, data: bytes) -> None:
        self.ledger.wrote(self.name, name, data)
        self.touched = True

    def tree(self) -> Tree:
        return tree(self.root)

    def names(self) -> list[str]:
        """Return every path, as text."""
        return [os.fsdecode(path) for path in self.tree()]

    def copies(self) -> list[str]:
        """Return the conflicted copies."""
        return [os.fsdecode(path) for path in copies(self.root)]

    def conflicts(self) -> list[dict[str, Any]]:
        """Return the open conflicts."""
        return json.loads(self.fine("conflicts", "--json", codes=(0, 3)).out)


class World:
    """A hub, devices, and the promises."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.ledger = Ledger()
        self.hub = Hub(base / "hub")
        self.devices: list[Device] = []
        self.others: list[Hub] = []
        self.checked = False

    def bare(self, name: str, mortal: bool = False) -> Device:
        """Make a device that is not tied yet."""
        device = Device(self.base / name, name, self.ledger, mortal)
        self.devices.append(device)
        return device

    def device(self, name: str, mortal: bool = False) -> Device:
        """Make a device, tied and running."""
        device = self.bare(name, mortal)
        device.init(self.hub.invite())
        device.start()
        return device

    def another_hub(self) -> Hub:
        hub = Hub(self.base / f"hub{len(self.others)}")
        self.others.append(hub)
        return hub

    def settle(self, *devices: Device) -> None:
        """Let devices (all, unless named) settle until a whole round changes nothing (P2: in bounded rounds)."""
        wanted = devices or tuple(self.devices)
        before: tuple[int, list[Tree]] | None = None
        for _ in range(ROUNDS):
            for device in wanted:
                device.wait()
            now = (self.hub.head(), [device.tree() for device in wanted])
            if now == before:
                break
            if before is None and len(wanted) > 1 and all(one == now[1][0] for one in now[1]):
                break  # alike after one round: check_all looks for anything that still moves
            before = now
        else:
            raise AssertionError(f"still moving after {ROUNDS} rounds")

    def check_all(self, *, waits: Iterable[Device] = (), differ: re.Pattern[bytes] | None = None) -> None:
        """End a test: trees equal and in sync (P2), nothing lost (P1), nothing more to do (P3).

        *waits* are the devices where something waits for a person; paths matching *differ* may stand on one side only.
        """
        self.settle()
        self.check_p2(set(waits), differ)
        self.check_p1()
        self.check_p3()
        self.checked = True

    def check_p1(self) -> None:
        found = self.hub.kept()
        for device in self.devices:
            found |= contents(device.root)
        lost = self.ledger.lost(found)
        assert not lost, "P1: lost\n  " + "\n  ".join(lost)

    def check_p2(self, waits: set[Device], differ: re.Pattern[bytes] | None) -> None:
        trees = [
            tree(device.root, lambda path: differ is not None and differ.search(path) is not None)
            for device in self.devices
        ]
        for device, one in zip(self.devices[1:], trees[1:], strict=True):
            assert one == trees[0], f"P2: {self.devices[0].name} | {device.name}\n{differences(trees[0], one)}"
        for device in self.devices:
            said = device.status()
            busy = {state: number for state, number in said["ops"].items() if number and state != "done"}
            assert not said["problem"], said
            if said["live"] is not None:
                assert said["live"]["phase"] == "in sync", said
            if device in waits:
                assert said["conflicts"] or said["held_groups"] or busy, f"nothing waits for {device.name}'s person"
            else:
                assert not busy, said
                assert (said["conflicts"], said["held_groups"], said["disagreeing"]) == (0, 0, 0), said

    def check_p3(self) -> None:
        head, before = self.hub.head(), [device.tree() for device in self.devices]
        for device in self.devices:
            device.wait()
        assert self.hub.head() == head, "P3: looking again committed something"
        assert [device.tree() for device in self.devices] == before, "P3: looking again changed a folder"

    # --- endings -------------------------------------------------------------------------------------------------

    def end(self) -> None:
        for process in [*self.devices, self.hub, *self.others]:
            process.end()

    def logs(self) -> str:
        return "\n".join(tail(one.log) for one in [*self.devices, self.hub, *self.others])


def _free_port() -> int:
    # RACE: another process may take it before the hub does; the hub then says so, and the test fails with its words.
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 0.5):
            return True
    except OSError:
        return False
