"""How applications write, and the daemon between their steps: late writes and half-written files (P1, P5, P6)."""

import os

import pytest

from tests.end_to_end.harness import Device, World
from tests.end_to_end.processes import until

Pair = tuple[World, Device, Device]


def test_p1_what_an_application_appends_to_a_replaced_file_becomes_a_copy(pair: Pair) -> None:
    world, a, b = pair
    a.write("log.txt", "line 1\n")
    world.settle()
    with b.path("log.txt").open("ab", buffering=0) as held_open:
        a.write("log.txt", "rewritten by a\n")
        until(lambda: b.read("log.txt") == "rewritten by a\n", "a's content is in b's folder")
        held_open.write(b"line 2, from an application that holds the replaced file\n")
        os.fsync(held_open.fileno())
    b.ledger.wrote("b", "log.txt, late", b"line 1\nline 2, from an application that holds the replaced file\n")
    until(b.copies, "the late write is a conflicted copy", 30)
    world.settle()
    (copy,) = a.copies()
    assert a.read(copy) == "line 1\nline 2, from an application that holds the replaced file\n"
    assert a.read("log.txt") == "rewritten by a\n"
    world.check_all(waits=[device for device in (a, b) if device.conflicts()])


def test_p1_what_is_written_into_a_file_deleted_elsewhere_is_kept(pair: Pair) -> None:
    world, a, b = pair
    a.write("log.txt", "line 1\n")
    a.write("stays", "here")
    world.settle()
    with b.path("log.txt").open("ab", buffering=0) as held_open:
        a.remove("log.txt")
        until(lambda: not b.path("log.txt").exists(), "a's delete is done in b's folder")
        held_open.write(b"line 2\n")
        os.fsync(held_open.fileno())
    b.ledger.wrote("b", "log.txt, late", b"line 1\nline 2\n")
    until(lambda: [name for name in b.names() if name.startswith("log")], "the late write is in the folder again", 30)
    world.settle()
    (name,) = [name for name in a.names() if name.startswith("log")]
    assert a.read(name) == "line 1\nline 2\n"
    world.check_all(waits=[device for device in (a, b) if device.conflicts()])


@pytest.mark.parametrize("style", ["save_by_rename", "save_with_backup", "write"])
def test_p1_p2_saving_again_and_again_is_one_file_and_no_conflict(pair: Pair, style: str) -> None:
    world, a, b = pair
    a.write("book.txt", "chapter 0")
    b.write("other/notes.txt", "b works, too")
    world.settle()
    for number in range(1, 25):
        getattr(a, style)("book.txt", f"chapter {number}" * number)
        if number % 8 == 0:
            a.wait()
            b.write("other/notes.txt", f"b works, too: {number}")
    world.settle()
    assert b.read("book.txt") == "chapter 24" * 24
    assert a.names() == ["book.txt", "other", "other/notes.txt"]
    assert len({row[0] for row in world.hub.rows("SELECT DISTINCT node_id FROM entry WHERE name = 'book.txt'")}) == 1
    world.check_all()


def test_p5_a_file_that_is_being_written_is_never_seen_half(pair: Pair) -> None:
    world, a, b = pair
    block = b"0123456789abcdef" * 4096
    whole = block * 64
    world.settle()
    seen: set[int] = set()
    with a.path("growing.bin").open("wb", buffering=0) as file:
        for part in range(64):
            file.write(block)
            if b.path("growing.bin").exists():
                size = b.path("growing.bin").stat().st_size
                assert size % len(block) == 0
                assert b.path("growing.bin").read_bytes() == whole[:size]
                seen.add(part)
    a.ledger.wrote("a", "growing.bin", whole)
    world.settle()
    assert b.path("growing.bin").read_bytes() == whole
    assert not a.copies() + b.copies()
    world.check_all()


def test_p6_edits_on_both_sides_while_both_daemons_work(pair: Pair) -> None:
    world, a, b = pair
    for number in range(40):
        a.write(f"shared/{number}.txt", f"start {number}")
    world.settle()
    for number in range(40):
        (a if number % 2 else b).write(f"shared/{number}.txt", f"edited {number}")
    for number in range(40):
        (b if number % 2 else a).write(f"other/{number}.txt", f"new {number}")
    world.settle()
    for number in range(40):
        assert a.read(f"shared/{number}.txt") == f"edited {number}"
    assert not a.copies() + b.copies(), "no file was edited on two sides"
    world.check_all()
