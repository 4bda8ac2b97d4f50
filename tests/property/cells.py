"""The decision table as data: every situation a node can be in when it is planned, every join, every kind of answer.

A situation is the kind, the presence in S, R and L, and how place, content and executable bit compare, each by itself.
``Table`` counts; ``missing`` names what no case has shown.
"""

from collections import Counter
from itertools import product

from syncd.model.conflict import ConflictKind
from syncd.model.node import Absent, Kind, Node, Present, Reason, Unknown
from syncd.model.op import Op, OpType, WaitKind
from syncd.plan.world import Join, NodePlan

Cell = tuple[object, ...]

# How one field compares: between three that have it, two of them, or one.
THREE = ("all equal", "changed here", "changed there", "changed alike", "changed apart")
TWO = ("equal", "different")
NONE = ("",)


def compared(s: object, r: object, here: object) -> str:
    """Compare one field of three snapshots."""
    if r == here:
        return "all equal" if s == r else "changed alike"
    if s == r:
        return "changed here"
    return "changed there" if s == here else "changed apart"


def situation(node: Node) -> Cell:
    """Return the cell of a node as it is about to be planned."""
    s, r, here = node.synced, node.remote, node.local
    kind = node.kind
    if isinstance(s, Present) and isinstance(r, Present) and isinstance(here, Present):
        place = compared(s.place, r.place, here.place)
        content = compared(s.hash, r.hash, here.hash) if kind is not Kind.DIRECTORY else ""
        bit = compared(s.executable, r.executable, here.executable) if kind is Kind.FILE else ""
        return (kind, "P", "P", "P", place, content, bit)
    there = [state for state in (s, r, here) if isinstance(state, Present)]
    words = (kind, "P" if isinstance(s, Present) else "-", presence(r), presence(here))
    if len(there) != 2:
        return (*words, "", "", "")
    a, b = there
    place = "equal" if a.place == b.place else "different"
    content = ("equal" if a.hash == b.hash else "different") if kind is not Kind.DIRECTORY else ""
    bit = ("equal" if a.executable == b.executable else "different") if kind is Kind.FILE else ""
    return (*words, place, content, bit)


def presence(state: object) -> str:
    if isinstance(state, Present):
        return "P"
    if isinstance(state, Absent):
        return "-"
    assert isinstance(state, Unknown)
    return "held" if state.reason is Reason.HELD else "left" if state.reason is Reason.LEFTOVER else "?"


def situations() -> list[Cell]:
    """Return every cell that can be: who has the node, what kind it is, how each field compares."""
    out: list[Cell] = []
    for kind in Kind:
        file, leaf = kind is Kind.FILE, kind is not Kind.DIRECTORY
        three = (THREE, THREE if leaf else NONE, THREE[:4] if file else NONE)
        two = (TWO, TWO if leaf else NONE, TWO if file else NONE)
        for s, r, here in product("P-", ("P", "-", "?", "held"), ("P", "-", "?", "held", "left")):
            if not possible(kind, s, r, here):
                continue
            count = (s, r, here).count("P")
            fields = three if count == 3 else two if count == 2 else (NONE, NONE, NONE)
            out.extend((kind, s, r, here, *each) for each in product(*fields))
    return out


def possible(kind: Kind, s: str, r: str, here: str) -> bool:
    """Return whether such rows exist: the reasons for what cannot be are the comments."""
    if here == "left":  # a directory kept for its ignored content: its S was emptied; the remote's word may be awaited
        return kind is Kind.DIRECTORY and s == "-" and r == "-"
    if r == "?":  # a directory known only as somebody's parent
        return kind is Kind.DIRECTORY and s == "-" and here == "-"
    if r == "held":  # its name at the remote is not UTF-8
        return here in ("P", "-")
    if s == "-" and here == "held":  # never here, or given way to its twin
        return True
    return True


# --- joins --------------------------------------------------------------------------------------------------------


