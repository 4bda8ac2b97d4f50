"""What a person asked of the running daemon: barriers, pause, scans, decisions. Answers through replies."""

from collections.abc import Callable
from dataclasses import dataclass, field

from syncd.engine.desk import Desk
from syncd.engine.guarding import Guarding
from syncd.engine.looks import Looks
from syncd.engine.personal import KEEP_BOTH, KEEP_MINE, KEEP_THEIRS, Errands
from syncd.engine.pulls import Pulls
from syncd.model.node import Reason, Tree
from syncd.model.observation import Ask, Reply, Verb
from syncd.model.op import OpState, needs_help

FINE, FAILED, USAGE, WAITS = 0, 1, 2, 3
DECISIONS = frozenset({Verb.APPROVE, Verb.RESOLVE, Verb.PAUSE, Verb.RESUME})
"""What a person decides. Written down, durably, before anybody is told that it was done."""
PARKED_AT_ONCE = 100_000
SOON = 1.0
"""Seconds: a hint that is due later than this repeats a look at what keeps changing; nobody waits for it."""


@dataclass(slots=True)
class Barrier:
    """Somebody waits until all that was on disk and at the remote when they asked is in sync.

    *only_walk*: until the folder was looked at; with a *pull* also the remote, and what follows is planned."""

    ticket: int
    walk: int
    pull: int
    only_walk: bool


