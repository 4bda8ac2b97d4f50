"""The table of the hub's paths, and the OpenAPI description made from it. What is not in the table is not served.

Owns what is documented; the description is generated from the very types that are decoded, so that it cannot lie.
"""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from syncd.hub.api import Handler, HubApi, application
from syncd.hub.api_chunks import ChunkApi
from syncd.hub.api_io import json_reply
from syncd.model import wire
from syncd.model.remote import ChangesPage, ListingPage, RemoteIdentity
from syncd.model.wire import Fault

BINARY: Final = "application/octet-stream"
_CURSOR_FAULTS: Final = (Fault.NONSENSE, Fault.HISTORY_CHANGED, Fault.CURSOR_EXPIRED, Fault.OTHER_REMOTE)
_BODY_FAULTS: Final = (Fault.NONSENSE, Fault.TOO_LARGE, Fault.TOO_SLOW)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path. *request* and *reply* are a wire type, or BINARY with what it holds in *binary*."""

    method: str
    path: str
    summary: str
    handler: Handler
    reply: Any
    request: Any = None
    queries: tuple[tuple[str, str, bool], ...] = ()
    faults: tuple[Fault, ...] = ()
    binary: str = ""
    open: bool = False
    ranged: bool = False


def endpoints(api: HubApi, chunks: ChunkApi) -> list[Endpoint]:
    """Return every endpoint but the description itself."""
    return [*_json_endpoints(api), *_chunk_endpoints(chunks)]


def _json_endpoints(api: HubApi) -> list[Endpoint]:
    limit = ("limit", "most rows on the page", False)
    return [
        Endpoint("GET", "/healthz", "whether the hub answers", api.health, wire.HealthReply, open=True),
        Endpoint(
            "POST", "/v1/enroll", "turn an invite's secret into a device token", api.enroll, wire.Enrolled,
            wire.EnrollRequest, faults=(*_BODY_FAULTS, Fault.NOT_AUTHORISED, Fault.REFUSED), open=True,
        ),
        Endpoint("GET", "/v1/space", "who answers, and as whom", api.identify, RemoteIdentity),
        Endpoint(
            "GET", "/v1/changes", "what changed after a cursor", api.changes, ChangesPage,
            queries=(("cursor", "where the last page ended", True), limit), faults=_CURSOR_FAULTS,
        ),
        Endpoint(
            "GET", "/v1/wait", "long poll: answers when there may be changes", api.wait, wire.WaitReply,
            queries=(("cursor", "where the last page ended", True), ("seconds", "how long, at most 55", False)),
            faults=_CURSOR_FAULTS,
        ),
        Endpoint(
            "GET", "/v1/listing", "everything alive, page by page", api.listing, ListingPage,
            queries=(("page", "the last page's next; absent for the first", False), limit), faults=_CURSOR_FAULTS,
        ),
        Endpoint(
            "POST", "/v1/commit", "apply mutations, each answered by itself", api.commit, wire.CommitReply,
            wire.CommitRequest, faults=(*_BODY_FAULTS, Fault.NO_SPACE),
        ),
        Endpoint(
            "POST", "/v1/outcomes", "how mutations with these keys ended", api.outcomes, wire.OutcomesReply,
            wire.OutcomesRequest, faults=_BODY_FAULTS,
        ),
        Endpoint(
            "POST", "/v1/look", "the present state of nodes", api.look, wire.LookReply, wire.LookRequest,
            faults=_BODY_FAULTS,
        ),
        Endpoint(
            "GET", "/v1/history/{node_id}", "the versions of a node, newest first", api.history, wire.HistoryReply,
            faults=(Fault.NONSENSE,),
        ),
    ]  # fmt: skip


def _chunk_endpoints(chunks: ChunkApi) -> list[Endpoint]:
    frames = "a count (u32), then for each chunk its hash (32 bytes), length (u32) and data; big-endian"
    return [
        Endpoint(
            "POST", "/v1/chunks/missing", "which chunks the hub lacks; renews the lease of the others",
            chunks.missing, wire.MissingReply, wire.HashesRequest, faults=_BODY_FAULTS,
        ),
        Endpoint(
            "POST", "/v1/chunks", "store chunks; durable when answered", chunks.put, wire.StoredReply, BINARY,
            faults=(*_BODY_FAULTS, Fault.CORRUPT, Fault.NO_SPACE), binary=frames,
        ),
        Endpoint(
            "POST", "/v1/chunks/fetch", "chunks in the order asked; a length of 0xffffffff ends the stream: gone",
            chunks.fetch, BINARY, wire.HashesRequest, faults=(*_BODY_FAULTS, Fault.CORRUPT), binary=frames,
        ),
        Endpoint(
            "GET", "/v1/chunks/{hash}", "one chunk, or a byte range of it", chunks.get, BINARY,
            faults=(Fault.NONSENSE, Fault.OUTDATED, Fault.BAD_RANGE, Fault.CORRUPT), binary="the chunk", ranged=True,
        ),
        Endpoint(
            "PUT", "/v1/manifests/{hash}", "store an encoded manifest", chunks.put_manifest, wire.StoredReply, BINARY,
            faults=(*_BODY_FAULTS, Fault.CORRUPT, Fault.NO_SPACE), binary="the encoded manifest",
        ),
        Endpoint(
            "GET", "/v1/manifests/{hash}", "an encoded manifest", chunks.get_manifest, BINARY,
            faults=(Fault.NONSENSE, Fault.OUTDATED, Fault.CORRUPT), binary="the encoded manifest",
        ),
    ]  # fmt: skip


def build(api: HubApi) -> Starlette:
    """Return the ASGI application."""
    table = endpoints(api, ChunkApi(api))
    description = msgspec.json.encode(describe(table))

    async def openapi(_request: Request) -> Response:
        return json_reply(description)

    routes = [Route(entry.path, api.guarded(entry.handler), methods=[entry.method]) for entry in table]
    return application([*routes, Route("/openapi.json", openapi, methods=["GET"])])


def describe(table: list[Endpoint]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 description of *table*."""
    types = [wire.FaultReply]
    types += [side for entry in table for side in (entry.request, entry.reply) if side not in (None, BINARY)]
    unique = list(dict.fromkeys(types))
    schemas, components = msgspec.json.schema_components(unique, ref_template="#/components/schemas/{name}")
    schema_of = dict(zip(unique, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {
        "/openapi.json": {
            "get": {
                "summary": "this description",
                "security": [],
                "responses": {"200": {"description": "OpenAPI 3.1", "content": {"application/json": {}}}},
            }
        }
    }
    for entry in table:
        paths.setdefault(entry.path, {})[entry.method.lower()] = _operation(entry, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {"title": "syncd hub", "version": "1", "description": "Bytes in JSON are base64."},
        "security": [{"device": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"device": {"type": "http", "scheme": "bearer", "description": "a device token"}},
        },
    }


def _operation(entry: Endpoint, schema_of: dict[Any, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {"summary": entry.summary, "responses": _responses(entry, schema_of)}
    if entry.open:
        operation["security"] = []
    parameters = [
        {"name": name, "in": "query", "required": required, "description": text, "schema": {"type": "string"}}
        for name, text, required in entry.queries
    ]
    parameters += [
        {"name": part[1:-1], "in": "path", "required": True, "schema": {"type": "string", "pattern": "^[0-9a-f]+$"}}
        for part in entry.path.split("/")
        if part.startswith("{")
    ]
    if entry.ranged:
        parameters.append({"name": "Range", "in": "header", "required": False, "schema": {"type": "string"}})
    if parameters:
        operation["parameters"] = parameters
    if entry.request is not None:
        operation["requestBody"] = {"required": True, "content": _content(entry, entry.request, schema_of)}
    return operation


def _responses(entry: Endpoint, schema_of: dict[Any, Any]) -> dict[str, Any]:
    responses: dict[str, Any] = {
        "200": {"description": "done", "content": _content(entry, entry.reply, schema_of)},
    }
    if entry.ranged:
        responses["206"] = {"description": "the range", "content": _content(entry, entry.reply, schema_of)}
    faults = [*entry.faults, Fault.INTERNAL, Fault.UNAVAILABLE, Fault.STOPPING]
    if not entry.open:
        faults.append(Fault.NOT_AUTHORISED)
    for status in sorted({wire.STATUS[fault] for fault in faults}):
        codes = ", ".join(sorted(fault.value for fault in dict.fromkeys(faults) if wire.STATUS[fault] == status))
        responses[str(status)] = {
            "description": f"{HTTPStatus(status).phrase}: {codes}",
            "content": {"application/json": {"schema": schema_of[wire.FaultReply]}},
        }
    return responses


def _content(entry: Endpoint, side: Any, schema_of: dict[Any, Any]) -> dict[str, Any]:
    if side == BINARY:
        return {BINARY: {"schema": {"type": "string", "format": "binary", "description": entry.binary}}}
    return {"application/json": {"schema": schema_of[side]}}
