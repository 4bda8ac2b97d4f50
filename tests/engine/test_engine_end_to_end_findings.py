"""What real processes showed first, at its smallest: each of these once lost a name, a move or an edit."""

from collections.abc import Callable

from world import World

Make = Callable[..., World]


def test_p2_a_deep_folder_that_becomes_a_file_takes_the_name(make_world: Make) -> None:
    """What vanished with a folder is known level by level: nothing is planned on half of that."""
    world = make_world("a", "b")
    a, b = world.devices
    a.write("notes/today.md", "two")
    a.write("notes/deep/er/old.md", "three")
    world.settle()
    a.remove("notes")
    a.write("notes", "now a file")
    world.settle()
    assert b.read("notes") == "now a file"
    assert list(b.tree()) == ["notes"]
