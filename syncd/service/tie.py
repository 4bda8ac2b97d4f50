"""Tying a folder to a space: the one moment where invite, marker, root.json and token come together.

Owns the order of these steps. Never removes a file of the folder; a first link is a union of both sides.
"""

import contextlib
import enum
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from syncd.adapters import lockfile
from syncd.adapters.hub_remote import HubRemote
from syncd.adapters.posix_fs import PosixFs
from syncd.adapters.posix_marker import MARKER, read_marker, tie_root
from syncd.model.errors import NotAuthorised, Refused, RootGone, SyncdError, Usage
from syncd.model.invite import Invite, parse_invite
from syncd.model.path import RESERVED, shown
from syncd.model.renewal import Renewal, proof_of
from syncd.model.wire import Enrolled
from syncd.ports import RootIdentity
from syncd.service import known_traits
from syncd.service.roots import DOUBTED, RootRecord, Roots, new_root_id
from syncd.service.tokens import Tokens


@dataclass(frozen=True, slots=True)
class Tied:
    """What tying brought: the record, whether S was kept (the same space again), and whether the folder that S is of
    was *marked* anew: then nothing proves that it is the one that was tied, and its deletes are held."""

    record: RootRecord
    renewed: bool
    marked: bool = False


class Mark(enum.Enum):
    """What the folder's marker says of the tie it is asked about."""

    NONE = enum.auto()
    OWN = enum.auto()
    FOREIGN = enum.auto()
    """Another tie's, or damaged: whose it is cannot be known."""


def default_device() -> str:
    """Return this machine's name, the first part of it."""
    return socket.gethostname().partition(".")[0] or "device"


def tie(
    roots: Roots,
    path: Path,
    url: str,
    device: str | None,
    *,
    insecure: bool,
    confirmed: Callable[[str], bool],
) -> Tied:
    """Tie the folder at *path* to the space that the invite *url* leads to.

    *device* None is this device's name as the folder knows it, or else the machine's. *confirmed* is asked before a
    folder leaves the space it is tied to, or loses the mark of another tie. Raises Usage, Offline, NotAuthorised,
    RootGone or OtherRemote, each with one clear line; then nothing was changed here.
    """
    invite = parse_invite(url)
    if invite.address.plain_beyond_loopback and not insecure:
        raise Usage(
            f"{invite.address.host} would be spoken to without encryption: serve the hub with TLS (leave out its "
            "--insecure), or add --insecure here"
        )
    real = roots.check_new(path)
    before = roots.tied(real)
    if before is None:
        _look_at_mark(real, None, confirmed)
        enrolled = HubRemote.enroll(invite, device or default_device())
        return Tied(_tie_new(roots, real, invite, enrolled), renewed=False)
    with lockfile.acquire(os.fspath(roots.folder(before.id).lock)):
        mark = _look_at_mark(real, before.id, confirmed)
        # Only who answers tells whether it is the same space: its address may have changed.
        enrolled = HubRemote.enroll(invite, device or before.device, _renewal(roots, before, invite))
        identity = enrolled.identity
        if (before.hub_id, before.space_id) == (identity.remote_id, identity.space_id):
            doubted = mark is not Mark.OWN
            return Tied(_renew(roots, before, invite, enrolled, doubted=doubted), renewed=True, marked=doubted)
        other = f"{shown(str(real))} is tied to {before.remote}; tie it to {invite.address}, which is another space"
        if not confirmed(other):
            raise Usage(
                f"{shown(str(real))}: is tied to {before.remote}, and {invite.address} is another hub or space: "
                "add --force-new, with a fresh invite (this one is used up), to start anew with it"
            )
        Tokens(roots).drop(before.id)
        roots.forget(before.id)
    return Tied(_tie_new(roots, real, invite, enrolled), renewed=False)


