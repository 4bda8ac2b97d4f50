"""Random people at work in the folders of real devices, and what they may expect to find afterwards.

One thread plays all of them, so that the ledger has one writer; processes come and go meanwhile.
"""

import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.end_to_end.harness import Device

SIZES = (20, 20, 20, 3_000, 3_000, 70_000, 400_000)
PAUSES = (0.0, 0.01, 0.05, 0.2)
"""Seconds between what people do."""

SHARED = "shared"
SHARED_FILES = 6


@dataclass
class Person:
    """One person: edits everything below *home* on *device*, and the shared files, when there are any."""

    device: Device
    home: str
    luck: random.Random
    shares: bool
    count: int = 0
    files: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)
    shared_edits: dict[bytes, str] = field(default_factory=dict)  # content: the shared file it was written to

    def act(self) -> None:
        """Do one thing, unless the daemon has just taken away what it needs."""
        if self.shares and self.luck.random() < 0.3:
            self.edit_shared()
            return
        actions = [self.write] * 4 + [self.edit] * 4 + [self.move] * 2 + [self.remove, self.folder, self.move_folder]
        self.luck.choice(actions)()

    def edit_shared(self) -> None:
        """Save one of the files that others edit, too."""
        name = f"{SHARED}/file {self.luck.randrange(SHARED_FILES)}.txt"
        content = self.content()
        self.shared_edits[content.encode()] = name
        self.device.path(SHARED).mkdir(exist_ok=True)
        self.device.save_by_rename(name, content)

    def write(self) -> None:
        name = f"{self.anywhere()}/f{self.luck.randrange(30)}.txt"
        self.device.write(name, self.content())
        self.files.add(name)

    def edit(self) -> None:
        if name := self.one(self.files):
            save = self.luck.choice((self.device.write, self.device.save_by_rename, self.device.save_with_backup))
            save(name, self.content())

    def move(self) -> None:
        source, target = self.one(self.files), f"{self.anywhere()}/m{self.luck.randrange(30)}.txt"
        if source and source != target:
            self.device.rename(source, target)
            self.files.discard(source)
            self.files.add(target)

    def remove(self) -> None:
        if name := self.one(self.files):
            self.device.remove(name)
            self.files.discard(name)

    def folder(self) -> None:
        name = f"{self.anywhere()}/d{self.luck.randrange(8)}"
        if name.count("/") < 4 and name not in self.folders:
            self.device.folder(name)
            self.folders.add(name)

    def move_folder(self) -> None:
        source, into = self.one(self.folders), self.anywhere()
        if source is None or f"{into}/".startswith(f"{source}/"):
            return
        target = f"{into}/n{self.luck.randrange(8)}"
        if target.count("/") < 4 and not self.device.path(target).exists():
            self.device.rename(source, target)
            for names in (self.files, self.folders):
                moved = {name for name in names if f"{name}/".startswith(f"{source}/")}
                names -= moved
                names |= {target + name[len(source) :] for name in moved}

    # --- choosing ------------------------------------------------------------------------------------------------

    def anywhere(self) -> str:
        return self.luck.choice([self.home, *sorted(self.folders)])

    def one(self, names: set[str]) -> str | None:
        return self.luck.choice(sorted(names)) if names else None

    def content(self) -> str:
        """Return a text that was never written before."""
        self.count += 1
        start = f"{self.device.name} wrote this as number {self.count}\n"
        return start + self.luck.randbytes(self.luck.choice(SIZES) // 2).hex()


class Load:
    """People who work without a rest, until stopped."""

    def __init__(self, people: Sequence[Person], luck: random.Random, pauses: tuple[float, ...] = PAUSES) -> None:
        self._people, self._luck, self._pauses = people, luck, pauses
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="people")
        self._failure: BaseException | None = None
        self.done = 0

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        try:
            while not self._stop.wait(self._luck.choice(self._pauses)):
                for _ in range(self._luck.choice((1, 1, 3, 12))):
                    self._luck.choice(self._people).act()
                    self.done += 1
        except BaseException as error:  # noqa: BLE001 - it is raised in the thread that waits for this one
            self._failure = error
