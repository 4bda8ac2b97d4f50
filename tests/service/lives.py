"""A look into a running daemon, for tests of what it is made of."""

from syncd.service.daemon import Daemon, _Life
from syncd.service.watched import WatchedRoot


def life(daemon: Daemon) -> _Life:
    """Return what ends and begins anew with the engine."""
    assert daemon._life is not None
    return daemon._life


def root_of(daemon: Daemon) -> WatchedRoot:
    return life(daemon).root


def watches(daemon: Daemon) -> bool:
    """Return whether the daemon has a watcher that proved itself."""
    return daemon._life is not None and daemon._life.root.watcher is not None
