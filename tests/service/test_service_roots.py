"""root.json, tokens, folders and the supervisor's words."""

import os
import socket
import stat
from pathlib import Path

import msgspec
import pytest
import structlog

from syncd.adapters import lockfile
from syncd.model.errors import Corrupt, NotAuthorised, Refused, Usage
from syncd.service import folders
from syncd.service.logs import configure, without_secrets
from syncd.service.roots import RootKeeper, RootRecord, Roots, new_root_id, write_private
from syncd.service.supervisor import notify
from syncd.service.tokens import Tokens
from syncd.settings import LogFormat, LogLevel


def record(path: Path, **more: object) -> RootRecord:
    path.mkdir(parents=True, exist_ok=True)
    made = RootRecord(
        id=new_root_id(), path=os.path.realpath(path), remote="syncd://127.0.0.1:1/files", hub_id="h", space_id="s",
        device_id="d", device="laptop",
    )  # fmt: skip
    return msgspec.structs.replace(made, **more)


def test_p9_a_record_comes_back_as_it_was_kept(roots: Roots, tmp_path: Path) -> None:
    kept = record(tmp_path / "a", paused=True, holds={"mass delete": ["00ff"]}, selection=("x/y",), pin="ab" * 32)
    roots.save(kept)
    assert Roots().load(kept.id) == kept
    assert Roots().all() == [kept]


def test_state_is_for_this_user_alone(roots: Roots, tmp_path: Path) -> None:
    kept = record(tmp_path / "a")
    roots.save(kept)
    Tokens(roots).put(kept.id, "secret")
    for path in (roots.state, roots.base, roots.folder(kept.id).base):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    for path in roots.folder(kept.id).base.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_p4_a_crash_while_saving_leaves_the_old_record(
    roots: Roots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = record(tmp_path / "a")
    roots.save(kept)

    def crash(*_: object) -> None:
        raise OSError("power loss")

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(OSError, match="power"):
        roots.save(msgspec.structs.replace(kept, paused=True))
    monkeypatch.undo()
    assert msgspec.json.decode(roots.folder(kept.id).record.read_bytes(), type=RootRecord) == kept
    assert sorted(p.name for p in roots.folder(kept.id).base.iterdir()) == ["root.json"]


def test_p4_what_is_written_is_synced_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    real_fsync, real_replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append("fsync"), real_fsync(fd))[1])
    monkeypatch.setattr(os, "replace", lambda a, b: (calls.append("rename"), real_replace(a, b))[1])
    write_private(tmp_path / "x", b"data")
    assert calls == ["fsync", "rename", "fsync"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(b"{", "cannot be read", id="half a file"),
        pytest.param(b"\xff\xff", "cannot be read", id="not text"),
        pytest.param(b'{"id": 3}', "cannot be read", id="other types"),
    ],
)
def test_a_damaged_record_is_one_line_that_names_the_file(
    roots: Roots, tmp_path: Path, content: bytes, says: str
) -> None:
    kept = record(tmp_path / "a")
    roots.save(kept)
    roots.folder(kept.id).record.write_bytes(content)
    with pytest.raises(Corrupt, match=says) as fault:
        roots.load(kept.id)
    assert str(roots.folder(kept.id).record) in str(fault.value)


def test_a_record_of_a_newer_syncd_is_refused(roots: Roots, tmp_path: Path) -> None:
    kept = record(tmp_path / "a", format=99)
    roots.save(kept)
    with pytest.raises(Corrupt, match="newer syncd"):
        roots.load(kept.id)


def test_any_path_inside_a_root_names_it(roots: Roots, tmp_path: Path) -> None:
    kept = record(tmp_path / "a")
    roots.save(kept)
    (tmp_path / "a" / "deep").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a" / "deep")
    for path in ("a", "a/deep", "a/deep/gone.txt", "link"):
        assert roots.owner(tmp_path / path) == kept
    assert roots.owner(tmp_path / "ab") is None
    with pytest.raises(Usage, match="not in a synced folder"):
        roots.select((str(tmp_path / "ab"),))


@pytest.mark.parametrize(
    ("path", "says"),
    [
        pytest.param("missing", "does not exist", id="a folder that does not exist"),
        pytest.param("file", "not a folder", id="a file"),
        pytest.param("a/inside", "inside another root", id="inside another root"),
        pytest.param(".", "state", id="holding syncd's own state"),
        pytest.param("state/syncd/x", "state", id="inside syncd's own state"),
        pytest.param("holds", "holds another root", id="holding another root"),
    ],
)
def test_what_cannot_be_a_root(roots: Roots, tmp_path: Path, path: str, says: str) -> None:
    roots.save(record(tmp_path / "a"))
    roots.save(record(tmp_path / "holds" / "b"))
    (tmp_path / "file").write_text("x")
    (tmp_path / "a" / "inside").mkdir()
    (tmp_path / "state" / "syncd" / "x").mkdir()
    with pytest.raises(Usage, match=says):
        roots.check_new(tmp_path / path)


def test_p9_decisions_are_kept_in_the_record(roots: Roots, tmp_path: Path) -> None:
    kept = record(tmp_path / "a")
    roots.save(kept)
    keeper = RootKeeper(roots, kept)
    keeper.keep_paused(True)
    keeper.keep_holds({"mass delete": ["aa"]})
    keeper.keep_identity(5, 6)
    again = roots.load(kept.id)
    assert (again.paused, again.holds, again.dev, again.ino) == (True, {"mass delete": ["aa"]}, 5, 6)
    assert keeper.kept_holds() == {"mass delete": ["aa"]}


