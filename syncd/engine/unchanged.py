"""Which directories were found to be, name by name, what L says of them: the next walk needs to ask only whether their
listings are the same. In memory: after a start everything is compared once."""

from dataclasses import dataclass, field

from syncd.model.path import NodeKey


@dataclass(slots=True)
class Unchanged:
    """Owns no rule: a directory counts as compared until any row that L has in it is written (``db.own``), or other
    ignore rules hold."""

    compared: dict[NodeKey, tuple[bytes, int]] = field(default_factory=dict)  # digest of its listing, entries in that
    asked: dict[NodeKey, int] = field(default_factory=dict)  # the youngest look at all of it since L was last written
    marks: int = 0

    def ask(self, directory: NodeKey) -> int:
        """All of *directory* is about to be compared with what L says now; returns the mark of that look."""
        self.marks += 1
        self.asked[directory] = self.marks
        return self.marks

    def found(self, directory: NodeKey, mark: int, digest: bytes | None, entries: int) -> None:
        """A look came back, and with a *digest* found all as it was known. It counts if L says the same still."""
        if digest is not None and self.asked.get(directory) == mark:
            self.compared[directory] = digest, entries

    def written(self, directory: NodeKey | None) -> None:
        """L was written for something in *directory*, or that directory is no more; None: for anything anywhere."""
        if directory is None:
            self.compared.clear()
            self.asked.clear()
        else:
            self.compared.pop(directory, None)
            self.asked.pop(directory, None)
