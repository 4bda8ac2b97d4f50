"""The disk of a device and the executors on it: what an op checks, what it does, and what is found of it after a crash.

Acting comes after checking, and a person may come in between: what is displaced is looked at (P6)."""

from syncd.model.conflict import conflicted_name
from syncd.model.node import Fingerprint
from syncd.model.observation import Ending
from syncd.model.op import Op, OpType
from tests.exhaustive.deciding import NAMES, NOW
from tests.exhaustive.values import Broken, Device, Flight, Mistake, Result, bit, content_of, fingerprint

Files = dict[str, tuple[int, int]]
PLACING = (OpType.DOWNLOAD, OpType.CONFLICT)
MOVING = (OpType.LOCAL_MOVE, OpType.SET_ASIDE)
STALE = Result(Ending.STALE)
NOT_DONE = Result(Ending.NOT_DONE)


def files_of(device: Device) -> Files:
    return {name: (inode, content) for name, inode, content in device.disk}


def with_files(device: Device, files: Files) -> Device:
    """Return the device with these files on its disk; what was ever there is remembered."""
    had = device.had
    for _, content in files.values():
        had |= bit(content)
    return device._replace(disk=tuple(sorted((name, *file) for name, file in files.items())), had=had)


def _is(files: Files, name: str, expected: Fingerprint | None) -> bool:
    """Whether the file at *name* is as an op expects it."""
    file = files.get(name)
    return file is not None and (expected is None or file == (expected.ino, expected.mtime_ns))


def fits_there(device: Device, op: Op) -> bool:
    """The look at the disk before a commit: whether this op on the hub is still what the disk says."""
    files = files_of(device)
    match op.type:
        case OpType.UPLOAD:
            return _is(files, op.place.name, op.expected)
        case OpType.REMOTE_MOVE:
            file = files.get(op.place.name)
            return file is not None and (op.expected is None or file[0] == op.expected.ino)
        case _:
            return op.source is None or op.source.name not in files


def fits_here(device: Device, op: Op) -> bool:
    """The look before the change: whether this op on the disk finds what it expects."""
    files = files_of(device)
    if op.source is None:
        return op.place.name not in files
    return _is(files, op.source.name, op.expected)


def act(number: int, device: Device, op: Op, mistakes: frozenset[Mistake]) -> tuple[Device, Result, int]:
    """Carry out an op on the disk; returns the device, the result, and the set of contents that left for the trash."""
    files = files_of(device)
    if op.type in PLACING:
        return _placed(number, device, files, op, mistakes)
    assert op.source is not None
    if op.type is OpType.LOCAL_DELETE:
        file = files.get(op.source.name)
        if file is None:
            return device, STALE, 0
        if Mistake.BLIND_DISK not in mistakes and not _expected(file, op):
            return device, STALE, 0  # it goes back to its name
        del files[op.source.name]
        return with_files(device, files), Result(Ending.DONE), bit(file[1])
    if op.type in MOVING:
        if not _is(files, op.source.name, op.expected) or op.place.name in files:
            return device, STALE, 0
        files[op.place.name] = files.pop(op.source.name)
        return with_files(device, files), Result(Ending.DONE, op.expected), 0
    assert op.type is OpType.LOCAL_SWAP, op.type
    mine, other = op.source.name, op.place.name
    if not _is(files, mine, op.expected) or not _is(files, other, op.partner_expected):
        return device, STALE, 0
    files[mine], files[other] = files[other], files[mine]
    return with_files(device, files), Result(Ending.DONE, op.expected, op.partner_expected), 0


def _expected(file: tuple[int, int], op: Op) -> bool:
    same = op.expected is not None and file == (op.expected.ino, op.expected.mtime_ns)
    return same or (op.expected_hash is not None and file[1] == content_of(op.expected_hash))


def _placed(
    number: int, device: Device, files: Files, op: Op, mistakes: frozenset[Mistake]
) -> tuple[Device, Result, int]:
    content = content_of(op.hash)
    inode = _new_inode(device, op)
    result = Result(Ending.DONE, fingerprint(inode, content))
    if op.source is None:
        if op.place.name in files:
            return device, STALE, 0
        files[op.place.name] = (inode, content)
        return with_files(device, files), result, 0
    name = op.source.name
    displaced = files.get(name)
    if displaced is None:
        return device, STALE, 0
    files[name] = (inode, content)
    known = displaced[1] == content or (op.type is OpType.DOWNLOAD and _expected(displaced, op))
    if known or (Mistake.BLIND_DISK in mistakes and op.type is OpType.DOWNLOAD):
        return with_files(device, files), result, bit(displaced[1])
    aside, count = op.aside or conflicted_name(name, NAMES[number], NOW), 1
    while aside in files:
        count += 1
        aside = conflicted_name(name, NAMES[number], NOW, count)
    files[aside] = displaced
    return with_files(device, files), result, 0


def _new_inode(device: Device, op: Op) -> int:
    assert op.base is not None
    used = {inode for _, inode, _ in device.disk}
    used |= {node.fingerprint.ino for node in device.rows if node.fingerprint is not None}
    inode = 1000 + op.base.position
    while inode in used:
        inode += 1000
    return inode


def found_again(device: Device, flight: Flight) -> Result:
    """Return how an op on the disk ended that a crash interrupted: by inodes and its trash entry, never by guessing."""
    op, result = flight.op, flight.result
    if result is None or result.ending is not Ending.DONE:
        return NOT_DONE
    files = files_of(device)
    if op.type in PLACING and op.source is None:
        return result if op.place.name in files else NOT_DONE
    if op.type in MOVING:
        file = files.get(op.place.name)
        return result if file is not None and op.expected is not None and file[0] == op.expected.ino else NOT_DONE
    if op.type is OpType.LOCAL_SWAP:
        assert op.source is not None
        pairs = ((op.place.name, op.expected), (op.source.name, op.partner_expected))
        same = all(print_ is not None and files.get(name, (0, 0))[0] == print_.ino for name, print_ in pairs)
        return result if same else NOT_DONE
    if op.type is OpType.LOCAL_DELETE and op.place.name in files:
        return result  # the entry holds what was removed; what stands there now came later
    return result


def require_kept(gone: int, alive: int, ever: int, device: Device) -> None:
    """P1: what our op took off a disk is at the hub, or still on this disk."""
    left = {bit(content) for _, _, content in device.disk}
    lost = [c for c in range(256) if gone & alive & ~ever & bit(c) and bit(c) not in left]
    if lost:
        raise Broken(f"P1: content {lost} left the disk, and the hub never had it")
