"""A file system that crashes at the k-th call."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from syncd.adapters.posix_dir import PosixDir
from syncd.adapters.posix_file import PosixReadFile, PosixWriteFile
from syncd.adapters.posix_fs import PosixFs
from syncd.ports import Entry


class Crash(BaseException):
    """kill -9, as far as Python code can tell."""


class FaultyFs:
    """Passes everything on to a real file system, and crashes at the k-th call. Closing is no call: the kernel
    does it for a dead process as well."""

    def __init__(self, real: PosixFs, crash_at: int | None = None) -> None:
        self._real = real
        self._crash_at = crash_at
        self.calls = 0
        self.folds = False
        self.bits = True
        self.leases = True
        self.blind = False
        self.before: Callable[[str], None] = lambda call: None

    def tick(self, call: str) -> None:
        self.calls += 1
        if self._crash_at is not None and self.calls >= self._crash_at:
            raise Crash(call)
        self.before(call)

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._real, name)
        if name == "traits":
            sensitive, bit = real.case_sensitive and not self.folds, real.executable_bit and self.bits
            return replace(real, case_sensitive=sensitive, executable_bit=bit)
        return _passed(self, name, real)


class _Wrapped:
    def __init__(self, fs: FaultyFs, real: Any) -> None:
        self._fs = fs
        self._real = real

    def __enter__(self) -> "_Wrapped":
        return self

    def __exit__(self, *exc: object) -> None:
        self._real.close()

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._real, name)
        if name in ("close", "dev", "ino"):
            return real
        if name == "writers" and not self._fs.leases:
            return lambda file: None
        if name == "entries" and self._fs.blind:  # all of them left while they were listed
            return lambda: [Entry(entry.name, None) for entry in real()]
        if self._fs.folds and name in ("stat", "rename_new"):
            return getattr(self, f"_folding_{name}")
        return _passed(self._fs, name, real)

    def _twin(self, name: str) -> str:
        twins = [each for each in self._real.names() if each.casefold() == name.casefold()]
        return twins[0] if twins else name

    def _folding_stat(self, name: str) -> Any:
        self._fs.tick("stat")
        return self._real.stat(self._twin(name))

    def _folding_rename_new(self, name: str, to: "_Wrapped", new_name: str) -> None:
        self._fs.tick("rename_new")
        if to._twin(new_name) in to._real.names():
            raise FileExistsError(17, "File exists", new_name)
        self._real.rename_new(name, to._real, new_name)


def _passed(fs: FaultyFs, name: str, real: Any) -> Any:
    def call(*arguments: Any, **named: Any) -> Any:
        fs.tick(name)
        found = real(*[_unwrapped(each) for each in arguments], **named)
        return _Wrapped(fs, found) if isinstance(found, PosixDir | PosixReadFile | PosixWriteFile) else found

    return call


def _unwrapped(value: Any) -> Any:
    if isinstance(value, _Wrapped):
        return value._real
    if isinstance(value, list | tuple):
        return [_unwrapped(each) for each in value]
    return value
