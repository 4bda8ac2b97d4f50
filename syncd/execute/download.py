"""Brings content here: finds pieces nearby before it asks the remote, verifies every one, and stages the whole.

Large contents are put together in ``nearby``. Never touches a target.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from blake3 import blake3

from syncd.chunks.manifest import Manifest, decode, located, manifest_hash
from syncd.execute.dirs import Dirs
from syncd.execute.nearby import Nearby
from syncd.execute.staging import STAGING, drop, part_name, parts_of, parts_with
from syncd.execute.tools import Tools, at_once
from syncd.model.errors import Corrupt, Outdated, Refused, SyncdError, Transient
from syncd.model.job import Assignment
from syncd.model.node import Kind
from syncd.model.observation import Progress
from syncd.model.path import RelPath, shown_path
from syncd.observe.databases import HEADER
from syncd.ports import Dir, ReadFile, Stat, WriteFile

EMPTY: Final = blake3(b"").digest()


@dataclass(frozen=True, slots=True)
class Staged:
    """Verified content in staging. *moved* is the number of bytes that came over the network.

    *file* is open where the content is not durable yet: a group of small ones becomes so at once. *head* is how it
    begins, where it was in memory: whether it is a database need not be read from the disk again.
    """

    name: str
    stat: Stat
    moved: int
    file: WriteFile | None = None
    pieces: tuple[tuple[bytes, int, int], ...] = ()
    head: bytes | None = None

    def close(self) -> None:
        """Close the file; harmless when it was."""
        if self.file is not None:
            self.file.close()


@dataclass(frozen=True, slots=True)
class Want:
    """Content to stage for an op. *directory* and *name*: the local file it will replace, where there is one."""

    assignment: Assignment
    directory: Dir | None
    name: str


Fault = SyncdError | OSError
Staging = dict[int, Staged | Fault]


def stage_many(tools: Tools, dirs: Dirs, wants: Sequence[Want]) -> Staging:
    """Stage the content of many ops, by op id; each fails or succeeds by itself."""
    outcome: Staging = {}
    single = [want.assignment for want in wants if want.assignment.op.manifest is None]
    for window in _windows_of(single, tools.limits.window_bytes):
        outcome |= _stage_window(tools, dirs, window)
    for want in wants:
        if want.assignment.op.manifest is not None:
            outcome[want.assignment.op_id] = _stage_pieces(tools, dirs, want)
    return outcome


# --- contents of one chunk --------------------------------------------------------------------------------------


def _windows_of(assignments: Sequence[Assignment], most: int) -> Iterator[list[Assignment]]:
    window: list[Assignment] = []
    total = 0
    for assignment in assignments:
        if window and total + assignment.op.size > most:
            yield window
            window, total = [], 0
        window.append(assignment)
        total += assignment.op.size
    if window:
        yield window


def _stage_window(tools: Tools, dirs: Dirs, window: Sequence[Assignment]) -> Staging:
    """Stage ops of one chunk each, as their contents arrive."""
    try:
        tools.stop_if_cancelled()
        tools.require_space(sum(assignment.op.size for assignment in window))
    except SyncdError as error:
        return {assignment.op_id: error for assignment in window}
    by_hash: dict[bytes, list[Assignment]] = {}
    for assignment in window:
        by_hash.setdefault(assignment.op.hash or b"", []).append(assignment)
    outcome: Staging = {}
    for content, data, moved in _contents(tools, sorted(by_hash)):
        for assignment in by_hash[content]:
            outcome[assignment.op_id] = _stage_single(tools, dirs.own(STAGING), assignment, data, moved)
            moved = 0  # travelled once, whoever else wanted it
    return outcome


def _contents(tools: Tools, hashes: Sequence[bytes]) -> Iterator[tuple[bytes, bytes | Fault, int]]:
    """Yield each hash once, with its verified content or what went wrong, and the bytes that travelled."""
    left = dict.fromkeys(hashes)
    if EMPTY in left:
        del left[EMPTY]
        yield EMPTY, b"", 0
    for content, data in _nearby(tools, list(left)).items():
        del left[content]
        yield content, data, 0
    try:
        for content, data in tools.remote.get_chunks(list(left)) if left else ():
            if content in left:
                del left[content]
                yield content, _verified(content, data), len(data)
    except Transient as error:
        for content in left:
            yield content, error, 0
        return
    except (SyncdError, OSError) as error:
        if len(left) == 1:
            yield next(iter(left)), error, 0
            return
        for content in left:  # one bad content must not stop the others
            yield from _contents(tools, [content])
        return
    for content in left:
        yield content, Corrupt(f"the remote did not send chunk {content.hex()[:16]}"), 0


def _verified(content: bytes, data: bytes) -> bytes | Fault:
    if blake3(data).digest() == content:
        return data
    return Corrupt(f"what the remote sent for chunk {content.hex()[:16]} is something else")


def _stage_single(
    tools: Tools, staging: Dir, assignment: Assignment, data: bytes | Fault, moved: int
) -> Staged | Fault:
    if not isinstance(data, bytes):
        return data
    op = assignment.op
    name = part_name(op.hash or b"", assignment.key, tools.chance)
    try:
        if op.kind is Kind.SYMLINK:
            return Staged(name, _stage_symlink(tools, staging, name, data), moved)
        return _stage_file(tools, staging, name, assignment, data, moved)
    except (SyncdError, OSError) as error:
        drop(staging, name)
        return error


def _stage_file(tools: Tools, staging: Dir, name: str, assignment: Assignment, data: bytes, moved: int) -> Staged:
    out = staging.create(name)
    try:
        out.write(data)
        stat = out.finish(assignment.op.mtime_ns, mode_for(tools, assignment))
        return Staged(name, stat, moved, out, head=data[:HEADER])
    except BaseException:
        out.close()
        raise


def _stage_symlink(tools: Tools, staging: Dir, name: str, target: bytes) -> Stat:
    if not tools.fs.traits.symlinks:
        raise Refused("this file system cannot hold symlinks")
    if not target or b"\0" in target:
        raise Refused("the remote's symlink has a target that no system can hold")
    staging.symlink(name, target)
    stat = staging.stat(name)
    if stat is None:
        raise Outdated("what was staged is gone")
    return stat


def mode_for(tools: Tools, assignment: Assignment) -> int:
    """Return the mode of a new file, before the umask."""
    return 0o777 if assignment.op.executable and tools.fs.traits.executable_bit else 0o666


# --- contents of many pieces ------------------------------------------------------------------------------------


def _stage_pieces(tools: Tools, dirs: Dirs, want: Want) -> Staged | Fault:
    """Stage one large content. What an interrupted attempt brought is taken up again, piece by verified piece."""
    assignment = want.assignment
    staging = dirs.own(STAGING)
    name = part_name(assignment.op.hash or b"", assignment.key, tools.chance)
    earlier = parts_of(staging, assignment.key)
    try:
        manifest = _manifest(tools, assignment)
        tools.require_space(assignment.op.size)
        attempts = [file for part in parts_with(staging, assignment.op.hash or b"") for file in _open_if(staging, part)]
        there = [] if want.directory is None else _open_if(want.directory, want.name)
        with Nearby(tools, manifest, attempts, next(iter(there), None)) as nearby, staging.create(name) as out:
            if _write(tools, assignment, nearby, out) != assignment.op.hash:
                drop(staging, name)
                raise Corrupt(f"the pieces of {shown_path(assignment.path)} do not make up the content they should")
            stat = out.finish(assignment.op.mtime_ns, mode_for(tools, assignment))
            out.sync()  # large enough to be worth a wait of its own, before what it replaces in staging goes
            staged = Staged(name, stat, nearby.moved, pieces=located(manifest.pieces))
        for old in earlier:
            drop(staging, old)
    except (SyncdError, OSError) as error:
        return error
    return staged


def _write(tools: Tools, assignment: Assignment, nearby: Nearby, out: WriteFile) -> bytes:
    """Write the content, each window beside the making of the next; return the hash of what was written."""
    hasher = blake3()

    def write(data: memoryview) -> None:
        out.write(data)
        hasher.update(data)

    done = 0
    wait = at_once(lambda: None)
    try:
        for data in nearby.windows():
            wait()
            wait = tools.beside(partial(write, data))
            done += len(data)
            tools.progress(Progress(assignment.op_id, done, assignment.op.size, received=nearby.moved))
    finally:
        wait()  # whatever happened: nobody writes any more
    return hasher.digest()


def _manifest(tools: Tools, assignment: Assignment) -> Manifest:
    op = assignment.op
    encoded = tools.remote.get_manifest(op.manifest or b"")
    if manifest_hash(encoded) != op.manifest:
        raise Corrupt(f"the manifest the remote sent for {shown_path(assignment.path)} is not the one asked for")
    manifest = decode(encoded)
    if manifest.size != op.size:
        raise Corrupt(f"the manifest of {shown_path(assignment.path)} is of {manifest.size} bytes, not {op.size}")
    return manifest


def _open_if(directory: Dir, name: str) -> list[ReadFile]:
    """Open a file that may be of use; none when it is gone by now, or cannot be read."""
    try:
        return [directory.open(name)]
    except OSError:
        return []


def _nearby(tools: Tools, hashes: Sequence[bytes]) -> dict[bytes, bytes]:
    """Return contents that the chunk cache finds in local files and that are what they should be."""
    found: dict[bytes, bytes] = {}
    if tools.cache is None or not hashes:
        return found
    wanted = set(hashes)
    files: dict[RelPath, list[tuple[int, int, bytes]]] = {}
    for content, (path, offset, size) in tools.cache.locate(hashes).items():
        if content in wanted and 0 < size <= tools.limits.window_bytes:
            files.setdefault(path, []).append((offset, size, content))
    for path in sorted(files):
        try:
            with tools.fs.open_dir(path[:-1]) as directory, directory.open(path[-1]) as file:
                for offset, size, content in sorted(files[path]):
                    data = file.read(offset, size)
                    if blake3(data).digest() == content:
                        found[content] = data
        except OSError:
            continue  # a hint that no longer holds
    return found
