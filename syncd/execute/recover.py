"""Finds out how an op that was running ended: from its trash entry and from inodes, or from the remote by its key.

Owns no decision about what to do next. NOT_DONE is only said where nothing was changed, DONE only on evidence; what
had begun is brought to its end (P4).
"""

from collections.abc import Sequence

from syncd.chunks.chunker import WHOLE
from syncd.execute.deleting import delete_info, settle_deleted
from syncd.execute.dirs import Dirs, Nowhere, hash_of, here, is_executable, present, same_content_inode
from syncd.execute.ending import ended, unsure
from syncd.execute.placed import read_placed
from syncd.execute.placing import settle_displaced
from syncd.execute.staging import STAGING, parts_of
from syncd.execute.tools import Tools
from syncd.execute.trash import DATA, clear, entry_of, exists, info_for, is_ours, read_info, take_back
from syncd.execute.tree import finish_through_trash, left
from syncd.model.errors import Offline, Outdated, SyncdError
from syncd.model.job import Assignment
from syncd.model.node import Fingerprint, Kind
from syncd.model.observation import Displaced, Ending, LocalAfter, OpResult
from syncd.model.op import OpType
from syncd.model.remote import Verdict
from syncd.ports import Remote, Stat


def recover_remote(remote: Remote, assignments: Sequence[Assignment]) -> tuple[OpResult, ...]:
    """Ask the remote how ops ended: a lost reply is resolved by looking, not by repeating."""
    if not assignments:
        return ()
    try:
        outcomes = remote.outcomes([assignment.key for assignment in assignments])
    except SyncdError as error:
        return tuple(ended(assignment, error) for assignment in assignments)
    results = []
    for number, assignment in enumerate(assignments):
        outcome = outcomes[number] if number < len(outcomes) else None
        if outcome is not None and outcome.verdict is Verdict.DONE:
            results.append(OpResult(assignment.op_id, Ending.DONE, remote=outcome.nodes))
        else:
            results.append(OpResult(assignment.op_id, Ending.NOT_DONE))
    return tuple(results)


def recover_all(tools: Tools, local: Sequence[Assignment], remote: Sequence[Assignment]) -> tuple[OpResult, ...]:
    """Find out how ops that were running at a crash ended."""
    results = []
    placed: dict[bytes, Fingerprint] | None = None
    for assignment in local:
        try:
            # The device may have another number after a restart: inodes tell.
            with Dirs(tools.fs, by_inode=True) as dirs:
                if placed is None:
                    placed = read_placed(dirs, {each.key for each in local})
                results.append(recover_local(tools, dirs, assignment, placed.get(assignment.key)))
        except (SyncdError, OSError) as error:
            results.append(unsure(assignment, error))
    return (*results, *recover_remote(tools.remote, remote))


def recover_local(tools: Tools, dirs: Dirs, assignment: Assignment, placed: Fingerprint | None = None) -> OpResult:
    """Find out how one op on this folder ended, and bring to its end what had begun.

    *placed* is the inode the op was about to put where nothing was, if it came that far.
    """
    try:
        result = _recover(tools, dirs, assignment, placed)
    except Nowhere:
        # Its directory is gone, with what it did there. What it displaced, if it did, lies in its trash entry.
        return _not_done(assignment)
    except (Outdated, FileNotFoundError, NotADirectoryError) as error:
        # Its directory may have moved, with what it did there: asked for again once it was looked at (P4).
        return unsure(assignment, error)
    if result.ending is Ending.NOT_DONE:
        take_back(dirs, assignment.key, tools.chance, keep_parts=assignment.op.size > WHOLE or placed is not None)
    elif result.ending is Ending.DONE:
        dirs.sync()
    return result


def _recover(tools: Tools, dirs: Dirs, assignment: Assignment, placed: Fingerprint | None) -> OpResult:
    match assignment.op.type:
        case OpType.DOWNLOAD | OpType.CONFLICT if assignment.op.expected is None:
            return _creating(tools, dirs, assignment, placed)
        case OpType.DOWNLOAD | OpType.CONFLICT:
            return _placing(tools, dirs, assignment)
        case OpType.LOCAL_DELETE:
            return _deleting(tools, dirs, assignment)
        case OpType.LOCAL_MOVE | OpType.SET_ASIDE:
            return _moving(tools, dirs, assignment)
        case OpType.LOCAL_SWAP:
            return _swapping(tools, dirs, assignment)
        case OpType.LOCAL_MKDIR:
            directory, name = dirs.proven(assignment.target), assignment.op.place.name
            stat = present(directory, name, tools.fs.traits)
            if stat is None or stat.kind is not Kind.DIRECTORY:
                return _not_done(assignment)
            return _done(tools, assignment, stat)
        case OpType.LOCAL_CHMOD:
            return _marking(tools, dirs, assignment)
        case _:
            raise Offline("an op on the remote is asked for there")


