"""What must be true when all is at rest: written down from the trees as people left them, before any planning."""

from dataclasses import dataclass, field, replace

from syncd.model.conflict import is_conflicted_copy, original_name
from syncd.model.node import Absent, Kind, Node, Place, Present, Reason, Tree, Unknown, place_of
from syncd.model.op import OpType
from syncd.model.path import ROOT, name_fault
from syncd.plan.order import temporary_name, touch
from syncd.plan.planner import join, plan
from tests.property.generator import POOL
from tests.property.world import World, heard_of_copies


@dataclass(slots=True)
class Ledger:
    """*wanted*: contents that must be in the final tree; *gone*: that must not. *rows* are those it was made of."""

    rows: dict[int, Node]
    wanted: set[bytes] = field(default_factory=set)
    gone: set[bytes] = field(default_factory=set)
    copies: int = 0
    here: dict[tuple[str, ...], tuple[Kind, bytes | None, bool]] = field(default_factory=dict)
    there: dict[tuple[str, ...], tuple[Kind, bytes | None, bool]] = field(default_factory=dict)


def ledger_of(world: World) -> Ledger:
    """Write down what people did to *world*, which nothing has been planned from yet."""
    ledger = Ledger(dict(world.rows), here=world.tree(Tree.LOCAL), there=world.tree(Tree.REMOTE))
    deleted: set[bytes] = set()
    held: set[bytes] = set()
    for node in world.rows.values():
        if node.kind is not Kind.DIRECTORY:
            _note(world, node, ledger.wanted, deleted, held)
    replaced = _replaced_in_place(world)
    ledger.wanted -= replaced
    ledger.gone = deleted - ledger.wanted - held - replaced - set(POOL)
    return ledger


def _note(world: World, node: Node, wanted: set[bytes], deleted: set[bytes], held: set[bytes]) -> None:
    s, r, here = node.synced, node.remote, node.local
    if not isinstance(s, Present):
        if isinstance(here, Present):
            wanted.add(_content(here))
        if isinstance(r, Present):
            replaced = r.version is not None and world.superseded(node.id, r.version)
            if not (replaced and isinstance(here, Present)):
                wanted.add(_content(r))
        return
    for side in (r, here):
        if isinstance(side, Present) and side.hash != s.hash:
            wanted.add(_content(side))
    if isinstance(r, Present) and isinstance(here, Present):
        if r.hash == here.hash == s.hash:
            wanted.add(_content(s))
        elif s.hash in (r.hash, here.hash):
            deleted.add(_content(s))
        return
    for side in (r, here):
        if isinstance(side, Present) and side.hash == s.hash:
            bit = side.executable != s.executable and (world.executable_bit or side is r)
            if side.place != s.place or bit:
                held.add(_content(s))
                # An edit of the name or the bit beats a delete, too (P7): but where no bit can be kept, the remote's
                # is taken over into S without an op, and a delete here that is heard of after that was one of it.
                told = world.up_to_date or world.executable_bit
                if side.place != s.place or told:
                    wanted.add(_content(s))
                return
    deleted.add(_content(s))


def _content(state: Present) -> bytes:
    assert state.hash is not None
    return state.hash


def _replaced_in_place(world: World) -> set[bytes]:
    """Contents the remote only renamed or chmodded, whose place here was deleted and made anew: an edit of it."""
    out = set()
    for node in world.rows.values():
        if isinstance(node.remote, Present) and isinstance(node.local, Absent) and isinstance(node.synced, Present):
            found = join(world, node.id)
            if found is not None and node.kind is not Kind.DIRECTORY:
                made = place_hash(world.rows[found.drop])
                if node.synced.hash in (node.remote.hash, made):
                    out.add(_content(node.synced))
    return out


def place_hash(node: Node) -> bytes | None:
    return node.local.hash if isinstance(node.local, Present) else None


# --- at rest --------------------------------------------------------------------------------------------------------


