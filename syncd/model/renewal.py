"""How a device that is tied again proves who it was, without telling its token to whoever answers.

Owns the proof's rule, which device and hub share. Pure: knows no database and no wire.
"""

from dataclasses import dataclass
from typing import Final

from blake3 import blake3

_CONTEXT: Final = "syncd hub 2026 secret"


@dataclass(frozen=True, slots=True)
class Renewal:
    """Which device (id in hex) a new one takes the place of, and the proof that both are the same."""

    device_id: str
    proof: bytes


def secret_hash(secret: str) -> bytes:
    """Return what a hub keeps of a secret: 32 bytes."""
    # Secrets are random and long: a plain hash cannot be searched backwards, so none that is slow on purpose is needed.
    return blake3(secret.encode("utf-8", "surrogatepass"), derive_key_context=_CONTEXT).digest()


def proof_of(token: str, invite_secret: str) -> bytes:
    """Return the proof, 32 bytes, that who uses this invite holds *token*. It is good with this one invite only."""
    return proof_by_hash(secret_hash(token), invite_secret)


def proof_by_hash(token_hash: bytes, invite_secret: str) -> bytes:
    """Return the same proof from what the hub keeps of the token."""
    return blake3(invite_secret.encode("utf-8", "surrogatepass"), key=token_hash).digest()
