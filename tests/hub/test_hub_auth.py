"""Invites, tokens, devices, waiting."""

import threading

import pytest

from syncd.hub.core import Hub
from syncd.model.errors import NotAuthorised, Usage
from syncd.model.renewal import Renewal, proof_of
from tests.hub.conftest import DAY


def test_an_invite_lets_one_device_in(world):
    space = world.hub.create_space("home")
    secret = world.hub.invite("home")
    enrolled = world.hub.enroll(secret, "laptop")
    assert (enrolled.hub_id, enrolled.space_id, enrolled.space, enrolled.device) == (
        world.hub.hub_id,
        space.space_id,
        "home",
        "laptop",
    )
    identity = world.hub.authenticate(enrolled.token).identify()
    assert (identity.remote_id, identity.space_id, identity.space, identity.device_id, identity.device) == (
        enrolled.hub_id,
        enrolled.space_id,
        "home",
        enrolled.device_id,
        "laptop",
    )
    with pytest.raises(NotAuthorised, match="used before"):
        world.hub.enroll(secret, "second")


def test_an_invite_expires(world):
    world.hub.create_space("home")
    secret, short = world.hub.invite("home"), world.hub.invite("home", ttl=60)
    world.clock.at += 60
    with pytest.raises(NotAuthorised, match="expired"):
        world.hub.enroll(short, "laptop")
    world.clock.at += 7 * DAY - 61
    world.hub.enroll(secret, "laptop")


def test_an_expired_invite_is_forgotten_and_a_good_one_is_not(world):
    world.hub.create_space("home")
    secret, short = world.hub.invite("home"), world.hub.invite("home", ttl=60)
    world.clock.at += 61
    world.hub.gc()
    with pytest.raises(NotAuthorised, match="not known"):
        world.hub.enroll(short, "laptop")
    world.hub.enroll(secret, "laptop")


@pytest.mark.parametrize("secret", ["", "x", "é", "\udc80", "a" * 10_000])
def test_a_wrong_secret_lets_nobody_in(world, secret):
    with pytest.raises(NotAuthorised):
        world.hub.enroll(secret, "laptop")


def test_a_wrong_token_lets_nobody_in(world, one):
    device_id, _, rest = one.token.partition(".")
    for token in ("", ".", "x", "é.é", "\udc80", device_id, device_id + ".", one.token[:-1], "ab" * 16 + "." + rest):
        with pytest.raises(NotAuthorised):
            world.hub.authenticate(token)


def test_secrets_and_tokens_are_not_in_the_database(world, one):
    secret = world.hub.invite("home")
    world.hub.close()
    data = b"".join(path.read_bytes() for path in world.folder.glob("hub.sqlite*"))
    for word in (secret, one.token, one.token.partition(".")[2]):
        assert word.encode() not in data
    world.hub = Hub.open(world.folder, world.clock, world.chance)


def test_tokens_outlive_a_restart_and_keep_the_hubs_id(world, one):
    before = one.session.identify()
    world.reopened()
    assert world.again(one).session.identify() == before


def test_a_revoked_devices_live_session_fails_at_its_next_call(world, one):
    other = world.device(name="other")
    node = one.file("a", b"1")
    cursor = one.cursor()
    mutation = one.creation("b")
    world.hub.revoke(one.device_id)
    with pytest.raises(NotAuthorised):
        world.hub.authenticate(one.token)
    for call in (
        one.session.identify,
        lambda: one.session.changes(cursor, 1),
        lambda: one.session.listing(None, 1),
        lambda: one.session.look([node.node_id]),
        lambda: one.session.commit([mutation]),
        lambda: one.session.commit([]),
        lambda: one.session.outcomes([mutation.key]),
        lambda: one.session.history(node.node_id),
        lambda: one.session.missing([]),
        lambda: one.session.put_chunks([]),
        lambda: one.session.get_chunks([]),
        lambda: one.session.get_manifest(bytes(32)),
        lambda: one.session.wait(cursor, 0),
    ):
        with pytest.raises(NotAuthorised):
            call()
    assert other.tree() == {node.node_id: node}
    assert other.session.history(node.node_id)[0].device == "laptop"


def test_revoking_by_another_process_counts_at_once(world, one):
    second = Hub.open(world.folder, world.clock, world.chance)
    try:
        second.revoke("laptop", "home")
        with pytest.raises(NotAuthorised):
            one.session.identify()
        second.create_space("new")
        secret = second.invite("new")
        assert world.hub.enroll(secret, "x").space == "new"
        with pytest.raises(NotAuthorised):
            second.enroll(secret, "x")
    finally:
        second.close()


def test_device_names_are_made_unique_in_their_space(world):
    names = [world.device(name="laptop").session.identify().device for _ in range(3)]
    assert names == ["laptop", "laptop 2", "laptop 3"]
    assert world.device("elsewhere").session.identify().device == "laptop"
    world.hub.revoke("laptop 2")
    assert world.device(name="laptop").session.identify().device == "laptop 2"


@pytest.mark.parametrize(
    ("wanted", "given"),
    [("", "device"), ("  ", "device"), ("a\x1b[31m", "a_[31m"), ("x" * 300, "x" * 64), ("\udc80", "_")],
)
def test_p10_device_names_are_made_harmless(world, wanted, given):
    assert world.device(name=wanted).session.identify().device == given


