"""The root: its marker, its proof, its own folder, what may become one, and what its file system can do."""

import errno
import fcntl
import os
import threading
from pathlib import Path

import pytest

from syncd.adapters import posix_fs
from syncd.adapters.posix_fs import PosixFs, check_root, probe_traits, read_marker, tie_root
from syncd.model.errors import NoSpace, RootGone, SyncdError, Usage

ID = "ab" * 16
OTHER_ID = "cd" * 16


def one_line(error: BaseException) -> str:
    text = str(error)
    assert "\n" not in text
    return text


# --- the marker ---


def test_p8_a_root_is_tied_and_proven(root: Path) -> None:
    identity = tie_root(str(root), ID)
    assert (identity.root_id, identity.ino) == (ID, root.stat().st_ino)
    assert read_marker(str(root)) == ID
    assert PosixFs(str(root), expected=identity).prove() == identity
    assert (root / ".syncd").stat().st_mode & 0o777 == 0o700
    assert (root / ".syncd" / "root.json").stat().st_mode & 0o077 == 0


def test_p3_tying_again_changes_nothing(root: Path) -> None:
    identity = tie_root(str(root), ID)
    before = (root / ".syncd" / "root.json").stat()
    assert tie_root(str(root), ID) == identity
    assert (root / ".syncd" / "root.json").stat() == before


def test_tying_to_another_id_must_be_asked_for(root: Path) -> None:
    tie_root(str(root), ID)
    with pytest.raises(Usage) as refused:
        tie_root(str(root), OTHER_ID)
    one_line(refused.value)
    assert read_marker(str(root)) == ID
    tie_root(str(root), OTHER_ID, replace=True)
    assert read_marker(str(root)) == OTHER_ID


def test_a_folder_without_marker_has_none(root: Path) -> None:
    assert read_marker(str(root)) is None
    assert os.listdir(root) == [], "looking makes nothing"


def spoil(root: Path, how: str) -> None:
    own, marker = root / ".syncd", root / ".syncd" / "root.json"
    match how:
        case "root missing":
            root.rename(root.with_name("away"))
        case "root is a file":
            root.rename(root.with_name("away"))
            root.write_bytes(b"")
        case "own folder missing":
            own.rename(root.with_name("away"))
        case "own folder is a file":
            own.rename(root.with_name("away"))
            own.write_bytes(b"")
        case "own folder is a symlink":
            own.rename(root.with_name("away"))
            own.symlink_to(root.with_name("away"))
        case "marker missing":
            marker.unlink()
        case "marker is a symlink":
            marker.rename(root.with_name("away"))
            marker.symlink_to(root.with_name("away"))
        case "marker is a FIFO":
            marker.unlink()
            os.mkfifo(marker)
        case "marker empty":
            marker.write_bytes(b"")
        case "marker garbled":
            marker.write_bytes(b'{"root_id": 5}\x1b[2J')
        case "another marker":
            marker.write_bytes(b'{"root_id": "%s"}' % OTHER_ID.encode())
        case _:
            raise AssertionError(how)


SPOILT = [
    "root missing",
    "root is a file",
    "own folder missing",
    "own folder is a file",
    "own folder is a symlink",
    "marker missing",
    "marker is a symlink",
    "marker is a FIFO",
    "marker empty",
    "marker garbled",
    "another marker",
]


@pytest.mark.parametrize("how", SPOILT)
def test_p8_a_root_that_is_not_proven_is_never_opened(root: Path, how: str) -> None:
    identity = tie_root(str(root), ID)
    spoil(root, how)
    fs = PosixFs(str(root), expected=identity)
    for call in (fs.prove, lambda: fs.open_dir(()), lambda: fs.own("trash"), fs.free_bytes, lambda: fs.traits):
        with pytest.raises(RootGone) as gone:
            call()
        assert str(root) in one_line(gone.value)
        assert "\x1b" not in str(gone.value)
    if (root / ".syncd").is_dir():
        assert "trash" not in os.listdir(root / ".syncd")