def _not_done(assignment: Assignment) -> OpResult:
    return OpResult(assignment.op_id, Ending.NOT_DONE)


def _done(tools: Tools, assignment: Assignment, stat: Stat) -> OpResult:
    return OpResult(assignment.op_id, Ending.DONE, local=_after(tools, assignment, stat))


def _after(tools: Tools, assignment: Assignment, stat: Stat) -> LocalAfter:
    """Return L as the op left it. Whether somebody edited it since, or just before, is not known: it keeps the
    expected fingerprint, so that the next look reads it."""
    op = assignment.op
    fingerprint = left(stat, op.expected, None)
    return LocalAfter(fingerprint, op.expected_hash or op.hash, is_executable(stat, tools.fs.traits, op.executable))


def _same(stat: Stat | None, expected: Fingerprint | None) -> bool:
    return stat is not None and expected is not None and same_content_inode(stat.fingerprint, expected)


def _is_inode(stat: Stat | None, expected: Fingerprint | None) -> bool:
    return stat is not None and expected is not None and stat.fingerprint.ino == expected.ino


# --- downloads and conflicts ------------------------------------------------------------------------------------


def _creating(tools: Tools, dirs: Dirs, assignment: Assignment, placed: Fingerprint | None) -> OpResult:
    ref, name = here(assignment)
    directory = dirs.proven(ref)
    target = present(directory, name, tools.fs.traits)
    # Nothing there at all proves nothing, and is never taken for a person's delete (P1).
    if target is None or placed is None or parts_of(dirs.own(STAGING), assignment.key):
        return _by_content(tools, dirs, assignment)
    # Whoever wrote here since wrote over what this op had placed: an edit of it, seen by the next look.
    return OpResult(assignment.op_id, Ending.DONE, local=_after_placing(assignment, placed))


def _placing(tools: Tools, dirs: Dirs, assignment: Assignment) -> OpResult:
    op = assignment.op
    if not exists(dirs, assignment.key):
        return _by_content(tools, dirs, assignment)
    entry = entry_of(dirs, assignment.key)
    info = read_info(entry)
    data = entry.stat(DATA)
    ref, name = here(assignment)
    if data is None:
        # With info, without ``data`` and without a part in staging, the part went to its place.
        moved = info is not None and info.staged is not None and not parts_of(dirs.own(STAGING), assignment.key)
        if not moved or info is None or info.staged is None:
            return _by_content(tools, dirs, assignment)
        return _placed(tools, dirs, assignment, info.staged)
    directory = dirs.proven(ref)
    target = directory.stat(name)
    # A loss of power may keep the names and the info of what was about to be placed, and not its data.
    torn = info is not None and _is_inode(data, info.staged) and _is_inode(target, op.expected)
    if is_ours(data, info) or torn or (info is None and _same(target, op.expected)):
        take_back(dirs, assignment.key, tools.chance, ours=True, keep_parts=op.size > WHOLE)
        return _not_done(assignment)
    if info is None:
        path = (*(ref.path if ref is not None else ()), name)
        info = info_for(assignment, path, tools.clock.now(), None, remote_keeps=False)
    dirs.sync()
    displaced = settle_displaced(tools, dirs, assignment, info, directory, doubt=True)
    after = _after_placing(assignment, info.staged)
    return OpResult(assignment.op_id, Ending.DONE, local=after, displaced=displaced)


def _placed(tools: Tools, dirs: Dirs, assignment: Assignment, staged: Fingerprint) -> OpResult:
    """The staged content left for its place, and nothing displaced waits in the entry."""
    op = assignment.op
    ref, name = here(assignment)
    directory = dirs.proven(ref)
    target = present(directory, name, tools.fs.traits)
    aside = directory.stat(op.aside) if op.aside is not None else None
    if _same(target, staged) or _is_inode(aside, op.expected):
        return OpResult(assignment.op_id, Ending.DONE, local=_after_placing(assignment, staged))
    return _by_content(tools, dirs, assignment)


