"""The table: what becomes of content and the executable bit, and what may be recorded without an op.

Place is decided elsewhere. Every op made here carries what it expects to find (P6).
"""

from dataclasses import replace

from syncd.model.conflict import ConflictKind, conflicted_name, copy_prefixes, is_conflicted_copy, original_name
from syncd.model.node import Absent, Kind, Node, Place, Present, Tree
from syncd.model.op import Op, OpType, Wait
from syncd.plan.world import Context, Trees


def local_executable(node: Node, context: Context) -> bool:
    """Return the executable bit L stands for: what S or R says where this file system has none."""
    remote, local, synced = node.remote, node.local, node.synced
    assert isinstance(local, Present)
    if context.executable_bit:
        return local.executable
    if isinstance(remote, Present):
        return remote.executable
    return synced.executable if isinstance(synced, Present) else local.executable


def edited_here(node: Node, context: Context) -> bool:
    """Return whether L has a content or executable bit that neither S nor R has."""
    remote, local = node.remote, node.local
    assert isinstance(local, Present)
    known = [state for state in (node.synced, remote) if isinstance(state, Present)]
    if all(state.hash != local.hash for state in known):
        return True
    bit = local_executable(node, context)
    return node.kind is Kind.FILE and all(state.executable != bit for state in known)


def executable_here(node: Node, context: Context) -> bool | None:
    """Return the bit that must still be on the disk when this file is overwritten or deleted; None: none to keep."""
    local = node.local
    assert isinstance(local, Present)
    return local.executable if node.kind is Kind.FILE and context.executable_bit else None


def content_op(node: Node, trees: Trees, context: Context) -> Op | None:
    """Return the op on content or executable bit of a node both sides have, or None when they agree."""
    remote, local, synced = node.remote, node.local, node.synced
    assert isinstance(remote, Present)
    assert isinstance(local, Present)
    if node.kind is Kind.DIRECTORY:
        return None
    known = isinstance(synced, Present)
    here = not isinstance(synced, Present) or local.hash != synced.hash
    there = not isinstance(synced, Present) or remote.hash != synced.hash
    if remote.hash == local.hash:
        return _executable_op(node, context)
    if here and there:
        # History changed and the remote fell back to what this device had replaced: its own content is newer.
        if not known and remote.version is not None and trees.superseded(node.id, remote.version):
            return upload_edit(node, context)
        return _conflict(node, trees, context)
    # One side edited. A bit that the other side changed goes first, so that it is not lost under the edit.
    cross = _executable_op(node, context)
    if here:
        return cross if cross is not None and cross.type is OpType.LOCAL_CHMOD else upload_edit(node, context)
    return cross if cross is not None and cross.type is OpType.REMOTE_CHMOD else download_edit(node, context)


def _executable_op(node: Node, context: Context) -> Op | None:
    remote, local, synced = node.remote, node.local, node.synced
    assert isinstance(remote, Present)
    assert isinstance(local, Present)
    if node.kind is not Kind.FILE:
        return None
    mine = local_executable(node, context)
    if mine == remote.executable:
        return None
    take = Op(
        node.id,
        OpType.LOCAL_CHMOD,
        node.kind,
        local.place,
        source=local.place,
        executable=remote.executable,
        base=remote.version,
        expected=node.fingerprint,
        expected_hash=local.hash,
    )
    if isinstance(synced, Present) and remote.executable == synced.executable:
        return replace(take, type=OpType.REMOTE_CHMOD, place=remote.place, executable=mine)
    return take


def upload_edit(node: Node, context: Context) -> Op:
    """Give the remote the local content, over the version it has now."""
    remote, local = node.remote, node.local
    assert isinstance(remote, Present)
    assert isinstance(local, Present)
    new = upload_new(node, local.place, context)
    return replace(new, source=local.place, manifest=remote.manifest, destructive=True, bytes_at_stake=remote.size)


def download_edit(node: Node, context: Context) -> Op:
    """Give the local file the remote's content."""
    local = node.local
    assert isinstance(local, Present)
    return replace(
        download_new(node, local.place),
        source=local.place,
        expected=node.fingerprint,
        expected_hash=local.hash,
        expected_executable=executable_here(node, context),
        destructive=True,
        bytes_at_stake=local.size,
    )


