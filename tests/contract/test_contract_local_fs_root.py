"""What every LocalFs promises of the root as a whole: durability, room, traits, and the proof that it is this one."""

import errno

import pytest

from syncd.model.errors import RootGone
from syncd.ports import Dir, LocalFs, ReadFile
from tests.contract.local_worlds import MTIME, Person, content


@pytest.mark.parametrize("count", [0, 1, 40])
def test_p4_make_durable(fs: LocalFs, root: Dir, person: Person, count: int) -> None:
    files: list[ReadFile] = []
    for number in range(count):
        person.write(f"f{number}", b"x" * number)
        files.append(root.open(f"f{number}"))
    fs.make_durable(files)
    for number, file in enumerate(files):
        assert file.read(0, 100) == b"x" * number
        file.close()
        file.close()  # twice does no harm


def test_p4_make_all_durable_asks_for_nothing_that_is_open(fs: LocalFs, root: Dir, person: Person) -> None:
    person.write("f", b"content")
    assert fs.make_all_durable() in (True, False)
    assert content(root, "f") == b"content"


@pytest.mark.parametrize("count", [2, 40], ids=["few", "many"])
def test_p5_what_was_finished_becomes_durable_with_its_directory(fs: LocalFs, root: Dir, count: int) -> None:
    files = [root.create(f"f{number}") for number in range(count)]
    for number, file in enumerate(files):
        file.write(b"x" * number)
        file.finish(MTIME, 0o644)
    fs.make_durable([*files, root])
    files[0].sync()  # one by itself, too
    for number, file in enumerate(files):
        file.close()
        assert content(root, f"f{number}") == b"x" * number


def test_free_bytes(fs: LocalFs) -> None:
    assert fs.free_bytes() > 0


def test_traits_make_sense(fs: LocalFs) -> None:
    traits = fs.traits
    assert 1 <= traits.time_tick_ns <= 2_000_000_000
    assert fs.traits == traits


def test_p8_a_proven_root_stays_the_same(fs: LocalFs) -> None:
    assert fs.prove() == fs.prove()


def test_p8_a_root_without_marker_is_not_proven(fs: LocalFs, person: Person) -> None:
    fs.prove()
    person.lose_marker()
    with pytest.raises(RootGone):
        fs.prove()


def test_p8_a_replaced_root_is_neither_proven_nor_opened_nor_written(fs: LocalFs, person: Person) -> None:
    fs.prove()
    person.replace_root()
    for call in (fs.prove, lambda: fs.open_dir(()), lambda: fs.own("trash", "op"), fs.free_bytes):
        with pytest.raises(RootGone):
            call()
    assert person.names("") == []


def test_a_closed_directory_says_so(fs: LocalFs) -> None:
    directory = fs.open_dir(())
    directory.close()
    directory.close()
    with pytest.raises(OSError) as refused:
        directory.names()
    assert refused.value.errno == errno.EBADF
