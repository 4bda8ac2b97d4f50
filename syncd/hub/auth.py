"""Who may enter which space: invites and device tokens.

Owns secrets and their hashes: a secret is told once and stored only hashed. Nothing is cached: each call looks into
the database, so an invite or a revocation by another process counts at once. Never speaks HTTP.
"""

import base64
import hmac
from typing import Final

from syncd.hub.store import DeviceRow, Reads, Space, Writes
from syncd.model.errors import NotAuthorised, Usage
from syncd.model.path import name_fault
from syncd.model.renewal import Renewal, proof_by_hash, secret_hash
from syncd.ports import Chance

INVITE_TTL: Final = 7 * 86_400.0
"""How long an invite is good for, in seconds."""

MAX_DEVICE_NAME: Final = 64
"""Longest device name, in characters."""

_SECRET_BYTES: Final = 20
_TOKEN_BYTES: Final = 32
_ID_BYTES: Final = 16
_NOBODY: Final = bytes(32)


def create_space(store: Writes, name: str, at: float, chance: Chance) -> Space:
    """Return the space called *name*, made when new; raises Usage for a name it cannot have."""
    fault = name_fault(name)
    if fault is None and not name.isprintable():
        fault = "contains characters that cannot be shown"
    if fault is not None:
        raise Usage(f"the name of the space {fault}; choose another")
    found = store.space_named(name)
    if found is not None:
        return found
    return store.add_space(chance.token(_ID_BYTES), name, at, chance.token(8).hex())


def find_space(store: Reads, name: str) -> Space:
    """Return the space called *name*; raises Usage when there is none."""
    found = None if name_fault(name) else store.space_named(name)
    if found is None:
        raise Usage(f"this hub has no space called {name!r}: `syncd hub invite` makes one")
    return found


def invite(store: Writes, space: Space, at: float, ttl: float, chance: Chance) -> str:
    """Return a new secret that lets one device into *space* within *ttl* seconds."""
    if ttl <= 0:
        raise Usage("an invite must be good for some time")
    secret = _text(chance.token(_SECRET_BYTES))
    store.add_invite(secret_hash(secret), space.key, at + ttl)
    return secret


def enroll(
    store: Writes, secret: str, device_name: str, renewal: Renewal | None, at: float, chance: Chance
) -> tuple[Space, DeviceRow, str]:
    """Use up an invite: return its space, the new device and its token. Raises NotAuthorised.

    A device of this space that *renewal* proves to be the same one is shut out: the new one takes its place and may
    take its name. A proof that is not good counts for nothing: whoever holds an invite may come in all the same.
    """
    hashed = secret_hash(secret)
    row = store.invite(hashed)
    if row is None or row.used_at is not None:
        raise NotAuthorised("this invite is not known or was used before; ask for a new one")
    if row.expires_at <= at:
        raise NotAuthorised("this invite has expired; ask for a new one")
    space = store.space(row.space)
    if space is None:
        raise NotAuthorised("the space of this invite is gone; ask for a new one")
    store.use_invite(hashed, at)
    replaced = None if renewal is None else _proven(store, space, secret, renewal)
    if replaced is not None:
        store.revoke_device(replaced.key, at)
    device_id = chance.token(_ID_BYTES)
    token = f"{device_id.hex()}.{_text(chance.token(_TOKEN_BYTES))}"
    name = _free_name(store, space, device_name)
    return space, store.add_device(device_id, space.key, name, secret_hash(token), at), token


def _proven(store: Reads, space: Space, secret: str, renewal: Renewal) -> DeviceRow | None:
    """Return the living device of *space* whose token the proof was made with, if any; compared in constant time."""
    try:
        device = store.device(bytes.fromhex(renewal.device_id))
    except ValueError:
        device = None
    expected = proof_by_hash(_NOBODY if device is None else device.token_hash, secret)
    right = hmac.compare_digest(expected, renewal.proof)
    if device is None or not right or device.space != space.key or device.revoked_at is not None:
        return None
    return device


def authenticate(store: Reads, token: str) -> tuple[Space, DeviceRow]:
    """Return whom *token* belongs to; raises NotAuthorised for a wrong or revoked one, in constant time."""
    try:
        device_id = bytes.fromhex(token.partition(".")[0])
    except ValueError:
        device_id = b""
    device = store.device(device_id)
    # Compared also where there is no such device, so that the time taken does not tell.
    right = hmac.compare_digest(secret_hash(token), _NOBODY if device is None else device.token_hash)
    if device is None or not right:
        raise NotAuthorised(
            "the hub does not know this device's token; tie the folder again with a new invite: syncd init"
        )
    return _admitted(store, device)


def still(store: Reads, device_id: bytes) -> tuple[Space, DeviceRow]:
    """Return a device that was let in before; raises NotAuthorised when it was revoked since."""
    device = store.device(device_id)
    if device is None:
        raise NotAuthorised("the hub does not know this device; tie the folder again with a new invite: syncd init")
    return _admitted(store, device)


def revoke(store: Writes, device: str, space: str | None, at: float) -> DeviceRow:
    """Shut out a device named by its id (hex), or by a name that only one living device has; raises Usage."""
    within = None if space is None else find_space(store, space).key
    rows = store.devices(within)
    found = [row for row in rows if row.device_id.hex() == device]
    found = found or [row for row in rows if row.name == device and row.revoked_at is None]
    if not found:
        raise Usage(f"this hub has no device {device!r}: `syncd hub devices` lists them")
    if len(found) > 1:
        raise Usage(f"several devices are called {device!r}; name one by its id, or its space")
    store.revoke_device(found[0].key, at)
    return found[0]


def _admitted(store: Reads, device: DeviceRow) -> tuple[Space, DeviceRow]:
    space = store.space(device.space)
    if device.revoked_at is not None or space is None:
        raise NotAuthorised("this device was revoked at the hub; tie the folder again with a new invite: syncd init")
    return space, device


def _free_name(store: Reads, space: Space, wanted: str) -> str:
    """Return a name no living device of the space has: ``laptop``, ``laptop 2``, ..."""
    shown = "".join(char if char.isprintable() else "_" for char in wanted).strip()[:MAX_DEVICE_NAME].strip()
    name = base = shown or "device"
    taken = {row.name for row in store.devices(space.key) if row.revoked_at is None}
    number = 1
    while name in taken:
        number += 1
        name = f"{base[: MAX_DEVICE_NAME - 8]} {number}"
    return name


def _text(secret: bytes) -> str:
    return base64.urlsafe_b64encode(secret).rstrip(b"=").decode("ascii")
