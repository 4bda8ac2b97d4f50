"""What a daemon does while a command waits for its answer, on one line of a terminal (P12). Elsewhere: nothing."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Final

from syncd.cli import reach
from syncd.cli.render import progress_line, progress_wanted
from syncd.model.errors import SyncdError
from syncd.service.roots import RootRecord

EVERY: Final = 0.3
"""Seconds between two looks: as often as the eye wants, and the daemon does not feel it."""


@contextlib.contextmanager
def shown_meanwhile(record: RootRecord) -> Iterator[None]:
    """Show what the root's daemon does, while inside."""
    if not progress_wanted():
        yield
        return
    over = threading.Event()
    with progress_line() as show:

        def look() -> None:
            import msgspec  # only for a person who watches: scripts get their answer without it

            from syncd.model.status import LiveStatus

            while not over.wait(EVERY):
                with contextlib.suppress(
                    SyncdError, msgspec.ValidationError
                ):  # the answer itself will say what is wrong
                    if (status := reach.live(record)) is not None:
                        show(msgspec.convert(status["live"], LiveStatus))

        looker = threading.Thread(target=look, name="meanwhile", daemon=True)
        looker.start()
        try:
            yield
        finally:
            over.set()
            looker.join()
