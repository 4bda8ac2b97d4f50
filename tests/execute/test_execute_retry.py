"""Retrying is data: a count goes in, a time comes out."""

import errno

import pytest
from execute_world import NOW, CountedChance, StillClock, World

from syncd.execute.ending import ended
from syncd.execute.retry import next_retry_at
from syncd.model.errors import Corrupt, NoSpace, Offline, Outdated, RootGone, SyncdError, Transient
from syncd.model.observation import Ending


@pytest.mark.parametrize(
    ("attempts", "retry_after", "seconds"),
    [
        pytest.param(1, None, 1.0, id="first: soon (half of 2 s by chance)"),
        pytest.param(4, None, 8.0, id="fourth: doubled each time"),
        pytest.param(500, None, 450.0, id="always: at most a quarter of an hour"),
        pytest.param(1, 120.0, 120.0, id="the remote's wish is honoured"),
        pytest.param(12, 1.0, 450.0, id="but never hastens"),
        pytest.param(1, 1e12, 24 * 3600.0, id="nor puts it off for ever"),
        pytest.param(0, -5.0, 1.0, id="nonsense is survived"),
    ],
)
def test_next_retry_at(attempts: int, retry_after: float | None, seconds: float) -> None:
    assert next_retry_at(attempts, StillClock(), CountedChance(), retry_after) == NOW + seconds


@pytest.mark.parametrize(
    ("error", "ending", "error_class"),
    [
        pytest.param(Outdated("x"), Ending.STALE, "outdated", id="the world moved"),
        pytest.param(Offline("x"), Ending.RETRY, "offline", id="offline"),
        pytest.param(Transient("x", 3.0), Ending.RETRY, "transient", id="transient"),
        pytest.param(NoSpace("x"), Ending.RETRY, "no space", id="full"),
        pytest.param(RootGone("x"), Ending.RETRY, "root gone", id="root gone"),
        pytest.param(Corrupt("x"), Ending.REFUSED, "corrupt", id="corrupt"),
        pytest.param(OSError(errno.ENOSPC, "full"), Ending.RETRY, "no space", id="ENOSPC"),
        pytest.param(OSError(errno.ENOENT, "gone"), Ending.STALE, "outdated", id="ENOENT"),
        pytest.param(OSError(errno.EACCES, "no"), Ending.REFUSED, "not permitted", id="EACCES"),
        pytest.param(OSError(errno.ENAMETOOLONG, "no"), Ending.REFUSED, "not possible here", id="ENAMETOOLONG"),
        pytest.param(OSError(errno.EIO, "no"), Ending.RETRY, "disk", id="EIO"),
    ],
)
def test_errors_are_sorted_by_what_happens_next(
    world: World, error: SyncdError | OSError, ending: Ending, error_class: str
) -> None:
    result = ended(world.download("a", b"a"), error)
    assert (result.ending, result.error_class) == (ending, error_class)
    assert result.error
