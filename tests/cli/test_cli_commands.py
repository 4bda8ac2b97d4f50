"""The command line's own part: help, usage, errors, exit codes, start-up. Real processes where a process matters."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from syncd.adapters.system import SystemClock
from syncd.cli import main
from syncd.db.connection import Database
from syncd.db.facts import TRASH_BYTES
from syncd.hub.server import HubServer
from syncd.service import folders
from syncd.service.embedded import EmbeddedHub
from syncd.service.hubs import HubData, exclusive
from syncd.service.roots import RootRecord, Roots, new_root_id

REPO = Path(__file__).parents[2]
EVERY = [
    *([name] for name in main.COMMANDS),
    *(["hub", name] for name in ("serve", "invite", "devices", "revoke", "gc", "verify", "backup")),
    *(["trash", name] for name in ("list", "restore")),
    *(["approve", name] for name in ("list", "allow", "refuse")),
]


def tied(path: Path) -> RootRecord:
    path.mkdir(parents=True, exist_ok=True)
    record = RootRecord(
        id=new_root_id(), path=os.path.realpath(path), remote="syncd://127.0.0.1:1/files", hub_id="h", space_id="s",
        device_id="d", device="laptop",
    )  # fmt: skip
    Roots().save(record)
    return record


def syncd(*arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "syncd.cli.main", *arguments]
    return subprocess.run(
        command, input=stdin, check=False, capture_output=True, text=True, timeout=60, cwd=REPO, env=dict(os.environ)
    )


@pytest.mark.parametrize("command", EVERY, ids=" ".join)
def test_every_command_has_help(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([*command, "--help"]) == 0
    said = capsys.readouterr()
    assert "Usage: syncd" in said.out
    if command not in (["hub"], ["trash"], ["approve", "list"]):
        assert "Example" in said.out
    assert said.err == ""


def test_help_lists_every_command_without_importing_any() -> None:
    code = (
        "import sys; from syncd.cli import main; main.run(['--help']);"
        "print(sorted(m for m in sys.modules if m.startswith('syncd.')))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60, cwd=REPO
    )
    said = ended.stdout
    for name in main.COMMANDS:
        assert f"  {name} " in said
    assert "syncd.cli.up" not in said
    assert "syncd.service" not in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(["explode"], "No such command", id="a command that does not exist"),
        pytest.param(["run", "--explode"], "No such option", id="an option that does not exist"),
        pytest.param(["init"], "Missing argument", id="a missing argument"),
        pytest.param(["status"], "no folder is tied yet", id="no root at all"),
        pytest.param(["resolve", "x"], "not a conflict's number", id="a number that is none"),
        pytest.param(["init", "/tmp", "--remote", "ftp://x"], "not a remote", id="another kind of remote"),
        pytest.param(["init", "/tmp", "--remote", "syncd://h:1/s"], "no secret", id="an address without a secret"),
        pytest.param(["hub", "invite", "files"], "never served", id="a hub nobody knows the address of"),
        pytest.param(["hub", "devices"], "no hub here", id="no hub"),
        pytest.param(["hub", "serve", "--listen", "a:b"], "not a port", id="a port that is none"),
    ],
)
def test_wrong_usage_is_one_line_and_2(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(arguments) == 2
    said = capsys.readouterr()
    assert says in said.err
    assert said.err.startswith("syncd: ")
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_a_broken_config_is_one_line_with_its_number(tmp_path: Path) -> None:
    tied(tmp_path / "a")
    folders.config_file().parent.mkdir(parents=True)
    folders.config_file().write_text("[guard]\nnodse = 3\n")
    ended = syncd("run", "--once")
    assert ended.returncode == 2
    assert f"{folders.config_file()}:2: guard.nodse: unknown setting" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_traceback_only_with_debug(tmp_path: Path) -> None:
    record = tied(tmp_path / "a")
    Roots().folder(record.id).record.write_text("{")
    quiet, loud = syncd("status"), syncd("status", "--debug")
    assert quiet.returncode == 1
    assert "Traceback" not in quiet.stderr
    assert quiet.stderr.count("\n") == 1
    assert "Traceback" in loud.stderr


def test_status_without_a_daemon_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = tied(tmp_path / "a")
    assert main.run(["status"]) == 0
    assert "not running" in capsys.readouterr().out
    assert main.run(["status", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["roots"]
    assert (found["path"], found["daemon"], found["live"]) == (record.path, None, None)


def test_status_says_how_large_the_trash_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = tied(tmp_path / "a")
    database = Database.open(str(Roots().folder(record.id).database), clock=SystemClock())
    assert main.run(["status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["roots"][0]["trash_bytes"] == 0
    with database.transaction():
        database.meta.set(TRASH_BYTES, "4096")
    assert main.run(["status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["roots"][0]["trash_bytes"] == 4096
    database.close()


def test_wait_without_a_daemon_fails_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tied(tmp_path / "a")
    assert main.run(["wait"]) == 1
    assert "no daemon runs" in capsys.readouterr().err


def test_pause_and_resume_without_a_daemon_are_kept_for_the_next(tmp_path: Path) -> None:
    record = tied(tmp_path / "a")
    assert main.run(["pause"]) == 0
    assert Roots().load(record.id).paused
    assert main.run(["run", "--once"]) == 3
    assert main.run(["resume"]) == 0
    assert not Roots().load(record.id).paused


def test_a_root_without_a_token_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tied(tmp_path / "a")
    assert main.run(["run", "--once"]) == 1
    assert "new invite" in capsys.readouterr().err


def test_a_plan_that_cannot_be_made_leaves_no_copy_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tied(tmp_path / "a")
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    assert main.run(["plan"]) == 1
    assert "syncd init" in capsys.readouterr().out
    assert list((tmp_path / "scratch").iterdir()) == []


def test_rebuild_sets_the_database_aside_and_keeps_it(tmp_path: Path) -> None:
    folder = Roots().folder(tied(tmp_path / "a").id)
    folder.database.write_text("old")
    assert main.run(["rebuild", str(tmp_path / "a")]) == 0
    assert not folder.database.exists()
    (kept,) = folder.base.glob("*.aside")
    assert kept.read_text() == "old"


def test_rebuild_is_refused_while_a_daemon_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from syncd.adapters import lockfile

    folder = Roots().folder(tied(tmp_path / "a").id)
    with lockfile.acquire(str(folder.lock)):
        assert main.run(["rebuild", str(tmp_path / "a")]) == 1
    assert f"pid {os.getpid()}" in capsys.readouterr().err


def test_init_names_what_is_wrong_with_the_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    invite = "syncd://127.0.0.1:1/files#" + "a" * 30
    (tmp_path / "file").write_text("")
    for folder, says in (("none", "does not exist"), ("file", "not a folder")):
        assert main.run(["init", str(tmp_path / folder), "--remote", invite]) == 2
        assert says in capsys.readouterr().err


def test_init_with_the_hub_down_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a").mkdir()
    assert main.run(["init", str(tmp_path / "a"), "--remote", "syncd://127.0.0.1:1/files#" + "a" * 30]) == 1
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert Roots().all() == []
    assert list((tmp_path / "a").iterdir()) == []


def test_init_that_fails_takes_away_the_folders_it_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").mkdir()
    invite = "syncd://127.0.0.1:1/files#" + "a" * 30
    for folder in ("mine", "mine/new", "mine/deep/new"):
        assert main.run(["init", str(tmp_path / folder), "--create", "--remote", invite]) == 1
        assert "cannot be reached" in capsys.readouterr().err
    assert list((tmp_path / "mine").iterdir()) == []
    (tmp_path / "file").write_text("I am a file")
    assert main.run(["init", str(tmp_path / "file"), "--create", "--remote", invite]) == 2
    assert "not a folder" in capsys.readouterr().err


def test_init_refuses_plain_http_beyond_this_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a").mkdir()
    assert main.run(["init", str(tmp_path / "a"), "--remote", "syncd://192.0.2.1:1/files#" + "a" * 30]) == 2
    assert "--insecure" in capsys.readouterr().err


def test_an_invite_is_alone_on_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["hub", "invite", "files", "--data", str(tmp_path / "hub"), "--url", "hub.example.org:99"]
    assert main.run(arguments) == 0
    said = capsys.readouterr()
    assert said.out.startswith("syncd://hub.example.org:99/files#")
    assert said.out.count("\n") == 1
    assert said.err == ""
    assert main.run(["hub", "devices", "--data", str(tmp_path / "hub")]) == 0
    assert main.run(["hub", "verify", "--data", str(tmp_path / "hub")]) == 0
    assert main.run(["hub", "gc", "--data", str(tmp_path / "hub")]) == 0
    assert main.run(["hub", "backup", str(tmp_path / "copy"), "--data", str(tmp_path / "hub")]) == 0
    assert main.run(["hub", "devices", "--data", str(tmp_path / "copy")]) == 0


def test_a_second_hub_on_the_same_data_is_refused_with_the_first_ones_pid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HubServer, "run", lambda _self: None)
    arguments = ["hub", "serve", "--data", str(tmp_path / "hub"), "--listen", "127.0.0.1:0"]
    with HubData(tmp_path / "hub").serve_lock():
        assert main.run(arguments) == 1
    assert f"is served already by pid {os.getpid()}: stop that one first" in capsys.readouterr().err
    assert main.run(arguments) == 0


def test_a_second_up_is_refused_with_the_first_ones_pid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_self: EmbeddedHub) -> None:
        raise AssertionError("nothing is started")

    monkeypatch.setattr(EmbeddedHub, "start", start)
    data = HubData(folders.data_dir())
    data.prepare()
    with exclusive(data.path / "up.lock", "`syncd up` runs"):
        assert main.run(["up", str(tmp_path / "root")]) == 1
    assert f"`syncd up` runs already by pid {os.getpid()}" in capsys.readouterr().err


def test_the_reader_of_the_output_may_go_away() -> None:
    command = f"{sys.executable} -m syncd.cli.main --help | head -1; exit ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["bash", "-c", command], check=False, capture_output=True, text=True, timeout=60, cwd=REPO)
    assert ended.stderr == ""


def test_status_imports_nothing_heavy() -> None:
    """What `syncd status` loads decides whether it answers in 150 ms."""
    code = (
        "import sys; from syncd.cli import main; main.run(['status']);"
        "print([m for m in ('rich', 'starlette', 'uvicorn', 'httpx', 'structlog', 'http.client', 'asyncio', 'ssl')"
        " if m in sys.modules])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60, cwd=REPO
    )
    assert ended.stdout.strip() == "[]"


def test_doctor_without_roots_finds_no_fault(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["doctor", "--offline"]) == 0
    assert "all is well" in capsys.readouterr().out


def test_doctor_names_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tied(tmp_path / "a")
    (tmp_path / "a").rmdir()
    assert main.run(["doctor", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert {(one["what"], one["grade"]) for one in found} >= {("folder", "bad"), ("remote", "bad")}
