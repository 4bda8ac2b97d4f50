"""What every LocalFs promises of many small files that are read at once: the same as of one, or nothing at all."""

from blake3 import blake3

from syncd.adapters import reading
from syncd.ports import Content, LocalFs
from tests.contract.local_worlds import Person

LIMIT = 100
UNLESS = b"SQLite"


def contents(fs: LocalFs, *asked: tuple[tuple[str, ...], list[str]]) -> list[list[Content | None]]:
    opened = [(fs.open_dir(path), names) for path, names in asked]
    try:
        return [list(found) for found in fs.contents(opened, LIMIT, UNLESS)]
    finally:
        for directory, _ in opened:
            directory.close()


def test_what_is_read_is_what_reading_by_itself_gives(fs: LocalFs, person: Person) -> None:
    person.mkdir("sub")
    files = {f"file {number}": b"x" * number for number in range(8)} | {"ünï / name".replace("/", "+"): b"named"}
    for name, data in files.items():
        person.write(f"sub/{name}", data)
    person.write("top", b"1")
    person.write("run", b"2")
    person.chmod("run", 0o755)
    [top, below] = contents(fs, ((), ["run", "top"]), (("sub",), list(files)))
    with fs.open_dir(()) as root, fs.open_dir(("sub",)) as sub:
        assert top == [
            Content(root.stat("run"), blake3(b"2").digest()),
            Content(root.stat("top"), blake3(b"1").digest()),
        ]
        assert below == [Content(sub.stat(name), blake3(data).digest()) for name, data in files.items()]


def test_p10_what_is_no_small_file_is_left_alone(fs: LocalFs, person: Person) -> None:
    person.write("before", b"1")
    person.write("after", b"2")
    person.write("limit", b"x" * LIMIT)
    person.write("large", b"x" * (LIMIT + 1))
    person.write("database", UNLESS + b" format 3")
    person.mkdir("directory")
    person.symlink("link", "before")
    person.symlink("away", person.outside() + "/secret")
    person.fifo("fifo")
    odd = ["large", "database", "directory", "link", "away", "fifo", "missing"]
    [found] = contents(fs, ((), ["before", *odd, "limit", "after"]))
    assert [content is not None for content in found] == [True, *(False for _ in odd), True, True]


def test_none_is_asked_for(fs: LocalFs, person: Person) -> None:
    assert contents(fs) == []
    assert contents(fs, ((), [])) == [[]]


def test_many_directories_and_many_files(fs: LocalFs, person: Person) -> None:
    names = [f"d{number}" for number in range(reading.DIRECTORIES + 3)]
    for name in names:
        person.mkdir(name)
        person.write(f"{name}/a", name.encode())
    for number in range(reading.AT_ONCE + 3):
        person.write(f"d0/{number}", str(number).encode())
    numbers = [str(number) for number in range(reading.AT_ONCE + 3)]
    found = contents(fs, *(((name,), ["a", *numbers] if name == "d0" else ["a"]) for name in names))
    assert [each[0].hash for each in found if each[0] is not None] == [blake3(n.encode()).digest() for n in names]
    assert [c.hash for c in found[0][1:] if c is not None] == [blake3(n.encode()).digest() for n in numbers]


def test_each_counts_as_opened(fs: LocalFs, person: Person) -> None:
    person.write("a", b"1")
    person.write("b", b"2")
    before = fs.opened  # type: ignore[attr-defined]
    contents(fs, ((), ["a", "b"]))
    assert fs.opened == before + 2  # type: ignore[attr-defined]
