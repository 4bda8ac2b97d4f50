"""How an op ended, by what went wrong: what is looked at again, tried again, or told to the person."""

import errno
import os

import pytest
from execute_world import World

from syncd.execute.ending import ended
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
    Usage,
)
from syncd.model.observation import Ending

ERRORS = [
    (Outdated("x"), Ending.STALE, "outdated"),
    (OtherContent("x"), Ending.STALE, "other content"),
    (NoSpace("x"), Ending.RETRY, "no space"),
    (Offline("x"), Ending.RETRY, "offline"),
    (InUse("x"), Ending.RETRY, "in use"),
    (Transient("x"), Ending.RETRY, "transient"),
    (RootGone("x"), Ending.RETRY, "root gone"),
    (Corrupt("x"), Ending.REFUSED, "corrupt"),
    (NotAuthorised("x"), Ending.RETRY, "not authorised"),
    (Refused("x"), Ending.REFUSED, "refused"),
    (Usage("x"), Ending.REFUSED, "refused"),
    (SyncdError("x"), Ending.REFUSED, "refused"),
]
NUMBERS = [
    (errno.ENOENT, Ending.STALE, "outdated"),
    (errno.EACCES, Ending.REFUSED, "not permitted"),
    (errno.ENAMETOOLONG, Ending.REFUSED, "not possible here"),
    (errno.ENOSPC, Ending.RETRY, "no space"),
    (errno.EBUSY, Ending.RETRY, "busy"),
    (errno.EIO, Ending.RETRY, "disk"),
]


@pytest.mark.parametrize(("error", "ending", "known_as"), ERRORS, ids=[type(error).__name__ for error, *_ in ERRORS])
def test_what_was_raised_tells_how_it_ended(world: World, error: SyncdError, ending: Ending, known_as: str) -> None:
    result = ended(world.download("a.txt", b"new"), error)
    assert (result.ending, result.error_class, result.error) == (ending, known_as, "x")


@pytest.mark.parametrize(("number", "ending", "known_as"), NUMBERS, ids=[errno.errorcode[n] for n, *_ in NUMBERS])
def test_what_the_disk_says_tells_how_it_ended(world: World, number: int, ending: Ending, known_as: str) -> None:
    result = ended(world.download("a.txt", b"new"), OSError(number, os.strerror(number)))
    assert (result.ending, result.error_class) == (ending, known_as)
    assert result.error == f"a.txt: {os.strerror(number)}"


def test_a_number_nobody_gave_is_tried_again_and_told_as_it_is(world: World) -> None:
    result = ended(world.download("a.txt", b"new"), OSError("odd"))
    assert (result.ending, result.error_class, result.error) == (Ending.RETRY, "disk", "a.txt: odd")


def test_the_remotes_own_wish_is_kept(world: World) -> None:
    assert ended(world.download("a.txt", b"new"), Transient("x", 7.0)).retry_after == 7.0
