"""A space of a hub over HTTP: the ``Remote`` protocol for the daemon.

Owns requests, their limits, and the checking of every reply: sizes, ids, order, types. Judges no name and plans
nothing. Chunks are in hub_transfer, connections in http_client. Any thread.
"""

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeVar
from urllib.parse import urlencode

import msgspec

from syncd.adapters.http_client import IDLE_SECONDS, HttpClient
from syncd.adapters.hub_faults import raise_for
from syncd.adapters.hub_pin import matches, pinned_context
from syncd.adapters.hub_spread import MOST
from syncd.adapters.hub_transfer import Transfer
from syncd.model import wire
from syncd.model.errors import Corrupt, NotAuthorised, Offline, OtherRemote
from syncd.model.invite import HubAddress, Invite
from syncd.model.remote import (
    Capabilities,
    ChangesPage,
    ListingPage,
    Mutation,
    Outcome,
    RemoteIdentity,
    RemoteNode,
    VersionInfo,
)
from syncd.model.renewal import Renewal

CALL_SECONDS: Final = 60.0
"""How long one JSON exchange may take in all."""

COMMIT_BYTES: Final = 4 << 20
"""A commit is split above this much JSON (and above ``wire.MAX_BATCH`` mutations)."""

CAPABILITIES: Final = Capabilities(
    stable_ids=True,
    content_hash=True,
    change_feed=True,
    wait_for_change=True,
    atomic_rename=True,
    conditional_write=True,
    chunked_transfer=True,
    history=True,
    batch=True,
)

CALLS: Final = 8
"""Connections for calls, beside those of transfers."""

T = TypeVar("T")
_WAIT_SLACK: Final = 15.0


