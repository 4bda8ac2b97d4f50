"""The trash: what stays, what leaves, and how a person takes something out again without any database."""

import os
from dataclasses import replace

import pytest
from execute_world import Crash, World, endings

from syncd.execute.trashcan import trash_list, trash_restore
from syncd.model.errors import Usage
from syncd.model.node import Kind
from syncd.model.observation import Ending

DAY = 86400.0


def deleted(world: World, path: str, content: bytes = b"old") -> str:
    """Delete a file whose content the remote does not keep; return its entry's id."""
    world.write(path, content)
    assignment = world.delete(path)
    assignment = replace(assignment, op=replace(assignment.op, expected_hash=None))
    assert endings(world.apply(assignment)) == [Ending.DONE]
    return assignment.key.hex()


def test_what_only_the_trash_has_stays_until_its_retention_ends(world: World) -> None:
    deleted(world, "a.txt")
    assert world.sweep(after=29 * DAY).bytes_kept == 3
    assert world.sweep(after=2 * DAY).dropped == 1
    assert world.trash() == []


def test_an_entry_of_a_running_op_is_left_alone(world: World) -> None:
    key = deleted(world, "a.txt")
    world.sweep(after=60 * DAY, running=(bytes.fromhex(key),))
    assert world.trash() == [b"old"]


def test_unknown_content_in_trash_or_staging_is_kept(world: World) -> None:
    world.write("a.txt", b"x")
    world.apply(world.delete("a.txt"))
    own = world.root / ".syncd"
    (own / "trash" / ("ab" * 16)).mkdir()
    (own / "trash" / ("ab" * 16) / "data").write_bytes(b"who knows")
    (own / "staging").mkdir(exist_ok=True)
    (own / "staging" / "0123").write_bytes(b"half an exchange")
    world.clock.time = os.stat(own).st_ctime
    world.sweep(after=1000)
    world.sweep(after=1000)
    assert sorted(world.trash()) == [b"half an exchange", b"who knows"]
    world.sweep(after=40 * DAY)
    assert world.trash() == []


def test_the_list_shows_what_is_there(world: World) -> None:
    key = deleted(world, "d/a.txt")
    (entry,) = trash_list(world.real)
    assert (entry.id, entry.path, entry.size, entry.kind) == (key, ("d", "a.txt"), 3, Kind.FILE)


def test_restoring_puts_it_back_and_makes_folders(world: World) -> None:
    key = deleted(world, "d/e/a.txt")
    (world.root / "d" / "e").rmdir()
    (world.root / "d").rmdir()
    assert trash_restore(world.real, key) == ("d", "e", "a.txt")
    assert world.tree()["d/e/a.txt"] == b"old"
    assert trash_list(world.real) == []


def test_restoring_never_replaces(world: World) -> None:
    key = deleted(world, "a.txt")
    world.write("a.txt", b"new")
    assert trash_restore(world.real, key) == ("a (restored).txt",)
    assert world.tree() == {"a.txt": b"new", "a (restored).txt": b"old"}


@pytest.mark.parametrize("wrong", ["", "zz", "../..", "00" * 16])
def test_an_unknown_entry_is_one_clear_error(world: World, wrong: str) -> None:
    with pytest.raises(Usage, match="trash list"):
        trash_restore(world.real, wrong)


def test_p10_an_info_that_was_tampered_with_does_not_lead_out_of_the_root(world: World) -> None:
    key = deleted(world, "a.txt")
    info = world.root / ".syncd" / "trash" / key / "info.json"
    info.write_text(info.read_text().replace('"a.txt"', '"..", "a.txt"'))
    with pytest.raises(Usage, match="cannot be restored"):
        trash_restore(world.real, key)
    assert world.trash() == [b"old"]


def test_p1_what_a_conflict_displaced_comes_back_even_when_the_op_is_forgotten(world: World) -> None:
    """A crash right after the exchange, and then the database is lost: no recovery will ever be asked for."""
    world.write("a.txt", b"mine")
    seen: list[str] = []

    def before(name: str) -> None:
        if "exchange" in seen:
            raise Crash(name)
        seen.append(name)

    world.fs.before = before
    with pytest.raises(Crash):
        world.apply(world.conflict("a.txt", b"theirs", "a (conflicted copy).txt"))
    (copy,) = world.sweep().late
    assert world.tree() == {"a.txt": b"theirs", copy.name: b"mine"}
    assert world.trash() == []
