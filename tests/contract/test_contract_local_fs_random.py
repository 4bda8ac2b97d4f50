"""The real file system and the simulated one, side by side: the same random calls, the same answers, the same tree.

What the tables of the suite did not think of. Inode numbers, times that nobody set and the sizes of directories are
each file system's own and not compared; everything else a call returns or refuses is.
"""

import random
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from syncd.model.errors import Outdated
from syncd.model.node import Kind
from syncd.model.path import RelPath
from syncd.ports import Dir, Stat
from tests.contract.local_worlds import MTIME, LocalWorld, posix
from tests.contract.sim_worlds import simulated
from tests.sim.disk import Features
from tests.sim.fs import SimFs

PLACES: list[RelPath] = [(), (), ("a",), ("b",), ("a", "b")]
NAMES = ["a", "b", "c", "d", "x" * 255, "caf\u00e9", "bytes-\udcff"]

Call = Callable[[LocalWorld], object]


def told(stat: Stat | None) -> object:
    """Return what must be the same of a stat."""
    if stat is None or stat.kind is Kind.DIRECTORY:
        return stat and (stat.kind, stat.mode)
    set_by_us = stat.fingerprint.mtime_ns == MTIME
    return (stat.kind, stat.mode, stat.links, stat.fingerprint.size, set_by_us)


def at(world: LocalWorld, place: RelPath, act: Callable[[Dir], object]) -> object:
    with world.fs.open_dir(place) as directory:
        return act(directory)


def between(world: LocalWorld, place: RelPath, other: RelPath, act: Callable[[Dir, Dir], object]) -> object:
    with ExitStack() as opened:
        one = opened.enter_context(world.fs.open_dir(place))
        return act(one, opened.enter_context(world.fs.open_dir(other)))


def created(directory: Dir, name: str, data: bytes, mode: int) -> object:
    with directory.create(name) as file:
        file.write(data)
        return told(file.finish(MTIME, mode))


def content(directory: Dir, name: str) -> object:
    with directory.open(name) as file:
        return file.read(0, 100), file.read(2, 3)


def held(directory: Dir, name: str, then: Callable[[], object]) -> object:
    """Open a file, let something happen, and look at it again."""
    with directory.open(name) as file:
        try:
            happened = then()
        except OSError as error:
            happened = error.errno
        return happened, file.read(0, 100), told(file.stat())


def held_exchange(directory: Dir, name: str, other: Dir, other_name: str) -> object:
    return held(directory, name, lambda: directory.exchange(name, other, other_name))


def refused_or(call: Callable[[], object]) -> object:
    """A person's paths may lead through symlinks on the real one only: that both refuse is enough."""
    try:
        return call()
    except OSError:
        return "refused"


def executable(directory: Dir, name: str, luck: int) -> object:
    stat = directory.stat(name)
    return stat and told(directory.chmod_executable(name, luck > 0, stat.fingerprint))


def listed(directory: Dir) -> object:
    entries = [entry for entry in directory.entries() if entry.name != ".syncd"]
    assert directory.names() == [entry.name for entry in directory.entries()]
    return [(entry.name, told(entry.stat)) for entry in entries]


def any_call(luck: random.Random) -> tuple[str, Call]:
    """Choose a call, with all it needs, so that both worlds get the same."""
    place, other = luck.choice(PLACES), luck.choice(PLACES)
    name, new = luck.choice(NAMES), luck.choice(NAMES)
    data, mode, side = luck.randbytes(luck.randint(0, 9)), luck.choice([0o644, 0o755, 0o600]), luck.choice([0, 1])
    bits = luck.choice([0o755, 0o700, 0o700, 0o500, 0o300, 0o600, 0])
    path, to = "/".join((*place, name)), "/".join((*other, new))
    calls: dict[str, Call] = {
        "mkdir": lambda w: at(w, place, lambda d: told(d.mkdir(name))),
        "create": lambda w: at(w, place, lambda d: created(d, name, data, mode)),
        "symlink": lambda w: at(w, place, lambda d: d.symlink(name, b"to/" + data.replace(b"\0", b"0"))),
        "unlink": lambda w: at(w, place, lambda d: d.unlink(name)),
        "rmdir": lambda w: at(w, place, lambda d: d.rmdir(name)),
        "stat": lambda w: at(w, place, lambda d: told(d.stat(name))),
        "open": lambda w: at(w, place, lambda d: content(d, name)),
        "readlink": lambda w: at(w, place, lambda d: d.readlink(name)),
        "writers": lambda w: at(w, place, lambda d: d.writers(name)),
        "list": lambda w: at(w, place, listed),
        "child": lambda w: at(w, place, lambda d: d.child(name).close()),
        "rename_new": lambda w: between(w, place, other, lambda d, e: d.rename_new(name, e, new)),
        "exchange": lambda w: between(w, place, other, lambda d, e: d.exchange(name, e, new)),
        "copy_metadata": lambda w: between(w, place, other, lambda d, e: d.copy_metadata(name, e, new)),
        "chmod": lambda w: at(w, place, lambda d: executable(d, name, side)),
        "held unlink": lambda w: at(w, place, lambda d: held(d, name, lambda: d.unlink(name))),
        "held exchange": lambda w: between(w, place, other, lambda d, e: held_exchange(d, name, e, new)),
        "removed place": lambda w: at(w, place, lambda d: (at(w, (), lambda r: r.rmdir("b")), d.names())),
        "a person renames": lambda w: refused_or(lambda: w.person.rename(path, to)),
        "a person links": lambda w: refused_or(lambda: w.person.hard_link(path, to)),
        "a person's fifo": lambda w: refused_or(lambda: w.person.fifo(path)),
        "a person deletes": lambda w: refused_or(lambda: w.person.delete(path)),
        "a person's chmod": lambda w: refused_or(lambda: w.person.chmod(path, bits)),
        "a person's mkdir": lambda w: refused_or(lambda: w.person.mkdir(path)),
    }  # fmt: skip
    kind = luck.choice(list(calls))
    return f"{kind} {path!r} {to!r}", calls[kind]


def answer(world: LocalWorld, call: Call) -> object:
    try:
        return call(world)
    except OSError as error:
        return type(error).__name__, error.errno
    except Outdated:
        return "outdated"


def tree(world: LocalWorld, place: RelPath = ()) -> object:
    with world.fs.open_dir(place) as directory:
        found = [entry for entry in directory.entries() if entry.name != ".syncd"]
        below = [e.name for e in found if e.stat is not None and e.stat.kind is Kind.DIRECTORY]
        return listed(directory), [tree(world, (*place, name)) for name in below]


@pytest.mark.parametrize("seed", range(25))
def test_both_answer_alike(tmp_path: Path, seed: int) -> None:
    luck = random.Random(seed)
    with posix(tmp_path) as real, simulated(Features())(tmp_path) as faked:
        if not (real.fs.traits.exchange and real.fs.traits.no_replace):
            pytest.skip("renames with flags are not known here, and one call is then several")
        assert isinstance(faked.fs, SimFs)
        faked.fs.disk.volumes[-1].superuser = not real.person.bits_count()
        trace = []
        for _ in range(250):
            what, call = any_call(luck)
            got, expected = answer(faked, call), answer(real, call)
            trace.append(f"{what}: {expected}")
            assert got == expected, "\n".join(trace[-12:])
        assert answer(faked, tree) == answer(real, tree)
