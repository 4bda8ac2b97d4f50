"""People who do to a folder whatever people and programs do, and remember every content that must not get lost."""

import contextlib
import random
from collections.abc import Callable

from syncd.model.node import Kind
from tests.sim.device import TICK_NS, SimDevice
from tests.sim.person import Shown

NAMES = [
    *(f"f{n}" for n in range(5)), "F1", "caf\u00e9", "cafe\u0301", "f1.txt",
    "f1 (conflicted copy, ann, 2026-01-01 000000)", "a long name with spaces.tar.gz",
]  # fmt: skip
DEEP = "d0/d1/d2/d3/d4/d5"
SAME = [b"the same in many files", b"another that is everywhere" * 40]
MOST_DEPTH = 20
OFTEN = 2

Deed = Callable[["Hand", SimDevice, "Seen"], None]


class Seen:
    """What somebody sees when they look at a folder: paths of files and folders, "" the folder itself."""

    def __init__(self, shown: dict[str, Shown]) -> None:
        self.files = [path for path, what in shown.items() if what[0] == Kind.FILE]
        self.folders = ["", *(path for path, what in shown.items() if what[0] == Kind.DIRECTORY)]


class Hand:
    """One person's hands on any device.

    ``wanted`` is the ledger: each content they wrote, and whether it must still be somewhere (P1): their own replacing
    or removing it ends that. *rules*: also writes ``.syncignore``. *skip*: numbers of deeds that are left out, to find
    out which of them a failure needs.
    """

    def __init__(self, seed: int, *, rules: bool = False, skip: frozenset[int] = frozenset()) -> None:
        self.seed, self.luck = seed, random.Random(seed)
        self.wanted: dict[bytes, bool] = {}
        self.done = 0
        self.skip = skip
        self.deeds: list[Deed] = DEEDS + ([Hand.ignore] * OFTEN if rules else [])

    def act(self, device: SimDevice) -> None:
        """Do one thing; a folder that changes under the hands, is full or is gone only makes it fail."""
        self.done += 1
        # Each deed has its own luck, so that leaving one out changes no other.
        self.luck = random.Random(self.seed * 1_000_003 + self.done)
        if self.done in self.skip or device.unmounted is not None:
            return
        deed = self.luck.choice(self.deeds)
        device.play.say(f"{device.name}: #{self.done} {deed.__name__}")
        with contextlib.suppress(OSError):
            deed(self, device, Seen(device.person.snapshot()))

    # --- helpers -------------------------------------------------------------------------------------------------

    def content(self, device: SimDevice) -> bytes:
        """A content nobody wrote before; many have the same size."""
        return f"{device.name[:3]} {self.done:06d} {self.luck.randrange(10**6):06d} ".encode() * self.luck.choice(
            [1, 1, 1, 300]
        )

    def put(self, device: SimDevice, path: str, content: bytes, *, keep: bool = True) -> None:
        """Write in place. No two writes leave one fingerprint: what the kernel's clock cannot tell, nobody can."""
        if device.person.exists(path):
            self.forget(device, path)
            device.time.ahead += TICK_NS / 1e9
        self.say(device, path)
        if self.luck.random() < 0.1:
            self.slowly(device, path, content)
        else:
            device.person.write(path, content)
        if keep and content and content not in SAME:
            self.wanted[content] = True

    def slowly(self, device: SimDevice, path: str, content: bytes) -> None:
        """Part by part, each with a time of its own, as a download or a copy arrives."""
        with device.person.writing(path, truncate=True) as file:
            for at in range(0, len(content), max(1, len(content) // 3)):
                file.write(content[at : at + max(1, len(content) // 3)])
                device.time.ahead += TICK_NS / 1e9

    def forget(self, device: SimDevice, path: str) -> None:
        """Its own person replaces or removes this."""
        content = device.person.read(path)
        if content in self.wanted:
            self.wanted[content] = False

    def say(self, device: SimDevice, *paths: str) -> None:
        for path in paths:
            device.play.say(f"    {path}")

    def free(self, device: SimDevice, seen: Seen, names: list[str] | None = None) -> str | None:
        path = within(self.luck.choice(seen.folders), self.luck.choice(names or NAMES))
        return None if device.person.exists(path) else path

    # --- deeds ---------------------------------------------------------------------------------------------------

    def create(self, device: SimDevice, seen: Seen) -> None:
        if path := self.free(device, seen):
            self.put(device, path, self.content(device))

    def edit(self, device: SimDevice, seen: Seen) -> None:
        if seen.files:
            self.put(device, self.luck.choice(seen.files), self.content(device))

    def append(self, device: SimDevice, seen: Seen) -> None:
        if seen.files:
            path = self.luck.choice(seen.files)
            self.put(device, path, device.person.read(path)[:100_000] + self.content(device))

    def big(self, device: SimDevice, seen: Seen) -> None:
        if (path := self.free(device, seen)) and self.luck.random() < 0.4:
            self.put(device, path, self.luck.randbytes(400_000))

    def empty(self, device: SimDevice, seen: Seen) -> None:
        if path := self.free(device, seen):
            self.put(device, path, b"")

    def same(self, device: SimDevice, seen: Seen) -> None:
        if path := self.free(device, seen):
            self.put(device, path, self.luck.choice(SAME))

    def deep(self, device: SimDevice, seen: Seen) -> None:
        folder = within(self.luck.choice(seen.folders), DEEP)
        if folder.count("/") < MOST_DEPTH:
            device.person.mkdir(folder, parents=True)
            self.put(device, within(folder, self.luck.choice(NAMES)), self.content(device))

    def edit_unseen(self, device: SimDevice, seen: Seen) -> None:
        """Same size, and the time put back: only ctime tells."""
        if seen.files:
            path = self.luck.choice(seen.files)
            mtime = device.person.stat(path).fingerprint.mtime_ns
            size = len(device.person.read(path))
            self.put(device, path, self.content(device).ljust(size, b".")[: max(size, 18)])
            device.person.set_mtime(path, mtime)

    def put_back(self, device: SimDevice, seen: Seen) -> None:
        """An edit that is undone before anybody looked."""
        if seen.files:
            path = self.luck.choice(seen.files)
            old = device.person.read(path)
            if old in self.wanted:
                self.put(device, path, self.content(device))
                self.put(device, path, old)

    def touch(self, device: SimDevice, seen: Seen) -> None:
        if seen.files:
            path = self.luck.choice(seen.files)
            at = self.luck.choice([0, 10**9, 2**33 * 10**9, -(10**15), device.time.nanoseconds()])
            device.person.set_mtime(path, at)
            self.say(device, path)

    def move(self, device: SimDevice, seen: Seen) -> None:
        if seen.files and (path := self.free(device, seen)):
            source = self.luck.choice(seen.files)
            self.say(device, source, path)
            device.person.rename(source, path)

    def replace(self, device: SimDevice, seen: Seen) -> None:
        """Rename over another file."""
        if len(seen.files) > 1:
            source, target = self.luck.sample(seen.files, 2)
            one, other = (device.person.stat(path).fingerprint.ino for path in (source, target))
            if one != other:  # of one file under two names, a rename does nothing
                self.say(device, source, target)
                self.forget(device, target)
                device.person.rename(source, target)

    def save_by_rename(self, device: SimDevice, seen: Seen) -> None:
        if seen.files:
            target = self.luck.choice(seen.files)
            above, _, name = target.rpartition("/")
            beside = within(above, self.luck.choice(["new version", f".{name[:50]}.swp"]))
            if not device.person.exists(beside):
                self.put(device, beside, self.content(device))
                if self.luck.random() < 0.5:
                    device.person.sync(beside)
                self.forget(device, target)
                self.say(device, target)
                device.person.rename(beside, target)

    def remove(self, device: SimDevice, seen: Seen) -> None:
        if seen.files:
            path = self.luck.choice(seen.files)
            self.forget(device, path)
            self.say(device, path)
            device.person.delete(path)

    def make_folder(self, device: SimDevice, seen: Seen) -> None:
        if path := self.free(device, seen, [f"d{number}" for number in range(4)]):
            device.person.mkdir(path)
            self.say(device, path)

    def remove_folder(self, device: SimDevice, seen: Seen) -> None:
        if seen.folders[1:]:
            self._remove_all(device, self.luck.choice(seen.folders[1:]), seen)

    def _remove_all(self, device: SimDevice, folder: str, seen: Seen) -> None:
        for path in seen.files:
            if path.startswith(folder + "/"):
                self.forget(device, path)
        self.say(device, folder)
        device.person.delete(folder)

    def move_folder(self, device: SimDevice, seen: Seen) -> None:
        """A tree into another, or to another name."""
        if seen.folders[1:]:
            source = self.luck.choice(seen.folders[1:])
            name = self.luck.choice([source.rpartition("/")[2], f"m{self.luck.randrange(4)}"])
            target = within(self.luck.choice(seen.folders), name)
            if not device.person.exists(target) and not f"{target}/".startswith(f"{source}/"):
                self.say(device, source, target)
                device.person.rename(source, target)

    def swap(self, device: SimDevice, seen: Seen) -> None:
        among = self.luck.choice([seen.files, seen.folders[1:]])
        if len(among) > 1:
            one, other = self.luck.sample(among, 2)
            if f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/"):
                return
            self.say(device, one, other)
            if self.luck.random() < 0.3:
                device.person.swap(one, other)
            elif not device.person.exists("aside while swapping"):
                device.person.rename(one, "aside while swapping")
                device.person.rename(other, one)
                device.person.rename("aside while swapping", other)

    def symlink(self, device: SimDevice, seen: Seen) -> None:
        if path := self.free(device, seen):
            self.say(device, path)
            device.person.symlink(path, self.luck.choice(["f1", "nowhere", "../f0", "/etc/hostname", "d0"]))

    def mark(self, device: SimDevice, seen: Seen) -> None:
        if seen.files:
            path = self.luck.choice(seen.files)
            self.say(device, path)
            device.person.chmod(path, device.person.stat(path).mode ^ 0o111)

    def link(self, device: SimDevice, seen: Seen) -> None:
        if seen.files and (path := self.free(device, seen)):
            self.say(device, path)
            device.person.hard_link(self.luck.choice(seen.files), path)

    def pipe(self, device: SimDevice, seen: Seen) -> None:
        """Something that can never be a node."""
        if (path := self.free(device, seen)) and self.luck.random() < 0.2:
            self.say(device, path)
            device.person.fifo(path)
            device.person.delete(path)

    def change_kind(self, device: SimDevice, seen: Seen) -> None:
        """A file becomes a folder, a symlink, or a folder becomes a file."""
        path = self.luck.choice([*seen.files, *seen.folders])
        if path == "":
            return
        if path in seen.folders:
            self._remove_all(device, path, seen)
            self.put(device, path, self.content(device))
            return
        self.forget(device, path)
        self.say(device, path)
        device.person.delete(path)
        if self.luck.random() < 0.5:
            device.person.mkdir(path)
            self.put(device, f"{path}/f0", self.content(device))
        else:
            device.person.symlink(path, "became a link")

    def ignore(self, device: SimDevice, seen: Seen) -> None:
        lines = self.luck.sample(["f0", "/d0/", "*.txt", "d1/f2", "!f1.txt", "m*", "# nothing"], 2)
        self.put(device, ".syncignore", ("\n".join(lines) + "\n").encode(), keep=False)


DEEDS: list[Deed] = [
    Hand.create, Hand.create, Hand.edit, Hand.edit, Hand.edit, Hand.move, Hand.move, Hand.remove, Hand.make_folder,
    Hand.remove_folder, Hand.swap, Hand.move_folder, Hand.save_by_rename, Hand.replace, Hand.symlink, Hand.mark,
    Hand.link, Hand.pipe, Hand.change_kind, Hand.deep, Hand.same, Hand.empty, Hand.touch, Hand.edit_unseen,
    Hand.put_back, Hand.big, Hand.append,
]  # fmt: skip


def within(folder: str, name: str) -> str:
    """Return the path of *name* in *folder*."""
    return f"{folder}/{name}" if folder else name