@pytest.mark.parametrize("how", SPOILT)
def test_p8_a_proven_root_is_doubted_at_once(root: Path, how: str) -> None:
    fs = PosixFs(str(root), expected=tie_root(str(root), ID))
    fs.prove()
    spoil(root, how)
    with pytest.raises(RootGone):
        fs.prove()


@pytest.mark.parametrize("how", ["root missing", "own folder missing", "own folder is a file", "marker missing"])
def test_p8_a_root_whose_marker_went_is_not_opened_between_proofs(root: Path, how: str) -> None:
    fs = PosixFs(str(root), expected=tie_root(str(root), ID))
    fs.prove()
    spoil(root, how)
    for call in (lambda: fs.open_dir(()), lambda: fs.own("trash"), fs.free_bytes):
        with pytest.raises(RootGone):
            call()


def test_p8_a_restored_copy_is_proven_and_shows_its_new_inode(root: Path) -> None:
    identity = tie_root(str(root), ID)
    fs = PosixFs(str(root), expected=identity)
    fs.prove()
    root.rename(root.with_name("old"))
    root.mkdir()
    tie_root(str(root), ID)
    (root / "restored").write_bytes(b"")
    with pytest.raises(RootGone, match="another folder"):
        fs.open_dir(())
    proven = fs.prove()
    assert proven.root_id == ID
    assert proven.ino != identity.ino
    with fs.open_dir(()) as directory:
        assert directory.names() == [".syncd", "restored"]


def test_p8_an_untied_folder_is_held_to_its_inode_and_never_proven(root: Path) -> None:
    fs = PosixFs(str(root))
    fs.open_dir(()).close()
    with pytest.raises(RootGone, match="no marker"):
        fs.prove()
    root.rename(root.with_name("old"))
    root.mkdir()
    with pytest.raises(RootGone):
        fs.open_dir(())


def test_the_path_of_a_root_may_lead_through_a_symlink(root: Path, tmp_path: Path) -> None:
    identity = tie_root(str(root), ID)
    (tmp_path / "link").symlink_to(root)
    fs = PosixFs(str(tmp_path / "link"), expected=identity)
    assert fs.prove() == identity
    with fs.open_dir(()) as directory:
        assert directory.names() == [".syncd"]


# --- what may be a root ---


