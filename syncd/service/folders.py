"""Where state, configuration and sockets lie: the XDG variables, with the platform's conventions as fallback.

Owns names of folders and sockets, and that what is private is private. Knows nothing of what is kept there.
"""

import os
import stat
import sys
from pathlib import Path
from typing import Final

from syncd.model.errors import Refused

APP: Final = "syncd"
MAX_SOCKET_PATH: Final = 100
"""Bytes a Unix socket's path may have everywhere (macOS: 104 with the final NUL)."""


def state_dir() -> Path:
    """Return the folder of root.json, databases, locks and hub data; not created."""
    return _xdg("XDG_STATE_HOME", ".local/state", "user_state_path")


def config_file() -> Path:
    """Return the person's config file, which may not exist."""
    return _xdg("XDG_CONFIG_HOME", ".config", "user_config_path") / "config.toml"


def data_dir() -> Path:
    """Return where an embedded hub keeps its data by default; not created."""
    return _xdg("XDG_DATA_HOME", ".local/share", "user_data_path") / "hub"


def _xdg(variable: str, default: str, conventional: str) -> Path:
    """Return the application's folder under *variable*; a relative value is ignored, as the specification says."""
    value = os.environ.get(variable, "")
    if os.path.isabs(value):
        return Path(value) / APP
    if sys.platform == "darwin":
        import platformdirs  # macOS: ~/Library/...; imported only where the answer is not a constant

        return Path(getattr(platformdirs, conventional)(APP))
    return Path.home() / default / APP


def private_dir(path: Path) -> Path:
    """Create *path* for this user alone (0700), or make sure that it is; raises Refused when it belongs to another."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise Refused(f"{path}: is not a folder of this user: remove it, or point the XDG folders elsewhere")
    if found.st_mode & 0o077:
        path.chmod(0o700)
    return path


def socket_path(root_id: str) -> Path:
    """Return the control socket of a root: short, the same for every process with the same state folder.

    The state folder is part of the name, so that two devices on one machine with one runtime folder do not meet. A
    daemon notes the path it used beside root.json, for clients whose environment differs (cron, ssh).
    """
    import hashlib  # a daemon has left a note of the answer: `status` rarely needs it

    state = state_dir()
    name = hashlib.blake2s(f"{state}\0{root_id}".encode(errors="surrogateescape"), digest_size=8).hexdigest() + ".sock"
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    candidates = [Path(runtime) / APP] if os.path.isabs(runtime) and os.path.isdir(runtime) else []
    candidates.append(state / "run")
    # The last resort is short whatever the home is called. Other users can create it first; private_dir refuses then.
    candidates.append(Path("/tmp") / f"{APP}-{os.geteuid()}")
    for folder in candidates:
        if len(os.fsencode(folder / name)) <= MAX_SOCKET_PATH:
            return folder / name
    return candidates[-1] / name
