"""What scripts get: ``--json`` wherever something is done or found out, with the exit code a person would get."""

import json
from pathlib import Path
from typing import Any

import pytest

from syncd.adapters.system import SystemChance, SystemClock
from syncd.cli import main, reach, status
from syncd.control.client import Answer
from syncd.db.connection import Database
from syncd.hub.core import Hub
from syncd.service.roots import RootRecord, Roots
from tests.cli.test_cli_commands import tied


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, str]]]:
    """A root whose daemon answers everything alike."""
    heard: list[tuple[str, dict[str, str]]] = []

    def ask(_record: RootRecord, verb: str, _timeout: float | None = None, **arguments: str) -> Answer:
        heard.append((verb, arguments))
        return Answer(3, "something waits for you")

    tied(tmp_path / "a")
    monkeypatch.setattr(reach, "ask", ask)
    monkeypatch.setattr(reach, "live", lambda _record: {"live": {"phase": "in sync"}})
    return heard


@pytest.mark.parametrize("command", ["wait", "scan", "scan --deep", "retry", "pause", "resume"])
def test_what_is_asked_of_each_daemon_is_told_root_by_root(
    command: str, asked: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run([*command.split(), "--json"]) == 3
    assert json.loads(capsys.readouterr().out) == [
        {"root": str(tmp_path / "a"), "code": 3, "text": "something waits for you"}
    ]
    assert [verb for verb, _ in asked] == [command.split()[0]]
    assert main.run(command.split()) == 3
    assert capsys.readouterr().out == f"{tmp_path / 'a'}: something waits for you\n"


@pytest.mark.parametrize("command", ["resolve all", "approve allow 1", "approve refuse 1"])
def test_a_decision_is_answered_with_its_code(
    command: str, asked: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run([*command.split(), "--json"]) == 3
    assert json.loads(capsys.readouterr().out) == {"code": 3, "text": "something waits for you"}
    assert len(asked) == 1


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    """A hub's data folder with one device and one chunk."""
    made = Hub.open(tmp_path / "hub", SystemClock(), SystemChance())
    made.create_space("files")
    enrolled = made.enroll(made.invite("files"), "laptop")
    from blake3 import blake3

    made.authenticate(enrolled.token).put_chunks([(blake3(b"content").digest(), b"content")])
    made.close()
    return tmp_path / "hub"


def told(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> Any:
    assert main.run(["hub", *arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_a_hub_is_looked_after_by_scripts(hub: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ("--data", str(hub))
    assert told(capsys, 0, "gc", *data) == {
        "versions": 0, "tombstones": 0, "chunks": 0, "containers": 0, "bytes_freed": 0
    }  # fmt: skip
    assert told(capsys, 0, "verify", *data) == {"chunks": 1, "bytes_read": 7, "contents": 0, "faults": []}
    copied = told(capsys, 0, "backup", str(tmp_path / "copy"), *data)
    assert (copied["target"], copied["files"], copied["lost"]) == (str(tmp_path / "copy"), 2, [])
    gone = told(capsys, 0, "revoke", "laptop", *data)
    assert (gone["name"], gone["space"]) == ("laptop", "files")


def test_a_hub_that_lost_something_says_so_to_scripts_and_people(
    hub: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (container,) = (hub / "chunks").glob("??/*")
    container.unlink()
    data = ("--data", str(hub))
    assert told(capsys, 1, "backup", str(tmp_path / "copy"), *data)["lost"] == [container.name]
    assert main.run(["hub", "backup", str(tmp_path / "copy"), *data]) == 1
    assert "1 container missing from the hub itself" in capsys.readouterr().out
    assert len(told(capsys, 1, "verify", *data)["faults"]) == 1


def test_the_size_of_the_trash_is_shown(tmp_path: Path) -> None:
    record = tied(tmp_path / "a")
    database = Database.open(str(Roots().folder(record.id).database), clock=SystemClock())
    assert "in the trash" not in "\n".join(status.lines_of(status.gather(record)))
    with database.transaction():
        database.meta.set("trash bytes", "4096")
    assert "and 4.0 KiB in the trash" in "\n".join(status.lines_of(status.gather(record)))
    database.close()


@pytest.mark.parametrize("command", ["approve", "approve list", "conflicts"])
def test_a_folder_that_cannot_be_read_is_not_left_out_in_silence(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Database.open(str(Roots().folder(tied(tmp_path / "a").id).database), clock=SystemClock()).close()
    Roots().folder(tied(tmp_path / "b").id).record.write_text("not JSON")
    assert main.run(command.split()) == 1
    assert "root.json: cannot be read" in capsys.readouterr().err
