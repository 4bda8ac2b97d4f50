"""A simulated process's calls: one hook before each, one after, and nothing at all once the process is dead.

Owns the process's open handles. Knows no files.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from tests.sim.disk import Dead
from tests.sim.inode import Inode

P = ParamSpec("P")
R = TypeVar("R")


class SimProcess:
    """``on_call(name)`` runs before a call has an effect, ``on_done(name)`` after it had one (not when it raised).

    Either may raise: an OSError is what the call then fails with, ``Dead`` (or any BaseException of the simulation's)
    ends the process's run there; it may also edit files, or kill this process, whose call then raises ``Dead``.
    ``given`` is what the call was given, for hooks that choose by name; ``calls`` counts calls.
    """

    def __init__(self) -> None:
        self.on_call: Callable[[str], None] | None = None
        self.on_done: Callable[[str], None] | None = None
        self.given: tuple[object, ...] = ()
        self.calls = 0
        self.dead = False
        self.handles: dict[Handle, None] = {}

    @property
    def process(self) -> SimProcess:
        return self

    def before(self, name: str, given: tuple[object, ...]) -> None:
        if self.dead:
            raise Dead
        self.calls += 1
        if self.on_call is not None:
            self.given = given
            self.on_call(name)
            if self.dead:
                raise Dead

    def after(self, name: str) -> None:
        if self.on_done is not None:
            self.on_done(name)
            if self.dead:
                raise Dead

    def kill(self) -> None:
        """Be dead: every handle is closed, every later call raises ``Dead``."""
        self.dead = True
        for handle in list(self.handles):
            handle.release()


class Called(Protocol):
    """What has calls: a process, or something it opened."""

    @property
    def process(self) -> SimProcess: ...


C = TypeVar("C", bound=Called)


def call(method: Callable[Concatenate[C, P], R]) -> Callable[Concatenate[C, P], R]:
    """Make *method* one call of the process, by its name without underscores: hook, effect, hook."""
    name = method.__name__.lstrip("_")

    @wraps(method)
    def through(self: C, /, *given: P.args, **more: P.kwargs) -> R:
        process = self.process
        process.before(name, given)
        out = method(self, *given, **more)
        if process.on_done is not None:
            process.after(name)
        return out

    return through


class Handle:
    """Something open: holds its inode until closed, killed, or lost with the power."""

    __slots__ = ("_boot", "inode", "open_", "process", "writing")

    def __init__(self, process: SimProcess, inode: Inode, *, writing: bool = False) -> None:
        self.process, self.inode, self.writing, self.open_ = process, inode, writing, True
        self._boot = inode.volume.boot
        inode.volume.opened(inode, writing=writing)
        process.handles[self] = None

    def release(self) -> None:
        """Close; twice does no harm. No hook: closing is no effect of its own."""
        if self.open_:
            self.open_ = False
            self.process.handles.pop(self, None)
            if self._boot == self.inode.volume.boot:
                self.inode.volume.closed(self.inode, writing=self.writing)