def join_cell(keep: Node, drop: Node) -> Cell:
    """Return the cell of two rows that are one node."""
    remote, local = keep.remote, drop.local
    assert isinstance(remote, Present)
    was = keep.synced
    there = "new" if isinstance(was, Absent) else "in its place" if was.place == remote.place else "moved"
    if isinstance(local, Unknown):
        return (keep.kind, there, "leftover", "")
    assert isinstance(local, Present)
    here = "new" if isinstance(drop.synced, Absent) else "deleted there"
    same = "" if keep.kind is Kind.DIRECTORY else "equal" if remote.hash == local.hash else "different"
    return (keep.kind, there, here, same)


def joins() -> list[Cell]:
    out: list[Cell] = []
    for kind, there in product(Kind, ("new", "in its place", "moved")):
        if kind is Kind.DIRECTORY:
            out.extend((kind, there, here, "") for here in ("new", "deleted there", "leftover"))
        else:
            out.append((kind, there, "new", "equal"))
            if there != "moved":  # one moved there meets an unrelated file, which keeps its own life
                out.append((kind, there, "new", "different"))
    return out


# --- answers ------------------------------------------------------------------------------------------------------


def answers(found: NodePlan) -> list[Cell]:
    """Return what kinds of answer a plan is."""
    out: list[Cell] = []
    if found.forget:
        out.append(("forget",))
    if found.hold:
        out.append(("hold", found.hold if found.hold.startswith("symlinks") else found.hold.split(" ")[0]))
    if found.release:
        out.append(("release",))
    if found.synced is not None:
        out.append(("record",) if found.op is None else ("record and go on",))
    if found.op is not None:
        out.extend(op_cells(found.op))
    return out or [("nothing",)]


def op_cells(op: Op) -> list[Cell]:
    kind = op.type
    out: list[Cell] = [("op", kind, op.kind)]
    out.extend((kind, "waits", wait.kind) for wait in op.waits)
    if op.conflict is not None:
        out.append((kind, "conflict", op.conflict))
    if op.type in (OpType.UPLOAD, OpType.DOWNLOAD):
        out.append((kind, "new" if op.source is None else "over"))
    if op.group:
        out.append((kind, "group", "two" if len(op.group) == 2 else "three and more"))
    if "(being moved" in op.place.name and op.type in (OpType.LOCAL_MOVE, OpType.REMOTE_MOVE):
        out.append((kind, "detour"))
    return out


_F, _D, _S = (Kind.FILE, Kind.DIRECTORY, Kind.SYMLINK)
_LEAF, _ALL, _FILE, _DIR = (_F, _S), (_F, _D, _S), (_F,), (_D,)
_KINDS = {
    OpType.UPLOAD: _LEAF,
    OpType.REMOTE_MKDIR: _DIR,
    OpType.REMOTE_MOVE: _ALL,
    OpType.REMOTE_CHMOD: _FILE,
    OpType.REMOTE_DELETE: _ALL,
    OpType.DOWNLOAD: _LEAF,
    OpType.CONFLICT: _LEAF,
    OpType.SET_ASIDE: _ALL,
    OpType.LOCAL_MKDIR: _DIR,
    OpType.LOCAL_MOVE: _ALL,
    OpType.LOCAL_SWAP: _ALL,
    OpType.LOCAL_CHMOD: _FILE,
    OpType.LOCAL_DELETE: _ALL,
}
_PARENT, _NAME, _EMPTY, _SETTLED = (
    WaitKind.PARENT_EXISTS,
    WaitKind.NAME_FREE,
    WaitKind.DIRECTORY_EMPTY,
    WaitKind.NODE_SETTLED,
)
_WAITS = {
    OpType.UPLOAD: (_PARENT, _NAME),
    OpType.REMOTE_MKDIR: (_PARENT, _NAME),
    OpType.REMOTE_MOVE: (_PARENT, _NAME, _SETTLED),
    OpType.REMOTE_DELETE: (_EMPTY,),
    OpType.DOWNLOAD: (_PARENT, _NAME, _SETTLED),
    OpType.LOCAL_MKDIR: (_PARENT, _NAME, _SETTLED),
    OpType.LOCAL_MOVE: (_PARENT, _NAME, _SETTLED),
    OpType.LOCAL_DELETE: (_EMPTY,),
}
_CONFLICTS = {
    OpType.UPLOAD: (ConflictKind.EDIT_DELETE,),
    OpType.DOWNLOAD: (ConflictKind.EDIT_DELETE,),
    OpType.CONFLICT: (ConflictKind.EDIT_EDIT,),
    OpType.SET_ASIDE: (ConflictKind.NAME, ConflictKind.TYPE, ConflictKind.CASE),
    OpType.LOCAL_MOVE: (ConflictKind.NAME,),
}
_HOLDS = ("its", "case", "what", "symlinks cannot be stored here")


