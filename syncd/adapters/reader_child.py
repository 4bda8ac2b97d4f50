"""A child process that reads and hashes many small files: what a look does, without waiting for the daemon's threads.

Run as a script; its standard input is one end of a socket pair. A request is a ``HEAD``, with the descriptors of the
directories beside it, then the bytes a file must not begin with, and the names: NUL between two, "/" where the next
directory begins. The answer is one ``RECORD`` a name. Opens nothing but regular files, follows nothing, writes nothing,
imports nothing of syncd, and ends when the other end is closed.
"""

import os
import socket
import stat as st
import struct

from blake3 import blake3

HEAD = struct.Struct("=IIHH")
"""Bytes of names, the most bytes of a file, bytes of what none begins with, and how many directories there are."""

RECORD = struct.Struct("=BQQqqqIQ32s")
"""Whether it could be read; device, inode, mtime and ctime (ns), size, mode, links; BLAKE3."""

NOTHING = bytes(RECORD.size)
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def main() -> None:
    with socket.socket(fileno=0) as channel:
        while request := received(channel):
            channel.sendall(b"".join(answers(*request)))


def received(channel: socket.socket) -> tuple[list[int], list[bytes], int, bytes] | None:
    """Wait for a request; None when there will be no more."""
    head, directories, _, _ = socket.recv_fds(channel, HEAD.size, 256)
    if not head:
        return None
    length, limit, prefix, _ = HEAD.unpack(head + exactly(channel, HEAD.size - len(head)))
    unless = exactly(channel, prefix)
    return directories, exactly(channel, length).split(b"\0"), limit, unless


def exactly(channel: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        more = channel.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return bytes(data)


def answers(directories: list[int], names: list[bytes], limit: int, unless: bytes) -> list[bytes]:
    out, at = [], 0
    for name in names:
        if name == b"/":
            at += 1
            continue
        try:
            out.append(read(directories[at], name, limit, unless))
        except (OSError, struct.error):  # gone, locked, with a time that no 64 bits hold: to be looked at by itself
            out.append(NOTHING)
    for directory in directories:
        os.close(directory)
    return out


def read(directory: int, name: bytes, limit: int, unless: bytes) -> bytes:
    """Return the record of one file. What is no regular file is not even opened, so that a FIFO never notices us."""
    if not st.S_ISREG(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
        return NOTHING
    file = os.open(name, READ, dir_fd=directory)
    try:
        raw = os.fstat(file)
        if not st.S_ISREG(raw.st_mode) or raw.st_size > limit:
            return NOTHING
        data = os.read(file, raw.st_size + 1)
        if len(data) != raw.st_size or (unless and data.startswith(unless)):
            return NOTHING
    finally:
        os.close(file)
    # Whoever has the name now is the file that was read, and nobody has touched it since it was opened.
    if facts(raw) != facts(os.stat(name, dir_fd=directory, follow_symlinks=False)):
        return NOTHING
    return RECORD.pack(1, *facts(raw), blake3(data).digest())


def facts(raw: os.stat_result) -> tuple[int, ...]:
    times = raw.st_mtime_ns, raw.st_ctime_ns
    return raw.st_dev, raw.st_ino, *times, raw.st_size, raw.st_mode, raw.st_nlink


if __name__ == "__main__":
    try:
        main()
    except (EOFError, ConnectionError):
        os._exit(0)  # the daemon is gone
