"""What a person can do about what does not go on by itself: one remedy for each kind of trouble. Light, and says only.

Commands and the doctor give the same remedy for the same trouble (P12).
"""

import os
import shlex
from typing import Final

LOST_DATABASE: Final = "end it, and start it again with `syncd run`: it reads both sides anew"
"""What to do about a daemon whose database was deleted."""

_OF_ERRORS: Final = {
    "not permitted": "give yourself the right (chmod u+rwx {folder}), and see that the disk is not read-only",
    "busy": "close the program that uses it",
    "disk": "check the disk; the system's log says more",
    "held": "decide with `syncd approve`",
}
_OF_NAMES: Final = {
    "unreadable": "give yourself the right to read it (chmod u+rX {path})",
    "on another file system": "tie it as a folder of its own, if it is to be synced",
    "kept for ignored content": "remove it if nobody needs what is in it; it goes by itself once it is empty",
}


def mend_of(error_class: str, path: str) -> str:
    """Return the remedy for an op's class of errors, about *path* (absolute, as shown); "" where its error says it."""
    return _OF_ERRORS.get(error_class, "").format(folder=shlex.quote(os.path.dirname(path)))


def mend_of_name(reason: str, path: str, *, in_the_way: bool) -> str:
    """Return the remedy for a name that is not synced; *in_the_way*: something of the remote is meant to be there."""
    if reason in _OF_NAMES:
        return _OF_NAMES[reason].format(path=shlex.quote(path))
    return "rename or remove it here, then what the remote has there comes" if in_the_way else ""
