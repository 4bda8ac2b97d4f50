"""Unison: both ways, when it is called, over a socket to a server on B's side."""

from typing import ClassVar

from bench.pairs import Tool, clean_environment, said_version, soon
from bench.rig import Failed, free_port, listens
from bench.trees import count

WORDS = (
    "-batch", "-ui", "text", "-dumbtty", "-log=false", "-confirmbigdel=false", "-times", "-contactquietly", "-terse",
)  # fmt: skip


class Unison(Tool):
    """Both sides look at their trees at the same time; it remembers what was in sync."""

    name: ClassVar[str] = "Unison"
    note: ClassVar[str] = "both ways, to its server"

    @staticmethod
    def version() -> str | None:
        """Return what is installed, or None."""
        return said_version("unison", "-version")

    def open(self) -> None:
        """Start the server and let both sides get to know each other."""
        self._listen()
        self.call()

    def _listen(self) -> None:
        port = free_port()
        self._dial = self.wire.dial(port)
        there = self.base / "there"
        there.mkdir(exist_ok=True)
        environment = {**clean_environment(there), "UNISON": str(there)}
        self.serve("unison", "-socket", str(port), "-listen", "127.0.0.1", environment=environment)
        soon(lambda: listens(port), "Unison's server does not listen", 20)

    def environment(self) -> dict[str, str]:
        """Keep its archives with the pair."""
        return {**clean_environment(self.base), "UNISON": str(self.base / "here")}

    def call(self) -> None:
        """Sync once."""
        self.run("unison", str(self.a), f"socket://127.0.0.1:{self._dial}/{self.b}", *WORDS)

    def index(self, files: int) -> None:
        """Meet two folders that are the same, and remember that."""
        self._listen()
        self.call()
        if count(self.b) != files:
            raise Failed("Unison changed folders that were the same")
