"""What the Linux watcher hints, on a real kernel."""

import contextlib
import os
import random
from itertools import pairwise

import pytest

from tests.adapters.inotify_world import only_linux

pytestmark = only_linux


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        pytest.param(lambda r: (r / "new").write_bytes(b"x"), [((), "new")], id="create"),
        pytest.param(lambda r: (r / "old").write_bytes(b"y"), [((), "old")], id="edit"),
        pytest.param(lambda r: (r / "old").unlink(), [((), "old")], id="delete"),
        pytest.param(lambda r: (r / "old").chmod(0o755), [((), "old")], id="chmod"),
        pytest.param(lambda r: (r / "old").rename(r / "d" / "x"), [((), "old"), (("d",), "x")], id="move"),
        pytest.param(lambda r: (r / "l").symlink_to("/nowhere"), [((), "l")], id="symlink"),
        pytest.param(lambda r: (r / "d" / "e" / "f").touch(), [(("d", "e"), "f")], id="deep below"),
        pytest.param(lambda r: (r / "d" / "e").rmdir(), [(("d",), "e")], id="rmdir"),
        pytest.param(
            lambda r: open(os.fsencode(r) + b"/latin-\xe9", "wb").close(), [((), "latin-\udce9")], id="odd bytes"
        ),
    ],
)
def test_what_changes_is_hinted(root, start, inbox, settled, act, expected):
    (root / "d" / "e").mkdir(parents=True)
    (root / "old").write_bytes(b"x")
    start()
    act(root)
    assert sorted(set(settled())) == sorted(expected)


def test_reading_is_not_a_change(root, start, settled):
    (root / "a").write_bytes(b"x")
    start()
    (root / "a").read_bytes()
    os.listdir(root)
    assert settled() == []


def test_an_application_that_keeps_its_file_open_is_noticed(root, start, inbox):
    with open(root / "log", "ab", buffering=0) as log:
        start()
        log.write(b"line\n")
        assert inbox.hears(((), "log"))
        inbox.hinted.clear()
        log.write(b"line\n")
        assert inbox.hears(((), "log"))


def test_a_flood_of_writes_is_a_trickle_of_hints(root, start, inbox, settled):
    with open(root / "log", "ab", buffering=0) as log:
        start()
        for _ in range(10_000_000):
            log.write(b"x")
            if len(inbox.posted_at) == 8:
                break
    # Not after the first: one write is no flood.
    apart = [later - earlier for earlier, later in pairwise(inbox.posted_at[1:8])]
    assert len(apart) == 6
    assert min(apart) > 1 / 60, "however many writes, so many hints a second"
    assert set(settled()) == {((), "log")}


def test_new_folders_are_watched_without_a_gap(root, start, inbox, settled):
    start()
    expected = set()
    for number in range(30):
        below = (f"a{number}", "b", "c")
        (root.joinpath(*below)).mkdir(parents=True)
        root.joinpath(*below, "file").touch()
        expected |= {((), below[0]), (below[:1], "b"), (below[:2], "c"), (below, "file")}
    assert inbox.hears(*expected)
    settled()
    inbox.hinted.clear()
    (root / "a7" / "b" / "c" / "later").touch()
    assert inbox.hears((("a7", "b", "c"), "later"))


def test_a_folder_moved_within_the_root_reports_its_new_path(root, start, inbox, settled):
    (root / "a" / "b" / "c").mkdir(parents=True)
    (root / "z").mkdir()
    start()
    (root / "a").rename(root / "z" / "new")
    settled()
    inbox.hinted.clear()
    (root / "z" / "new" / "b" / "c" / "file").touch()
    (root / "z" / "new" / "top").touch()
    assert set(settled()) == {(("z", "new", "b", "c"), "file"), (("z", "new"), "top")}
    assert inbox.lost == []


def test_folders_that_change_places(root, start, inbox, settled):
    for name in ("a", "b"):
        (root / name / f"in {name}").mkdir(parents=True)
    start()
    (root / "a").rename(root / "t")
    (root / "b").rename(root / "a")
    (root / "t").rename(root / "b")
    settled()
    inbox.hinted.clear()
    (root / "b" / "in a" / "x").touch()
    assert set(settled()) == {(("b", "in a"), "x")}


