"""One tree of errors, sorted by what the caller does next. A message says what, why and what to do, in one line."""


class SyncdError(Exception):
    """Base of everything syncd raises on purpose."""


class Transient(SyncdError):
    """The same work may succeed later. ``retry_after`` is the remote's own wish, in seconds."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Offline(Transient):
    """The remote cannot be reached; nothing is known about what it did with the last request."""


class InUse(Transient):
    """A program has a file open that may not be changed under it: it goes on once it is closed."""


class Outdated(SyncdError):
    """The world moved. Observe before planning again."""


class OtherContent(Outdated):
    """A file has other content than was read under the same fingerprint. Read it again before planning again."""


class Refused(SyncdError):
    """Retrying cannot help. Tell the person."""


class NotAuthorised(Refused):
    """The remote does not accept this device's token (wrong or revoked)."""


class OtherRemote(Refused):
    """What answers is not the hub or space this root was tied to."""


class CursorExpired(Outdated):
    """The change feed no longer reaches back to the cursor: list everything, keep S."""


class HistoryChanged(Outdated):
    """The remote's history is not the one the cursor came from (a restored backup): list everything, S is empty."""


class Corrupt(Refused):
    """Content does not match its hash, or a reply does not make sense."""


class RootGone(SyncdError):
    """The root cannot be proven to be the one that was tied (missing, other marker): nothing is scanned or written."""


class NoSpace(Transient):
    """The disk is full, or would fall under the free-space floor."""


class Usage(SyncdError):
    """What the person asked for cannot be done as asked."""
