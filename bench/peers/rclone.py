"""rclone bisync: both ways between two local folders, when it is called. Nothing crosses a wire here."""

from typing import ClassVar

from bench.pairs import Tool, said_version
from bench.rig import Failed
from bench.trees import count


class Rclone(Tool):
    """It lists both sides in full each time, and compares with the lists of last time."""

    name: ClassVar[str] = "rclone bisync"
    note: ClassVar[str] = "both ways, two local folders: no wire"

    @staticmethod
    def version() -> str | None:
        """Return what is installed, or None; without bisync (before 1.58) it is of no use here."""
        if said_version("rclone", "bisync", "--help") is None:
            return None
        return said_version("rclone", "version")

    def open(self) -> None:
        """Make its first lists. It refuses to go on from an empty one: a hidden file stands in both folders."""
        for folder in (self.a, self.b):
            (folder / ".first").write_text("first\n")
        self._bisync("--resync")

    def call(self) -> None:
        """Sync once."""
        self._bisync()

    def _bisync(self, *more: str) -> None:
        # It refuses to go on when all files changed, or too many went: here that is meant.
        self.run(
            "rclone", "bisync", str(self.a), str(self.b), "--force", "--remove-empty-dirs",
            "--config", str(self.base / "rclone.conf"), "--workdir", str(self.base / "lists"),
            "--cache-dir", str(self.base / "cache"), *more,
        )  # fmt: skip

    def index(self, files: int) -> None:
        """Meet two folders that are the same."""
        self._bisync("--resync")
        if count(self.b) != files:
            raise Failed("rclone changed folders that were the same")
