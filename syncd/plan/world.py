"""What the planner is given and what it answers. Owns the ``Trees`` protocol; never decides anything."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from syncd.model.conflict import ConflictKind
from syncd.model.node import Absent, Node, Present, Tree, Version
from syncd.model.op import Op
from syncd.model.path import NodeKey


class Trees(Protocol):
    """The three trees, read only. Every sequence has a fixed order, so that planning is deterministic."""

    def node(self, key: NodeKey) -> Node | None:
        """Return the row of *key*."""
        ...

    def children(self, tree: Tree, parent: NodeKey) -> Sequence[Node]:
        """Return what *tree* has in a directory: present, or unknown with a place there; by name, then id."""
        ...

    def undecided_children(self, tree: Tree, parent: NodeKey) -> Sequence[Node]:
        """Return of ``children`` of R or L, in order, at least those that may outlive their directory: a file that one
        side deleted and the other has as it was in sync does not."""
        ...

    def children_backwards(self, tree: Tree, parent: NodeKey) -> Iterator[Node]:
        """Yield ``children`` from the last to the first: who needs one of many reads no more of them."""
        ...

    def beginning(self, tree: Tree, parent: NodeKey, prefix: str) -> Sequence[Node]:
        """Return ``children`` whose names begin with *prefix*."""
        ...

    def at(self, tree: Tree, parent: NodeKey, name: str) -> Sequence[Node]:
        """Return what *tree* has under this exact name (normally one; two while observations arrive); by id."""
        ...

    def at_folded(self, tree: Tree, parent: NodeKey, name: str) -> Sequence[Node]:
        """Return what *tree* has under this name in any case and normal form; by id."""
        ...

    def superseded(self, key: NodeKey, version: Version) -> bool:
        """Return whether this device had already replaced that remote version of the node."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """This device as far as planning goes. *now* is seconds since the epoch; the rest are the root's traits.

    *running* tells whether a node has an op at work: such a node is not planned, and not swapped with. *excluded* tells
    whether the path that a tree has for a node is excluded on this device; the rules are the caller's."""

    device: str
    now: float
    case_sensitive: bool
    executable_bit: bool
    symlinks: bool
    running: Callable[[NodeKey], bool]
    excluded: Callable[[Tree, Node], bool]


@dataclass(frozen=True, slots=True)
class Join:
    """Two rows that are one node: *drop*'s L snapshot and fingerprint move into *keep*, *drop* goes.

    Every place, in S and in L, that names *drop* as its parent names *keep* afterwards. A *drop* that was a local
    leftover (``Reason.LEFTOVER``) becomes present."""

    keep: NodeKey
    drop: NodeKey


@dataclass(frozen=True, slots=True)
class NodePlan:
    """What to do about one node now.

    At most one *op*. *synced* is a new S, recorded at once, because R and L already agree on what it changes.
    *forget*: the row goes. *hold*: cannot be represented here, in plain words; L becomes ``Unknown(HELD)``.
    *release*: was held and can be represented now; L is absent where it had no place, else looked at again.
    *conflict* is a conflict row without an op. *also_plan* are nodes this plan leans on, which must be planned too.
    """

    op: Op | None = None
    synced: Present | Absent | None = None
    forget: bool = False
    hold: str | None = None
    release: bool = False
    conflict: ConflictKind | None = None
    also_plan: tuple[NodeKey, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing is to be done, recorded or shown."""
        return (
            self.op is None
            and self.synced is None
            and not (self.forget or self.hold or self.release)
            and self.conflict is None
        )
