"""The mark of P8 that counts bytes: few files, but large ones."""

import json

import pytest

from tests.end_to_end.harness import CONFIG, Device, World

Pair = tuple[World, Device, Device]

LARGE = 300_000
MANY = 6
MARK = CONFIG.replace("[guard]\n", '[guard]\nsize = "1 MiB"\n')
"""Far below the default of 10 GiB; the six files are over it, any three of them are not."""


def held(device: Device) -> list[dict[str, object]]:
    return json.loads(device.fine("approve", "--json", codes=(0, 3)).out)


@pytest.mark.parametrize("what", ["delete", "overwrite"])
def test_p8_few_but_large_files_are_held_by_their_bytes_and_all_else_goes_on(world: World, what: str) -> None:
    a, b = world.bare("a"), world.device("b")
    a.configure(MARK)
    a.init(world.hub.invite())
    a.start()
    for number in range(MANY):
        a.write(f"films/{number}.bin", str(number) * LARGE)
    a.write("small.txt", "before")
    world.settle()
    for number in range(MANY):
        if what == "delete":
            a.remove(f"films/{number}.bin")
        else:
            a.write(f"films/{number}.bin", "x" * (LARGE + number))
    a.write("new.txt", "goes on")
    b.write("small.txt", "the other direction goes on, too")
    world.settle()
    assert b.read("new.txt") == "goes on"
    assert a.read("small.txt") == "the other direction goes on, too"
    untouched = [b.read(f"films/{number}.bin")[0] == str(number) for number in range(MANY)]
    assert sum(untouched) >= 3, "what is over the mark is held"
    (group,) = held(a)
    assert group["side"] == "remote"
    shown = a.fine("approve", codes=(0, 3)).out
    assert "deleted or overwritten within the window, over the mark of 1.0 MiB" in shown, "the reason is the bytes"
    a.fine("approve", "allow", str(group["group"]))
    world.settle()
    assert not held(a) + held(b)
    assert sum(name.startswith("films/") for name in b.names()) == (0 if what == "delete" else MANY)
    world.check_all()
