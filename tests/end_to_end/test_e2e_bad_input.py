"""Bad input as the issue lists it: each one clear line, nothing lost, the rest goes on."""

import http.server
import json
import os
import pty
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.end_to_end.harness import Device, World
from tests.end_to_end.processes import SYNCD, Ran, until

Pair = tuple[World, Device, Device]


def one_line(ran: Ran, *words: str, code: int | None = None) -> str:
    """Check that a command failed with one clear line that holds all *words*; return it."""
    lines = ran.err.strip().splitlines()
    assert len(lines) == 1, ran
    assert ran.code in ((1, 2) if code is None else (code,)), ran
    assert "Traceback" not in ran.err
    for word in words:
        assert word in lines[0], lines[0]
    return lines[0]


def on_terminal(device: Device, *arguments: str) -> tuple[int, str]:
    """Run a command as at a terminal; return its exit code and what a person saw meanwhile."""
    ours, its = pty.openpty()
    env = {**device.env, "TERM": "xterm"}
    running = subprocess.Popen([*SYNCD, *arguments], env=env, stdin=its, stdout=subprocess.DEVNULL, stderr=its, cwd="/")
    os.close(its)
    seen = b""
    try:
        while part := os.read(ours, 4096):
            seen += part
    except OSError:  # the terminal's other end is closed: the command has ended
        pass
    finally:
        os.close(ours)
    return running.wait(20), seen.decode(errors="replace")


def untied(device: Device) -> None:
    """Check that nothing was changed: no mark in the folder, no state."""
    assert not (device.root / ".syncd").exists()
    assert not list((device.base / "state").rglob("root.json"))


def test_init_refuses_a_root_that_is_missing_or_a_file(world: World) -> None:
    device = world.bare("a")
    invite = world.hub.invite()
    missing = device.base / "missing"
    one_line(device.cli("init", str(missing), "--remote", invite), "missing")
    file = device.base / "file"
    file.write_text("I am a file")
    one_line(device.cli("init", str(file), "--remote", invite), "file")
    assert file.read_text() == "I am a file"
    assert not missing.exists()
    untied(device)
    device.init(invite)  # the invite was not used up by the refusals
    device.start()
    world.check_all()


def test_init_refuses_a_root_inside_another_or_around_one(world: World) -> None:
    device = world.device("a")
    inner = device.root / "inner"
    inner.mkdir()
    one_line(device.cli("init", str(inner), "--remote", world.hub.invite()), str(device.root))
    one_line(device.cli("init", str(device.base), "--remote", world.hub.invite()), str(device.base))
    one_line(device.cli("init", str(device.base / "state"), "--remote", world.hub.invite()))
    link = device.base / "link"
    link.symlink_to(inner)
    one_line(device.cli("init", str(link), "--remote", world.hub.invite()), str(device.root))
    assert not (inner / ".syncd").exists()
    world.settle()
    world.check_all()


def test_init_refuses_bad_invites_and_changes_nothing(world: World) -> None:
    device, other = world.bare("a"), world.bare("b")
    invite = world.hub.invite()
    other.init(invite)
    one_line(device.cli("init", str(device.root), "--remote", invite), "used", code=1)
    wrong = invite.partition("#")[0] + "#" + "A" * len(invite.partition("#")[2])
    one_line(device.cli("init", str(device.root), "--remote", wrong), code=1)
    for nonsense in ("http://127.0.0.1/", "syncd://", "syncd://127.0.0.1:1/files", "not a url", "syncd://a:99999/x#y"):
        one_line(device.cli("init", str(device.root), "--remote", nonsense), code=2)
    fresh = world.hub.invite()
    world.hub.stop()
    one_line(device.cli("init", str(device.root), "--remote", fresh), str(world.hub.port), code=1)
    untied(device)
    world.hub.start()
    device.init(fresh)
    device.start()
    other.start()
    device.write("file", "works after all")
    world.check_all()


def test_a_second_daemon_is_refused_with_the_first_ones_pid(world: World) -> None:
    device = world.device("a")
    line = one_line(device.cli("run"), str(device.process.pid), code=1)
    assert str(device.root) in line or "already" in line
    again = device.cli("run", "--once", "--timeout", "30")
    assert again.code == 0, "`run --once` asks the daemon that runs"
    hub = world.hub.command("serve", "--listen", "127.0.0.1:0")
    one_line(hub, str(world.hub.process.pid), code=1)
    assert device.running
    device.write("file", "goes on")
    world.check_all()


def test_a_broken_config_names_its_line(world: World) -> None:
    device = world.device("a")
    device.stop()
    for text, line, word in [
        ('[log]\nlevel = "info"\n[scan\n', 3, "TOML"),
        ("# a comment\n[guard]\n\nnodes = 'many'\n", 4, "guard.nodes"),
        ("[log]\nlevell = 'info'\n", 2, "levell"),
        ("[parallel]\nsend = 0\n", 2, "parallel.send"),
        ("[scan]\nevery = '5 fortnights'\n", 2, "scan.every"),
    ]:
        device.configure(text)
        one_line(device.cli("run"), f"config.toml:{line}:", word)
        assert device.cli("status", "--json").code == 0, "what needs no setting goes on"
    device.configure("")
    device.start()
    world.check_all()


def test_wait_without_a_daemon_says_so(world: World) -> None:
    device = world.device("a")
    device.stop()
    one_line(device.cli("wait", "--timeout", "5"), "no daemon", code=1)
    nothing = world.bare("b")
    one_line(nothing.cli("wait"), "syncd init", code=2)
    world.devices.remove(nothing)
    device.start()
    world.check_all()


