"""A walk over directories: which are still to be visited, and how far it is. Hands nothing out."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from syncd.db.runs import RunKind
from syncd.model.path import NodeKey


@dataclass(slots=True)
class Walk:
    """A walk over directories in folder order: a stack of directories still to visit. Without a *run* it is ad hoc.

    A deep one reads every file: it has one job out at a time, so that what people do meanwhile finds a worker. A
    *gentle* one, which nobody waits for, also rests after each job for as long as that took."""

    kind: RunKind
    run: int | None
    stack: list[NodeKey]
    deferred: list[NodeKey] = field(default_factory=list)
    waiting: set[NodeKey] = field(default_factory=set)  # what is in the stack; only asked for membership
    in_flight: int = 0
    processed: int = 0
    errors: int = 0
    saved_at: float = 0.0
    resumed: bool = False
    gentle: bool = False
    began: float = 0.0  # monotonic: when its last job was handed out
    rest_until: float = 0.0

    def may_go_on(self, now: float) -> bool:
        """Whether the next job may be handed out."""
        return bool(self.stack) and not (self.kind is RunKind.DEEP and self.in_flight) and now >= self.rest_until

    @property
    def over(self) -> bool:
        """Whether everything was visited."""
        return not self.stack and not self.deferred and not self.in_flight

    def add(self, directories: Iterable[NodeKey]) -> None:
        """Visit *directories* next, in the order given; one that waits already is not visited twice."""
        new = [key for key in reversed(list(directories)) if key not in self.waiting]
        self.stack.extend(new)
        self.waiting.update(new)

    def next(self) -> NodeKey:
        """Take the next directory off the stack."""
        key = self.stack.pop()
        self.waiting.discard(key)
        return key

    def clear(self) -> None:
        """Visit nothing more."""
        self.stack.clear()
        self.waiting.clear()
        self.deferred.clear()