def check_rest(world: World) -> None:
    """P2: the trees are equal and S says so. P3: nothing is to be done, and looking again changes nothing."""
    here, there = world.tree(Tree.LOCAL), world.tree(Tree.REMOTE)
    if not world.executable_bit:
        assert _without_bits(here) == _without_bits(there), "P2: the trees differ"
    else:
        assert here == there, "P2: the trees differ"
    assert len(there) == len(world.rows) - 1, "P2: rows are left"
    context = world.context()
    for node in world.rows.values():
        if node.id != ROOT:
            assert isinstance(node.synced, Present), f"P2: no S: {node}"
            assert node.synced == node.remote, f"P2: S is not R: {node}"
            assert join(world, node.id) is None, f"P3: joined again: {node}"
            found = plan(world, node.id, context)
            assert found.empty, f"P3: planned again: {found}"
            assert not found.also_plan, f"P3: leans on others at rest: {found}"
    assert not touch(world, ROOT)


def check_kept(world: World, ledger: Ledger) -> None:
    """P1, P7: what was written is there; what was deleted and not edited is not."""
    contents = {n.remote.hash for n in world.rows.values() if isinstance(n.remote, Present)}
    lost = ledger.wanted - contents
    if lost:
        lost -= _edited_by_replacing(world, ledger)
    if lost and not world.up_to_date:
        lost -= {content for content in heard_of_copies(ledger.rows.values()) if content is not None}
    assert not lost, f"P1: lost {sorted(lost)}"
    assert not ledger.gone & contents, f"a delete came back: {sorted(ledger.gone & contents)}"


def _edited_by_replacing(world: World, ledger: Ledger) -> set[bytes]:
    """Return what only joins showed to be an older version, or in sync and deleted; the history has it.

    Deleted and made again here is an edit of what it was; what lies in a directory that was made again did not move;
    and what this device had replaced before is older.
    """
    out: set[bytes | None] = set()
    for key in world.merged.values():
        row = ledger.rows.get(key)
        if row is not None and isinstance(row.synced, Present):
            out.add(row.synced.hash)
        if row is not None and isinstance(row.remote, Present) and row.remote.version is not None:
            out |= {row.remote.hash} if world.superseded(key, row.remote.version) else set()
    for row in ledger.rows.values():
        if isinstance(row.synced, Present):
            was = follow(row.synced.place, world.merged)
            for side in (row.remote, row.local):
                if isinstance(side, Present) and side.place != row.synced.place:
                    unmoved = follow(side.place, world.merged) == was and side.executable == row.synced.executable
                    out |= {row.synced.hash} if unmoved else set()
    return {content for content in out if content is not None}


def check_one_sided(world: World, ledger: Ledger, tree: Tree) -> None:
    """Where one side alone was edited, its tree is the outcome to the last bit, and there is no conflict."""
    assert not world.asides, f"a conflicted copy with one device editing: {world.asides}"
    assert not world.conflicts, f"a conflict with one device editing: {world.conflicts}"
    wanted = ledger.here if tree is Tree.LOCAL else ledger.there
    found = world.tree(Tree.REMOTE)
    if world.executable_bit or tree is Tree.REMOTE:
        assert found == wanted, "P2: not what the one who edited has"
    else:
        assert _without_bits(found) == _without_bits(wanted), "P2: not what the one who edited has"


def _without_bits(tree: dict[tuple[str, ...], tuple[Kind, bytes | None, bool]]) -> dict[tuple[str, ...], object]:
    return {path: value[:2] for path, value in tree.items()}


def check_fields(world: World, ledger: Ledger) -> None:
    """Each field of each node that both sides kept: what one side changed holds; of two changes the remote's."""
    merged = world.merged
    for old in ledger.rows.values():
        s, r, here = old.synced, old.remote, old.local
        if old.id == ROOT or old.id in merged.values():
            continue
        if not (isinstance(s, Present) and isinstance(r, Present) and isinstance(here, Present)):
            continue
        node = world.rows.get(old.id)
        assert node is not None, f"P1: {old.id} was on both sides and is gone"
        assert isinstance(node.remote, Present), f"P1: {old.id} was on both sides and is gone"
        end = node.remote
        want = here.hash if r.hash == s.hash else r.hash
        assert end.hash == want, f"P1: {old.id} has {end.hash!r}, not {want!r}"
        fought = r.hash != s.hash and here.hash not in (s.hash, r.hash)
        if old.kind is Kind.FILE and world.executable_bit and not fought and r.executable != here.executable:
            assert end.executable != s.executable, f"P1: a bit was lost on {old.id}"
        # A move that had to go through a temporary name there, and was only half done when the remote's moves closed a
        # cycle with it: taken back to where the remote has it, it keeps that name until a person gives it another.
        overtaken = end.place.name.startswith(temporary_name(here.place.name, world.device, 1))
        if not (overtaken and end.place.parent == ROOT and not world.up_to_date):
            _check_place(old.id, end.place, s.place, r.place, here.place, merged)