def test_a_folder_moved_out_falls_silent(root, start, tmp_path, settled, inbox):
    (root / "a" / "b").mkdir(parents=True)
    watcher = start()
    (root / "a").rename(tmp_path / "outside")
    assert set(settled()) == {((), "a")}
    inbox.hinted.clear()
    (tmp_path / "outside" / "b" / "x").touch()
    assert settled() == []
    assert len(watcher._tree) == 1


def test_a_folder_moved_in_is_hinted_with_every_folder_in_it(root, start, tmp_path, inbox, settled):
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "sub" / "x").touch()
    start()
    (tmp_path / "in").rename(root / "here")
    assert inbox.hears(((), "here"), (("here",), ""), (("here", "sub"), ""))
    (root / "here" / "sub" / "y").touch()
    assert inbox.hears((("here", "sub"), "y"))


def test_a_folder_that_was_deleted_and_made_again(root, start, inbox, settled):
    (root / "a").mkdir()
    start()
    for _ in range(20):
        (root / "a").rmdir()
        (root / "a").mkdir()
    settled()
    inbox.hinted.clear()
    (root / "a" / "x").touch()
    assert (("a",), "x") in settled()


def test_our_own_folder_and_ignored_ones_are_silent(root, start, settled, inbox):
    (root / ".syncd" / "trash").mkdir(parents=True)
    (root / "build" / "deep").mkdir(parents=True)
    watcher = start(skip=lambda path: path[-1] == "build")
    (root / ".syncd" / "x").touch()
    (root / ".syncd" / "trash" / "y").touch()
    (root / ".syncd").chmod(0o700)
    (root / "build" / "x").touch()
    (root / "build" / "deep" / "x").touch()
    (root / "new").mkdir()
    (root / "new" / "build").mkdir()
    (root / "new" / "build" / "x").touch()
    assert {((), "new")} < set(settled()) <= {((), "new"), (("new",), "build"), (("new",), "")}
    assert len(watcher._tree) == 2


def test_p10_symlinks_are_never_followed(root, start, tmp_path, settled):
    (tmp_path / "outside").mkdir()
    (root / "link").symlink_to(tmp_path / "outside")
    watcher = start()
    (tmp_path / "outside" / "x").touch()
    (root / "link2").symlink_to(tmp_path / "outside")
    (tmp_path / "outside" / "y").touch()
    assert set(settled()) == {((), "link2")}
    assert len(watcher._tree) == 1


def test_a_burst_comes_in_batches(root, start, inbox):
    start()
    for number in range(5000):
        (root / f"{number}").touch()
    assert inbox.hears(*(((), f"{number}") for number in range(5000)))
    assert inbox.lost == []


@pytest.mark.parametrize("seed", range(4))
def test_after_any_shuffling_of_folders_every_path_is_right(root, start, inbox, settled, tmp_path, seed):
    chance = random.Random(seed)
    watcher = start()

    def folders():
        return sorted(path for path in root.rglob("*") if path.is_dir())

    for number in range(150):
        here = chance.choice([root, *folders()])
        match chance.choice(["mkdir", "mkdir", "move", "move", "move out", "rmdir"]):
            case "mkdir":
                (here / chance.choice("abcd")).mkdir(exist_ok=True)
            case "move" if here != root:
                target = chance.choice([root, *folders()]) / chance.choice("abcd")
                with contextlib.suppress(OSError):  # into itself, or onto a folder with something in it
                    here.rename(target)
            case "move out" if here != root:
                here.rename(tmp_path / f"out {number}")
            case "rmdir" if here != root:
                with contextlib.suppress(OSError):
                    here.rmdir()
        if chance.random() < 0.1:
            settled()
    settled()
    inbox.hinted.clear()
    expected = set()
    for folder in folders():
        (folder / "probe").touch()
        expected.add((folder.relative_to(root).parts, "probe"))
    for outside in tmp_path.glob("out */**/"):
        (outside / "probe").touch()
    assert set(settled()) == expected
    assert len(watcher._tree) == 1 + len(folders())