class HubRemote:
    """One device's space. Connects at the first call."""

    def __init__(self, address: HubAddress, token: str, *, expect: tuple[str, str] | None = None) -> None:
        """Speak to the hub at *address* as the device of *token*.

        *expect* holds the (remote id, space id) this root is tied to: ``identify`` raises OtherRemote for others.
        """
        if not token.isascii() or not token.isprintable() or not token or " " in token:
            raise NotAuthorised(
                "the stored device token is malformed; tie the folder again with a new invite: syncd init"
            )
        self._link = _Link(address, token)
        self._expect = expect
        self._transfer = Transfer(self._link)

    @staticmethod
    def enroll(invite: Invite, device_name: str, renewal: Renewal | None = None) -> wire.Enrolled:
        """Use up an invite and return this device's token and identity; raises NotAuthorised when it is not good.

        With *renewal* it takes the place of the device this was before, whose token ends. A lost reply may
        have done so and used the invite up: then a new one is needed."""
        link = _Link(invite.address, None)
        try:
            name = device_name.strip()[: wire.MAX_DEVICE]
            asked = wire.EnrollRequest(invite.secret, name or "device")
            if renewal is not None:
                asked = msgspec.structs.replace(asked, replaces=renewal.device_id, proof=renewal.proof)
            body = msgspec.json.encode(asked)
            enrolled = link.ask("POST", "/v1/enroll", wire.Enrolled, body)
        finally:
            link.close()
        _check_identity(enrolled.identity)
        _check(0 < len(enrolled.token) <= 512 and enrolled.token.isascii(), "an impossible token")
        return enrolled

    @property
    def capabilities(self) -> Capabilities:
        """What a hub can do: everything."""
        return CAPABILITIES

    def identify(self) -> RemoteIdentity:
        """Return who answers; raises NotAuthorised, or OtherRemote when it is not the hub or space expected."""
        identity = self._link.ask("GET", "/v1/space", RemoteIdentity)
        _check_identity(identity)
        if self._expect is not None and self._expect != (identity.remote_id, identity.space_id):
            raise OtherRemote(
                f"{self._link.address} is another hub or space than the one this folder is tied to: "
                "check the address, or run `syncd init` again"
            )
        return identity

    def changes(self, cursor: str, limit: int) -> ChangesPage:
        """Return what changed after *cursor*; raises CursorExpired, HistoryChanged or OtherRemote."""
        asked = min(max(limit, 1), wire.MAX_PAGE)
        page = self._link.ask("GET", f"/v1/changes?{urlencode({'cursor': cursor, 'limit': asked})}", ChangesPage)
        _check(len(page.changes) <= asked, "more changes than asked for")
        _check_cursor(page.cursor)
        _check(not (page.more and (not page.changes or page.cursor == cursor)), "a page that leads nowhere")
        for change in page.changes:
            wire.check_node(change.node)
            _check(len(change.key) in (0, wire.ID_BYTES), "an impossible key")
        return page

    def wait(self, cursor: str, seconds: float) -> bool:
        """Return True as soon as there may be changes after *cursor*, False after *seconds* without."""
        ends = time.monotonic() + seconds
        while True:
            left = max(0.0, ends - time.monotonic())
            asked = min(left, wire.MAX_WAIT)
            query = urlencode({"cursor": cursor, "seconds": f"{asked:.3f}"})
            reply = self._link.ask("GET", f"/v1/wait?{query}", wire.WaitReply, poll=asked)
            if reply.changed:
                return True
            if left <= wire.MAX_WAIT:
                return False

    def listing(self, page: str | None, limit: int) -> ListingPage:
        """Return a page of everything alive, parents not necessarily first."""
        asked = min(max(limit, 1), wire.MAX_PAGE)
        query = urlencode({"limit": asked} if page is None else {"limit": asked, "page": page})
        found = self._link.ask("GET", f"/v1/listing?{query}", ListingPage)
        _check(len(found.changes) <= asked, "more nodes than asked for")
        _check_cursor(found.cursor)
        if found.next is not None:
            _check(0 < len(found.next) <= wire.MAX_CURSOR and found.next != page, "a page that leads nowhere")
        for change in found.changes:
            wire.check_node(change.node)
            _check(not change.node.deleted, "a tombstone among what is alive")
        return found

    def look(self, node_ids: Sequence[bytes]) -> Sequence[RemoteNode | None]:
        """Return the present state (or tombstone) of each node; None for ids never seen."""
        found: list[RemoteNode | None] = []
        for part in _parts(node_ids, wire.MAX_BATCH):
            body = msgspec.json.encode(wire.LookRequest(tuple(part)))
            reply = self._link.ask("POST", "/v1/look", wire.LookReply, body)
            _check(len(reply.nodes) == len(part), "another number of nodes than asked for")
            for asked, node in zip(part, reply.nodes, strict=True):
                if node is not None:
                    wire.check_node(node)
                    _check(node.node_id == asked, "another node than asked for")
            found.extend(reply.nodes)
        return found

    def commit(self, batch: Sequence[Mutation]) -> Sequence[Outcome]:
        """Apply *batch* in order; each mutation is answered by itself.

        A large batch is sent in parts. Offline leaves open what was done: ask ``outcomes``."""
        outcomes: list[Outcome] = []
        for mutations, body in _commit_parts(batch):
            reply = self._link.ask("POST", "/v1/commit", wire.CommitReply, body)
            _check(len(reply.outcomes) == len(mutations), "another number of outcomes than mutations")
            for mutation, outcome in zip(mutations, reply.outcomes, strict=True):
                wire.check_outcome(outcome)
                _check(outcome.key == mutation.key, "an outcome of another mutation")
            outcomes.extend(reply.outcomes)
        return outcomes

    def outcomes(self, keys: Sequence[bytes]) -> Sequence[Outcome | None]:
        """Return how mutations with these keys ended; None for a key the hub never saw."""
        found: list[Outcome | None] = []
        for part in _parts(keys, wire.MAX_BATCH):
            body = msgspec.json.encode(wire.OutcomesRequest(tuple(part)))
            reply = self._link.ask("POST", "/v1/outcomes", wire.OutcomesReply, body)
            _check(len(reply.outcomes) == len(part), "another number of outcomes than keys")
            for key, outcome in zip(part, reply.outcomes, strict=True):
                if outcome is not None:
                    wire.check_outcome(outcome)
                    _check(outcome.key == key, "an outcome of another key")
            found.extend(reply.outcomes)
        return found

    def history(self, node_id: bytes) -> Sequence[VersionInfo]:
        """Return the versions of a node, newest first."""
        versions = self._link.ask("GET", f"/v1/history/{node_id.hex()}", wire.HistoryReply).versions
        for version in versions:
            wire.check_node(version.node)
            _check(version.node.node_id == node_id, "a version of another node")
        return versions

    def missing(self, hashes: Sequence[bytes]) -> Sequence[bytes]:
        """Return which chunks (or manifests) the hub lacks; saying "present" renews their lease."""
        return self._transfer.missing(hashes)

    def put_chunks(self, chunks: Iterable[tuple[bytes, bytes]]) -> None:
        """Store (hash, data) pairs; durable when this returns. Sent in requests of a few MiB."""
        self._transfer.put_chunks(chunks)

    def get_chunks(self, hashes: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
        """Yield (hash, data), verified, in the order asked; raises Outdated when one is gone.

        A cut stream is taken up again where it broke, a few times, before Offline is raised."""
        return self._transfer.get_chunks(hashes)

    def put_manifest(self, manifest_hash: bytes, encoded: bytes) -> None:
        """Store an encoded manifest."""
        self._transfer.put_manifest(manifest_hash, encoded)

    def get_manifest(self, manifest_hash: bytes) -> bytes:
        """Return an encoded manifest, verified against its hash."""
        return self._transfer.get_manifest(manifest_hash)

    def drop_connections(self) -> None:
        """Doubt every connection (after a suspend): what waits on one raises Offline at once."""
        self._link.drop()

    def close(self) -> None:
        """End everything under way, from any thread; later calls raise Offline."""
        self._transfer.close()
        self._link.close()


class _Link:
    """Authorised connections to one hub: a pool for calls and transfers, one apart for the long poll."""

    def __init__(self, address: HubAddress, token: str | None) -> None:
        self.address = address
        self._authorisation = [("authorization", f"Bearer {token}")] if token is not None else []
        self._lock = threading.Lock()
        self._clients: tuple[HttpClient, HttpClient] | None = None
        self._closed = False
        self._decoders: dict[type, msgspec.json.Decoder[object]] = {}

    @property
    def headers(self) -> list[tuple[str, str]]:
        """What every request carries."""
        return self._authorisation

    def client(self, poll: bool = False) -> HttpClient:
        """Return the connections, made at the first call; raises OtherRemote for a wrong certificate."""
        with self._lock:
            if self._closed:
                raise Offline("the connection to the hub was closed here")
            if self._clients is None:
                pin = self.address.pin
                context = None if pin is None else pinned_context(self.address)
                proves = None if pin is None else (lambda der: matches(pin, der))
                self._clients = (
                    HttpClient(self.address.url, context=context, proves=proves, connections=2 * MOST + CALLS),
                    HttpClient(self.address.url, context=context, proves=proves, connections=2),
                )
            return self._clients[1 if poll else 0]

    def ask(self, method: str, path: str, reply: type[T], body: bytes | None = None, poll: float | None = None) -> T:
        """Return the decoded JSON reply, strictly of type *reply*; raises the error its fault stands for.

        *poll* is how long, in seconds, the hub was asked to wait before it answers."""
        headers = [*self.headers, ("accept", "application/json")]
        if body is not None:
            headers.append(("content-type", "application/json"))
        seconds = CALL_SECONDS if poll is None else poll + _WAIT_SLACK
        answer = self.client(poll is not None).request(
            method,
            path,
            headers,
            () if body is None else (body,),
            seconds=seconds,
            silence=seconds if poll is not None else min(seconds, IDLE_SECONDS),
            limit=wire.MAX_REPLY,
        )
        if answer.status != 200:
            raise_for(self.address.url, answer.status, answer.headers, answer.body)
        try:
            return self._decoder(reply).decode(answer.body)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise Corrupt(_nonsense(str(error))) from error

    def drop(self) -> None:
        """End every exchange under way."""
        with self._lock:
            clients = self._clients
        for client in clients or ():
            client.drop()

    def close(self) -> None:
        """End everything, for good."""
        with self._lock:
            self._closed = True
            clients = self._clients
        for client in clients or ():
            client.close()

    def _decoder(self, reply: type[T]) -> msgspec.json.Decoder[T]:
        found = self._decoders.get(reply)
        if found is None:
            found = self._decoders.setdefault(reply, msgspec.json.Decoder(reply))
        return found  # type: ignore[return-value]


def _commit_parts(batch: Sequence[Mutation]) -> Iterator[tuple[list[Mutation], bytes]]:
    """Yield the batch in requests that stay under the limits, in order."""
    part: list[Mutation] = []
    encoded: list[bytes] = []
    size = 0
    for mutation in batch:
        one = msgspec.json.encode(mutation)
        if part and (len(part) >= wire.MAX_BATCH or size + len(one) > COMMIT_BYTES):
            yield part, _commit_body(encoded)
            part, encoded, size = [], [], 0
        part.append(mutation)
        encoded.append(one)
        size += len(one) + 1
    if part:
        yield part, _commit_body(encoded)


def _commit_body(encoded: Sequence[bytes]) -> bytes:
    return b'{"batch":[' + b",".join(encoded) + b"]}"


def _parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _check_identity(identity: RemoteIdentity) -> None:
    fields = (identity.remote_id, identity.space_id, identity.space, identity.device_id, identity.device)
    _check(all(0 < len(text) <= 1024 for text in fields), "an impossible identity")


def _check_cursor(cursor: str) -> None:
    _check(0 < len(cursor) <= wire.MAX_CURSOR, "an impossible cursor")


def _check(fine: bool, fault: str) -> None:
    if not fine:
        raise Corrupt(_nonsense(fault))


def _nonsense(fault: str) -> str:
    return f"the hub's reply makes no sense ({fault}): check the address, and that hub and device run the same syncd"