def _check_place(key: int, end: Place, s: Place, r: Place, here: Place, merged: dict[int, int]) -> None:
    s, r, here = (follow(place, merged) for place in (s, r, here))
    if r != s or here in (s, r):
        assert end == r, f"{key} is at {end}, and the remote's order was {r}"
        return
    aside = (
        end.parent == here.parent
        and is_conflicted_copy(end.name)
        and original_name(end.name) == original_name(here.name)
    )
    # Taken back to the remote's place when both sides' moves close a cycle; that is only so for directories.
    assert end in (here, r) or aside, f"{key} is at {end}, and was moved to {here} here"


def follow(place: Place, merged: dict[int, int]) -> Place:
    """Return *place* with its directory's row as it is after joins."""
    parent = place.parent
    while parent in merged:
        parent = merged[parent]
    return Place(parent, place.name)


def check_copies(world: World, ledger: Ledger) -> None:
    """At most one conflicted copy for each concurrent edit, and none for anything else."""
    seen: dict[tuple[int, OpType], Place] = {}
    merged = set(world.merged.values())
    there = [
        (n.id, follow(n.remote.place, world.merged)) for n in ledger.rows.values() if isinstance(n.remote, Present)
    ]
    for aside in world.asides:
        before = seen.get((aside.node, aside.type))
        if before is not None:
            # A conflicted name that somebody took there, unheard of, makes it be renamed once more: no other copy.
            before = follow(before, world.merged)
            taken = any(place == before and key != aside.node for key, place in there)
            again = taken and aside.type is OpType.SET_ASIDE and not world.up_to_date
            assert again, f"two conflicted copies of one edit: {aside}"
        seen[aside.node, aside.type] = aside.place
        old = ledger.rows.get(aside.node)
        if old is None or aside.node in merged:
            continue
        s, r, here = old.synced, old.remote, old.local
        assert isinstance(here, Present), f"a conflicted copy of what nobody had here: {aside}"
        if aside.type is OpType.CONFLICT:
            assert isinstance(r, Present), f"a conflicted copy without two edits: {aside}"
            assert here.hash != r.hash, f"a conflicted copy of equal contents: {aside}"
            both = not isinstance(s, Present) or s.hash not in (here.hash, r.hash)
            assert both, f"a conflicted copy of a one-sided edit: {aside}"
        else:
            # A file edited here and deleted there is new at its place as well.
            free = not isinstance(s, Present) or here.place != s.place or not isinstance(r, Present)
            assert free, f"set aside, and never moved here: {aside}"


def check_twins(world: World, ledger: Ledger, left: set[int]) -> None:
    """What cannot be here is held, or waits for a name that is; all else is the same on both sides (P10)."""
    stuck = set(world.holds) | left
    context = world.context()
    for node in world.rows.values():
        found = plan(world, node.id, context)
        assert found.op is None or found.op.waits, f"not at rest: {found}"
        assert found.synced is None, f"P3: {found}"
        assert not found.release, f"P3: {found}"
        if found.op is not None:
            stuck.add(node.id)
    states = [state for n in world.rows.values() for state in (n.synced, n.remote, n.local)]
    everywhere = {state.hash for state in states if isinstance(state, Present)}
    lost = ledger.wanted - everywhere - {p.hash for p in world.hidden.values()}
    if lost:
        lost -= _edited_by_replacing(world, ledger)
    assert not lost, f"P1: lost {sorted(lost)}"
    for node in world.rows.values():
        if node.id != ROOT and not _only_named(world, node, stuck) and not _among(world, node, stuck):
            assert node.synced == node.remote, f"P2: {node}"
            assert isinstance(node.local, Present), f"P2: {node}"
            assert isinstance(node.remote, Present), f"P2: {node}"
            assert node.local.place == node.remote.place, f"P2: {node}"
            assert node.local.hash == node.remote.hash, f"P2: {node}"
    for key in world.holds:
        _check_hold(world, world.rows[key])
    for node in world.rows.values():
        if isinstance(node.local, Present) and isinstance(node.remote, Present) and _smaller_twins(world, node):
            # Only what is held with a place here, and cannot leave, keeps a directory that gives way: and a directory
            # that cannot move out of it, because what is held so has the name it goes to.
            here = {key for key in world.holds if place_of(world.rows[key].local) is not None}
            below = (n for n in world.rows.values() if world.below(Tree.LOCAL, node.id, n.id))
            kept = any(n.id in here or (n.kind is Kind.DIRECTORY and _waits_for(world, n, here)) for n in below)
            assert kept, f"P10: not given way: {node}"


