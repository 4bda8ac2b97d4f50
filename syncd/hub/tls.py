"""The hub's own certificate. Owns its making and its fingerprint, the pin that invites carry; no authority signs it.

A device trusts exactly this certificate, by fingerprint, so names and dates in it mean little.
"""

import hashlib
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from syncd.model.errors import Refused
from syncd.ports import Clock

FILE: Final = "hub-tls.pem"
"""Key and certificate, in the hub's data folder; 0600."""

YEARS: Final = 20


@dataclass(frozen=True, slots=True)
class Certificate:
    """Where key and certificate are, and the SHA-256 fingerprint of the certificate in lower-case hex."""

    path: Path
    pin: str


def certificate(data_dir: Path, clock: Clock) -> Certificate:
    """Return the hub's certificate, made at the first call; raises Refused for a file that cannot be read.

    A damaged file is never replaced by itself: a new certificate would lock every device out.
    """
    path = data_dir / FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        content = _create(path, clock)
    except OSError as error:
        raise Refused(f"the hub's certificate {path} cannot be read: {error.strerror}") from error
    try:
        parsed = x509.load_pem_x509_certificate(content)
        serialization.load_pem_private_key(content, None)
    except ValueError as error:
        raise Refused(
            f"the hub's certificate {path} is damaged: put back a copy, or move it and invite anew"
        ) from error
    return Certificate(path, hashlib.sha256(parsed.public_bytes(serialization.Encoding.DER)).hexdigest())


def _create(path: Path, clock: Clock) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "syncd hub")])
    start = datetime.fromtimestamp(clock.now(), UTC) - timedelta(days=2)  # clocks of devices may be behind
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=365 * YEARS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("syncd-hub")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    content = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + made.public_bytes(serialization.Encoding.PEM)
    return _publish(path, content)


def _publish(path: Path, content: bytes) -> bytes:
    """Make *content* durable under *path* unless another process was first; return what is there."""
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        os.link(partial, path)  # fails when it exists, unlike a rename
    except FileExistsError:
        content = path.read_bytes()
    finally:
        partial.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return content
