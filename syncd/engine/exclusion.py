"""The ignore rules in force, as the engine sees them: taking new ones up, and holding uploads until they hold.

Changed rules never delete anything. What they name newly becomes unknown (intake); what they no longer name is
looked at, or fetched, again.
"""

from collections.abc import Callable
from dataclasses import dataclass

from blake3 import blake3

from syncd.engine.decide import Decider
from syncd.engine.desk import Desk
from syncd.engine.looks import Looks
from syncd.model.node import Absent, Kind, Place, Present, Reason, Tree, Unknown
from syncd.model.path import ROOT, NodeKey
from syncd.observe.ignore import MAX_RULES_BYTES, RULES_NAME, Rules

ROWS_A_STEP = 300
RULES = "ignore rules"
"""The rules in force, in hexadecimal (any bytes): kept so that nothing is decided without them after a start."""


@dataclass(slots=True)
class Exclusion:
    """The text of the rules that the last look was made under, and how far they are applied."""

    desk: Desk
    looks: Looks
    decider: Decider
    plan_all: Callable[[], None]
    text: str = ""
    known: bool = False
    watched: str | None = None  # the rules under which the root is watched
    walk: int | None = None  # the walk after which new rules name all they should
    after: int | None = None  # where deciding anew about excluded nodes goes on

    @property
    def busy(self) -> bool:
        """Whether excluded nodes are still being decided anew."""
        return self.after is not None

    def load(self) -> None:
        """After a start: the remote may tell of changes before the first look tells which rules are in force."""
        self.text = bytes.fromhex(self.desk.db.meta.get(RULES) or "").decode("utf-8", "surrogateescape")
        self.decider.rules = Rules.parse(self.text)
        self.looks.rules_are(_digest(self.text).hex())

    def seen(self, text: str) -> None:
        """A look was made under these rules."""
        if text != self.text:
            self.text = text
            self.desk.db.meta.set(RULES, text.encode("utf-8", "surrogateescape").hex())
            self.decider.rules = Rules.parse(text)
            self.looks.rules_are(_digest(text).hex())
            self.after = 0
            self.plan_all()  # what was planned under the old ones may be excluded now
            if self.known:  # else this is the first look of all: none was made under other rules
                self.walk = self.looks.ask_full()
        if self.watched not in (None, text) and self.looks.asked is None:
            self.looks.ask_full()  # they changed before the first look: what they no longer name is not watched yet
        self.known = True

    def reapply(self) -> None:
        """What was excluded at the remote side only is decided anew, a bounded number of rows a step."""
        if self.after is None:
            return
        nodes = self.desk.db.nodes
        keys = nodes.unknown(Tree.LOCAL, Reason.IGNORED, self.after, ROWS_A_STEP)
        for key in keys:
            node = nodes.node(key)
            if node is not None and isinstance(node.local, Unknown) and node.local.place is None:
                nodes.set_local(key, Absent(), None)
                self.desk.touch(key)
        self.after = keys[-1] if keys else None

    def in_force(self, *, plans_left: bool) -> bool:
        """Nothing is uploaded before the remote's ``.syncignore`` was fetched and applied (section 6)."""
        key = self.desk.db.nodes.find(Tree.REMOTE, (RULES_NAME,))
        node = self.desk.db.nodes.node(key) if key is not None else None
        if node is not None and node.kind is Kind.FILE and isinstance(node.remote, Present):
            if isinstance(node.local, Absent) and isinstance(node.synced, Absent):
                return False
            local = node.local
            ruling = local if isinstance(local, Present) and local.place == Place(ROOT, RULES_NAME) else None
            if ruling is not None and ruling.size <= MAX_RULES_BYTES and ruling.hash != _digest(self.text):
                self.looks.hint((), RULES_NAME)
                return False
        if self.walk is not None:
            # New rules name what was seen under the old ones only once everything was looked at, and planned, again.
            if self.looks.completed < self.walk or plans_left:
                return False
            self.walk = None
        return True

    def in_the_way(self) -> NodeKey | None:
        """Return who has the name here to which the remote's rules are to be fetched, and has another one there: what
        is to be sent of it travels before them, or it could never leave."""
        nodes = self.desk.db.nodes
        arriving = nodes.find(Tree.REMOTE, (RULES_NAME,))
        for node in nodes.at(Tree.LOCAL, ROOT, RULES_NAME) if arriving is not None else ():
            if node.id != arriving and isinstance(node.local, Present) and isinstance(node.remote, Present):
                return node.id
        return None


def _digest(text: str) -> bytes:
    return blake3(text.encode("utf-8", "surrogateescape")).digest()