def every_answer() -> list[Cell]:
    out: list[Cell] = [("nothing",), ("forget",), ("release",), ("record",), ("record and go on",)]
    out.extend(("hold", why) for why in _HOLDS)
    out.extend(("op", kind, node) for kind, nodes in _KINDS.items() for node in nodes)
    out.extend((kind, "waits", wait) for kind, waits in _WAITS.items() for wait in waits)
    out.extend((kind, "conflict", word) for kind, words in _CONFLICTS.items() for word in words)
    for kind in (OpType.UPLOAD, OpType.DOWNLOAD):
        out.extend(((kind, "new"), (kind, "over")))
    for size in ("two", "three and more"):
        out.append((OpType.REMOTE_MOVE, "group", size))
    out.extend((kind, "detour") for kind in (OpType.LOCAL_MOVE, OpType.REMOTE_MOVE))
    return out


RARE: frozenset[Cell] = frozenset({(OpType.LOCAL_SWAP, "conflict", ConflictKind.NAME)})
"""What comes up once in a hundred thousand cases: counted, not asked for."""


# --- counting -----------------------------------------------------------------------------------------------------


class Table:
    """Counts of visits. ``situations``, ``joins`` and ``answers`` are the three parts."""

    def __init__(self) -> None:
        self.situations: Counter[Cell] = Counter()
        self.joins: Counter[Cell] = Counter()
        self.answers: Counter[Cell] = Counter()

    def planned(self, node: Node, found: NodePlan) -> None:
        self.situations[situation(node)] += 1
        for cell in answers(found):
            self.answers[cell] += 1

    def joined(self, keep: Node, drop: Node, joined: Join) -> None:
        assert (joined.keep, joined.drop) == (keep.id, drop.id)
        self.joins[join_cell(keep, drop)] += 1

    def add(self, other: "Table") -> None:
        self.situations.update(other.situations)
        self.joins.update(other.joins)
        self.answers.update(other.answers)

    def parts(self) -> list[tuple[str, list[Cell], Counter[Cell]]]:
        return [
            ("situations", situations(), self.situations),
            ("joins", joins(), self.joins),
            ("answers", every_answer(), self.answers),
        ]

    def missing(self) -> list[str]:
        """Return the cells never visited, in words."""
        return [f"{title}: {say(cell)}" for title, cells, seen in self.parts() for cell in cells if not seen[cell]]

    def unlisted(self) -> list[str]:
        """Return what was visited and is in no list: the lists above are wrong."""
        return [
            f"{title}: {say(c)}" for title, cells, seen in self.parts() for c in sorted(set(seen) - set(cells), key=say)
        ]

    def lines(self) -> list[str]:
        """Return the whole table, a line a cell."""
        out: list[str] = []
        for title, cells, seen in self.parts():
            visited = sum(1 for cell in cells if seen[cell])
            out.append(f"{title}: {visited} of {len(cells)} visited")
            out.extend(f"  {seen[cell]:>12,}  {say(cell)}" for cell in cells)
        return out


def say(cell: Cell) -> str:
    return " | ".join(str(word) for word in cell)