@dataclass(slots=True)
class Asks:
    """Open requests."""

    desk: Desk
    looks: Looks
    pulls: Pulls
    guarding: Guarding
    errands: Errands
    post: Callable[[Reply], None]
    planning: Callable[[], bool]
    fault: Callable[[], str]
    barriers: list[Barrier] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)

    def reply(self, reply: Reply) -> None:
        """Answer once the transaction that holds what is answered is committed."""
        self.replies.append(reply)

    def answer(self) -> None:
        """Hand the answers out; call only outside a transaction."""
        replies, self.replies = self.replies, []
        for reply in replies:
            self.post(reply)

    def take(self, ask: Ask) -> None:
        """Begin what was asked; some are answered at once, barriers later."""
        arguments = dict(ask.arguments)
        match ask.verb:
            case Verb.WAIT:
                self.pulls.hurry()
                self.barriers.append(Barrier(ask.ticket, self.looks.ask_full(), self.pulls.ask(), only_walk=False))
            case Verb.SCAN:
                both = arguments.get("remote") == "yes"
                if both:
                    self.pulls.hurry()
                walk = self.looks.ask_full(deep=arguments.get("deep") == "yes")
                self.barriers.append(Barrier(ask.ticket, walk, self.pulls.ask() if both else 0, only_walk=True))
            case Verb.PAUSE | Verb.RESUME:
                self._pause(ask, ask.verb is Verb.PAUSE)
            case Verb.APPROVE:
                self._approve(ask, arguments)
            case Verb.RESOLVE:
                self._resolve(ask, arguments)
            case Verb.RETRY:
                count = self._release_failed()
                self.pulls.hurry()
                text = f"{_count(count, 'op')} tried again" if count else "nothing is parked"
                self.reply(Reply(ask.ticket, FINE, text))
            case _:
                self.reply(Reply(ask.ticket, USAGE, f"{ask.verb.value} is not something the engine answers"))

    def withdraw(self, ticket: int) -> None:
        """Whoever asked went away."""
        self.barriers = [barrier for barrier in self.barriers if barrier.ticket != ticket]

    def _pause(self, ask: Ask, paused: bool) -> None:
        self._note(ask, "")
        self.desk.keeper.keep_paused(paused)
        self.desk.facts.paused = paused
        self.reply(Reply(ask.ticket, FINE, "paused: nothing moves until 'syncd resume'" if paused else "resumed"))

    def _approve(self, ask: Ask, arguments: dict[str, str]) -> None:
        try:
            group = int(arguments["group"])
        except (KeyError, ValueError):
            self.reply(Reply(ask.ticket, USAGE, "approve needs the number of a held group; 'syncd approve' lists them"))
            return
        if self.guarding.open_group(group) is None:
            self.reply(Reply(ask.ticket, FAILED, f"no held group {group}; 'syncd approve' lists them"))
        elif arguments.get("decision") == "refuse":
            self._note(ask, text := f"refused: {self.guarding.refuse(group)} nodes are brought back")
            self.reply(Reply(ask.ticket, FINE, text))
        else:
            self._note(ask, text := f"allowed: {self.guarding.allow(group)} nodes are let go")
            self.reply(Reply(ask.ticket, FINE, text))

    def _note(self, ask: Ask, result: str) -> None:
        """Write down what was asked for; it is done in this same transaction."""
        now = self.desk.clock.now()
        command = self.desk.db.commands.add(ask.verb.value, ask.arguments, now)
        self.desk.db.commands.finish(command, now, result=result)

    def _release_failed(self) -> int:
        parked = self.desk.db.queue.in_state(OpState.FAILED, PARKED_AT_ONCE)
        for queued in parked:
            self.desk.db.queue.release(queued.id)
        return len(parked) + self.desk.db.queue.hurry()

    def _resolve(self, ask: Ask, arguments: dict[str, str]) -> None:
        conflicts = self.desk.db.conflicts
        wanted = arguments.get("id", "")
        resolution = arguments.get("resolution", KEEP_BOTH)
        if resolution not in (KEEP_MINE, KEEP_THEIRS, KEEP_BOTH):
            self.reply(Reply(ask.ticket, USAGE, f"a conflict is resolved by {KEEP_MINE}, {KEEP_THEIRS} or {KEEP_BOTH}"))
            return
        rows = [row for row in conflicts.open() if wanted in ("all", str(row.id))]
        if not rows:
            self.reply(Reply(ask.ticket, FAILED, f"no open conflict {wanted}; 'syncd conflicts' lists them"))
            return
        troubles: list[str] = []
        left = [len(rows)]

        def one_done(fine: bool, why: str) -> None:
            left[0] -= 1
            troubles.extend([why] if why else [])
            if left[0] == 0:
                text = f"{len(rows)} resolved: {resolution}" if not troubles else "; ".join(troubles)
                self.reply(Reply(ask.ticket, FINE if not troubles else FAILED, text))

        for row in rows:
            self.errands.begin(row.id, resolution, one_done)

    # --- barriers ------------------------------------------------------------------------------------------------

    def review(self) -> None:
        """Answer the barriers that are reached."""
        if not self.barriers:
            return
        settled: int | None = None
        waiting = []
        for barrier in self.barriers:
            if why := self.fault():
                self.reply(Reply(barrier.ticket, FAILED, why))
            elif self.looks.completed < barrier.walk:
                waiting.append(barrier)
            elif barrier.only_walk and not barrier.pull:
                self.reply(Reply(barrier.ticket, FINE, "looked at everything"))
            elif barrier.only_walk:
                if (reply := self._looked(barrier)) is None:
                    waiting.append(barrier)
                else:
                    self.reply(reply)
            else:
                settled = self.settled() if settled is None else settled
                if settled < 0 or self.pulls.completed < barrier.pull:
                    waiting.append(barrier)
                else:
                    self.reply(Reply(barrier.ticket, settled, self.summary(settled)))
        self.barriers = waiting

    def _looked(self, barrier: Barrier) -> Reply | None:
        """Answer a look at both sides once all of it is planned, and say how fresh that is; None before.

        Unlike a settled root, it may be paused or have work: nothing is done for a look."""
        away = not self.pulls.online and self.pulls.retry_at is not None
        due = self.looks.coalescer.next_due()
        soon = due is not None and due - self.desk.clock.monotonic() < SOON
        if not self.looks.quiet or soon:
            return None
        if away and self.desk.db.meta.get("linked") is None:
            text = f"nothing can be planned before the remote was listed once: {self.pulls.detail}"
            return Reply(barrier.ticket, FAILED, text)
        if self.planning():
            return None
        if away:
            return Reply(barrier.ticket, FINE, f"what changed on the remote is not known: {self.pulls.detail}")
        listed = self.pulls.completed >= barrier.pull and self.pulls.quiet
        return Reply(barrier.ticket, FINE, "looked at both sides just now") if listed else None

    def settled(self) -> int:
        """Return FINE or WAITS when nothing more will move by itself, -1 while something still does."""
        if not self.looks.quiet or not self.pulls.quiet or self.planning() or self.desk.running:
            return -1
        if self.looks.coalescer.next_due() is not None or self.desk.facts.paused:
            return -1
        counts = self.desk.db.queue.counts()
        troubled = len(self._troubled())
        if counts.get(OpState.READY, 0) > troubled or counts.get(OpState.RUNNING, 0):
            return -1
        blocked = counts.get(OpState.BLOCKED, 0) + counts.get(OpState.FAILED, 0) + troubled
        if blocked or self.desk.db.decisions.undecided() or self.desk.db.conflicts.open_count():
            return WAITS
        return FINE

    def _troubled(self) -> list[str]:
        """Return why ops are tried again and again for a reason that lies here, one line each: a person must help."""
        retrying = self.desk.db.queue.retrying(PARKED_AT_ONCE)
        return [queued.last_error for queued in retrying if needs_help(queued.attempts, queued.error_class)]

    def summary(self, code: int) -> str:
        """Say in one line how things stand."""
        if code == FINE:
            unknown = self.desk.db.nodes.unknown_counts(Tree.LOCAL)
            held = unknown.get(Reason.HELD, 0) + unknown.get(Reason.UNREADABLE, 0)
            return "in sync" if not held else f"in sync, but for {held} that cannot be synced here; see 'syncd status'"
        counts = self.desk.db.queue.counts()
        parts = []
        if open_conflicts := self.desk.db.conflicts.open_count():
            parts.append(f"{_count(open_conflicts, 'conflict')} ('syncd conflicts')")
        if groups := len(self.desk.db.decisions.undecided()):
            parts.append(f"{_count(groups, 'held group')} ('syncd approve')")
        if failed := counts.get(OpState.FAILED, 0):
            parts.append(f"{_count(failed, 'parked op')} ('syncd status')")
        if troubled := self._troubled():
            parts.append(f"{_count(len(troubled), 'op')} that cannot go on here ({troubled[0]})")
        if blocked := counts.get(OpState.BLOCKED, 0):
            parts.append(f"{_count(blocked, 'op')} that wait for a decision or for another op")
        return "done, but something waits for you: " + ", ".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
