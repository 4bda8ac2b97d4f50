"""Invites and hub addresses as text. Pure: says what a URL means, never whom it reaches.

An invite is ``syncd://host:port/space#secret.pin``; the pin is the SHA-256 fingerprint of the hub's certificate, in
lower-case hex, and is missing where the hub speaks plain HTTP. What a root remembers is the same without the secret.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final
from urllib.parse import quote, unquote

from syncd.model.errors import Usage
from syncd.model.path import name_fault, shown

SCHEME: Final = "syncd"
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{16,256}")
_PIN: Final = re.compile(r"[0-9a-f]{64}")
_HOST: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?")


@dataclass(frozen=True, slots=True)
class HubAddress:
    """Where a space is. *host* is a name or an address without brackets; *pin* is None for plain HTTP."""

    host: str
    port: int
    space: str
    pin: str | None = None

    @property
    def url(self) -> str:
        """The base URL of the hub's HTTP API."""
        return f"{'https' if self.pin else 'http'}://{_bracketed(self.host)}:{self.port}"

    @property
    def plain_beyond_loopback(self) -> bool:
        """Whether tokens and content would cross a network unencrypted."""
        return self.pin is None and not is_loopback(self.host)

    def __str__(self) -> str:
        return f"{SCHEME}://{_bracketed(self.host)}:{self.port}/{quote(self.space, safe='')}"


@dataclass(frozen=True, slots=True)
class Invite:
    """An address and the single-use secret that makes a device of who holds it."""

    address: HubAddress
    secret: str

    def __repr__(self) -> str:  # a secret never gets into a log by accident
        return f"Invite({self.address}#…)"


def is_loopback(host: str) -> bool:
    """Return whether *host* can only mean this machine."""
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def format_invite(invite: Invite) -> str:
    """Return the URL of *invite*; raises Usage when it could not be read back."""
    address = invite.address
    text = f"{address}#{invite.secret}" + (f".{address.pin}" if address.pin else "")
    parse_invite(text)
    return text


def parse_invite(text: str) -> Invite:
    """Return what an invite URL says; raises Usage naming the part that is wrong (never showing the secret)."""
    head, hash_sign, fragment = text.strip().partition("#")
    address = parse_address(head)
    if not hash_sign or not fragment:
        raise Usage("the invite has no secret: copy it whole, with what follows the # (in quotes in a shell)")
    secret, dot, pin = fragment.partition(".")
    if not _SECRET.fullmatch(secret):
        raise Usage("the invite's secret is malformed: copy the invite again, whole")
    if dot and not _PIN.fullmatch(pin.lower()):
        raise Usage("the invite's certificate pin is malformed (64 hex digits after the dot): copy the invite again")
    return Invite(HubAddress(address.host, address.port, address.space, pin.lower() if dot else None), secret)


def parse_address(text: str, pin: str | None = None) -> HubAddress:
    """Return what ``syncd://host:port/space`` says, with *pin*; raises Usage naming the part that is wrong."""
    scheme, separator, rest = text.strip().partition("://")
    if not separator or scheme.lower() != SCHEME:
        raise Usage(f"not a hub's address: {shown(text[:60])!r} does not start with {SCHEME}://")
    authority, slash, path = rest.partition("/")
    if "@" in authority:
        raise Usage("a hub's address has no user name or password in it")
    host, port = _host_and_port(authority)
    if not slash or not path:
        raise Usage(f"the hub's address names no space: expected {SCHEME}://host:port/space")
    if "?" in path or "/" in path.rstrip("/"):
        raise Usage(f"{shown(path[:60])!r} is not a space's name in a hub's address (quote / and ? as %2F and %3F)")
    if pin is not None and not _PIN.fullmatch(pin):
        raise Usage("the hub's certificate pin is malformed: expected 64 hex digits")
    return HubAddress(host, port, _space(path.rstrip("/")), pin)


def space_fault(name: str) -> str | None:
    """Return why *name* cannot be a space's name, or None when it can."""
    if fault := name_fault(name):
        return fault
    return None if name.isprintable() else "contains characters that cannot be shown"


def _space(quoted: str) -> str:
    try:
        space = unquote(quoted, errors="strict")
    except UnicodeDecodeError:
        raise Usage("the space's name in the hub's address is not UTF-8") from None
    if fault := space_fault(space):
        raise Usage(f"the space's name in the hub's address {fault}")
    return space


def _host_and_port(authority: str) -> tuple[str, int]:
    if authority.startswith("["):
        host, bracket, rest = authority[1:].partition("]")
        if not bracket or not _is_ipv6(host):
            raise Usage(f"{shown(authority[:60])!r} is not an IPv6 address in brackets")
        colon, port = rest[:1], rest[1:]
    else:
        host, colon, port = authority.partition(":")
        if ":" in port:
            raise Usage(f"an IPv6 address needs brackets in a hub's address: [{shown(authority[:60])}]:port")
        if not _HOST.fullmatch(host):
            raise Usage(f"{shown(host[:60])!r} is not a host name or address")
    if colon != ":" or not port:
        raise Usage(f"the hub's address names no port: expected {SCHEME}://host:port/space")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535):
        raise Usage(f"{shown(port[:20])!r} is not a port (1 to 65535)")
    return host, int(port)


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