@pytest.mark.parametrize("name", ["", "..", "a/b", ".syncd", "a\nb", "x" * 256, "\udc80"])
def test_p10_a_space_has_a_harmless_name(world, name):
    with pytest.raises(Usage):
        world.hub.create_space(name)
    with pytest.raises(Usage):
        world.hub.invite(name)


def test_spaces_and_devices_are_listed(world):
    world.device("a", "one")
    world.device("b", "two")
    assert [space.name for space in world.hub.spaces()] == ["a", "b"]
    assert world.hub.create_space("a") == world.hub.spaces()[0]
    assert [(device.name, device.space) for device in world.hub.devices()] == [("one", "a"), ("two", "b")]
    assert [device.name for device in world.hub.devices("b")] == ["two"]
    revoked = world.hub.revoke("two", "b")
    assert revoked == world.hub.devices("b")[0]
    assert revoked.revoked_at == world.clock.at


def test_revoking_nobody_or_one_of_several_is_wrong_usage(world):
    world.device("a", "same")
    world.device("b", "same")
    for device, space in (("nobody", None), ("same", None), ("same", "c")):
        with pytest.raises(Usage):
            world.hub.revoke(device, space)
    world.hub.revoke("same", "a")
    world.hub.revoke("same")


# --- waiting ----------------------------------------------------------------------------------------------------


def test_waiting_ends_with_the_next_commit(world, one):
    cursor, answers = one.cursor(), []
    listening, listen = threading.Event(), world.hub.bell.wait

    def heard(space_id, ready, seconds):
        def asked():
            found = ready()
            listening.set()  # from here on every commit must end the wait
            return found

        return listen(space_id, asked, seconds)

    world.hub.bell.wait = heard
    waiter = threading.Thread(target=lambda: answers.append(one.session.wait(cursor, 30)))
    waiter.start()
    assert listening.wait(10)
    world.device("elsewhere").file("not here")
    world.device(name="other").file("a")
    waiter.join(10)
    assert answers == [True]


def test_waiting_returns_at_once_when_there_is_something_and_ends_without(one):
    cursor = one.cursor()
    assert one.session.wait(cursor, 0.01) is False
    one.file("a")
    assert one.session.wait(cursor, 30) is True


def test_subscribers_hear_of_their_space_only_until_they_leave(world, one):
    other = world.device("elsewhere")
    heard = []
    leave = one.session.subscribe(lambda: heard.append("here"))
    world.hub.subscribe(other.session.space_id, lambda: heard.append("there"))
    one.file("a")
    one.one(one.creation("a"))  # declined: nothing changed
    other.file("a")
    leave()
    leave()
    one.file("b")
    assert heard == ["here", "there"]


def test_closing_lets_waiters_go(world, one):
    cursor, ended = one.cursor(), threading.Event()
    world.hub.subscribe(one.session.space_id, ended.set)
    waiter = threading.Thread(target=lambda: one.session.wait(cursor, 30))
    waiter.start()
    world.hub.bell.close()
    waiter.join(10)
    assert not waiter.is_alive()
    assert ended.is_set()


def _renewal(enrolled, secret):
    return Renewal(enrolled.device_id, proof_of(enrolled.token, secret))


def test_renewing_keeps_the_name_and_shuts_out_the_old_token(world):
    world.hub.create_space("home")
    before = world.hub.enroll(world.hub.invite("home"), "second")
    session = world.hub.authenticate(before.token)
    for _ in range(2):
        secret = world.hub.invite("home")
        after = world.hub.enroll(secret, "second", _renewal(before, secret))
        assert after.device == "second"
        assert world.hub.authenticate(after.token).identify().device == "second"
        with pytest.raises(NotAuthorised, match="revoked"):
            world.hub.authenticate(before.token)
        before = after
    with pytest.raises(NotAuthorised, match="revoked"):
        session.identify()
    assert [row.name for row in world.hub.devices("home") if row.revoked_at is None] == ["second"]


def test_renewing_under_another_name_shuts_out_the_old_token_all_the_same(world, one):
    secret = world.hub.invite("home")
    after = world.hub.enroll(secret, "desk", Renewal(one.device_id, proof_of(one.token, secret)))
    assert [row.name for row in world.hub.devices("home") if row.revoked_at is None] == [after.device] == ["desk"]


@pytest.mark.parametrize(
    "what", ["another secret", "another token", "no proof", "no device", "nonsense", "other space"]
)
def test_p10_who_cannot_prove_the_old_token_revokes_nobody(world, one, what):
    world.hub.create_space("elsewhere")
    secret = world.hub.invite("elsewhere" if what == "other space" else "home")
    right = proof_of(one.token, secret)
    renewal = {
        "another secret": Renewal(one.device_id, proof_of(one.token, world.hub.invite("home"))),
        "another token": Renewal(one.device_id, proof_of(world.device(name="x").token, secret)),
        "no proof": Renewal(one.device_id, b""),
        "no device": Renewal("00" * 16, right),
        "nonsense": Renewal("\udc80 not hex", right),
        "other space": Renewal(one.device_id, right),
    }[what]
    enrolled = world.hub.enroll(secret, "laptop", renewal)
    assert enrolled.device == ("laptop" if what == "other space" else "laptop 2")
    assert one.session.identify().device == "laptop"


def test_p10_a_bad_invite_revokes_nobody(world, one):
    used = world.hub.invite("home")
    world.hub.enroll(used, "other")
    with pytest.raises(NotAuthorised, match="used before"):
        world.hub.enroll(used, "laptop", Renewal(one.device_id, proof_of(one.token, used)))
    assert one.session.identify().device == "laptop"