def download_new(node: Node, place: Place, waits: tuple[Wait, ...] = ()) -> Op:
    """Bring a file or symlink of the remote here, where nothing may be; or make the directory."""
    remote = node.remote
    assert isinstance(remote, Present)
    kind = OpType.LOCAL_MKDIR if node.kind is Kind.DIRECTORY else OpType.DOWNLOAD
    return Op(
        node.id,
        kind,
        node.kind,
        place,
        hash=remote.hash,
        size=remote.size,
        executable=remote.executable,
        mtime_ns=remote.mtime_ns,
        manifest=remote.manifest,
        base=remote.version,
        waits=waits,
    )


def upload_new(node: Node, place: Place, context: Context, waits: tuple[Wait, ...] = ()) -> Op:
    """Create the node at the remote; over its tombstone when it has one (it is revived under its own id).

    An edit carries the same, over the version there is."""
    remote, local = node.remote, node.local
    assert isinstance(remote, Present | Absent)
    assert isinstance(local, Present)
    kind = OpType.REMOTE_MKDIR if node.kind is Kind.DIRECTORY else OpType.UPLOAD
    return Op(
        node.id,
        kind,
        node.kind,
        place,
        hash=local.hash,
        size=local.size,
        executable=local_executable(node, context),
        mtime_ns=local.mtime_ns,
        base=remote.version,
        expected=node.fingerprint,
        expected_hash=local.hash,
        waits=waits,
    )


def _conflict(node: Node, trees: Trees, context: Context) -> Op:
    remote, local = node.remote, node.local
    assert isinstance(remote, Present)
    assert isinstance(local, Present)
    if _copy_exists(node, trees):
        # The local content is already on the remote as a conflicted copy: nothing is lost by taking the remote's.
        return download_edit(node, context)
    return replace(
        download_edit(node, context),
        type=OpType.CONFLICT,
        aside=free_name(trees, context, local.place),
        conflict=ConflictKind.EDIT_EDIT,
        destructive=False,
        bytes_at_stake=0,
    )


def _copy_exists(node: Node, trees: Trees) -> bool:
    remote, local = node.remote, node.local
    assert isinstance(remote, Present)
    assert isinstance(local, Present)
    original = original_name(local.place.name)
    found = (trees.beginning(Tree.REMOTE, remote.place.parent, prefix) for prefix in copy_prefixes(original))
    for other in (node for nodes in found for node in nodes):
        there = other.remote
        if (
            other.id != node.id
            and other.kind is node.kind
            and isinstance(there, Present)
            and there.hash == local.hash
            and is_conflicted_copy(there.place.name)
            and original_name(there.place.name) == original
            and _stays(other)
        ):
            return True
    return False


def _stays(copy: Node) -> bool:
    """Return whether this device is about to leave the copy on the remote as it is."""
    if isinstance(copy.local, Present) and isinstance(copy.remote, Present):
        return copy.local.hash == copy.remote.hash
    return isinstance(copy.synced, Absent)


def free_name(trees: Trees, context: Context, place: Place, but: Place | None = None) -> str:
    """Return a conflicted name that neither tree uses in the directory of *place*, and that is not *but*."""
    number = 1
    while True:
        name = conflicted_name(place.name, context.device, context.now, number)
        taken = any(trees.at_folded(tree, place.parent, name) for tree in (Tree.LOCAL, Tree.REMOTE))
        if not taken and Place(place.parent, name) != but:
            return name
        number += 1


def recorded(node: Node, context: Context) -> Present | None:
    """Return the new S where R and L agree on something S does not say yet, field by field; None when nothing does.

    Without an S everything must agree at once: part of a snapshot cannot be recorded.
    """
    remote, local, synced = node.remote, node.local, node.synced
    assert isinstance(remote, Present)
    assert isinstance(local, Present)
    place = remote.place == local.place
    content = remote.hash == local.hash
    executable = node.kind is not Kind.FILE or remote.executable == local_executable(node, context)
    if place and content and executable:
        return remote if remote != synced else None
    if not isinstance(synced, Present):
        return None
    new = synced
    if place:
        new = replace(new, place=remote.place)
    if content:
        new = replace(new, hash=remote.hash, size=remote.size, mtime_ns=remote.mtime_ns, manifest=remote.manifest)
    if executable:
        new = replace(new, executable=remote.executable)
    return new if new != synced else None
