"""Tying a folder again: its mark, its name, and what an invite is used up for."""

import dataclasses
import errno
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.adapters import posix_fs
from syncd.adapters.posix_marker import read_marker, tie_root
from syncd.model.errors import RootGone, Usage
from syncd.ports import Traits
from syncd.service import known_traits
from syncd.service.embedded import EmbeddedHub
from syncd.service.hubs import HubData, Served, free_port
from syncd.service.roots import RootRecord, Roots
from syncd.service.tie import Tied, tie
from syncd.service.tokens import Tokens

REPO = Path(__file__).parents[2]


def never(_: str) -> bool:
    return False


class Hub:
    """A hub that runs, and the folder that is tied to it."""

    def __init__(self, data: HubData, served: Served, roots: Roots, folder: Path) -> None:
        self.data, self.served, self.roots, self.folder = data, served, roots, folder
        self.invite = self.another()

    def another(self) -> str:
        self.invite = self.data.invite("files", self.served)
        return self.invite

    def tie(self, device: str | None = None, *, sure: bool = False) -> Tied:
        return tie(self.roots, self.folder, self.invite, device, insecure=False, confirmed=lambda _: sure)

    def living(self) -> list[str]:
        hub = self.data.open()
        try:
            return [row.name for row in hub.devices("files") if row.revoked_at is None]
        finally:
            hub.close()


@pytest.fixture
def hub(roots: Roots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("PYTHONPATH", str(REPO))
    data = HubData(tmp_path / "hub")
    data.prepare()
    data.remember(Served("127.0.0.1", free_port(20_000 + os.getpid() % 20_000)))
    embedded = EmbeddedHub(data, time.monotonic)
    folder = tmp_path / "folder"
    folder.mkdir()
    yield Hub(data, embedded.start(), roots, folder)
    embedded.stop()


@pytest.fixture
def before(hub: Hub) -> RootRecord:
    """The folder, tied as "second"."""
    record = hub.tie("second").record
    hub.another()
    return record


def _remove_mark(folder: Path) -> None:
    shutil.rmtree(folder / ".syncd")


def _make_anew(folder: Path) -> None:
    folder.rename(folder.with_name("away"))
    folder.mkdir()


@pytest.mark.parametrize("lose", [_remove_mark, _make_anew], ids=["mark removed", "folder made anew"])
def test_p8_init_on_a_tied_folder_without_a_mark_marks_it_anew_and_doubts_it(hub, before, lose) -> None:
    lose(hub.folder)
    tied = hub.tie()
    assert tied.renewed
    assert tied.marked
    assert read_marker(str(hub.folder)) == before.id == tied.record.id
    kept = hub.roots.load(before.id)
    assert kept.ino not in (0, hub.folder.stat().st_ino), "no folder may pass for the one that was tied"


def test_p8_a_foreign_mark_is_asked_about_before_the_invite_is_used(hub: Hub, before: RootRecord) -> None:
    tie_root(str(hub.folder), "of another", replace=True)
    with pytest.raises(Usage, match="--force-new"):
        hub.tie()
    assert read_marker(str(hub.folder)) == "of another"
    assert hub.roots.load(before.id) == before
    tied = hub.tie(sure=True)  # the same invite
    assert tied.renewed
    assert read_marker(str(hub.folder)) == before.id
    assert hub.roots.load(before.id).ino not in (0, hub.folder.stat().st_ino)


def test_p8_a_damaged_mark_is_asked_about_and_written_anew(hub: Hub, before: RootRecord) -> None:
    (hub.folder / ".syncd" / "root.json").write_text("{")
    with pytest.raises(Usage, match="--force-new"):
        hub.tie()
    assert hub.tie(sure=True).renewed
    assert read_marker(str(hub.folder)) == before.id


def test_a_damaged_mark_of_an_untied_folder_is_no_dead_end(hub: Hub) -> None:
    own = hub.folder / ".syncd"
    own.mkdir()
    (own / "root.json").write_text("{")
    with pytest.raises(Usage, match="--force-new"):
        hub.tie()
    tied = hub.tie(sure=True)
    assert not tied.renewed
    assert read_marker(str(hub.folder)) == tied.record.id


def test_a_file_in_the_marks_place_uses_no_invite_up(hub: Hub, before: RootRecord) -> None:
    _remove_mark(hub.folder)
    (hub.folder / ".syncd").write_text("mine")
    with pytest.raises(RootGone, match="remove it"):
        hub.tie(sure=True)
    (hub.folder / ".syncd").unlink()
    assert hub.tie().record.id == before.id  # the same invite


def test_p8_a_tied_folder_with_its_own_mark_is_not_doubted(hub: Hub, before: RootRecord) -> None:
    tied = hub.tie()
    assert not tied.marked
    assert hub.roots.load(before.id).ino == before.ino


def test_tying_again_keeps_the_name_and_the_old_token_ends(hub: Hub, before: RootRecord) -> None:
    old = Tokens(hub.roots).get(before.id)
    assert hub.tie().record.device == "second"
    hub.another()
    assert hub.tie("second").record.device == "second"
    assert hub.living() == ["second"]
    assert Tokens(hub.roots).get(before.id) != old


def test_tying_again_under_another_name_renames(hub: Hub, before: RootRecord) -> None:
    assert hub.tie("third").record.device == "third"
    assert hub.living() == ["third"]


def test_tying_again_without_the_old_token_still_works(hub: Hub, before: RootRecord) -> None:
    Tokens(hub.roots).drop(before.id)
    assert hub.tie().record.device == "second 2", "nothing proves that the old entry is this device"


def test_a_folder_that_cannot_hold_a_mark_uses_no_invite_up(hub: Hub) -> None:
    if not Path("/proc/self").is_dir():
        pytest.skip("no /proc here")
    with pytest.raises(Usage, match="choose another folder"):
        tie(hub.roots, Path("/proc"), hub.invite, None, insecure=False, confirmed=never)
    assert hub.tie().record.path == str(hub.folder)  # the same invite


def test_what_the_file_system_can_do_is_tried_out_at_init(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only at the daemon's first start: a plan made before that must know that A and a are one name there."""
    blind = dataclasses.replace(known_traits.LIKELY, case_sensitive=False)
    monkeypatch.setattr(posix_fs, "probe", lambda _descriptor: blind)
    record = hub.tie().record
    assert known_traits.recall(hub.roots.folder(record.id).base) == blind


def test_a_file_system_that_cannot_be_tried_out_is_tied_all_the_same(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_descriptor: int) -> Traits:
        raise OSError(errno.EIO, "the disk fails")

    monkeypatch.setattr(posix_fs, "probe", broken)
    record = hub.tie().record
    assert known_traits.recall(hub.roots.folder(record.id).base) == known_traits.LIKELY