def _waits_for(world: World, node: Node, others: set[int]) -> bool:
    """Return whether the node's op waits, in the end, for one of *others*."""
    context, found, stack = world.context(), {node.id}, [node.id]
    while stack:
        op = plan(world, stack.pop(), context).op
        new = {wait.node for wait in op.waits} - found if op is not None else set()
        if new & others:
            return True
        found |= new
        stack += new
    return False


def _only_named(world: World, node: Node, stuck: set[int]) -> bool:
    """Return whether a row stays although the node is gone: for as long as the S of something that is held, or waits
    for what is, names it."""
    if not (isinstance(node.remote, Absent) and isinstance(node.local, Absent)):
        return False
    children = world.children(Tree.SYNCED, node.id)
    return any(child.id in stuck or _only_named(world, child, stuck) for child in children)


def _check_hold(world: World, node: Node) -> None:
    remote = node.remote
    assert isinstance(remote, Present), f"held, and not at the remote: {node}"
    if name_fault(remote.place.name) is not None or (node.kind is Kind.SYMLINK and not world.symlinks):
        return
    assert _smaller_twins(world, node), f"held without a twin: {node}"


def _smaller_twins(world: World, node: Node) -> list[Node]:
    """Return who comes before the node where both cannot be: by node id, the same everywhere."""
    place = place_of(node.remote)
    assert place is not None
    twins = world.at_folded(Tree.REMOTE, place.parent, place.name)
    named = [n for n in twins if (p := place_of(n.remote)) is not None and name_fault(p.name) is None]
    return [n for n in named if n.node_id is not None and n.node_id < (node.node_id or b"")]


def _among(world: World, node: Node, stuck: set[int]) -> bool:
    for tree in (Tree.REMOTE, Tree.LOCAL):
        at, count = node, 0
        while at.id != ROOT and count <= len(world.rows):
            count += 1
            if at.id in stuck:
                return True
            place = place_of(at.state(tree))
            if place is None:
                break
            at = world.rows[place.parent]
    return False


def check_untouched(world: World, unknown: dict[int, Node]) -> None:
    """What nothing is known about was left alone: by neither side's word was anything done to it."""
    for key, before in unknown.items():
        node = world.rows.get(key)
        held = isinstance(before.local, Unknown) and before.local.reason is Reason.HELD
        if held and (node is None or not isinstance(node.local, Unknown)):
            continue  # released, and looked at again
        assert node is not None, f"the row of {key} went while nothing was known of it"
        if isinstance(before.remote, Unknown):
            assert node.remote == before.remote, f"the unknown remote of {key} was changed"
            continue
        assert isinstance(node.local, Unknown), f"the unknown {key} became known: {node.local}"
        assert isinstance(before.local, Unknown)
        assert node.local.reason is before.local.reason, f"the unknown {key} was changed: {node.local}"
        was = before.local.place and follow(before.local.place, world.merged)
        assert node.local.place == was, f"the unknown {key} was moved: {node.local}"
        assert node.remote == before.remote, f"P7: {key} is unknown here, and was changed there: {node.remote}"
        s = before.synced
        if isinstance(s, Present):
            s = replace(s, place=follow(s.place, world.merged))
        assert node.synced == s, f"P4: S of the unknown {key} went on"
