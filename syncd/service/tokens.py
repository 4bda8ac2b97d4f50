"""Device tokens: in the desktop's keyring where one answers in time, else in a 0600 file beside root.json.

Owns where tokens lie. Never logs one, never puts one in root.json, never waits long for a keyring.
"""

import contextlib
import os
import sys
import threading
from collections.abc import Callable
from typing import Final, TypeVar

from syncd.model.errors import NotAuthorised, Refused
from syncd.service.roots import Roots, write_private

SERVICE: Final = "syncd"
PATIENCE: Final = 3.0
"""Seconds a keyring may take: one that asks for a password on another screen must not stop a daemon."""

T = TypeVar("T")


class Tokens:
    """The tokens of all roots below one state folder."""

    def __init__(self, roots: Roots) -> None:
        self._roots = roots

    def put(self, root_id: str, token: str) -> None:
        """Keep *token*; afterwards it is in one place only."""
        path = self._roots.folder(root_id).base / "token"
        if _keyring_wanted() and _in_time(lambda: _keyring_put(root_id, token)):
            path.unlink(missing_ok=True)
            return
        write_private(path, token.encode())

    def get(self, root_id: str) -> str:
        """Return a root's token; raises NotAuthorised when there is none."""
        path = self._roots.folder(root_id).base / "token"
        try:
            if path.stat().st_mode & 0o077:
                raise Refused(f"{path}: others may read it: run `chmod 600` on it, and better tie the folder again")
            return path.read_text().strip()
        except FileNotFoundError:
            pass
        token = _in_time(lambda: _keyring_get(root_id)) if _keyring_wanted() else None
        if not token:
            raise NotAuthorised("this device's token is gone: tie the folder again with a new invite (`syncd init`)")
        return token

    def drop(self, root_id: str) -> None:
        """Forget a root's token wherever it is."""
        (self._roots.folder(root_id).base / "token").unlink(missing_ok=True)
        if _keyring_wanted():
            _in_time(lambda: _keyring_drop(root_id))


def _keyring_wanted() -> bool:
    """Return whether a keyring may be asked at all: never without a desktop session, never when told not to."""
    if os.environ.get("SYNCD_SECRETS") == "file":
        return False
    return sys.platform == "darwin" or bool(os.environ.get("DBUS_SESSION_BUS_ADDRESS"))


def _in_time(ask: Callable[[], T]) -> T | None:
    """Return what *ask* returns, or None when the keyring fails or does not answer in time."""
    answer: list[T] = []

    def run() -> None:
        with contextlib.suppress(Exception):  # any failure of a keyring means: the file
            answer.append(ask())

    # A daemon thread: one that hangs in D-Bus for ever must not keep the process alive.
    thread = threading.Thread(target=run, daemon=True, name="keyring")
    thread.start()
    thread.join(PATIENCE)
    return answer[0] if answer else None


def _keyring_put(root_id: str, token: str) -> bool:
    import keyring  # slow to import, and needed only here

    if keyring.get_keyring().priority < 1:  # the "fail" and "null" back ends, and plain-text files
        return False
    keyring.set_password(SERVICE, root_id, token)
    return keyring.get_password(SERVICE, root_id) == token


def _keyring_get(root_id: str) -> str | None:
    import keyring

    return keyring.get_password(SERVICE, root_id)


def _keyring_drop(root_id: str) -> bool:
    import keyring

    keyring.delete_password(SERVICE, root_id)
    return True
