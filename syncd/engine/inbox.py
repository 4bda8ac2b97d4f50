"""What came and was not taken in yet: gives a step no more than its transaction has room for (P11). Decides nothing."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from syncd.engine.asks import DECISIONS
from syncd.engine.desk import Desk
from syncd.model.observation import Ask, Message, OpsEnded, Verb

RESULTS_AT_ONCE = 32
"""Results of ops taken in before it is asked whether the step has room for more; each changes up to ten rows."""


@dataclass(slots=True)
class Inbox:
    """Messages in the order they came; *incomplete* tells that a group that may be decided on lacks items yet."""

    desk: Desk
    incomplete: Callable[[], bool]
    waiting: deque[Message] = field(default_factory=deque)
    postponed: list[Message] = field(default_factory=list)

    def put(self, messages: Iterable[Message]) -> None:
        """Keep *messages* until they are taken in."""
        self.waiting.extend(messages)

    @property
    def busy(self) -> bool:
        """Whether something can be taken in that was not."""
        return bool(self.waiting)

    @property
    def decisive(self) -> bool:
        """Whether a person's decision may be taken in now: it holds from the moment it is answered (section 5)."""
        messages = (*self.postponed, *self.waiting)
        return any(isinstance(message, Ask) and message.verb in DECISIONS for message in messages)

    def take(self) -> Iterator[Message]:
        """Yield what came, in its order, as far as this step has room."""
        self.waiting.extendleft(reversed(self.postponed))
        self.postponed.clear()
        while self.waiting and self.desk.room:
            message = self.waiting.popleft()
            if isinstance(message, OpsEnded) and len(message.results) > RESULTS_AT_ONCE:
                self.waiting.appendleft(replace(message, results=message.results[RESULTS_AT_ONCE:]))
                message = replace(message, results=message.results[:RESULTS_AT_ONCE], last=False)
            if isinstance(message, Ask) and message.verb is Verb.APPROVE and self.incomplete():
                self.postponed.append(message)  # a decision is about the whole of a group
            else:
                yield message
