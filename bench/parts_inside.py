"""Rows about parts of this program alone: the device's database, and the hub as its clients see it."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
from blake3 import blake3

from bench import floors
from bench.book import FLOOR, OURS
from bench.plan import Bench
from bench.rig import Hub
from syncd.adapters.hub_remote import HubRemote
from syncd.adapters.system import SystemClock
from syncd.db.connection import Database
from syncd.db.schema import apply_pragmas
from syncd.model import invite
from syncd.model.node import Fingerprint, Kind, Place, Present, Version
from syncd.model.path import ROOT, ROOT_ID, NodeKey
from syncd.model.remote import Content, Create, Mutation, Verdict

BATCH = 1_000
PIECE = 1 << 20
EACH = 1_000


def database(bench: Bench) -> None:
    """Rows a second into the database as the engine writes them, and what a node needs on the disk."""
    rows = bench.size("rows")
    for _ in range(bench.repeat):
        with bench.trying("database", FLOOR), bench.ground.place() as base:
            took = _bare_rows(base / "bare.sqlite", rows)
            bench.book.add("database", FLOOR, {"rows/s": rows / took}, "SQLite, one table of one index, same pragmas")
        with bench.trying("database", OURS), bench.ground.place() as base:
            path = base / "syncd.sqlite"
            took, read = _node_rows(path, rows)
            figures = {"rows/s": rows / took, "reads/s": rows / read, "bytes a node": path.stat().st_size / rows}
            bench.book.add("database", OURS, figures, f"nodes with S, R and L, {BATCH:,} a transaction")


def _bare_rows(path: Path, rows: int) -> float:
    connection = apsw.Connection(str(path))
    apply_pragmas(connection)
    connection.execute("CREATE TABLE row (id INTEGER PRIMARY KEY, parent INTEGER, name TEXT, hash BLOB, size INTEGER)")
    connection.execute("CREATE INDEX row_name ON row (parent, name)")
    began = time.perf_counter()
    for start in range(0, rows, BATCH):
        with connection:
            connection.executemany(
                "INSERT INTO row (parent, name, hash, size) VALUES (?, ?, ?, ?)",
                ((1 + n // EACH, f"file {n:07}.txt", _hash(n), n) for n in range(start, min(start + BATCH, rows))),
            )
    connection.close()
    return time.perf_counter() - began


def _node_rows(path: Path, rows: int) -> tuple[float, float]:
    """Return the seconds of writing all rows, the log emptied, and of reading each once."""
    database = Database.open(str(path), clock=SystemClock())
    began = time.perf_counter()
    folder = ROOT
    for start in range(0, rows, BATCH):
        with database.transaction():
            for n in range(start, min(start + BATCH, rows)):
                if n % EACH == 0:
                    folder = _node(database, n, ROOT, f"folder {n // EACH:05}", Kind.DIRECTORY)
                _node(database, n, folder, f"file {n:07}.txt", Kind.FILE)
    database.close()
    written = time.perf_counter() - began
    database = Database.open(str(path), clock=SystemClock())
    began = time.perf_counter()
    with database.reading():
        for key in range(2, rows + 2):
            database.nodes.node(key)
    read = time.perf_counter() - began
    database.close()
    return written, read


def _node(database: Database, n: int, parent: NodeKey, name: str, kind: Kind) -> NodeKey:
    file = kind is Kind.FILE
    here = Present(Place(parent, name), _hash(n) if file else None, size=n if file else 0, mtime_ns=10**18 + n)
    there = Present(here.place, here.hash, size=here.size, mtime_ns=here.mtime_ns, version=Version(n + 1, "0123456789"))
    print_ = Fingerprint(1, n + 100, 10**18 + n, 10**18 + n, here.size)
    node_id = _hash(-2 * n - 1 - file)[:16]
    return database.nodes.insert(kind, node_id=node_id, synced=there, remote=there, local=here, fingerprint=print_)


def _hash(n: int) -> bytes:
    return blake3(n.to_bytes(8, "big", signed=True)).digest()


def hub(bench: Bench) -> None:
    """Commits and content a second that one client gets out of the hub, one request at a time."""
    pieces = _pieces(bench.size("content"))
    total = sum(map(len, pieces))
    for _ in range(bench.repeat):
        with bench.trying("hub", FLOOR), bench.ground.place() as base:
            took = floors.write_and_sync(base, pieces)
            bench.book.add("hub", FLOOR, {"MB up/s": total / took / 1e6}, "write to one file, one fsync", durable=True)
        with bench.trying("hub", OURS), bench.ground.place() as base:
            served = Hub(base / "hub", profiles=bench.profiles)
            try:
                served.start()
                remote = _client(served.invite())
                figures = _commits(remote, bench.size("commits")) | _content(remote, pieces)
                remote.close()
            finally:
                served.process.end()
            bench.book.add("hub", OURS, figures, "one client, one request at a time", durable=True)


def _pieces(size: int) -> list[bytes]:
    chance = random.Random(6)
    return [chance.randbytes(PIECE) for _ in range(size // PIECE)]


def _client(text: str) -> HubRemote:
    asked = invite.parse_invite(text)
    enrolled = HubRemote.enroll(asked, "bench")
    return HubRemote(asked.address, enrolled.token)


def _commits(remote: HubRemote, number: int) -> dict[str, float]:
    """Commit empty files: in the largest batches, and one by one."""
    mutations = list(_creates(number + number // 20))
    began = time.perf_counter()
    for start in range(0, number, BATCH):
        _commit(remote, mutations[start : min(start + BATCH, number)])
    batched = time.perf_counter() - began
    began = time.perf_counter()
    for mutation in mutations[number:]:
        _commit(remote, [mutation])
    single = time.perf_counter() - began
    return {"commits/s": number / batched, "single commits/s": (number // 20) / single}


def _commit(remote: HubRemote, batch: list[Mutation]) -> None:
    for outcome in remote.commit(batch):
        if outcome.verdict is not Verdict.DONE:
            raise OSError(f"the hub answers {outcome.verdict} to a create: {outcome.detail}")


def _creates(number: int) -> Iterator[Mutation]:
    empty = Content(blake3(b"").digest(), 0)
    for n in range(number):
        node_id = _hash(n)[:16]
        yield Create(_hash(-n - 1)[:16], node_id, ROOT_ID, f"file {n:07}.txt", Kind.FILE, content=empty)


def _content(remote: HubRemote, pieces: list[bytes]) -> dict[str, float]:
    total = sum(map(len, pieces)) / 1e6
    chunks = [(blake3(piece).digest(), piece) for piece in pieces]
    began = time.perf_counter()
    for start in range(0, len(chunks), 4):
        remote.put_chunks(chunks[start : start + 4])
    up = time.perf_counter() - began
    began = time.perf_counter()
    got = sum(len(data) for start in range(0, len(chunks), 8) for _, data in remote.get_chunks(_names(chunks, start)))
    down = time.perf_counter() - began
    if got != sum(map(len, pieces)):
        raise OSError("the hub gave other content than it got")
    return {"MB up/s": total / up, "MB down/s": total / down}


def _names(chunks: list[tuple[bytes, bytes]], start: int) -> list[bytes]:
    return [name for name, _ in chunks[start : start + 8]]
