"""Bugs planted into the adapters (``syncd/adapters``)."""

from typing import Final

from tests.planted.bug import Bug

CONTRACT_FS: Final = ("tests/contract", "-k", "local_fs")
POSIX: Final = ("tests/adapters/test_adapters_posix_files.py",)
ROOT: Final = ("tests/adapters/test_adapters_posix_root.py",)


def contract(test: str) -> tuple[str, ...]:
    return ("tests/contract", "-k", test)


def adapters(test: str) -> tuple[str, ...]:
    return ("tests/adapters", "-k", test)


BUGS: Final = (
    Bug(
        "what a process read is believed whatever happened meanwhile",
        "A process that reads small files does not look at the name again afterwards.",
        "P5",
        "syncd/adapters/reader_child.py",
        "    if facts(raw) != facts(os.stat(name, dir_fd=directory, follow_symlinks=False)):\n        return NOTHING\n",
        "",
        ("tests/adapters/test_adapters_reading.py",),
    ),
    Bug(
        "a database is a small file like any other",
        "A process hashes the main file of a database, whatever its programs are doing.",
        "P5",
        "syncd/adapters/reader_child.py",
        "        if len(data) != raw.st_size or (unless and data.startswith(unless)):",
        "        if len(data) != raw.st_size:",
        ("tests/contract/test_contract_local_fs_contents.py",),
    ),
    Bug(
        "a symlink is followed",
        "Folders are opened without O_NOFOLLOW.",
        "P10",
        "syncd/adapters/posix_dir.py",
        "_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC",
        "_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC",
        ("tests/contract", "-k", "symlink"),
    ),
    Bug(
        "a rename replaces",
        "The flag against replacing is left out: the planner saw that the name is free.",
        "P6",
        "syncd/adapters/posix_syscalls.py",
        "    _rename(from_fd, name, to_fd, new_name, _NO_REPLACE)",
        "    _rename(from_fd, name, to_fd, new_name, 0)",
        contract("test_p6_rename_new_replaces_nothing"),
    ),
    Bug(
        "another folder is taken for the root",
        "What is at the root's path is the root.",
        "P8",
        "syncd/adapters/posix_fs.py",
        "        if here != proven:",
        "        if False:",
        ("tests/adapters/test_adapters_posix_root_swapped.py",),
    ),
    Bug(
        "a root without its marker is scanned",
        "An empty folder with the root's inode is the root: everything in it was deleted.",
        "P8",
        "syncd/adapters/posix_fs.py",
        "        if self._root_id is not None and not has_marker(root):",
        "        if False:",
        adapters("test_p8_a_root_whose_marker_went_is_not_opened_between_proofs"),
    ),
    Bug(
        "another root's marker is accepted",
        "Any marker proves the root.",
        "P8",
        "syncd/adapters/posix_fs.py",
        "            if self._root_id not in (None, found.root_id):",
        "            if False:",
        adapters("test_p8_a_root_that_is_not_proven_is_never_opened"),
    ),
    Bug(
        "a chmod hits whoever has the name",
        "The executable bit is set on the name's file, whichever it is.",
        "P6",
        "syncd/adapters/posix_dir.py",
        "            if (raw.st_dev, signed(raw.st_ino)) != (expected.dev, expected.ino):",
        "            if False:",
        contract("test_p6_chmod_executable_declines_another_file"),
    ),
    Bug(
        "a sync of a folder does nothing",
        "Folders need no fsync.",
        "P4",
        "syncd/adapters/posix_fs.py",
        "        for each in opened:\n            with full_disk",
        '        for each in opened:\n            if hasattr(each, "names"):\n                continue\n'
        "            with full_disk",
        ("tests/adapters/test_adapters_posix_sync_calls.py",),
    ),
    Bug(
        "the hub's word on a chunk is taken",
        "A chunk that arrives whole is handed on without hashing it.",
        "P5",
        "syncd/adapters/hub_transfer.py",
        "    if blake3(data).digest() != expected:",
        "    if False:",
        adapters("test_every_call_turns_a_bad_answer_into_the_right_error"),
    ),
    Bug(
        "an overflow is swallowed",
        "When the kernel drops events, the watcher goes on as if nothing had happened.",
        "P2",
        "syncd/adapters/watch_inotify.py",
        "            self._overflowed = True\n            return",
        "            return",
        adapters("test_an_overflow_is_told_and_the_watches_are_mended"),
    ),
    Bug(
        "any certificate will do",
        "The pin of the invite is not compared with the hub's certificate.",
        "P10",
        "syncd/adapters/hub_pin.py",
        "    return hmac.compare_digest(hashlib.sha256(der).hexdigest(), pin)",
        "    return bool(pin)",
        ("tests/hub/test_hub_api_server.py", "-k", "pin or certificate"),
    ),
)