def test_p9_a_pause_is_kept_under_the_lock_and_changes_nothing_else(roots: Roots, tmp_path: Path) -> None:
    kept = record(tmp_path / "a")
    roots.save(kept)
    with lockfile.acquire(str(roots.folder(kept.id).lock)):
        roots.save(msgspec.structs.replace(kept, holds={"mass delete": ["aa"]}))  # the daemon's own, meanwhile
        with pytest.raises(Refused, match=f"pid {os.getpid()} "):
            roots.keep_paused(kept.id, True)
        assert not roots.load(kept.id).paused
    roots.keep_paused(kept.id, True)
    again = roots.load(kept.id)
    assert (again.paused, again.holds) == (True, {"mass delete": ["aa"]})


def test_a_forgotten_root_leaves_only_its_lock(roots: Roots, tmp_path: Path) -> None:
    kept = record(tmp_path / "a")
    roots.save(kept)
    (roots.folder(kept.id).base / "syncd.sqlite").write_text("x")
    roots.folder(kept.id).lock.write_text("")
    roots.forget(kept.id)
    assert roots.all() == []
    assert [path.name for path in roots.folder(kept.id).base.iterdir()] == ["lock"]


# --- tokens -----------------------------------------------------------------------------------------------------


def test_a_token_is_kept_and_dropped(roots: Roots) -> None:
    roots.prepare("r1")
    tokens = Tokens(roots)
    tokens.put("r1", "tok")
    assert tokens.get("r1") == "tok"
    tokens.drop("r1")
    with pytest.raises(NotAuthorised):
        tokens.get("r1")


def test_a_token_others_may_read_is_refused(roots: Roots) -> None:
    roots.prepare("r1")
    Tokens(roots).put("r1", "tok")
    (roots.folder("r1").base / "token").chmod(0o644)
    with pytest.raises(Refused, match="chmod 600"):
        Tokens(roots).get("r1")


def test_a_keyring_that_fails_or_hangs_means_the_file(roots: Roots, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SYNCD_SECRETS")
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent")
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    roots.prepare("r1")
    Tokens(roots).put("r1", "tok")
    assert (roots.folder("r1").base / "token").read_text() == "tok"
    assert Tokens(roots).get("r1") == "tok"


def test_no_log_line_carries_a_secret() -> None:
    line = without_secrets(
        None, "info", {"event": "tied with syncd://h:1/s#SECRETSECRET.pin", "token": "abc", "why": "Bearer abcdefgh123"}
    )
    assert "SECRET" not in str(line)
    assert "abc" not in str(line)


@pytest.mark.parametrize("form", list(LogFormat))
def test_no_traceback_in_the_log_shows_what_a_variable_held(
    form: LogFormat, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(token: str) -> None:
        raise ValueError(f"a fault, {len(token)} long")

    configure(LogLevel.INFO, form)
    try:
        try:
            fails("very-private")
        except ValueError:
            structlog.get_logger("syncd").exception("stopped by a fault in syncd")
    finally:
        structlog.reset_defaults()
    said = capsys.readouterr().err
    assert "a fault, 12 long" in said
    assert "in fails" in said or '"fails"' in said, "where it happened is said"
    assert "very-private" not in said.replace('fails("very-private")', "")


def test_p10_a_log_line_cannot_steer_a_terminal() -> None:
    assert without_secrets(None, "info", {"event": "x", "path": "a\x1b[31mb"})["path"] == "a\\x1b[31mb"


# --- folders ----------------------------------------------------------------------------------------------------


def test_socket_names_are_short_and_differ_by_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    one = folders.socket_path("r1")
    assert one == folders.socket_path("r1") != folders.socket_path("r2")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
    assert folders.socket_path("r1").name != one.name


@pytest.mark.parametrize("runtime", ["", "/" + "long/" * 40, "relative"], ids=["unset", "too long", "relative"])
def test_without_a_usable_runtime_folder_the_socket_is_elsewhere(monkeypatch: pytest.MonkeyPatch, runtime: str) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
    assert len(os.fsencode(folders.socket_path("r1"))) <= folders.MAX_SOCKET_PATH


def test_a_private_folder_is_made_private_again(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir(mode=0o755)
    (tmp_path / "p").chmod(0o755)
    assert stat.S_IMODE(folders.private_dir(tmp_path / "p").stat().st_mode) == 0o700
    (tmp_path / "link").symlink_to(tmp_path / "p")
    with pytest.raises(Refused):
        folders.private_dir(tmp_path / "link")


# --- the supervisor ---------------------------------------------------------------------------------------------


def test_notify_says_nothing_where_nobody_listens() -> None:
    assert not notify("READY=1")


def test_notify_reaches_the_supervisor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = str(Path(os.environ["XDG_RUNTIME_DIR"]) / "n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(path)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        assert notify("READY=1", "STATUS=fine")
        assert listener.recv(100) == b"READY=1\nSTATUS=fine"


def test_a_folder_of_another_user_is_never_used_for_private_things(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In /tmp anybody can make the folder first that sockets would lie in."""
    (tmp_path / "theirs").mkdir(mode=0o700)
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    with pytest.raises(Refused, match="is not a folder of this user"):
        folders.private_dir(tmp_path / "theirs")
