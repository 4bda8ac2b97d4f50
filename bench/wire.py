"""Counts what travels: *up* to where one side listens, *down* from it. Owns its threads and sockets; changes no byte.

Two ways. ``Tap`` reads the heads of all packets on loopback: nothing stands in the way, headers count, and it may be
done by root only. ``Relay`` passes the bytes on itself: anybody may, it costs time, and only payload counts.
"""

import contextlib
import select
import socket
import struct
import threading
from typing import Final, Protocol

_ALL_PACKETS: Final = 3
_OUTGOING: Final = 4
_HEAD: Final = 64
_QUEUE: Final = 1 << 29
_FORCE_RECEIVE_BUFFER: Final = 33
_PACKET_LEVEL, _STATISTICS = 263, 6


class Wire(Protocol):
    """The bytes of each direction so far."""

    @property
    def up(self) -> int: ...

    @property
    def down(self) -> int: ...

    def dial(self, target: int) -> int:
        """Count from now on what is said to *target*, a port on loopback; return the port to connect to instead."""
        ...

    def close(self) -> None:
        """Count no more."""
        ...


class Relay:
    """A TCP relay that counts the payload of each direction."""

    def __init__(self) -> None:
        self.up = 0
        self.down = 0
        self._target = 0
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None

    def dial(self, target: int) -> int:
        """Listen, and pass on to *target*."""
        self._target = target
        self._listener = listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return int(listener.getsockname()[1])

    def close(self) -> None:
        """Take no more connections; those that are open end with their processes."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._target)) as hub:
            other = {client: hub, hub: client}
            while True:
                for ready in select.select(list(other), [], [])[0]:
                    data = ready.recv(1 << 18)
                    if not data:
                        return
                    with self._lock:
                        if ready is client:
                            self.up += len(data)
                        else:
                            self.down += len(data)
                    other[ready].sendall(data)


class Tap:
    """Reads the heads of packets on loopback, and counts those to and from one port, headers included."""

    def __init__(self) -> None:
        self.lost = 0
        self._up = self._down = self._port = 0
        self._over = threading.Event()
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, _FORCE_RECEIVE_BUFFER, _QUEUE)
        self._socket.settimeout(0.2)
        self._thread = threading.Thread(target=self._count, daemon=True)

    @property
    def up(self) -> int:
        """Bytes to the port."""
        return self._up

    @property
    def down(self) -> int:
        """Bytes from the port."""
        return self._down

    def dial(self, target: int) -> int:
        """Count *target*; it is connected to as it is."""
        self._port = target
        self._socket.bind(("lo", _ALL_PACKETS))
        self._thread.start()
        return target

    def close(self) -> None:
        """End; *lost* says how many packets came too fast to be counted."""
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join(5)
        self.lost = struct.unpack("II", self._socket.getsockopt(_PACKET_LEVEL, _STATISTICS, 8))[1]
        self._socket.close()

    def _count(self) -> None:
        head = bytearray(_HEAD)
        while not self._over.is_set():
            try:
                size, _, _, sender = self._socket.recvmsg_into([head], 0, socket.MSG_TRUNC)
            except TimeoutError:
                continue
            if sender[2] != _OUTGOING:  # each packet is seen twice on loopback: going and coming
                self._add(head, size)

    def _add(self, head: bytearray, size: int) -> None:
        if head[0] >> 4 != 4 or head[9] != socket.IPPROTO_TCP:
            return
        start = (head[0] & 15) * 4
        source, target = struct.unpack_from("!HH", head, start)
        if target == self._port:
            self._up += size
        elif source == self._port:
            self._down += size
