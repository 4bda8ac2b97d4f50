"""What an op carried: how S advances when it ends. An op advances only its own fields (section 7). Pure."""

from dataclasses import replace

from syncd.model.node import Absent, Node, Place, Present
from syncd.model.op import Op, OpType

ARRIVALS = frozenset({OpType.LOCAL_MKDIR, OpType.LOCAL_MOVE, OpType.SET_ASIDE})
CREATES = frozenset({OpType.UPLOAD, OpType.REMOTE_MKDIR, OpType.DOWNLOAD, OpType.LOCAL_MKDIR})


def is_create(op: Op) -> bool:
    """Return whether *op* brings a node into being on the side it changes."""
    return op.type in CREATES and op.source is None


def takes_a_name(op: Op) -> bool:
    """Return whether *op* puts something to a name in this folder where nothing is."""
    return op.type in ARRIVALS or (op.type is OpType.DOWNLOAD and op.expected is None)


def after_own_commit(node: Node, op: Op, remote: Present | Absent) -> Present | Absent:
    """Return S after a remote-side *op* committed and left *remote* there."""
    if isinstance(remote, Absent):
        return Absent()
    synced = node.synced
    if is_create(op) or isinstance(synced, Absent):
        return remote
    match op.type:
        case OpType.UPLOAD:
            advanced = replace(
                synced, hash=remote.hash, size=remote.size, executable=remote.executable, mtime_ns=remote.mtime_ns
            )
        case OpType.REMOTE_CHMOD:
            advanced = replace(synced, executable=remote.executable)
        case OpType.REMOTE_MOVE:
            advanced = replace(synced, place=remote.place)
        case _:
            advanced = synced
    return replace(advanced, version=remote.version, manifest=remote.manifest)


def after_local_op(node: Node, op: Op) -> Present | Absent:
    """Return S after a local-side *op* was applied. Only fields it carried move."""
    synced = node.synced
    match op.type:
        case OpType.LOCAL_DELETE:
            return Absent()
        case OpType.DOWNLOAD | OpType.CONFLICT | OpType.LOCAL_MKDIR:
            place = synced.place if isinstance(synced, Present) and op.source is not None else op.place
            return Present(place, op.hash, op.executable, op.size, op.mtime_ns, op.base, op.manifest)
        case OpType.LOCAL_MOVE | OpType.LOCAL_SWAP if isinstance(synced, Present):
            return replace(synced, place=op.place)
        case OpType.LOCAL_CHMOD if isinstance(synced, Present):
            return replace(synced, executable=op.executable)
        case _:
            return synced


def displaced_by_swap(partner: Node, place: Place) -> Present | Absent:
    """Return S of a node that a swap moved out of the way: its new place is our doing, not a person's rename."""
    return replace(partner.synced, place=place) if isinstance(partner.synced, Present) else partner.synced
