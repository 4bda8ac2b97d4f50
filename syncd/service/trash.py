"""The trash of a tied folder, for the command line: opens the proven root and asks its trash. Needs no daemon."""

from syncd.adapters.posix_fs import PosixFs
from syncd.execute.trashcan import TrashEntry, trash_list, trash_restore
from syncd.model.path import RelPath
from syncd.ports import RootIdentity
from syncd.service.roots import RootRecord


def listed(record: RootRecord) -> list[TrashEntry]:
    """Return what is in the root's trash, newest first; raises RootGone when the folder is not the one tied."""
    return trash_list(_proven(record))


def restore(record: RootRecord, entry_id: str) -> RelPath:
    """Put an entry back, replacing nothing; returns where it is now. A running daemon sees it like any new file."""
    return trash_restore(_proven(record), entry_id)


def _proven(record: RootRecord) -> PosixFs:
    fs = PosixFs(record.path, expected=RootIdentity(record.id, record.dev, record.ino))
    fs.prove()
    return fs
