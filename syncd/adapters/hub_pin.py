"""Trust in one hub's certificate, by its fingerprint. Owns the pin; asks no authority and believes no name or date."""

import hashlib
import hmac
import socket
import ssl
from typing import Final

from syncd.adapters.http_client import why_unreachable
from syncd.model.errors import Corrupt, Offline, OtherRemote
from syncd.model.invite import HubAddress

_SECONDS: Final = 10.0
_NO_CHECK_TIME: Final = 0x200000  # X509_V_FLAG_NO_CHECK_TIME of OpenSSL, which ssl.VerifyFlags does not name


def matches(pin: str, der: bytes) -> bool:
    """Return whether a certificate (DER) is the pinned one."""
    return hmac.compare_digest(hashlib.sha256(der).hexdigest(), pin)


def pinned_context(address: HubAddress) -> ssl.SSLContext:
    """Return a context that trusts the hub's pinned certificate and nothing else.

    The certificate is fetched without trust and compared; raises OtherRemote when it is another one, Offline.
    """
    assert address.pin is not None
    der = _shown_certificate(address)
    if not matches(address.pin, der):
        raise OtherRemote(
            f"{address.url} shows another certificate than the invite names: it is not that hub, or someone is "
            "between; check the address, or ask for a new invite"
        )
    context = _context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=der)
    # The pin says whom to trust, not a date: a device whose clock is wrong must still reach its hub.
    context.verify_flags |= _NO_CHECK_TIME
    return context


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # the fingerprint says who it is; a hub is reached by many names
    context.verify_mode = ssl.CERT_NONE
    return context


def _shown_certificate(address: HubAddress) -> bytes:
    try:
        with (
            socket.create_connection((address.host, address.port), _SECONDS) as plain,
            _context().wrap_socket(plain) as sealed,
        ):
            der = sealed.getpeercert(binary_form=True)
    except ssl.SSLError as error:
        raise Corrupt(
            f"{address.url} does not speak TLS as expected ({error.reason or error}): check the address"
        ) from error
    except (OSError, UnicodeError) as error:
        raise Offline(f"{address.url} cannot be reached: {why_unreachable(error)}") from error
    if not der:
        raise Corrupt(f"{address.url} shows no certificate: check the address")
    return der
