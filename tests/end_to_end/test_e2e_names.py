"""Names as people and programs make them (P10): all that can be kept apart travels, the rest is held and shown."""

import os
import re
import socket
import unicodedata
from pathlib import Path

from tests.end_to_end.harness import Device, World

Pair = tuple[World, Device, Device]

NFC = unicodedata.normalize("NFC", "Zürich Übersicht.txt")
NFD = unicodedata.normalize("NFD", NFC)

UNUSUAL = [
    "a new\nline",
    "tab\there",
    "carriage\rreturn",
    "esc \x1b[31m red",
    "single ' quote",
    'double " quote',
    "back\\slash",
    "-leading dash",
    "--",
    " leading space",
    "trailing space ",
    "trailing dot.",
    "*?[glob]",
    "$HOME `id` ;&|",
    "per%cent%00",
    "emoji 👩‍👩‍👧‍👦 🏳️‍🌈",
    "combining é ñ̃ Z̸͇̏a̴l̷g̵o̶",
    "right\u202eto left",
    "zero\u200bwidth",
    "\ufeffbom",
    "CON",
    "nul.txt",
    "...",
    "a:b",
    "#hash",
    "~tilde",
    "x" * 255,
    "ü" * 127 + "x",
    "\U0001f600" * 63,
    "\ufffd replacement",
]


def test_p10_unusual_names_travel_unchanged(pair: Pair) -> None:
    world, a, b = pair
    for number, name in enumerate(UNUSUAL):
        a.write(f"files/{name}", f"file {number}")
        a.write(f"folders/{name}/inside {name[:40]}", f"inside {number}")
    a.link("link\nto", "files/a new\nline")
    world.settle()
    assert set(os.listdir(b.path("files"))) == set(UNUSUAL)
    b.rename(f"files/{UNUSUAL[0]}", "files/plain")
    b.rename("files/--", "files/-rf *")
    world.settle()
    assert "files/-rf *" in a.names()
    shown = a.fine("status").out + a.fine("activity", "--limit", "1000").out
    assert "\x1b[31m red" not in shown, "a name may not steer a terminal"
    assert not a.copies() + b.copies()
    world.check_all()


def test_p10_case_and_normal_form_twins_are_kept_apart(pair: Pair) -> None:
    world, a, b = pair
    twins = {"README": "upper", "readme": "lower", "Readme": "mixed", NFC: "composed", NFD: "decomposed"}
    for name, content in twins.items():
        a.write(name, content)
        a.write(f"in {name}/file", f"in {content}")
    world.settle()
    for name, content in twins.items():
        assert b.read(name) == content
    b.write(NFD, "decomposed, edited")
    b.rename("readme", "rEADME")
    world.settle()
    assert a.read(NFC) == "composed"
    assert a.read(NFD) == "decomposed, edited"
    assert a.read("rEADME") == "lower"
    assert not a.copies() + b.copies()
    world.check_all()


def test_p10_names_that_cannot_be_synced_are_held_and_shown_and_block_nothing(pair: Pair) -> None:
    world, a, b = pair
    bad = os.fsencode(a.root) + b"/caf\xe9.txt"
    with open(bad, "wb") as file:
        file.write(b"latin-1")
    os.mkdir(os.fsencode(a.root) + b"/dir\xff")
    with open(os.fsencode(a.root) + b"/dir\xff/inside", "wb") as file:
        file.write(b"in it")
    for name in (".SYNCD", ".Syncd", "folder/.syncd", ".syncd.", ".sy\u200cncd"):
        path = a.path(name)
        path.mkdir(parents=True)
        (path / "file").write_text("reserved")
    os.mkfifo(a.path("pipe"))
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(os.fspath(a.path("socket")))
        a.write("fine.txt", "goes on")
        world.settle()
        assert b.names() == ["fine.txt", "folder"]
        said = {entry["path"] for entry in a.status()["unsynced"]}
        assert {"caf\\xe9.txt", "pipe", "socket", ".SYNCD"} <= said
        assert "is reserved for syncd" in a.fine("status").out
        assert a.status()["disagreeing"] == 0
        assert Path(os.fsdecode(bad)).read_bytes() == b"latin-1"
        held = re.compile(rb"\xe9|\xff|^pipe$|^socket$|(?i:\.sy(\xe2\x80\x8c)?ncd)")
        world.check_all(differ=held)


def test_p10_a_held_name_travels_once_it_is_mended(pair: Pair) -> None:
    world, a, b = pair
    bad = os.fsencode(a.root) + b"/caf\xe9.txt"
    with open(bad, "wb") as file:
        file.write(b"coffee")
    world.settle(a)
    assert not b.names()
    os.rename(bad, a.path("café.txt"))
    a.ledger.wrote("a", "café.txt", b"coffee")
    world.settle()
    assert b.read("café.txt") == "coffee"
    world.check_all()


def test_syncignore_and_defaults_hold_both_ways(pair: Pair) -> None:
    world, a, b = pair
    a.write(".syncignore", "*.log\n/build/\n!keep.log\n")
    world.settle()
    for device in (a, b):
        device.path("build").mkdir()
        device.path("build/out.o").write_text(device.name)
        device.path("x.log").write_text(device.name)
        device.path(".DS_Store").write_text(device.name)
        device.path("draft.txt~").write_text(device.name)
    a.write("keep.log", "kept")
    a.write("real.txt", "real")
    world.settle()
    assert b.read("keep.log") == "kept"
    assert b.read("x.log") == "b"
    assert b.read("build/out.o") == "b"
    world.check_all(differ=re.compile(rb"^build|^x\.log$|\.DS_Store|~$"))


def test_p1_ignored_files_in_a_folder_that_is_deleted_elsewhere_stay(pair: Pair) -> None:
    world, a, b = pair
    a.write(".syncignore", "*.cache\n")
    a.write("project/main.c", "int main;")
    a.write("litter/one.txt", "1")
    world.settle()
    b.path("project/my.cache").write_text("only here")
    b.path("litter/.DS_Store").write_text("litter")
    world.settle()
    a.remove("project")
    a.remove("litter")
    world.settle()
    assert b.path("project/my.cache").read_text() == "only here"
    assert not b.path("project/main.c").exists()
    assert not b.path("litter").exists(), "default litter goes to the trash with its folder"
    world.check_all(differ=re.compile(rb"^project"))
    b.write("project/new.txt", "the folder is used again")
    world.settle()
    assert a.read("project/new.txt") == "the folder is used again"
    world.check_all(differ=re.compile(rb"\.cache$"))


def test_the_remotes_syncignore_is_applied_before_anything_is_uploaded(world: World) -> None:
    a = world.device("a")
    a.write(".syncignore", "secret*\nbig/\n")
    a.write("shared.txt", "shared")
    world.settle(a)
    b = world.bare("b")
    b.path("secret.txt").write_text("never leaves")
    b.path("big").mkdir()
    b.path("big/blob").write_text("never leaves either")
    b.write("mine.txt", "travels")
    b.init(world.hub.invite())
    b.start()
    world.settle()
    assert a.names() == [".syncignore", "mine.txt", "shared.txt"]
    assert b.path("secret.txt").read_text() == "never leaves"
    world.check_all(differ=re.compile(rb"^secret|^big"))
    names = {row[0] for row in world.hub.rows("SELECT DISTINCT name FROM entry")}
    assert not names & {"secret.txt", "big", "blob"}, "it was never uploaded, not even for a moment"
