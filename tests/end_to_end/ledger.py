"""P1 as a ledger: what people wrote, what they took away themselves, and what must therefore still be somewhere."""

from dataclasses import dataclass, field

from blake3 import blake3


@dataclass(slots=True)
class Ledger:
    """Every content a test wrote.

    *standing* is what lies where its own person left it. What stood when its device had settled was read by syncd, and
    is *owed* from then on: at its path, in a conflicted copy, in a trash or in the hub's history.
    """

    standing: dict[tuple[str, str], bytes] = field(default_factory=dict)
    owed: set[bytes] = field(default_factory=set)
    words: dict[bytes, str] = field(default_factory=dict)

    def wrote(self, device: str, path: str, content: bytes) -> None:
        """*device*'s person put *content* at *path*; what they had there before is theirs to lose."""
        digest = blake3(content).digest()
        self.standing[device, path] = digest
        self.words[digest] = f"{path} by {device}: {content[:40]!r}"

    def moved(self, device: str, source: str, target: str) -> None:
        """*device*'s person renamed a file or a folder."""
        self.removed(device, target)
        for (owner, path), digest in sorted(self.standing.items()):
            if owner == device and (path == source or path.startswith(source + "/")):
                del self.standing[owner, path]
                self.standing[owner, target + path[len(source) :]] = digest

    def removed(self, device: str, path: str) -> None:
        """*device*'s person removed a file or a folder."""
        for owner, known in sorted(self.standing):
            if owner == device and (known == path or known.startswith(path + "/")):
                del self.standing[owner, known]

    def settled(self, device: str) -> None:
        """*device* was in sync: what stands there was read."""
        self.owed |= {digest for (owner, _), digest in self.standing.items() if owner == device}

    def history_lost(self) -> None:
        """The hub went back in time: only what stands is owed now."""
        self.owed = set(self.standing.values())

    def lost(self, found: set[bytes]) -> list[str]:
        """Return the contents that are owed and are not among what was *found* anywhere."""
        return [self.words[digest] for digest in sorted((self.owed | set(self.standing.values())) - found)]
