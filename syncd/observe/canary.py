"""The canary: proves that the watcher reports what happens, instead of trusting that it does.

Owns the canary directory below ``.syncd``, which nothing else writes and of which only the watcher's own canary watch
knows. For use at start and after a suspend; never on a schedule, so that an idle daemon stays idle.
"""

from typing import Final

from syncd.ports import LocalFs, Watcher

CANARY: Final = "canary"
"""Name of the directory below ``.syncd`` in which a canary is let fly."""


def prove_watcher(fs: LocalFs, watcher: Watcher, seconds: float = 5.0) -> bool:
    """Return whether *watcher* reports a new file within *seconds*. Raises OSError or NoSpace when none can be made."""
    with fs.own(CANARY) as directory:
        for left in directory.names():  # of a run that was killed here
            directory.unlink(left)

        def poke(name: str) -> None:
            directory.create(name).close()
            directory.unlink(name)

        return watcher.alive(poke, seconds)
