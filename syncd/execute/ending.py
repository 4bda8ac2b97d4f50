"""Turns what went wrong into how an op ended. Owns the error classes the queue stores; never acts."""

import errno
from dataclasses import replace
from typing import Final

from syncd.model.errors import (
    Corrupt,
    InUse,
    NoSpace,
    NotAuthorised,
    Offline,
    OtherContent,
    Outdated,
    Refused,
    RootGone,
    SyncdError,
    Transient,
)
from syncd.model.job import Assignment
from syncd.model.observation import Ending, OpResult
from syncd.model.path import shown_path

NOT_PERMITTED: Final = "not permitted"
"""What the operating system forbids now, and may allow after the next `chmod`."""

IN_USE: Final = "in use"
"""What waits for a program to close its file: looked at often, because a person waits for it."""

OUTDATED: Final = "outdated"
"""What is not as or where the op expects it: it must be looked at."""

OTHER_CONTENT: Final = "other content"
"""What a look would pass over, because the fingerprint is the known one: only reading it again tells."""

# The world is not as the op expected: something came, went, or is of another kind.
_MOVED: Final = frozenset(
    {
        errno.ENOENT,
        errno.EEXIST,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.ELOOP,
        errno.ENOTEMPTY,
        errno.EXDEV,
        errno.ESTALE,
        errno.EINVAL,
    }
)
_FORBIDDEN: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_UNNAMEABLE: Final = frozenset({errno.ENAMETOOLONG, errno.EILSEQ, errno.EFBIG})
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_BUSY: Final = frozenset({errno.EBUSY, errno.ETXTBSY, errno.EAGAIN, errno.EMFILE, errno.ENFILE})


def ended(assignment: Assignment, error: SyncdError | OSError) -> OpResult:
    """Return the result of an op that ended with *error*."""
    ending, error_class = _judged(error)
    return OpResult(
        assignment.op_id,
        ending,
        error_class=error_class,
        error=_told(assignment, error),
        retry_after=error.retry_after if isinstance(error, Transient) else None,
    )


def unsure(assignment: Assignment, error: SyncdError | OSError) -> OpResult:
    """Return the result of an op that ended with *error* and may have had its effect: it must be looked into."""
    return replace(ended(assignment, error), ending=Ending.UNSURE)


def _judged(error: SyncdError | OSError) -> tuple[Ending, str]:
    match error:
        case OtherContent():
            return Ending.STALE, OTHER_CONTENT
        case Outdated():
            return Ending.STALE, OUTDATED
        case NoSpace():
            return Ending.RETRY, "no space"
        case Offline():
            return Ending.RETRY, "offline"
        case InUse():
            return Ending.RETRY, IN_USE
        case Transient():
            return Ending.RETRY, "transient"
        case RootGone():
            return Ending.RETRY, "root gone"
        case Corrupt():
            return Ending.REFUSED, "corrupt"
        case NotAuthorised():
            return Ending.RETRY, "not authorised"  # a new token mends all ops at once; none is parked for it
        case Refused():
            return Ending.REFUSED, "refused"
        case SyncdError():
            return Ending.REFUSED, "refused"
    return _judged_errno(error.errno or 0)


def _judged_errno(number: int) -> tuple[Ending, str]:
    if number in _MOVED:
        return Ending.STALE, OUTDATED
    if number in _FORBIDDEN:
        return Ending.REFUSED, NOT_PERMITTED
    if number in _UNNAMEABLE:
        return Ending.REFUSED, "not possible here"
    if number in _FULL:
        return Ending.RETRY, "no space"
    if number in _BUSY:
        return Ending.RETRY, "busy"
    return Ending.RETRY, "disk"


def _told(assignment: Assignment, error: SyncdError | OSError) -> str:
    if isinstance(error, OSError):
        return f"{shown_path(assignment.path)}: {error.strerror or error}"
    return str(error)
