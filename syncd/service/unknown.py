"""Says why syncd knows nothing of a path: a pattern, a name of its own, a kind it never syncs, or no look yet."""

import os
import stat

from syncd.db.views import View
from syncd.engine.exclusion import RULES
from syncd.model.path import RelPath, is_reserved, shown, shown_path
from syncd.observe.ignore import RULES_NAME, ignorer


def why_unknown(root: str, path: RelPath, view: View) -> str:
    """Return one line on *path* below the folder *root*, which no tree has a node for; with what to do."""
    text = bytes.fromhex(view.meta(RULES) or "").decode("utf-8", "surrogateescape")
    try:
        found = os.lstat(os.path.join(root, *path))
    except (FileNotFoundError, NotADirectoryError):
        found = None
    except OSError as error:
        return f"cannot be looked at here: {shown(error.strerror or str(error))}"
    by = ignorer(text, path, found is not None and stat.S_ISDIR(found.st_mode))
    if by is not None:
        it = "is" if by.path == path else f"is in {shown_path(by.path)}, which is"
        if is_reserved(by.path[-1]):
            return f"{it} a name syncd keeps for itself: never synced; another name would be"
        source = "a built-in rule" if by.built_in else RULES_NAME
        mend = f"a line !{shown(by.pattern)} in {RULES_NAME}" if by.built_in else "take that line out"
        return f"{it} ignored, by the pattern {shown(by.pattern)} of {source}; to have it synced: {mend}"
    if found is None:
        return "is not here, and as far as is known the remote has nothing of this name either"
    kind = stat.S_IFMT(found.st_mode)
    if kind not in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
        return "is neither a file nor a directory nor a symlink: such things are never synced"
    return "is here, and was not looked at yet: the next look finds it; `syncd scan` looks now"
