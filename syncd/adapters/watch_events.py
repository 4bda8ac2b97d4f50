"""inotify as the kernel offers it: three calls and the format of its events. Owns no state and decides nothing."""

import ctypes
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntFlag
from functools import cache
from typing import Any, Final

_HEADER: Final = struct.Struct("iIII")  # wd, mask, cookie, length of the name with its padding


class In(IntFlag):
    """Bits of an event or a watch, as in ``<sys/inotify.h>``."""

    MODIFY = 0x00000002
    ATTRIB = 0x00000004
    CLOSE_WRITE = 0x00000008
    MOVED_FROM = 0x00000040
    MOVED_TO = 0x00000080
    CREATE = 0x00000100
    DELETE = 0x00000200
    DELETE_SELF = 0x00000400
    MOVE_SELF = 0x00000800
    UNMOUNT = 0x00002000
    Q_OVERFLOW = 0x00004000
    IGNORED = 0x00008000
    ONLYDIR = 0x01000000
    EXCL_UNLINK = 0x04000000
    ISDIR = 0x40000000


# MODIFY is in it for applications that keep a file open and append: they close it hours later. The kernel merges
# repeated events itself, what it leaves is merged in a batch. Reading (ACCESS, OPEN) never wakes us.
NAMES_MASK: Final = int(
    In.MODIFY
    | In.ATTRIB
    | In.CLOSE_WRITE
    | In.MOVED_FROM
    | In.MOVED_TO
    | In.CREATE
    | In.DELETE
    | In.ONLYDIR
    | In.EXCL_UNLINK
)
ROOT_MASK: Final = NAMES_MASK | int(In.DELETE_SELF | In.MOVE_SELF)
CANARY_MASK: Final = int(In.CREATE | In.ONLYDIR)

MOST_WATCHES_FILE: Final = "/proc/sys/fs/inotify/max_user_watches"
NAMESPACE_WATCHES_FILE: Final = "/proc/sys/user/max_inotify_watches"


@dataclass(frozen=True, slots=True)
class Event:
    """One event: *name* is empty when it is about the watched directory itself; *wd* -1 is the queue's own."""

    wd: int
    mask: int
    cookie: int
    name: str


def parse(buffer: bytes) -> Iterator[Event]:
    """Yield the events in what one read returned; the kernel never splits an event."""
    offset = 0
    while offset + _HEADER.size <= len(buffer):
        wd, mask, cookie, length = _HEADER.unpack_from(buffer, offset)
        offset += _HEADER.size
        name = buffer[offset : offset + length].rstrip(b"\0") if length else b""
        offset += length
        yield Event(wd, mask, cookie, os.fsdecode(name))


def pack(wd: int, mask: int, cookie: int = 0, name: bytes = b"") -> bytes:
    """Return one event in the kernel's format: the opposite of ``parse``."""
    padded = name + b"\0" * (16 - len(name) % 16) if name else b""
    return _HEADER.pack(wd, mask, cookie, len(padded)) + padded


@cache
def _libc() -> Any:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.inotify_add_watch.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)
    libc.inotify_rm_watch.argtypes = (ctypes.c_int, ctypes.c_int)
    return libc


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def open_queue() -> int:
    """Return the descriptor of a new, non-blocking inotify queue. Raises OSError (EMFILE: too many of this user's)."""
    return _checked(_libc().inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))


def add_watch(queue: int, directory: int, mask: int) -> int:
    """Watch the directory behind the descriptor *directory*; returns the watch descriptor.

    Going through the descriptor, nothing that is swapped into the path meanwhile can be watched instead (P10), and
    depth is not limited by the length of a path. An inode that is watched already gives its old watch descriptor.
    """
    return _checked(_libc().inotify_add_watch(queue, b"/proc/self/fd/%d/." % directory, mask))


def remove_watch(queue: int, wd: int) -> bool:
    """Stop a watch; returns False when the kernel had ended it already."""
    return bool(_libc().inotify_rm_watch(queue, wd) == 0)


def most_watches() -> int | None:
    """Return how many watches this user may have (per container as well), None when the system does not say."""
    found = []
    for path in (MOST_WATCHES_FILE, NAMESPACE_WATCHES_FILE):
        try:
            with open(path, encoding="ascii") as file:
                found.append(int(file.read()))
        except (OSError, ValueError):
            continue
    return min(found, default=None)
