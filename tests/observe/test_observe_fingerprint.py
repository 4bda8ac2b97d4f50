"""When an equal fingerprint can be trusted."""

import pytest

from syncd.model.job import KnownEntry
from syncd.model.node import Fingerprint, Kind
from syncd.observe.fingerprint import KERNEL_TICK_NS, SKEW_NS, is_racy, is_unchanged
from syncd.ports import Stat

READ = 1_700_000_000_000_000_000
SECOND = 1_000_000_000
YEAR = 365 * 86400 * SECOND


@pytest.mark.parametrize(
    ("mtime", "ctime", "tick", "expected"),
    [
        pytest.param(READ - SECOND, READ - SECOND, 1, False, id="written a second ago: settled"),
        pytest.param(READ, READ, 1, True, id="written as it was read"),
        pytest.param(READ - KERNEL_TICK_NS + 1, READ - KERNEL_TICK_NS + 1, 1, True, id="within the kernel's tick"),
        pytest.param(READ - KERNEL_TICK_NS, READ - KERNEL_TICK_NS, 1, False, id="exactly one tick ago: settled"),
        pytest.param(READ - SECOND, READ - SECOND, 2 * SECOND, True, id="a coarse file system stays racy for longer"),
        pytest.param(READ - YEAR, READ, 1, True, id="an old mtime does not make a young file settled"),
        pytest.param(READ + YEAR, READ - SECOND, 1, False, id="an mtime far in the future is vouched for by ctime"),
        pytest.param(READ + SKEW_NS, READ - SECOND, 1, True, id="an mtime just ahead may be written again"),
        pytest.param(READ + SKEW_NS + 1, READ - SECOND, 1, False, id="one beyond the skew was set by a program"),
        pytest.param(READ - YEAR, READ + YEAR, 1, True, id="a ctime from the future comes from a clock that is ahead"),
        pytest.param(-YEAR, READ - YEAR, 1, False, id="a date before 1970 is a date"),
    ],
)
def test_racy(mtime, ctime, tick, expected):
    assert is_racy(Fingerprint(1, 2, mtime, ctime, 3), READ, tick) is expected


FINGERPRINT = Fingerprint(1, 2, 3, 4, 5)


@pytest.mark.parametrize(
    ("known", "kind", "fingerprint", "expected"),
    [
        pytest.param((Kind.FILE, FINGERPRINT, False, True), Kind.FILE, FINGERPRINT, True, id="the same"),
        pytest.param((Kind.FILE, FINGERPRINT, True, True), Kind.FILE, FINGERPRINT, False, id="the same, but racy"),
        pytest.param((Kind.FILE, FINGERPRINT, False, False), Kind.FILE, FINGERPRINT, False, id="never hashed"),
        pytest.param((Kind.FILE, None, False, True), Kind.FILE, FINGERPRINT, False, id="nothing to compare with"),
        pytest.param((Kind.SYMLINK, FINGERPRINT, False, True), Kind.FILE, FINGERPRINT, False, id="another kind"),
        pytest.param(
            (Kind.FILE, FINGERPRINT, False, True), Kind.FILE, Fingerprint(1, 2, 3, 9, 5), False, id="ctime moved on"
        ),
    ],
)
def test_unchanged(known, kind, fingerprint, expected):
    entry = KnownEntry("name", known[0], known[1], racy=known[2], hashed=known[3])
    assert is_unchanged(entry, Stat(kind, fingerprint, 0o644, 1)) is expected
