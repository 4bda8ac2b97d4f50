"""Invites and hub addresses as text."""

import pytest

from syncd.model.errors import Usage
from syncd.model.invite import HubAddress, Invite, format_invite, is_loopback, parse_address, parse_invite

SECRET = "AbCd-_0123456789"
PIN = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "invite"),
    [
        pytest.param(
            f"syncd://127.0.0.1:8383/home#{SECRET}",
            Invite(HubAddress("127.0.0.1", 8383, "home"), SECRET),
            id="loopback",
        ),
        pytest.param(
            f"syncd://hub.example.org:443/home#{SECRET}.{PIN}",
            Invite(HubAddress("hub.example.org", 443, "home", PIN), SECRET),
            id="pinned",
        ),
        pytest.param(f"syncd://[::1]:1/home#{SECRET}", Invite(HubAddress("::1", 1, "home"), SECRET), id="IPv6"),
        pytest.param(
            f"syncd://h:1/a%20b%2Fc%3F%23%C3%BC#{SECRET}".replace("%2F", "%3A"),
            Invite(HubAddress("h", 1, "a b:c?#ü"), SECRET),
            id="a space that needs quoting",
        ),
    ],
)
def test_an_invite_reads_back_as_written(text, invite):
    assert parse_invite(text) == invite
    assert format_invite(invite) == text
    assert parse_invite(f"  {text}\n") == invite


@pytest.mark.parametrize(
    ("text", "what"),
    [
        pytest.param("", "syncd://", id="nothing"),
        pytest.param(f"https://h:1/home#{SECRET}", "syncd://", id="another scheme"),
        pytest.param("syncd://h:1/home", "secret", id="no secret"),
        pytest.param("syncd://h:1/home#", "secret", id="an empty secret"),
        pytest.param("syncd://h:1/home#short", "secret", id="a cut secret"),
        pytest.param(f"syncd://h:1/home#{SECRET} x", "secret", id="a space in the secret"),
        pytest.param(f"syncd://h:1/home#{SECRET}.", "pin", id="an empty pin"),
        pytest.param(f"syncd://h:1/home#{SECRET}.{PIN[:-1]}", "pin", id="a cut pin"),
        pytest.param(f"syncd://h/home#{SECRET}", "port", id="no port"),
        pytest.param(f"syncd://h:/home#{SECRET}", "port", id="an empty port"),
        pytest.param(f"syncd://h:0/home#{SECRET}", "port", id="port 0"),
        pytest.param(f"syncd://h:65536/home#{SECRET}", "port", id="port too large"),
        pytest.param(f"syncd://h:١/home#{SECRET}", "port", id="digits of another script"),
        pytest.param(f"syncd://:1/home#{SECRET}", "host", id="no host"),
        pytest.param(f"syncd://h\x1b[31m:1/home#{SECRET}", "host", id="a host that steers a terminal"),
        pytest.param(f"syncd://::1:1/home#{SECRET}", "brackets", id="IPv6 without brackets"),
        pytest.param(f"syncd://[::1:1/home#{SECRET}", "IPv6", id="half a bracket"),
        pytest.param(f"syncd://[::x]:1/home#{SECRET}", "IPv6", id="not an address in brackets"),
        pytest.param(f"syncd://u:p@h:1/home#{SECRET}", "user name", id="a password"),
        pytest.param(f"syncd://h:1#{SECRET}", "space", id="no space"),
        pytest.param(f"syncd://h:1/#{SECRET}", "space", id="an empty space"),
        pytest.param(f"syncd://h:1/a/b#{SECRET}", "space", id="two spaces"),
        pytest.param(f"syncd://h:1/a?b#{SECRET}", "space", id="a query"),
        pytest.param(f"syncd://h:1/%ff#{SECRET}", "UTF-8", id="a space that is not UTF-8"),
        pytest.param(f"syncd://h:1/%00#{SECRET}", "space", id="NUL in a space"),
        pytest.param(f"syncd://h:1/a%2Fb#{SECRET}", "space", id="a separator in a space"),
        pytest.param(f"syncd://h:1/%1b[31m#{SECRET}", "space", id="a space that steers a terminal"),
    ],
)
def test_each_malformed_part_is_named_and_the_secret_never_shown(text, what):
    with pytest.raises(Usage, match=what) as told:
        parse_invite(text)
    assert SECRET not in str(told.value)
    assert "\x1b" not in str(told.value)
    assert "\n" not in str(told.value)


def test_an_address_is_what_is_remembered_of_an_invite():
    address = parse_invite(f"syncd://[fe80::1]:8383/my%20home#{SECRET}.{PIN}").address
    assert str(address) == "syncd://[fe80::1]:8383/my%20home"
    assert parse_address(str(address), PIN) == address
    assert address.url == "https://[fe80::1]:8383"
    assert parse_address(str(address)).url == "http://[fe80::1]:8383"
    with pytest.raises(Usage, match="pin"):
        parse_address(str(address), "nonsense")


def test_a_secret_is_not_printed_by_accident():
    assert SECRET not in repr(parse_invite(f"syncd://h:1/home#{SECRET}"))


def test_an_invite_that_could_not_be_read_back_is_not_made():
    for address in (HubAddress("", 1, "home"), HubAddress("h", 0, "home"), HubAddress("h", 1, "")):
        with pytest.raises(Usage):
            format_invite(Invite(address, SECRET))


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("localhost", True), ("LocalHost.", True),
        ("0.0.0.0", False), ("::", False), ("192.168.1.2", False), ("localhost.example.org", False), ("hub", False),
    ],
)  # fmt: skip
def test_what_is_loopback(host, expected):
    assert is_loopback(host) is expected
    assert HubAddress(host, 1, "home").plain_beyond_loopback is not expected
