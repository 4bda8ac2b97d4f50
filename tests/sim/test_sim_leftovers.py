"""What an editor leaves behind when the power goes keeps a folder that others removed: that is no difference between
the devices (P2), as long as it is shown why the folder is there, and there is something in it.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sim.play import Play, kept


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    play = Play(tmp_path, 1, "ann", "bob")
    yield play
    play.close()


@pytest.mark.parametrize("folders", [("d",), ("d", "d/e")], ids=["in it", "deeper in it"])
def test_p2_a_folder_stays_for_an_editor_s_file_and_goes_with_it(play: Play, folders: tuple[str, ...]) -> None:
    """The folder was said to make the devices differ (seed 3005500 of three devices)."""
    ann, bob = play.devices
    file, beside = f"{folders[-1]}/f", f"{folders[-1]}/.f.swp"
    ann.person.mkdir(folders[-1], parents=True)
    ann.person.write(file, b"in sync")
    play.settle()
    bob.person.write(beside, b"not renamed to its file yet")
    ann.person.delete("d")
    play.settle()
    assert kept(bob) == {*folders}
    assert not bob.person.exists(file)
    bob.person.delete(beside)
    play.settle()
    assert bob.tree() == ann.tree() == {}
    play.check_queues()


def test_p2_what_others_lack_in_a_folder_that_is_kept_is_a_difference(play: Play) -> None:
    """Only the folder is left out of the comparison."""
    ann, bob = play.devices
    ann.person.mkdir("d")
    play.settle()
    bob.person.write("d/.f.swp", b"not renamed to its file yet")
    ann.person.delete("d")
    play.settle()
    play.settle_all = lambda **most: bob.person.write("d/f", b"nobody looked at it")  # type: ignore[assignment, misc]
    with pytest.raises(AssertionError, match=r"bob and ann differ in \['d/f'\]"):
        play.settle()
