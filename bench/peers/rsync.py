"""rsync: one way, with a daemon on B's side, so that its delta algorithm is used and bytes can be counted."""

import os
from typing import ClassVar

from bench.pairs import CannotDo, Tool, said_version, soon
from bench.rig import free_port, listens


class Rsync(Tool):
    """A is copied to B; what is not in A is removed from B. It remembers nothing."""

    name: ClassVar[str] = "rsync"
    note: ClassVar[str] = "one way, to its daemon"
    indexes: ClassVar[bool] = False
    options: ClassVar[tuple[str, ...]] = ()

    @staticmethod
    def version() -> str | None:
        """Return what is installed, or None."""
        return said_version("rsync", "--version")

    def open(self) -> None:
        """Start the daemon."""
        self._port = free_port()
        self._dial = self.wire.dial(self._port)
        config = self.base / "rsyncd.conf"
        owner = "uid = 0\ngid = 0\n" if os.geteuid() == 0 else ""
        config.write_text(f"{owner}use chroot = no\n[b]\npath = {self.b}\nread only = no\n")
        self.serve("rsync", "--daemon", "--no-detach", f"--config={config}", f"--port={self._port}",
                   "--address=127.0.0.1")  # fmt: skip
        soon(lambda: listens(self._port), "rsync's daemon does not listen", 20)

    def call(self) -> None:
        """Copy what differs."""
        self.run("rsync", "-a", "--delete", *self.options, f"{self.a}/", f"rsync://127.0.0.1:{self._dial}/b/")

    def index(self, files: int) -> None:
        """It has none."""
        raise CannotDo("it keeps no index")


class RsyncDurable(Rsync):
    """The same, with every file synced to the disk."""

    name: ClassVar[str] = "rsync --fsync"
    durable: ClassVar[bool] = True
    options: ClassVar[tuple[str, ...]] = ("--fsync",)

    @staticmethod
    def version() -> str | None:
        """Return what is installed, or None where it knows no such option (before 3.2.4)."""
        told = said_version("rsync", "--fsync", "--version")
        return told if told and "version" in told else None