def test_wait_gives_up_at_its_limit_while_the_hub_is_down(world: World) -> None:
    device = world.device("a")
    world.settle()
    world.hub.stop()
    device.write("file", "waits for the hub")
    code, shown = on_terminal(device, "wait", "--timeout", "1.5")
    assert code == 4, shown
    assert "offline" in shown, "a person at a terminal sees what goes on meanwhile"
    once = until(device.live, "the daemon lives")
    assert once["phase"] != "stopped"
    assert "offline" in device.fine("status").out
    device.stop()
    ran = device.cli("run", "--once", "--timeout", "30")
    assert ran.code in (1, 4), ran
    assert "Traceback" not in ran.err
    world.hub.start()
    device.start()
    world.check_all()


class _Nonsense(http.server.BaseHTTPRequestHandler):
    """Answers everything with something that is not a hub's."""

    protocol_version = "HTTP/1.1"
    replies = (
        (200, b"<html>welcome to the hotel's wireless network</html>"),
        (200, b'{"position": "many"}'),
        (200, b"\x00\xff" * 500),
        (302, b""),
        (500, b"oops"),
        (404, b"{}"),
    )
    count = 0

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        code, body = self.replies[_Nonsense.count % len(self.replies)]
        _Nonsense.count += 1
        self.send_response(code)
        if code == 302:
            self.send_header("location", "http://127.0.0.1:9/login")
        self.send_header("content-length", str(len(body)))
        self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_HEAD = _answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def nonsense_on(port: int) -> Iterator[None]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), _Nonsense)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_hub_that_replies_nonsense_changes_nothing(pair: Pair) -> None:
    world, a, b = pair
    a.write("file.txt", "content")
    world.settle()
    world.hub.stop()
    with nonsense_on(world.hub.port):
        a.write("file.txt", "edited while something else answered")
        a.write("new.txt", "new")
        before = _Nonsense.count
        ran = a.cli("wait", "--timeout", "4")
        assert ran.code in (1, 4), ran
        until(lambda: _Nonsense.count > before, "it was asked")
        assert b.names() == ["file.txt"]
        assert a.read("file.txt") == "edited while something else answered"
        assert a.running
    world.hub.start()
    for device in (a, b):
        if (device.live() or {}).get("phase") == "stopped":
            device.stop()
            device.start()
    world.settle()
    assert b.read("new.txt") == "new"
    world.check_all()


def test_a_hub_that_accepts_and_never_answers_is_offline(pair: Pair) -> None:
    world, a, _ = pair
    a.write("file.txt", "content")
    world.settle()
    world.hub.process.freeze()
    try:
        a.write("more.txt", "while the hub sleeps")
        assert a.cli("wait", "--timeout", "2").code == 4
        assert a.cli("status").code in (0, 3), "status answers whatever the hub does"
        a.stop()
        a.start()
    finally:
        world.hub.process.thaw()
    world.check_all()


def test_status_answers_for_every_root_whatever_is_wrong_with_one(pair: Pair) -> None:
    world, a, _ = pair
    second = a.base / "second"
    second.mkdir()
    a.fine("init", str(second), "--remote", world.hub.invite("other"))
    a.stop()
    a.start()
    (second / "x").write_text("in the second root")
    a.fine("wait", str(second), "--timeout", "30")
    away = a.base / "away"
    second.rename(away)
    until(lambda: _phase(a, second) == "stopped" or not a.cli("scan", str(second)), "the second root is missed")
    a.write("file.txt", "the first root goes on")
    a.fine("wait", str(a.root), "--timeout", "30")
    assert _phase(a, a.root) == "in sync"
    assert _phase(a, second) == "stopped"
    away.rename(second)
    a.fine("wait", str(second), "--timeout", "60", codes=(0, 1))
    world.settle()
    world.check_p1()
    world.check_p3()
    world.checked = True


def _phase(device: Device, root: Path) -> str:
    """Return what `syncd status` says of one of a device's roots."""
    roots = json.loads(device.fine("status", "--json", codes=(0, 1, 3)).out)["roots"]
    return str(next(one["live"]["phase"] for one in roots if one["path"] == str(root)))


def test_a_hub_whose_port_is_taken_says_so(world: World) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        other = world.another_hub()
        ran = other.command("serve", "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
        one_line(ran, str(taken.getsockname()[1]))
    world.check_all()


def test_foreign_state_left_in_a_folder_is_asked_about(world: World) -> None:
    a = world.device("a")
    a.write("file.txt", "content")
    world.settle()
    a.stop()
    thief = Device(world.base / "c", "c", world.ledger)
    ran = thief.cli("init", str(a.root), "--remote", world.hub.invite())
    one_line(ran, "--force-new", code=2)
    assert not list(Path(thief.base).rglob("root.json"))
    a.start()
    world.check_all()


def test_everything_private_is_private(world: World) -> None:
    a = world.device("a")
    a.write("file.txt", "content")
    world.settle()
    for path in [*a.state.iterdir(), world.hub.data / "hub.sqlite", a.root / ".syncd"]:
        assert not path.stat().st_mode & 0o077 or path.suffix in (".sqlite-shm",) or _behind_private(path), path
    token = (a.state / "token").read_text().strip()
    assert token not in a.log.read_text() + world.hub.log.read_text() + (a.state / "root.json").read_text()
    world.check_all()


def _behind_private(path: Path) -> bool:
    return any(not os.stat(parent).st_mode & 0o077 for parent in path.parents if str(parent) != "/")
