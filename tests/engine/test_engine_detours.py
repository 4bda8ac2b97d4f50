"""Moves, creates and deletes that wait for each other in a circle: one of them goes by way of a temporary name."""

import shutil
from collections.abc import Callable

import pytest

from tests.engine.world import Device, World

Make = Callable[..., World]


@pytest.fixture
def two(make_world: Make) -> World:
    return make_world("ann", "bob")


def into_a_new_one_of_its_name(device: Device) -> None:
    device.path("d").rename(device.path("x"))
    device.path("d").mkdir()
    device.path("x").rename(device.path("d/inner"))


def out_of_its_deleted_parent_to_its_name(device: Device) -> None:
    device.path("d/e").rename(device.path("x"))
    shutil.rmtree(device.path("d"))
    device.path("x").rename(device.path("d"))


def a_file_into_a_folder_of_its_name(device: Device) -> None:
    device.path("f").rename(device.path("x"))
    device.path("f").mkdir()
    device.path("x").rename(device.path("f/f"))


@pytest.mark.parametrize(
    "rearrange",
    [into_a_new_one_of_its_name, out_of_its_deleted_parent_to_its_name, a_file_into_a_folder_of_its_name],
)
def test_p2_circles_of_moves_creates_and_deletes_end(two: World, rearrange: Callable[[Device], None]) -> None:
    """The remote detour looked for the local node under the temporary name, and found it nowhere, for ever."""
    ann, bob = two.devices
    ann.write("d/e/deep", "deep")
    ann.write("d/file", "one")
    ann.write("f", "two")
    two.settle()
    rearrange(ann)
    expected = ann.tree()
    two.settle()
    assert ann.tree() == bob.tree() == expected
