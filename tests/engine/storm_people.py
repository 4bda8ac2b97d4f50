"""People who do to a folder whatever people and programs do, and remember every content that must not get lost."""

import contextlib
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

from tests.engine.storm import StormDevice

NAMES = [
    *(f"f{n}" for n in range(5)), "F1", "caf\u00e9", "cafe\u0301", "f1.txt",
    "f1 (conflicted copy, ann, 2026-01-01 000000)", "a long name with spaces.tar.gz",
]  # fmt: skip
DEEP = "d0/d1/d2/d3/d4/d5"
SAME = [b"the same in many files", b"another that is everywhere" * 40]


class Hand:
    """One person's hands on any device. *rules*: also writes ``.syncignore``."""

    def __init__(self, seed: int, *, rules: bool = False) -> None:
        self.luck = random.Random(seed)
        self.wanted: dict[bytes, bool] = {}  # content → not replaced or removed by its own person
        self.count = 0
        self.rules = rules

    def act(self, device: StormDevice) -> None:
        """Do one thing; a folder that changes under the hands only makes it fail."""
        files = [path for path in walk(device.root) if path.is_file() and not path.is_symlink()]
        folders = [device.root, *(path for path in walk(device.root) if path.is_dir() and not path.is_symlink())]
        deeds: list[Callable[[StormDevice, list[Path], list[Path]], None]] = [
            self.create, self.create, self.edit, self.edit, self.edit, self.move, self.move, self.remove,
            self.make_folder, self.remove_folder, self.swap, self.move_folder, self.save_by_rename, self.replace,
            self.symlink, self.mark, self.link, self.change_kind, self.deep, self.same, self.empty, self.touch,
            self.edit_unseen, self.put_back, self.big, self.append,
        ]  # fmt: skip
        if self.rules:
            deeds += [self.ignore] * 2
        deed = self.luck.choice(deeds)
        device.storm.say(f"{device.name}: {deed.__name__}")
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError, FileExistsError):
            deed(device, files, folders)

    # --- helpers -------------------------------------------------------------------------------------------------

    def content(self, device: StormDevice) -> bytes:
        """A content nobody wrote before; many have the same size."""
        self.count += 1
        return f"{device.name[:3]} {self.count:06d} ".encode() * self.luck.choice([1, 1, 1, 300])

    def put(self, device: StormDevice, path: Path, content: bytes, *, keep: bool = True) -> None:
        """Write in place. No two writes leave one fingerprint: what the kernel's clock cannot tell, nobody can."""
        if path.is_dir() or path.is_symlink():
            return
        before = None
        if path.exists():
            before = path.stat()
            self.forget(path)
        path.write_bytes(content)
        if before is not None:
            while path.stat().st_ctime_ns == before.st_ctime_ns:
                time.sleep(0.002)
                path.write_bytes(content)
        if keep and content and content not in SAME:
            self.wanted[content] = True
        self.saw(device, path)

    def forget(self, path: Path) -> None:
        """Its own person replaces or removes this."""
        content = path.read_bytes()
        if content in self.wanted:
            self.wanted[content] = False

    def saw(self, device: StormDevice, *paths: Path) -> None:
        for path in paths:
            device.storm.say(f"    {path.relative_to(device.root)}")
            device.saw(path.relative_to(device.root).parts[:-1], path.name)

    def free(self, folders: list[Path]) -> Path | None:
        path = self.luck.choice(folders) / self.luck.choice(NAMES)
        return None if os.path.lexists(path) else path

    # --- deeds ---------------------------------------------------------------------------------------------------

    def create(self, device: StormDevice, files: list[Path], folders: list[Path]) -> None:
        if path := self.free(folders):
            self.put(device, path, self.content(device))

    def edit(self, device: StormDevice, files: list[Path], folders: list[Path]) -> None:
        if files:
            self.put(device, self.luck.choice(files), self.content(device))

    def append(self, device: StormDevice, files: list[Path], folders: list[Path]) -> None:
        if files:
            path = self.luck.choice(files)
            self.put(device, path, path.read_bytes()[:100_000] + self.content(device))

    def big(self, device: StormDevice, files: list[Path], folders: list[Path]) -> None:
        if (path := self.free(folders)) and self.luck.random() < 0.4:
            self.put(device, path, self.luck.randbytes(400_000))

    def empty(self, device: StormDevice, files: list[Path], folders: list[Path]) -> None:
        if path := self.free(folders):
            self.put(device, path, b"")

    def same(self, device: StormDevice, files: list[Path], folders: list[Path]) -> None:
        if path := self.free(folders):
            self.put(device, path, self.luck.choice(SAME))

    def deep(self, device: StormDevice, files: list[Path], folders: list[Path]) -> None:
        folder = self.luck.choice(folders) / DEEP
        if len(folder.relative_to(device.root).parts) < 20:
            for at in range(len(DEEP.split("/"))):
                below = folder.parents[len(DEEP.split("/")) - 2 - at] if at < len(DEEP.split("/")) - 1 else folder
                if not below.exists():
                    below.mkdir()
                    self.saw(device, below)
            self.put(device, folder / self.luck.choice(NAMES), self.content(device))

    def edit_unseen(self, device: StormDevice, files: list[Path], folders: list[Path]) -> None:
        """Same size, and the time put back: only ctime tells."""
        if files:
            path = self.luck.choice(files)
            was = path.stat()
            old = path.read_bytes()
            self.put(device, path, self.content(device).ljust(len(old), b".")[: max(len(old), 11)])
            os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))

    def put_back(self, device: StormDevice, files: list[Path], folders: list[Path]) -> None:
        """An edit that is undone before anybody looked."""
        if files:
            path = self.luck.choice(files)
            old = path.read_bytes()
            if old in self.wanted:
                self.put(device, path, self.content(device))
                self.put(device, path, old)

    def touch(self, device: StormDevice, files: list[Path], folders: list[Path]) -> None:
        if files:
            path = self.luck.choice(files)
            at = self.luck.choice([0, 10**9, 2**33 * 10**9, -(10**15), time.time_ns()])
            os.utime(path, ns=(at, at))
            self.saw(device, path)

    def move(self, device: StormDevice, files: list[Path], folders: list[Path]) -> None:
        if files and (path := self.free(folders)):
            source = self.luck.choice(files)
            source.rename(path)
            self.saw(device, source, path)

    def replace(self, device: StormDevice, files: list[Path], folders: list[Path]) -> None:
        """Rename over another file."""
        if len(files) > 1:
            source, target = self.luck.sample(files, 2)
            if not source.samefile(target):
                self.forget(target)
                source.replace(target)
                self.saw(device, source, target)

    def save_by_rename(self, device: StormDevice, files: list[Path], folders: list[Path]) -> None:
        if files:
            target = self.luck.choice(files)
            beside = target.with_name(self.luck.choice(["new version", f".{target.name[:50]}.swp"]))
            if not os.path.lexists(beside):
                self.put(device, beside, self.content(device))
                self.forget(target)
                beside.replace(target)
                self.saw(device, beside, target)

    def remove(self, device: StormDevice, files: list[Path], folders: list[Path]) -> None:
        if files:
            path = self.luck.choice(files)
            self.forget(path)
            path.unlink()
            self.saw(device, path)

    def make_folder(self, device: StormDevice, files: list[Path], folders: list[Path]) -> None:
        path = self.luck.choice(folders) / f"d{self.luck.randrange(4)}"
        if not os.path.lexists(path):
            path.mkdir()
            self.saw(device, path)

    def remove_folder(self, device: StormDevice, files: list[Path], folders: list[Path]) -> None:
        if folders[1:]:
            path = self.luck.choice(folders[1:])
            for below in walk(path):
                if below.is_file() and not below.is_symlink():
                    self.forget(below)
            device.remove(str(path.relative_to(device.root)))
            self.saw(device, path)

    def move_folder(self, device: StormDevice, files: list[Path], folders: list[Path]) -> None:
        """A tree into another, or to another name."""
        if folders[1:]:
            source = self.luck.choice(folders[1:])
            target = self.luck.choice(folders) / self.luck.choice([source.name, f"m{self.luck.randrange(4)}"])
            if not os.path.lexists(target) and source not in (target, *target.parents):
                source.rename(target)
                self.saw(device, source, target)

    def swap(self, device: StormDevice, files: list[Path], folders: list[Path]) -> None:
        among = self.luck.choice([files, folders[1:]])
        if len(among) > 1:
            one, other = self.luck.sample(among, 2)
            aside = device.root / "aside while swapping"
            if one in other.parents or other in one.parents or os.path.lexists(aside):
                return
            one.rename(aside)
            other.rename(one)
            aside.rename(other)
            self.saw(device, one, other)

    def symlink(self, device: StormDevice, files: list[Path], folders: list[Path]) -> None:
        if path := self.free(folders):
            path.symlink_to(self.luck.choice(["f1", "nowhere", "../f0", "/etc/hostname", "d0"]))
            self.saw(device, path)

    def mark(self, device: StormDevice, files: list[Path], folders: list[Path]) -> None:
        if files:
            path = self.luck.choice(files)
            path.chmod(path.stat().st_mode ^ 0o111)
            self.saw(device, path)

    def link(self, device: StormDevice, files: list[Path], folders: list[Path]) -> None:
        if files and (path := self.free(folders)):
            os.link(self.luck.choice(files), path)
            self.saw(device, path)

    def change_kind(self, device: StormDevice, files: list[Path], folders: list[Path]) -> None:
        """A file becomes a folder, a symlink, or a folder becomes a file."""
        path = self.luck.choice([*files, *folders[1:], device.root])
        if path in folders[1:]:
            self.remove_folder(device, files, [device.root, path])
            self.put(device, path, self.content(device))
        elif path in files:
            self.forget(path)
            path.unlink()
            if self.luck.random() < 0.5:
                path.mkdir()
                self.put(device, path / "f0", self.content(device))
            else:
                path.symlink_to("became a link")
            self.saw(device, path)

    def ignore(self, device: StormDevice, files: list[Path], folders: list[Path]) -> None:
        lines = self.luck.sample(["f0", "/d0/", "*.txt", "d1/f2", "!f1.txt", "m*", "# nothing"], 2)
        self.put(device, device.root / ".syncignore", ("\n".join(lines) + "\n").encode(), keep=False)


def walk(folder: Path) -> list[Path]:
    """Everything below a folder but what is syncd's own, sorted; symlinks are not followed."""
    out: list[Path] = []
    for directory, directories, names in os.walk(folder):
        with contextlib.suppress(ValueError):
            directories.remove(".syncd")
        out += [Path(directory) / name for name in (*directories, *names)]
    return sorted(out)