def _after_placing(assignment: Assignment, staged: Fingerprint | None) -> LocalAfter | None:
    """Return L as the op left it. Whether somebody edited or marked it since is not known, and ctime alone may tell: it
    keeps the fingerprint it was staged with, so that the next look reads it."""
    op = assignment.op
    return None if staged is None else LocalAfter(staged, op.hash, op.executable)


def _by_content(tools: Tools, dirs: Dirs, assignment: Assignment) -> OpResult:
    """Without any record, only the content itself can show that the op was done."""
    op = assignment.op
    ref, name = here(assignment)
    directory = dirs.proven(ref)
    stat = present(directory, name, tools.fs.traits)
    if stat is None or stat.kind is not op.kind or stat.fingerprint.size != op.size:
        return _not_done(assignment)
    if op.kind is Kind.FILE and stat.fingerprint.mtime_ns != op.mtime_ns:
        return _not_done(assignment)
    if hash_of(directory, name, op.kind) != op.hash:
        return _not_done(assignment)
    if op.kind is Kind.FILE:
        with directory.open(name) as file:
            file.sync()  # who wrote it is not known; it must be durable before S advances (P4)
    executable = is_executable(stat, tools.fs.traits, op.executable)
    return OpResult(assignment.op_id, Ending.DONE, local=LocalAfter(stat.fingerprint, op.hash, executable))


# --- deletes, moves, marks --------------------------------------------------------------------------------------


def _deleting(tools: Tools, dirs: Dirs, assignment: Assignment) -> OpResult:
    ref, name = here(assignment)
    if assignment.op.kind is not Kind.DIRECTORY and exists(dirs, assignment.key):
        entry = entry_of(dirs, assignment.key)
        if entry.stat(DATA) is not None:
            info = read_info(entry) or delete_info(tools, assignment)
            result = settle_deleted(tools, dirs, assignment, info, doubt=True)
            return result if result.ending is Ending.DONE or result.displaced else _not_done(assignment)
    if present(dirs.proven(ref), name, tools.fs.traits) is not None:
        return _not_done(assignment)
    clear(dirs, assignment.key)
    return OpResult(assignment.op_id, Ending.DONE)


def _moving(tools: Tools, dirs: Dirs, assignment: Assignment) -> OpResult:
    op = assignment.op
    target = dirs.proven(assignment.target)
    displaced: tuple[Displaced, ...] = ()
    if exists(dirs, assignment.key):
        entry = entry_of(dirs, assignment.key)
        if entry.stat(DATA) is not None:
            displaced = finish_through_trash(tools, entry, target, assignment)
            target.sync()
        clear(dirs, assignment.key)
    stat = present(target, op.place.name, tools.fs.traits)
    if stat is None or stat.kind is not op.kind or not _is_inode(stat, op.expected):
        return OpResult(assignment.op_id, Ending.STALE if displaced else Ending.NOT_DONE, displaced=displaced)
    return _done(tools, assignment, stat)


def _swapping(tools: Tools, dirs: Dirs, assignment: Assignment) -> OpResult:
    op = assignment.op
    if op.source is None:
        return _not_done(assignment)
    mine = dirs.proven(assignment.target).stat(op.place.name)
    partner = dirs.proven(assignment.origin).stat(op.source.name)
    if mine is None or partner is None:
        return _not_done(assignment)
    if not (_is_inode(mine, op.expected) and _is_inode(partner, op.partner_expected)):
        return _not_done(assignment)
    after = LocalAfter(left(partner, op.partner_expected, None), None, is_executable(partner, tools.fs.traits, False))
    return OpResult(assignment.op_id, Ending.DONE, local=_after(tools, assignment, mine), partner_local=after)


def _marking(tools: Tools, dirs: Dirs, assignment: Assignment) -> OpResult:
    ref, name = here(assignment)
    stat = present(dirs.proven(ref), name, tools.fs.traits)
    op = assignment.op
    if stat is None or not _same(stat, op.expected) or is_executable(stat, tools.fs.traits, False) != op.executable:
        return _not_done(assignment)
    return _done(tools, assignment, stat)
