"""The watcher's pure parts: the kernel's event format, and which watch stands for which directory."""

import os

from syncd.adapters.watch_events import Event, In, pack, parse
from syncd.adapters.watch_tree import WatchTree


def test_events_are_read_as_the_kernel_packs_them():
    buffer = (
        pack(1, In.CREATE, name=b"a")
        + pack(2, In.MOVED_FROM | In.ISDIR, 77, b"exactly sixteen!")
        + pack(-1, In.Q_OVERFLOW)
        + pack(3, In.DELETE, name="grüße".encode())
        + pack(3, In.DELETE, name=b"latin-\xe9")
    )
    assert list(parse(buffer)) == [
        Event(1, In.CREATE, 0, "a"),
        Event(2, In.MOVED_FROM | In.ISDIR, 77, "exactly sixteen!"),
        Event(-1, In.Q_OVERFLOW, 0, ""),
        Event(3, In.DELETE, 0, "grüße"),
        Event(3, In.DELETE, 0, os.fsdecode(b"latin-\xe9")),
    ]
    assert list(parse(b"")) == []


def planted(*paths):
    tree = WatchTree()
    for wd, path in enumerate(((), *paths)):
        spot = tree.root
        for name in path:
            spot = tree.child(spot, name)
        tree.bind(spot, wd)
    return tree


def test_a_move_takes_along_what_is_below():
    tree = planted(("a",), ("a", "b"), ("a", "b", "c"), ("z",))
    moved = tree.detach(tree.root, "a")
    assert tree.path(tree.spot(3)) is None
    tree.attach(moved, tree.spot(4), "new")
    assert [tree.path(tree.spot(wd)) for wd in range(5)] == [
        (),
        ("z", "new"),
        ("z", "new", "b"),
        ("z", "new", "b", "c"),
        ("z",),
    ]


def test_what_is_forgotten_stops_meaning_anything():
    tree = planted(("a",), ("a", "b"), ("z",))
    gone = tree.detach(tree.root, "a")
    assert sorted(tree.forget(gone)) == [1, 2]
    assert tree.spot(1) is tree.spot(2) is None
    assert len(tree) == 2


def test_an_inode_found_at_another_place_moved_there_with_all_below():
    tree = planted(("a",), ("a", "b"))
    new = tree.child(tree.root, "new")
    assert tree.bind(new, 1)
    assert tree.path(tree.spot(1)) == ("new",)
    assert tree.path(tree.spot(2)) == ("new", "b")
    assert not tree.bind(new, 1)


def test_a_watch_the_kernel_ended_leaves_its_directory_unwatched():
    tree = planted(("a",), ("a", "b"))
    assert tree.path(tree.ended(1)) == ("a",)
    assert tree.spot(1) is None
    assert tree.path(tree.spot(2)) == ("a", "b")
    assert tree.ended(1) is None
