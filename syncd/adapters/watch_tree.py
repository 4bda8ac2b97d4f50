"""Which watch stands for which directory. Pure bookkeeping: touches no file system and no kernel queue.

Directories form a tree, so that moving one, with everything below it, is one step however large it is.
"""

from collections.abc import Iterator

from syncd.model.path import RelPath


class Spot:
    """A directory that is watched (*wd*), or one that is not but holds directories that may be (*wd* None)."""

    __slots__ = ("children", "name", "parent", "wd")

    def __init__(self, name: str, parent: "Spot | None") -> None:
        self.name = name
        self.parent = parent
        self.wd: int | None = None
        self.children: dict[str, Spot] = {}


class WatchTree:
    """The directories of a root, by watch descriptor and by name."""

    def __init__(self) -> None:
        self.root = Spot("", None)
        self._by_wd: dict[int, Spot] = {}
        self._paths: dict[Spot, RelPath] = {}

    def spot(self, wd: int) -> Spot | None:
        """Return the directory that *wd* watches, None for watches that were given up."""
        return self._by_wd.get(wd)

    def path(self, spot: Spot) -> RelPath | None:
        """Return where a directory is now; None when it was taken out of the tree."""
        known = self._paths.get(spot)
        if known is None:
            names = []
            at = spot
            while at.parent is not None:
                names.append(at.name)
                at = at.parent
            if at is not self.root:
                return None
            known = self._paths[spot] = tuple(reversed(names))
        return known

    def child(self, parent: Spot, name: str) -> Spot:
        """Return the directory *name* in *parent*, entered anew if need be."""
        found = parent.children.get(name)
        if found is None:
            found = parent.children[name] = Spot(name, parent)
        return found

    def bind(self, spot: Spot, wd: int) -> bool:
        """Let *wd* stand for *spot*; returns whether that is news. An inode watched at another place moved here, and
        brings what is below it along."""
        before = self._by_wd.get(wd)
        if before is spot:
            return False
        if before is not None:
            before.wd = None
            for name, child in before.children.items():
                if name not in spot.children:
                    spot.children[name] = child
                    child.parent = spot
            before.children = {}
            self._paths.clear()
        if spot.wd is not None:
            self._by_wd.pop(spot.wd, None)
        spot.wd = wd
        self._by_wd[wd] = spot
        return True

    def detach(self, parent: Spot, name: str) -> Spot | None:
        """Take a directory, with everything below it, out of the tree; its watches keep their meaning."""
        spot = parent.children.pop(name, None)
        if spot is not None:
            spot.parent = None
            self._paths.clear()
        return spot

    def attach(self, spot: Spot, parent: Spot, name: str) -> None:
        """Put a detached directory at a new place, which must be free."""
        spot.parent, spot.name = parent, name
        parent.children[name] = spot
        self._paths.clear()

    def ended(self, wd: int) -> Spot | None:
        """Forget a watch the kernel ended; returns its directory, if it had one."""
        spot = self._by_wd.pop(wd, None)
        if spot is not None:
            spot.wd = None
        return spot

    def forget(self, spot: Spot) -> list[int]:
        """Forget a detached directory and everything below it; returns the watches to stop."""
        watches = []
        for each in self.below(spot):
            if each.wd is not None:
                watches.append(each.wd)
                self._by_wd.pop(each.wd, None)
                each.wd = None
        return watches

    def below(self, spot: Spot) -> Iterator[Spot]:
        """Yield a directory and all below it that are known."""
        stack = [spot]
        while stack:
            each = stack.pop()
            yield each
            stack.extend(each.children.values())

    def __len__(self) -> int:
        """Return the number of watches."""
        return len(self._by_wd)
