"""All that people do in a folder: what `people` does, and swaps, changes of kind, open files, symlinks, big files.

What a deed needs may have been taken away by the daemon, the disk may be full: then the deed does not happen. What a
deed takes away is told to the recorder before.
"""

import os
import random
from dataclasses import dataclass, field

from blake3 import blake3

from tests.end_to_end.harness import Device
from tests.soak.people import SHARED, SHARED_FILES, Person
from tests.soak.recorder import Recorder

BIG = 1 << 20
FROM_SHARED = "from shared"
MOST_BIG = 2
MOST_OPEN = 2
MOST_FILES = 80
MOST_FOLDERS = 12


@dataclass
class Open:
    """A file that a person keeps open for writing, and all that it holds."""

    descriptor: int
    name: str
    content: bytes

    @property
    def inode(self) -> tuple[int, int]:
        found = os.fstat(self.descriptor)
        return found.st_dev, found.st_ino


@dataclass
class Busy(Person):
    """A person who does everything. *shares*: also in the shared folder, where others do the same."""

    open: list[Open] = field(default_factory=list)
    big: set[str] = field(default_factory=set)
    hindered: int = 0

    def act(self) -> None:
        """Do one thing; what the daemon or a full disk prevents does not happen."""
        try:
            self.shared() if self.shares and self.luck.random() < 0.3 else self.own()
        except OSError:
            self.hindered += 1

    def own(self) -> None:
        often = [self.write] * 4 + [self.edit] * 4 + [self.move] * 2 + [self.append] * 2
        once = [
            self.remove, self.folder, self.move_folder, self.swap, self.kind, self.remove_folder, self.executable,
            self.link, self.large, self.replace_by_move, self.nothing_in_it,
        ]  # fmt: skip
        if len(self.files) > MOST_FILES or len(self.folders) > MOST_FOLDERS:
            often = [self.remove, self.remove_folder]
        self.luck.choice(often + once)()

    def shared(self) -> None:
        """Do something to what others edit, too."""
        name, other = (f"{SHARED}/file {self.luck.randrange(SHARED_FILES)}.txt" for _ in range(2))
        chance = self.luck.random()
        if chance < 0.5:
            content = self.content()
            self.shared_edits[content.encode()] = name
            self.device.path(SHARED).mkdir(exist_ok=True)
            self.save(name, content)
        elif chance < 0.6:
            self.append_to(name)
        elif chance < 0.7:
            self.take(name)
        elif chance < 0.8 and name != other:
            self.rename(name, other)
        elif chance < 0.85:
            self.swap_both(name, other)
        elif chance < 0.9:
            self.change_kind(name)
        elif chance < 0.95:
            self.rename(name, f"{self.home}/{FROM_SHARED} {self.count}.txt")
        else:
            self.toggle(name)

    # --- what `people` does, told to the recorder ------------------------------------------------------------------

    def write(self) -> None:
        name = f"{self.anywhere()}/f{self.luck.randrange(30)}.txt"
        self.overwrite(name, self.content(), executable=self.luck.random() < 0.1)
        self.files.add(name)

    def edit(self) -> None:
        if name := self.one(self.files):
            save = self.luck.choice((self.overwrite, self.save, self.save_with_backup))
            content = self.content()
            if not self.device.path(name).is_dir():
                save(name, content)

    def overwrite(self, name: str, content: str | bytes, *, executable: bool = False) -> None:
        """Write into a file as it lies there; a symlink is replaced, not followed."""
        self.leaving(name)
        if self.device.path(name).is_symlink():
            self.device.path(name).unlink()
        self.device.write(name, content, executable=executable)

    def save(self, name: str, content: str) -> None:
        self.leaving(name)
        try:
            self.device.save_by_rename(name, content)
        except OSError:
            path = self.device.path(name)
            path.with_name(f".{path.name}.swp").unlink(missing_ok=True)
            raise

    def save_with_backup(self, name: str, content: str) -> None:
        self.leaving(name)
        path = self.device.path(name)
        try:
            self.device.save_with_backup(name, content)
        except OSError:
            backup = path.with_name(f"{path.name}~")
            if os.path.lexists(backup):
                backup.replace(path)
            raise

    def move(self) -> None:
        source, target = self.one(self.files), f"{self.anywhere()}/m{self.luck.randrange(30)}.txt"
        if source and source != target:
            self.rename(source, target)

    def remove(self) -> None:
        if name := self.one(self.files):
            self.take(name)

    # --- more ------------------------------------------------------------------------------------------------------

    def replace_by_move(self) -> None:
        """Move a file onto another one."""
        source, target = self.one(self.files), self.one(self.files)
        if source and target and source != target:
            self.rename(source, target)

    def swap(self) -> None:
        one, other = self.one(self.files), self.one(self.files)
        if one and other and one != other:
            self.swap_both(one, other)

    def swap_both(self, one: str, other: str) -> None:
        """Exchange two names as a person can: by a third one."""
        if one == other or not (self.device.path(one).exists() and self.device.path(other).exists()):
            return
        between = f"{one}.between"
        self.device.rename(one, between)
        try:
            self.rename(other, one)
        finally:
            self.rename(between, other)
        self.files.discard(between)
        self.files |= {name for name in (one, other) if name.startswith(f"{self.home}/")}

    def kind(self) -> None:
        if name := self.one(self.files):
            self.change_kind(name)

    def change_kind(self, name: str) -> None:
        """Make a folder or a symlink of a file, or a file of what is none."""
        path = self.device.path(name)
        was_file = path.is_file() and not path.is_symlink()
        self.take(name)
        if not was_file:
            self.device.write(name, self.content())
        elif self.luck.random() < 0.5:
            self.device.link(name, f"target {self.word()}")
        else:
            self.device.write(f"{name}/inside.txt", self.content())
        if name.startswith(f"{self.home}/"):
            self.files.add(name)

    def remove_folder(self) -> None:
        if name := self.one(self.folders):
            self.take(name)

    def executable(self) -> None:
        if name := self.one(self.files):
            self.toggle(name)

    def toggle(self, name: str) -> None:
        path = self.device.path(name)
        if path.is_file() and not path.is_symlink():
            path.chmod(path.stat().st_mode ^ 0o111)

    def link(self) -> None:
        name = f"{self.anywhere()}/l{self.luck.randrange(10)}"
        self.take(name)
        self.device.link(name, f"target {self.word()}")
        self.files.add(name)

    def large(self) -> None:
        """Write a big file, or a little in the middle of one."""
        self.big &= self.files
        name = self.one(self.big) if len(self.big) >= MOST_BIG else f"{self.anywhere()}/big{self.count}.bin"
        assert name is not None
        data = self.luck.randbytes(self.luck.randrange(BIG, 3 * BIG)) + self.word().encode()
        if name in self.big and not self.device.path(name).is_symlink():
            before = self.device.path(name).read_bytes()
            data = before[: len(before) // 2] + self.word().encode() + before[len(before) // 2 :]
        self.overwrite(name, data)
        self.files.add(name)
        self.big.add(name)

    def nothing_in_it(self) -> None:
        name = f"{self.anywhere()}/empty{self.luck.randrange(5)}"
        self.overwrite(name, b"")
        self.files.add(name)

    # --- open files ------------------------------------------------------------------------------------------------

    def append(self) -> None:
        """Write more into a file that is open already, open another one, or close one."""
        if self.open and self.luck.random() < 0.6:
            self.write_on(self.luck.choice(self.open))
        elif len(self.open) >= MOST_OPEN:
            os.close(self.open.pop(self.luck.randrange(len(self.open))).descriptor)
        elif name := self.one(self.files):
            self.append_to(name)

    def append_to(self, name: str) -> None:
        if len(self.open) >= MOST_OPEN or self.device.path(name).is_symlink():
            return
        descriptor = os.open(self.device.path(name), os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW)
        with os.fdopen(os.dup(descriptor), "rb") as file:
            opened = Open(descriptor, name, file.read())
        if any(file.inode == opened.inode for file in self.open):
            os.close(descriptor)
            return
        self.open.append(opened)
        self.write_on(opened)

    def write_on(self, file: Open) -> None:
        """Append to an open file, wherever its daemon has put it meanwhile."""
        more = f"and {self.word()}\n".encode()
        self.recorder.grown(self.device.name, blake3(file.content).digest())
        done = os.write(file.descriptor, more)
        file.content += more[:done]
        self.recorder.wrote(self.device.name, file.name, file.content)

    def close(self) -> None:
        """Close every open file."""
        while self.open:
            os.close(self.open.pop().descriptor)

    # --- steps -----------------------------------------------------------------------------------------------------

    @property
    def recorder(self) -> Recorder:
        assert isinstance(self.device.ledger, Recorder)
        return self.device.ledger

    def leaving(self, name: str) -> None:
        """Tell that what is at *name* is about to go; what is written to it later through an open file goes with it."""
        path = self.device.path(name)
        self.recorder.leaving(self.device.name, path)
        gone = {(found.st_dev, found.st_ino) for found in map(os.lstat, _all_below(os.fsencode(path)))}
        for file in [file for file in self.open if file.inode in gone]:
            os.close(file.descriptor)
            self.open.remove(file)

    def rename(self, source: str, target: str) -> None:
        if not os.path.lexists(self.device.path(source)):
            self.files.discard(source)
            return
        self.leaving(target)
        self.device.rename(source, target)
        self.files.discard(source)
        if target.startswith(f"{self.home}/") and not source.startswith(f"{SHARED}/"):
            self.files.add(target)  # what others may still be editing is left alone at home
        if source in self.big:
            self.big.add(target)

    def take(self, name: str) -> None:
        """Remove a file or a folder, if it is there."""
        if os.path.lexists(self.device.path(name)):
            self.leaving(name)
            self.device.remove(name)
        for names in (self.files, self.folders):
            names -= {one for one in names if f"{one}/".startswith(f"{name}/")}

    def word(self) -> str:
        """Return a word never used before."""
        self.count += 1
        return f"{self.count} of {self.device.name}"


def _all_below(full: bytes) -> list[bytes]:
    if not os.path.lexists(full):
        return []
    inside = [os.path.join(folder, name) for folder, folders, files in os.walk(full) for name in (*folders, *files)]
    return [path for path in (full, *inside) if os.path.lexists(path)]


def busy(device: Device, seed: int, *, shares: bool) -> Busy:
    """Return the person of a device, who does the same things for the same seed."""
    return Busy(device, f"home of {device.name}", random.Random(f"{seed} {device.name}"), shares)
