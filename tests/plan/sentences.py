"""Short words for rows and plans, so that a table reads as sentences.

A row is ``key kind | S | R | L``; a state ``-`` (absent), ``parent/name content`` (``x`` at the end: executable; ``d``
for directories) or ``?reason [parent/name]`` (unknown).
"""

from syncd.model.node import Absent, Fingerprint, Kind, Node, Place, Present, Reason, State, Unknown, Version
from syncd.model.op import Op
from syncd.plan.planner import join, plan
from syncd.plan.world import NodePlan
from tests.property.world import World, node_id

KINDS = {"f": Kind.FILE, "d": Kind.DIRECTORY, "s": Kind.SYMLINK}
REASONS = {"held": Reason.HELD, "ignored": Reason.IGNORED, "unread": Reason.UNREADABLE, "left": Reason.LEFTOVER}


def state(text: str, version: Version | None) -> State:
    text = text.strip()
    if text == "-":
        return Absent()
    if text == "-t":
        return Absent(version)  # a tombstone
    if text.startswith("?"):
        reason, _, where = text[1:].partition(" ")
        return Unknown(REASONS[reason], place(where) if where else None)
    where, _, content = text.rpartition(" ")
    executable = content.endswith("x")
    data = None if content == "d" else content.rstrip("x").encode()
    return Present(place(where), data, executable, len(data or b"") * 10, version=version)


def place(text: str) -> Place:
    parent, _, name = text.partition("/")
    return Place(int(parent), name)


def build(*rows: str, **traits: bool) -> World:
    world = World(**traits)
    for row in rows:
        head, synced, remote, local = row.split("|")
        key, kind = head.split()
        number = int(key)
        r = state(remote, Version(number, "r"))
        s = state(synced, Version(number, "r" if synced.strip() == remote.strip() else "s"))
        here = state(local, None)
        known = node_id(number) if not (isinstance(r, Absent) and r.version is None) else None
        world.put(Node(number, known, KINDS[kind], s, r, here, Fingerprint(1, number, 0, 0, 0)))
    world.changed.clear()
    return world


def words(found: NodePlan) -> str:
    """Say a plan in words."""
    out: list[str] = []
    if found.forget:
        out.append("forget")
    if found.hold:
        out.append(f"hold: {found.hold}")
    if found.release:
        out.append("release")
    if isinstance(found.synced, Present):
        out.append(f"record {said(found.synced)}")
    if found.op is not None:
        out.append(op_words(found.op))
    return "; ".join(out) or "nothing"


def said(state: Present) -> str:
    content = state.hash.decode() if state.hash else "d"
    return f"{state.place.parent}/{state.place.name} {content}{'x' if state.executable else ''}"


def op_words(op: Op) -> str:
    text = op.type.value.replace("_", " ")
    if op.source is not None and op.source != op.place:
        text += f" {op.source.parent}/{op.source.name} to"
    text += f" {op.place.parent}/{op.place.name}"
    if op.type.value in ("upload", "download", "conflict"):
        text += f" {op.hash.decode()}{'x' if op.executable else ''}"
        text += " over" if op.source is not None else " new"
    if op.type.value.endswith("chmod"):
        text += " +x" if op.executable else " -x"
    if op.aside:
        text += f" aside {op.aside}"
    if op.partner:
        text += f" with {op.partner}"
    if op.group:
        text += " group " + ", ".join(f"{m.node} to {m.place.parent}/{m.place.name}" for m in op.group)
    for wait in op.waits:
        text += f", waits {wait.kind.value} {wait.node}"
    if op.conflict:
        text += f" [{op.conflict.value}]"
    return text


def planned(world: World, key: int) -> str:
    return words(plan(world, key, world.context("pc")))


def joined(world: World, key: int) -> str:
    found = join(world, key)
    return "no" if found is None else f"{found.drop} into {found.keep}"


# Conflicted copies in tables: made now by this device, and long ago by this or another one.
SHORT = {
    "(NOW)": "(conflicted copy, pc, 2023-11-14 221320)",
    "(OLD)": "(conflicted copy, pc, 2020-01-01 000000)",
    "(OTHER)": "(conflicted copy, x, 2020-01-01 000000)",
}


def situations(text: str) -> list[tuple[str, list[str], int, dict[str, bool], str]]:
    """Read a table: blocks of a sentence, its rows, and ``key: expected plan``; traits in braces after the sentence."""
    for short, long in SHORT.items():
        text = text.replace(short, long)
    found = []
    for block in text.strip().split("\n\n"):
        sentence, *rows, outcome = (line.strip() for line in block.splitlines())
        sentence, _, without = sentence.partition(" {no ")
        key, _, expected = outcome.partition(": ")
        traits = {without.rstrip("}").replace(" ", "_"): False} if without else {}
        found.append((sentence, rows, int(key), traits, expected))
    return found