def test_a_plain_folder_may_be_a_root_and_so_may_a_tied_one(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "rootlike"
    other.mkdir()
    check_root(str(root), [])
    tie_root(str(root), ID)
    check_root(str(root), [str(root), str(other), str(tmp_path / "missing")])
    check_root(str(other), [str(root)])


@pytest.mark.parametrize(
    ("path", "others", "why"),
    [
        pytest.param("missing", [], "does not exist", id="missing"),
        pytest.param("dangling", [], "leads nowhere", id="a dangling symlink"),
        pytest.param("file", [], "not a folder", id="a file"),
        pytest.param("tied/inner", [], "inside another root", id="inside a marked root nobody told of"),
        pytest.param("link/inner", [], "inside another root", id="inside a root, by way of a symlink"),
        pytest.param("tied/.syncd", [], "syncd's own", id="syncd's own folder"),
        pytest.param("tied/.syncd/trash", [], "syncd's own", id="inside syncd's own folder"),
        pytest.param("outer/inner", ["outer"], "inside another root", id="inside a root"),
        pytest.param("outer/inner", ["way"], "inside another root", id="inside a root known by another path"),
        pytest.param("outer", ["outer/inner"], "holds another root", id="holds a root"),
        pytest.param("outer", ["outer/unmounted"], "holds another root", id="holds the path of a root not there now"),
        pytest.param("outer", ["way/inner"], "holds another root", id="holds a root, by way of a symlink"),
    ],
)
def test_a_root_is_refused_in_one_line(tmp_path: Path, path: str, others: list[str], why: str) -> None:
    for folder in ("tied/inner", "tied/.syncd/trash", "outer/inner"):
        (tmp_path / folder).mkdir(parents=True)
    tie_root(str(tmp_path / "tied"), ID)
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "link").symlink_to("tied")
    (tmp_path / "way").symlink_to("outer")
    with pytest.raises(Usage, match=why) as refused:
        check_root(str(tmp_path / path), [str(tmp_path / other) for other in others])
    one_line(refused.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_root_must_be_writable(root: Path) -> None:
    root.chmod(0o500)
    with pytest.raises(Usage, match="not writable"):
        check_root(str(root), [])


# --- syncd's own folder ---


def test_own_makes_its_folder_in_an_untied_root(root: Path) -> None:
    os.umask(os.umask(0o022))
    with PosixFs(str(root)).own("staging", "deep", "deeper") as directory:
        assert directory.names() == []
    for folder in (".syncd", ".syncd/staging", ".syncd/staging/deep/deeper"):
        assert (root / folder).stat().st_mode & 0o777 == 0o700


def test_p10_own_never_works_through_a_symlink(root: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    fs = PosixFs(str(root), expected=tie_root(str(root), ID))
    (root / ".syncd" / "trash").symlink_to(elsewhere)
    with pytest.raises(NotADirectoryError):
        fs.own("trash", "op")
    assert os.listdir(elsewhere) == []


def test_own_from_many_threads(root: Path) -> None:
    fs = PosixFs(str(root), expected=tie_root(str(root), ID))
    failed: list[BaseException] = []

    def work() -> None:
        try:
            for number in range(50):
                fs.own("trash", str(number)).close()
        except (OSError, SyncdError) as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(os.listdir(root / ".syncd" / "trash")) == 50


# --- traits ---


def test_a_probe_leaves_nothing_behind(root: Path) -> None:
    traits = probe_traits(str(root))
    assert traits == PosixFs(str(root)).traits
    assert os.listdir(root) == [".syncd"]
    assert os.listdir(root / ".syncd" / "probe") == []


def test_a_probe_clears_what_a_crash_left(root: Path) -> None:
    expected = probe_traits(str(root))
    for name in ("Probe-Case", "probe-case", "exchange-1", "inode-1", "inode-2", "probe-e\u0301", "link"):
        (root / ".syncd" / "probe" / name).write_bytes(b"left")
    assert probe_traits(str(root)) == expected
    assert os.listdir(root / ".syncd" / "probe") == []


def test_probes_beside_each_other(root: Path) -> None:
    found = []
    threads = [threading.Thread(target=lambda: found.append(probe_traits(str(root)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1


def test_a_probe_waits_for_another_process(root: Path) -> None:
    probe_traits(str(root))
    directory = os.open(root / ".syncd" / "probe", os.O_RDONLY)
    fcntl.flock(directory, fcntl.LOCK_EX)
    done = threading.Event()
    thread = threading.Thread(target=lambda: (probe_traits(str(root)), done.set()))
    thread.start()
    assert not done.wait(0.2)
    os.close(directory)
    assert done.wait(10)
    thread.join()


def test_traits_of_this_file_system_agree_with_what_it_does(root: Path) -> None:
    traits = probe_traits(str(root))
    (root / "A").write_bytes(b"")
    assert traits.case_sensitive is not (root / "a").exists()
    (root / "x").write_bytes(b"")
    (root / "x").chmod(0o755)
    assert traits.executable_bit is bool((root / "x").stat().st_mode & 0o100)
    assert traits.symlinks
    assert traits.time_tick_ns >= 1_000_000


def test_a_full_disk_on_which_nothing_can_be_tried_is_what_it_was_last_found_to_be(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    known = probe_traits(str(root))
    identity = tie_root(str(root), ID)
    with monkeypatch.context() as patched:
        patched.setattr(posix_fs, "probe", full)
        fs = PosixFs(str(root), expected=identity, assumed=known)
        assert fs.traits == known
        with pytest.raises(NoSpace):
            _ = PosixFs(str(root), expected=identity).traits
    assert fs.traits == known, "and is tried out once there is room"
    assert fs._traits is not None
