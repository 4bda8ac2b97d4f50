"""Keeps R fresh: pages of changes, full listings, the long poll, and patience while the remote is away."""

from dataclasses import dataclass, replace

from syncd.engine.desk import Desk
from syncd.engine.receive import ROWS_A_STEP, RemoteIntake
from syncd.execute.retry import next_retry_at
from syncd.model.job import Lane, PollJob, PullJob
from syncd.model.observation import PollEnded, Pulled, PullFailed, PullFault

LISTING_PAGE = 2000
"""Rows of a listing asked for at once: a far remote answers pages at the pace of its distance. They are written
ROWS_A_STEP a transaction (P11)."""
TAKEN_BACK = "what this device did there is not in its history any more"
CHANGES_PAGE = ROWS_A_STEP
"""Rows of changes asked for at once: a page and its cursor are one transaction."""


@dataclass(slots=True)
class Pulls:
    """The state of our conversation with the remote's change feed."""

    desk: Desk
    intake: RemoteIntake
    online: bool = False
    fatal: str = ""
    detail: str = "not reached yet"
    attempts: int = 0
    retry_at: float | None = None
    wanted: bool = True
    listing: bool = False
    caught_up: bool = False
    more: bool = False  # the last page said that another follows, and it was asked for
    completed: int = 0  # pulls that reached the end of the feed; a barrier compares it
    begun: int = 0
    listed: int = 0
    page: Pulled | None = None  # the rest of a listing's page that is being written
    page_of: int = 0  # the listing it belongs to

    # --- asking --------------------------------------------------------------------------------------------------

    def ask(self) -> int:
        """Order a pull that begins after this moment; returns the value *completed* reaches when it is done."""
        self.wanted = True
        return self.begun + 1

    def hurry(self) -> None:
        """Do not wait out the backoff (a suspend ended, a person asked)."""
        self.retry_at = None
        self.attempts = 0
        self.fatal = ""
        self.wanted = True

    def dispatch(self) -> float | None:
        """Start what is due; returns the wall-clock time of the next try, if one is being waited for."""
        if self.fatal:
            return None
        if self.retry_at is not None and self.desk.clock.now() < self.retry_at:
            return self.retry_at
        if self.intake.busy or self.desk.in_flight.get(Lane.LIST, 0):
            return None
        cursor = self.desk.db.meta.get("cursor")
        if cursor is None and not self.listing:
            if self.desk.running:
                return None  # ops under way still speak the old history
            self._begin_listing()
        elif self.wanted and not self.listing:
            self.wanted = False
            self.begun += 1
            self._ask_changes(cursor)
        elif self.caught_up and cursor is not None and not self.desk.in_flight.get(Lane.POLL, 0):
            self.desk.send(PollJob(cursor, self.desk.settings.poll_seconds))
        return None

    def _ask_changes(self, cursor: str | None) -> None:
        self.intake.asked += 1
        self.desk.send(PullJob(cursor, limit=CHANGES_PAGE))

    def _begin_listing(self) -> None:
        self.listing, self.listed, self.caught_up = True, 0, False
        self.begun += 1
        self.wanted = False
        self.intake.begin_listing()
        self.desk.send(PullJob(None, limit=LISTING_PAGE))

    # --- coming back ---------------------------------------------------------------------------------------------

    def take(self, pulled: Pulled) -> None:
        """Take a page in and ask for the next."""
        self.desk.came_back(Lane.LIST)
        self.more = False
        if pulled.identity is not None and not self._is_ours(pulled):
            return
        if not self._goes_on(pulled.job):
            self.wanted = True
            return
        self.online, self.detail, self.attempts, self.retry_at = True, "online", 0, None
        if pulled.full:
            self.listed += len(pulled.changes)
            self.page, self.page_of = pulled, self.intake.generation
            self.go_on()
            return
        self.intake.take(pulled)
        if self.intake.contradicted or (not pulled.more and self.intake.taken_back()):
            self._list_history(TAKEN_BACK)
            return
        self.more = pulled.more
        if pulled.more:
            self._ask_changes(pulled.cursor)
        else:
            self.caught_up = True
            self.completed = self.begun

    @property
    def may_send(self) -> bool:
        """Whether the remote is there, and its feed will tell what is done to it from now on. Not while all is to be
        listed: what is done before the end of that the listing may or may not show, and of what neither it nor the feed
        tells nobody could say whether somebody removed it, or it was lost with a history (P2)."""
        return self.online and self.desk.db.meta.get("cursor") is not None

    @property
    def partial(self) -> bool:
        """Whether only a part of what the remote has to tell is known, and the rest is on its way (P8)."""
        return self.more or self.listing

    @property
    def busy(self) -> bool:
        """Whether a page is not all written yet."""
        return self.page is not None

    def go_on(self) -> None:
        """Write a part of the listing's page that is being written; at its end ask for what follows."""
        if self.page is not None and (not self.listing or self.page_of != self.intake.generation):
            self.page = None  # that listing was given up
        pulled = self.page
        if pulled is None or not self.desk.room:
            return
        if len(pulled.changes) > ROWS_A_STEP:
            self.intake.take_listed(pulled.changes[:ROWS_A_STEP])
            self.page = replace(pulled, changes=pulled.changes[ROWS_A_STEP:])
        else:
            self.page = None
            self.intake.take(pulled)
        if self.intake.contradicted:
            self.page = None
            self._list_history(TAKEN_BACK)
        elif self.page is not None:
            return
        elif pulled.next is not None:
            self.desk.send(PullJob(None, pulled.next, LISTING_PAGE))
        else:
            # The cursor was taken before the first page: what changed meanwhile is replayed now.
            self.listing = False
            self._ask_changes(pulled.cursor)

    def _goes_on(self, job: PullJob | PollJob) -> bool:
        """Return whether a job belongs to the conversation that is being had: since it began, another may have been
        started by a poll or a pull that ran beside it."""
        return self.listing if job.cursor is None else job.cursor == self.desk.db.meta.get("cursor")

    def _is_ours(self, pulled: Pulled) -> bool:
        identity = pulled.identity
        assert identity is not None
        facts = self.desk.facts
        if (identity.remote_id, identity.space_id) == (facts.remote_id, facts.space_id):
            return True
        self._fatal(
            "what answers is another hub or space than this folder was tied to; check the address, or init again"
        )
        return False

    def failed(self, failure: PullFailed) -> None:
        """Note why a pull or poll failed and decide when to try again."""
        self.desk.came_back(failure.job.lane)
        self.caught_up = False
        if failure.job.lane is Lane.LIST:
            self.more = False
        match failure.fault:
            case PullFault.EXPIRED | PullFault.HISTORY if not self._goes_on(failure.job):
                self.wanted = True  # the listing that this would ask for was begun, or is over, already
            case PullFault.EXPIRED | PullFault.HISTORY:
                if failure.fault is PullFault.HISTORY:
                    self._list_history(failure.why)
                else:
                    self._list_again(failure.fault, failure.why)
            case PullFault.OTHER_REMOTE | PullFault.UNAUTHORISED:
                self._fatal(failure.why)
            case PullFault.OFFLINE | PullFault.NONSENSE:
                if isinstance(failure.job, PullJob) and failure.job.cursor is None:
                    self.listing = False
                self.wait_out(failure.why, failure.retry_after)

    def broke(self, lane: Lane, error: str) -> None:
        """A job of this conversation ended in an error nobody foresaw."""
        self.desk.came_back(lane)
        self.listing = False
        if lane is Lane.LIST:
            self.more = False
        self.wait_out(error, None)

    def _list_history(self, why: str) -> None:
        self.intake.begin_history()
        self._list_again(PullFault.HISTORY, why)

    def _list_again(self, fault: PullFault, why: str) -> None:
        self.desk.db.meta.delete("cursor")
        self.listing = self.caught_up = False
        self.desk.log(f"{fault.value}: everything is listed again", why=why)

    def wait_out(self, why: str, retry_after: float | None) -> None:
        """The remote is away: try again later, with growing patience."""
        self.online, self.detail, self.wanted = False, why, True
        self.attempts += 1
        self.retry_at = next_retry_at(self.attempts, self.desk.clock, self.desk.chance, retry_after)

    def _fatal(self, why: str) -> None:
        self.online, self.fatal, self.detail, self.listing = False, why, why, False

    def polled(self, ended: PollEnded) -> None:
        """The long poll came back: it says only "come and pull", and is a periodic poll when it says nothing."""
        self.desk.came_back(Lane.POLL)
        self.wanted = True

    @property
    def quiet(self) -> bool:
        """Whether R is as fresh as it can be."""
        idle = not self.desk.in_flight.get(Lane.LIST, 0) and not self.listing and not self.intake.busy
        return idle and not self.wanted and self.caught_up
