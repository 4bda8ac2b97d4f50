"""Tying a folder to a space: the one moment where invite, marker, root.json and token come together.

Owns the order of these steps. Never removes a file of the folder; a first link is a union of both sides.
"""

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from syncd.adapters import lockfile
from syncd.adapters.hub_remote import HubRemote
from syncd.adapters.posix_marker import read_marker, tie_root
from syncd.model.errors import Usage
from syncd.model.invite import Invite, parse_invite
from syncd.model.path import shown
from syncd.model.wire import Enrolled
from syncd.service.roots import RootRecord, Roots, new_root_id
from syncd.service.tokens import Tokens


@dataclass(frozen=True, slots=True)
class Tied:
    """What tying brought: the record, and whether S was kept (the same space again)."""

    record: RootRecord
    renewed: bool


def default_device() -> str:
    """Return this machine's name, the first part of it."""
    return socket.gethostname().partition(".")[0] or "device"


def tie(
    roots: Roots,
    path: Path,
    url: str,
    device: str,
    *,
    insecure: bool,
    confirmed: Callable[[str], bool],
) -> Tied:
    """Tie the folder at *path* to the space that the invite *url* leads to.

    *confirmed* is asked before a folder leaves the space it is tied to. Raises Usage, Offline, NotAuthorised or
    OtherRemote, each with one clear line; then nothing was changed here.
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
        _ask_about_foreign_marker(real, confirmed)
        return Tied(_tie_new(roots, real, invite, HubRemote.enroll(invite, device)), renewed=False)
    with lockfile.acquire(os.fspath(roots.folder(before.id).lock)):
        # Only who answers tells whether it is the same space: its address may have changed.
        enrolled = HubRemote.enroll(invite, device)
        identity = enrolled.identity
        if (before.hub_id, before.space_id) == (identity.remote_id, identity.space_id):
            return Tied(_renew(roots, before, invite, enrolled), renewed=True)
        other = f"{shown(str(real))} is tied to {before.remote}; tie it to {invite.address}, which is another space"
        if not confirmed(other):
            raise Usage(
                f"{shown(str(real))}: is tied to {before.remote}, and {invite.address} is another hub or space: "
                "add --force-new, with a fresh invite (this one is used up), to start anew with it"
            )
        Tokens(roots).drop(before.id)
        roots.forget(before.id)
    return Tied(_tie_new(roots, real, invite, enrolled), renewed=False)


def _ask_about_foreign_marker(real: Path, confirmed: Callable[[str], bool]) -> None:
    """A marker we know nothing of: another device or another user may be syncing this very folder."""
    if read_marker(os.fspath(real)) is None:
        return
    what = f"{shown(str(real))} carries the mark of another tie (another device, or state that was lost)"
    if not confirmed(f"{what}; tie it anew"):
        raise Usage(f"{what}: stop whatever syncs it, then add --force-new to tie it anew")


def _renew(roots: Roots, before: RootRecord, invite: Invite, enrolled: Enrolled) -> RootRecord:
    """The same space again: a fresh token, S and every decision stay."""
    record = msgspec.structs.replace(
        before,
        remote=str(invite.address),
        pin=invite.address.pin,
        device_id=enrolled.identity.device_id,
        device=enrolled.identity.device,
    )
    Tokens(roots).put(record.id, enrolled.token)
    roots.save(record)
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
    return record
