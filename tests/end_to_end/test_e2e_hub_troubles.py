"""A hub that asks for patience, answers slowly, or does not know the token: what a device does, and what it says."""

import random
import re

import pytest

from tests.end_to_end.harness import Device, World
from tests.end_to_end.processes import until
from tests.end_to_end.proxy import Proxy, Weather, proxied

PATIENCE_ASKED = 5.0
"""Seconds: longer than the first waits of a device that is not asked for any."""


def through(world: World, proxy: Proxy, name: str) -> Device:
    """Make a device that reaches the hub through *proxy* only, running."""
    device = world.bare(name)
    device.init(re.sub(r":\d+/", f":{proxy.port}/", world.hub.invite()))
    device.start()
    return device


def refused(device: Device, weather: Weather) -> None:
    """Wait until the device was refused, and knows it; the next refusal asks for little."""
    until(lambda: weather.refusals, "the hub was asked, and refused")
    weather.retry_after = "1"
    until(lambda: not (device.live() or {}).get("remote_online", True), "the daemon knows")


def between_refusals(weather: Weather) -> float:
    """Return the seconds between the first two refusals, as the proxy counted them."""
    until(lambda: len(weather.refusals) > 1, "the hub was asked again")
    return weather.refusals[1] - weather.refusals[0]


def test_a_device_waits_as_long_as_the_hub_asks_and_says_until_when(world: World) -> None:
    with proxied(world.hub.port) as busy, proxied(world.hub.port) as crowded:
        a, b, c = through(world, busy, "a"), through(world, crowded, "b"), world.device("c")
        a.write("file.txt", "content")
        world.settle()
        asked = [(a, busy.weather, 503), (b, crowded.weather, 429)]
        for device, weather, status in asked:
            weather.retry_after, weather.busy = f"{PATIENCE_ASKED:g}", status
            device.write(f"from {device.name}.txt", "made while the hub was busy")
        for device, weather, status in asked:
            refused(device, weather)
            said = device.fine("status").out
            assert f"HTTP {status}" in said
            assert "tries again in" in said
        c.write("from c.txt", "another device goes on")
        c.wait()
        for _, weather, _ in asked:
            assert between_refusals(weather) >= PATIENCE_ASKED, "sooner than the hub asked for"
            weather.busy = 0
        until(lambda: {"from a.txt", "from b.txt"} <= set(c.names()), "all goes on by itself")
        world.check_all()


def test_a_slow_hub_is_only_slow(world: World) -> None:
    with proxied(world.hub.port) as proxy:
        a, b = through(world, proxy, "a"), world.device("b")
        a.write("before.txt", "before")
        world.settle()
        proxy.weather.drip = 0.1
        a.write("folder/from a.txt", "a" * 100_000)
        b.write("from b.txt", "b" * 100_000)
        world.settle()
        assert a.read("from b.txt") == "b" * 100_000
        assert b.read("folder/from a.txt") == "a" * 100_000
        proxy.weather.drip = 0.0
        world.check_all()


def test_a_wrong_token_is_one_line_that_says_what_to_do(world: World) -> None:
    a = world.device("a")
    a.write("file.txt", "content")
    world.settle()
    a.stop()
    a.write("more.txt", "waits for a new invite")
    for token in ("A" * 43, "two words", ""):
        (a.state / "token").write_text(token)
        ran = a.cli("run", "--once", "--timeout", "20")
        assert ran.code == 1, ran
        lines = (ran.out + ran.err).strip().splitlines()
        assert len(lines) == 1, ran
        assert "syncd init" in lines[0], lines
    a.init(world.hub.invite())
    a.start()
    world.check_all()


def test_a_run_that_ends_without_the_hub_says_so(world: World) -> None:
    a = world.device("a")
    a.write("file.txt", "content")
    world.settle()
    a.stop()
    world.hub.stop()
    a.write("more.txt", "waits for the hub")
    for patience, code in (("3", 4), ("30", 1)):  # less than a hub gets to come back, and more
        ran = a.cli("run", "--once", "--timeout", patience)
        assert ran.code == code, ran
        assert "cannot be reached" in ran.out, ran
    world.hub.start()
    a.start()
    world.check_all()


BAD_LINES = [
    pytest.param({"swallow": 2}, id="answers are swallowed after the hub has done it"),
    pytest.param({"cut_answers": 2}, id="answers end in the middle"),
    pytest.param({"cut_requests": 2}, id="requests end in the middle"),
    pytest.param({"down": True}, id="the line is cut"),
]


@pytest.mark.parametrize("weather", BAD_LINES)
def test_p4_a_bad_line_makes_nothing_twice_and_no_copy(world: World, weather: dict[str, int]) -> None:
    with proxied(world.hub.port) as proxy:
        a, b = through(world, proxy, "a"), world.device("b")
        a.write("edited.txt", "before")
        a.write("moved.txt", "moved")
        a.write("removed.txt", "removed")
        world.settle()
        proxy.weather = Weather(**weather)
        proxy.sever()
        a.write("edited.txt", "after")
        a.rename("moved.txt", "folder/moved.txt")
        a.remove("removed.txt")
        a.write("folder/large.bin", random.Random(1).randbytes(300_000))
        b.write("from b.txt", "from b" * 1000)
        if proxy.weather.down:
            until(lambda: not (a.live() or {}).get("remote_online", True), "a knows that its line is cut")
            proxy.clear()
        world.settle()
        assert proxy.weather.swallow + proxy.weather.cut_answers + proxy.weather.cut_requests < 2, "it was a bad line"
        assert b.read("edited.txt") == "after"
        assert a.read("from b.txt") == "from b" * 1000
        assert not a.copies() + b.copies()
        said = world.hub.rows(
            "SELECT name, COUNT(*) FROM entry WHERE deleted = 0 GROUP BY parent_id, name, hash HAVING COUNT(*) > 1"
        )
        assert not said, "nothing was committed twice"
        proxy.clear()
        world.check_all()
