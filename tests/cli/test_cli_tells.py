"""One command tells what is in sync, what is not, why, and what happens next (P12): on databases made for it."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from syncd.adapters.system import SystemClock
from syncd.cli import main
from syncd.cli.status import lines_of, of_one_moment
from syncd.db.connection import Database
from syncd.db.decisions import GroupKind, Item
from syncd.db.facts import HeldEntry
from syncd.engine.exclusion import RULES
from syncd.model.node import Kind, Place, Present, Reason, Unknown
from syncd.model.op import Op, OpState, OpType, Side
from syncd.model.path import ROOT, NodeKey
from syncd.service.roots import RootRecord, Roots, new_root_id

Says = Callable[..., tuple[int, str]]


@pytest.fixture
def record(tmp_path: Path) -> RootRecord:
    (tmp_path / "a").mkdir()
    made = RootRecord(
        id=new_root_id(), path=os.path.realpath(tmp_path / "a"), remote="syncd://127.0.0.1:1/files", hub_id="h",
        space_id="s", device_id="d", device="laptop",
    )  # fmt: skip
    Roots().save(made)
    return made


@pytest.fixture
def db(record: RootRecord) -> Iterator[Database]:
    database = Database.open(str(Roots().folder(record.id).database), clock=SystemClock())
    yield database
    database.close()


@pytest.fixture
def says(record: RootRecord, db: Database, capsys: pytest.CaptureFixture[str]) -> Says:
    """Give something that runs a command in this process and returns its code and what it says."""

    def run(*arguments: str) -> tuple[int, str]:
        return main.run(list(arguments)), capsys.readouterr().out

    return run


def why(says: Says, record: RootRecord, name: str) -> str:
    return says("why", f"{record.path}/{name}")[1]


def op_of(db: Database, node: NodeKey, op_type: OpType) -> int:
    op = Op(node, op_type, Kind.FILE, Place(ROOT, "x"))
    return db.queue.put(op, state=OpState.READY, key=node.to_bytes(16, "big"), not_before=None, now=1.0)


# --- status ---------------------------------------------------------------------------------------------------------

LIVE = {"phase": "in sync", "why": "", "since": 5.0, "remote_online": True, "remote_detail": "", "next_at": None,
        "running": [], "unwatched": [], "busy": []}  # fmt: skip
ROOT_OF = {"path": "/a", "remote": "syncd://h:1/s", "device": "laptop", "paused": False, "daemon": 1, "problem": ""}


@pytest.mark.parametrize(
    ("phase", "ops", "says"),
    [
        pytest.param("in sync", {"running": 1}, "syncing", id="work began after the daemon answered"),
        pytest.param("in sync", {"ready": 1}, "syncing", id="and is about to"),
        pytest.param("in sync", {"ready": 0, "running": 0, "done": 4}, "in sync", id="nothing is to be done"),
        pytest.param("offline", {"ready": 2}, "offline", id="work that waits for the remote"),
        pytest.param("paused", {"ready": 2}, "paused", id="work that waits for a person's own pause"),
        pytest.param("scanning", {"running": 2}, "scanning", id="a scan beside work"),
    ],
)
def test_p12_status_is_of_one_moment(phase: str, ops: dict[str, int], says: str) -> None:
    found = of_one_moment({**ROOT_OF, "live": {**LIVE, "phase": phase}, "ops": ops})
    assert found["live"]["phase"] == says
    assert says in lines_of(found)[0]


def test_p12_the_headline_has_a_word_without_a_daemon() -> None:
    assert "no daemon runs" in lines_of({**ROOT_OF, "live": None, "paused": False})[0]
    assert "paused" in lines_of({**ROOT_OF, "live": None, "paused": True})[0]


@pytest.mark.parametrize(
    ("running", "shown"),
    [
        pytest.param([], False, id="nothing is at work, all waits"),
        pytest.param([{"type": "upload", "path": "a", "bytes_done": 0, "bytes_total": 0}], True, id="work goes on"),
    ],
)
def test_p12_a_rest_is_foretold_only_while_work_goes_on(running: list[dict[str, object]], shown: bool) -> None:
    live = {**LIVE, "phase": "syncing", "seconds_left": 0.2, "running": running}
    text = "\n".join(lines_of({**ROOT_OF, "live": live, "ops": {"ready": 6}}))
    assert ("under 1 s left" in text) is shown
    assert "about under" not in text


def test_p12_a_name_that_cannot_be_synced_is_listed_once_with_its_mend(
    record: RootRecord, db: Database, says: Says
) -> None:
    db.nodes.insert(Kind.FILE, local=Unknown(Reason.UNREADABLE, Place(ROOT, "secret")))
    db.held.replace(ROOT, [HeldEntry("secret", "unreadable"), HeldEntry("pipe", "held", "is no file")])
    code, text = says("status")
    assert code == 0
    assert text.count("secret  unreadable") == 1
    assert f"chmod u+rX {record.path}/secret" in text
    assert "is no file" in text


def test_p12_a_folder_that_stays_for_ignored_content_is_listed_with_its_mend(db: Database, says: Says) -> None:
    db.nodes.insert(Kind.DIRECTORY, local=Unknown(Reason.LEFTOVER, Place(ROOT, "build")))
    code, text = says("status")
    assert code == 0
    assert "build  kept for ignored content: remove it if" in text


def test_p12_scripts_get_more_than_a_person_is_shown(db: Database, says: Says) -> None:
    db.held.replace(ROOT, [HeldEntry(f"pipe{number:03}", "held") for number in range(50)])
    assert "(all of it: `syncd status --json`)" in says("status")[1]
    (root,) = json.loads(says("status", "--json")[1])["roots"]
    assert len(root["unsynced"]) == 50


def test_p12_what_is_not_permitted_names_the_folder_and_the_mend(record: RootRecord, db: Database, says: Says) -> None:
    node = db.nodes.insert(Kind.FILE, remote=Present(Place(ROOT, "x"), bytes(32)))
    db.queue.park(op_of(db, node, OpType.DOWNLOAD), "not permitted", "Permission denied")
    code, text = says("status")
    assert code == 3
    assert f"chmod u+rwx {record.path}" in text
    text = why(says, record, "x")
    assert f"chmod u+rwx {record.path}" in text
    assert "syncd retry" in text


# --- why ------------------------------------------------------------------------------------------------------------


def test_p12_why_names_the_group_of_a_held_delete_and_the_decision(
    record: RootRecord, db: Database, says: Says
) -> None:
    node = db.nodes.insert(Kind.FILE, synced=Present(Place(ROOT, "x"), bytes(32)), remote=Present(Place(ROOT, "x")))
    db.queue.block(op_of(db, node, OpType.REMOTE_DELETE), "held", "115 deletes")
    group = db.decisions.open(GroupKind.HELD, Side.REMOTE, "115 deletes", 1.0)
    db.decisions.add(group, [Item(node, "x")])
    db.decisions.renew(group, "304 deletes")
    text = why(says, record, "x")
    assert f"remote delete, held in group {group} until you decide: `syncd approve`" in text
    assert "304 deletes" in text
    assert "again" not in text
    _, status = says("status")
    assert "304 deletes" in status
    assert "115 deletes" not in status


@pytest.mark.parametrize(
    ("reason", "mend"),
    [
        pytest.param(Reason.OTHER_FILE_SYSTEM, "tie it as a folder of its own", id="a folder on another file system"),
        pytest.param(Reason.UNREADABLE, "chmod u+rX", id="a folder that cannot be read"),
    ],
)
def test_p12_why_names_the_folder_above_that_keeps_a_file_out(
    record: RootRecord, db: Database, says: Says, reason: Reason, mend: str
) -> None:
    folder = db.nodes.insert(
        Kind.DIRECTORY, local=Unknown(reason, Place(ROOT, "mnt")), remote=Present(Place(ROOT, "mnt"))
    )
    file = db.nodes.insert(Kind.FILE, remote=Present(Place(folder, "x"), bytes(32)))
    op_of(db, file, OpType.DOWNLOAD)
    text = why(says, record, "mnt/x")
    assert f"nothing below mnt is synced: it is {reason}" in text
    assert mend in text


def test_p12_why_tells_what_is_in_the_way(record: RootRecord, db: Database, says: Says) -> None:
    local = Unknown(Reason.HELD, Place(ROOT, "x"), "is neither a file nor a directory nor a symlink")
    db.nodes.insert(Kind.FILE, local=local, remote=Present(Place(ROOT, "x"), bytes(32)))
    text = why(says, record, "x")
    assert "is neither a file nor" in text
    assert "rename or remove it here" in text


RULES_TEXT = "# mine\nlogs/\n*.iso\n!*.part\n"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("big.iso", "is ignored, by the pattern *.iso of .syncignore", id="a pattern of one's own"),
        pytest.param("logs/deep/x", "is in logs, which is ignored, by the pattern logs/ of .syncignore", id="above"),
        pytest.param(".DS_Store", "is ignored, by the pattern .DS_Store of a built-in rule", id="a built-in rule"),
        pytest.param("a.part", "was not looked at yet", id="a built-in rule taken back"),
        pytest.param(".syncd", "keeps for itself", id="a reserved name"),
        pytest.param("d/.SYNCD", "keeps for itself", id="a reserved name in another case, below"),
        pytest.param("pipe", "is neither a file nor a directory", id="a special file"),
        pytest.param("new", "was not looked at yet", id="a file nobody looked at"),
        pytest.param("nothing", "is not here", id="nothing at all"),
    ],
)
def test_p12_why_tells_an_ignored_name_from_one_that_is_not_there(
    record: RootRecord, db: Database, says: Says, name: str, expected: str
) -> None:
    root = Path(record.path)
    for here in ("big.iso", ".DS_Store", "a.part", "new"):
        (root / here).write_text("x")
    for folder in ("logs", "logs/deep", "d", ".syncd"):
        (root / folder).mkdir()
    os.mkfifo(root / "pipe")
    db.meta.set(RULES, RULES_TEXT.encode().hex())
    assert expected in why(says, record, name)
