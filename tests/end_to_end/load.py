"""A person at work, from a seed: edits, renames, moves and deletes in one folder, each noted in the ledger."""

import random

from tests.end_to_end.harness import Device

WORDS = ["plan", "notes", "photo", "letter", "index", "main"]


class Person:
    """Works in *device*'s folder, below *home*, so that several people can be kept apart or not."""

    def __init__(self, device: Device, seed: int, home: str) -> None:
        self.device, self.home = device, home
        self.random = random.Random(f"{seed} {device.name}")
        self.files: list[str] = []
        self.written = 0

    def work(self, steps: int) -> None:
        for _ in range(steps):
            self.one()

    def one(self) -> None:
        """Do one thing."""
        chance = self.random.random()
        if not self.files or chance < 0.4:
            self._write(self._fresh())
        elif chance < 0.65:
            self._write(self.random.choice(self.files))
        elif chance < 0.8:
            self._rename()
        elif chance < 0.9:
            self._move_folder()
        else:
            self._remove()

    def _fresh(self) -> str:
        depth = self.random.randrange(3)
        folders = [self.random.choice(WORDS) for _ in range(depth)]
        name = "/".join([self.home, *folders, f"{self.random.choice(WORDS)}-{self.written}.txt"])
        self.files.append(name)
        return name

    def _write(self, name: str) -> None:
        self.written += 1
        size = self.random.choice([0, 10, 1000, 200_000])
        text = f"{name} number {self.written} by {self.device.name} ".encode()
        self.device.write(name, text + self.random.randbytes(size))

    def _rename(self) -> None:
        old = self.files.pop(self.random.randrange(len(self.files)))
        new = self._fresh()
        self.device.rename(old, new)

    def _move_folder(self) -> None:
        folders = sorted({name.rpartition("/")[0] for name in self.files} - {self.home})
        if not folders:
            return
        source = self.random.choice(folders)
        target = f"{self.home}/moved-{self.written}-{self.random.randrange(1000)}"
        self.device.rename(source, target)
        self.files = [target + n[len(source) :] if n.startswith(source + "/") else n for n in self.files]

    def _remove(self) -> None:
        name = self.files.pop(self.random.randrange(len(self.files)))
        self.device.remove(name)
