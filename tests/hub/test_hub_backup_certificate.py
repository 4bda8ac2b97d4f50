"""A backup and the hub's certificate: whoever trusts the certificate is served by the copy, or is unknown to it."""

import pytest

from syncd.hub.core import Hub
from syncd.hub.tls import certificate
from syncd.model.errors import NotAuthorised


def test_a_restored_hub_shows_the_certificate_that_devices_trust(world, one, tmp_path):
    pin = certificate(world.folder, world.clock).pin
    world.hub.backup(tmp_path / "b")
    restored = Hub.open(tmp_path / "b", world.clock, world.chance)
    restored.authenticate(one.token)
    restored.close()
    assert certificate(tmp_path / "b", world.clock).pin == pin


def test_a_backup_from_before_the_certificate_knows_nobody_who_trusts_it(world, one, tmp_path):
    """A pin reaches a device only with an invite made after the certificate, and so after such a backup: the other
    certificate which the copy makes locks nobody out who could get in."""
    world.hub.backup(tmp_path / "b")
    certificate(world.folder, world.clock)
    pinned = world.device(name="later")
    restored = Hub.open(tmp_path / "b", world.clock, world.chance)
    restored.authenticate(one.token)
    with pytest.raises(NotAuthorised):
        restored.authenticate(pinned.token)
    restored.close()