def _look_at_mark(real: Path, own: str | None, confirmed: Callable[[str], bool]) -> Mark:
    """Return what the folder's marker says; asks about a foreign one. Raises before an invite is used for nothing.

    A marker we know nothing of: another device or another user may be syncing this very folder."""
    mark = _mark(real, own)
    if mark is Mark.NONE:
        _require_markable(real)
    if mark is Mark.FOREIGN:
        what = f"{shown(str(real))} carries the mark of another tie (another device, or state that was lost)"
        if not confirmed(f"{what}; tie it anew"):
            raise Usage(f"{what}: stop whatever syncs it, then add --force-new to tie it anew")
    return mark


def _mark(real: Path, own: str | None) -> Mark:
    folder = real / RESERVED
    try:
        found = read_marker(os.fspath(real))
    except RootGone:
        if folder.is_symlink() or not folder.is_dir() or (folder / MARKER).is_dir():
            raise  # something that is not ours has the name: only a person can take it away
        return Mark.FOREIGN
    if found is None:
        return Mark.NONE
    return Mark.OWN if found == own else Mark.FOREIGN


def _require_markable(real: Path) -> None:
    """Raise Usage where the folder cannot hold a marker, as in a file system of the kernel's own."""
    folder = real / RESERVED
    try:
        folder.mkdir(mode=0o700)
        folder.rmdir()
    except FileExistsError:
        pass
    except OSError as error:
        raise Usage(
            f"{shown(str(real))}: syncd cannot keep its mark and trash there (making {RESERVED}: "
            f"{(error.strerror or str(error)).lower()}): mend that, or choose another folder"
        ) from error


def _renewal(roots: Roots, before: RootRecord, invite: Invite) -> Renewal | None:
    """Return the proof that this is the device the folder knows; None without a token to prove it with."""
    try:
        token = Tokens(roots).get(before.id)
    except (NotAuthorised, Refused):  # lost, or open to others: the new one is a way out of both
        return None
    return Renewal(before.device_id, proof_of(token, invite.secret))


def _renew(roots: Roots, before: RootRecord, invite: Invite, enrolled: Enrolled, *, doubted: bool) -> RootRecord:
    """The same space again: a fresh token, S and every decision stay.

    A *doubted* folder is marked anew, the record first: a crash in between leaves a folder that is not synced, and
    never one that passes for the folder S is of (P8)."""
    record = msgspec.structs.replace(
        before,
        remote=str(invite.address),
        pin=invite.address.pin,
        device_id=enrolled.identity.device_id,
        device=enrolled.identity.device,
        ino=DOUBTED if doubted else before.ino,
    )
    Tokens(roots).put(record.id, enrolled.token)
    roots.save(record)
    if doubted:
        tie_root(record.path, record.id, replace=True)
    return record


def _tie_new(roots: Roots, real: Path, invite: Invite, enrolled: Enrolled) -> RootRecord:
    """Marker first, record last: a crash in between leaves an untied folder with a mark, and a used invite."""
    root_id = new_root_id()
    identity = tie_root(os.fspath(real), root_id, replace=True)
    record = RootRecord(
        id=root_id,
        path=os.fspath(real),
        remote=str(invite.address),
        pin=invite.address.pin,
        hub_id=enrolled.identity.remote_id,
        space_id=enrolled.identity.space_id,
        device_id=enrolled.identity.device_id,
        device=enrolled.identity.device,
        dev=identity.dev,
        ino=identity.ino,
    )
    roots.prepare(root_id)
    Tokens(roots).put(root_id, enrolled.token)
    roots.save(record)
    _try_out(roots, record)
    return record


def _try_out(roots: Roots, record: RootRecord) -> None:
    """Find out what the folder's file system can do, for whoever asks before a daemon ran (`syncd plan`); the daemon
    tries it out again at each mount, so what cannot be tried now is no fault."""
    with contextlib.suppress(SyncdError, OSError):
        fs = PosixFs(record.path, expected=RootIdentity(record.id, record.dev, record.ino))
        known_traits.keep(roots.folder(record.id).base, fs.traits)
