"""Rows about the hub with a team on it: many devices wait for news, and all of them send.

The devices are clients of this program's own, without folders: threads of one process, on the hub's own machine."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from blake3 import blake3

from bench.book import OURS
from bench.plan import Bench
from bench.rig import Failed, Hub, resident, rest, until, usage
from syncd.adapters.hub_remote import HubRemote
from syncd.model import invite
from syncd.model.errors import Offline
from syncd.model.node import Kind
from syncd.model.path import ROOT_ID
from syncd.model.remote import Content, Create, Verdict
from syncd.service.hubs import HubData, Served

WAVES = 20
ROUNDS = 10
A_COMMIT = 10
POLL_SECONDS = 50.0
PATIENCE = 60.0
NOTE = "all of them wait for news; one commits a file, and all fetch it"


@dataclass(slots=True)
class Listener:
    """A device that hears all that is committed: it waits, fetches, and waits again."""

    remote: HubRemote
    cursor: str
    heard: int = 0
    failure: str = ""
    told: threading.Condition = field(default_factory=threading.Condition)

    def listen(self) -> None:
        """Until the connection is closed here."""
        try:
            while True:
                page = self.remote.changes(self.cursor, 1000)
                self.cursor = page.cursor
                if page.changes:
                    with self.told:
                        self.heard += len(page.changes)
                        self.told.notify_all()
                if not page.more:
                    self.remote.wait(self.cursor, POLL_SECONDS)
        except Offline as error:
            self.failure = str(error)

    def hears(self, number: int) -> None:
        """Return once that many changes were heard; raises Failed."""
        with self.told:
            if not self.told.wait_for(lambda: self.heard >= number or bool(self.failure), PATIENCE):
                raise Failed(f"a device heard of {self.heard} changes of {number}")
        if self.failure:
            raise Failed(f"a device hears no more: {self.failure}")


def devices(bench: Bench) -> None:
    """A hub with many devices: the way of news, commits a second, and what it needs while nothing happens."""
    number = bench.size("devices")
    with bench.trying("devices", OURS), bench.ground.place() as base:
        served = Hub(base / "hub", profiles=bench.profiles)
        remotes: list[HubRemote] = []
        try:
            served.start()
            remotes += _enrolled(served, number)
            _measured(bench, served, remotes)
        finally:
            for remote in remotes:
                remote.close()
            served.process.end()


def _enrolled(served: Hub, number: int) -> list[HubRemote]:
    first = invite.parse_invite(served.invite())
    where, data = Served(first.address.host, first.address.port, first.address.pin), HubData(served.data)
    asked = [first, *(invite.parse_invite(data.invite(first.address.space, where)) for _ in range(number - 1))]
    return [HubRemote(one.address, HubRemote.enroll(one, f"device-{at}").token) for at, one in enumerate(asked)]


def _measured(bench: Bench, served: Hub, remotes: list[HubRemote]) -> None:
    listeners = [Listener(remote, remote.listing(None, 1000).cursor) for remote in remotes]
    threads = [threading.Thread(target=listener.listen, daemon=True) for listener in listeners]
    for thread in threads:
        thread.start()
    sender, chance, sent = remotes[0], random.Random(8), 0
    for _ in range(WAVES):
        time.sleep(chance.uniform(0.1, 0.3))
        began = time.perf_counter()
        _create(sender, chance, 1)
        sent += 1
        listeners[1].hears(sent)
        first = time.perf_counter() - began
        for listener in listeners:
            listener.hears(sent)
        figures = {"time": time.perf_counter() - began, "until one of them knows": first}
        bench.book.add("devices", OURS, figures, NOTE, durable=True)
    bench.book.add("devices", OURS, _idle(bench, served))
    began = time.perf_counter()
    with ThreadPoolExecutor(len(remotes)) as pool:
        seeds = [random.Random(100 + one) for one in range(len(remotes))]
        list(pool.map(_busy, remotes, seeds))
    sent += len(remotes) * ROUNDS * A_COMMIT
    committed = time.perf_counter() - began
    for listener in listeners:
        listener.hears(sent)
    heard = time.perf_counter() - began
    news = len(remotes) * len(remotes) * ROUNDS * A_COMMIT
    bench.book.add("devices", OURS, {
        "commits/s": len(remotes) * ROUNDS * A_COMMIT / committed,
        "news/s": news / heard,
        "memory of the hub": resident(served.process.pid),
    })  # fmt: skip
    for remote in remotes:
        remote.close()
    until(lambda: not any(thread.is_alive() for thread in threads), PATIENCE, lambda: "a device does not end")


def _idle(bench: Bench, served: Hub) -> dict[str, float]:
    """What it costs the hub that they wait."""
    rest((served.process.pid,))
    before, seconds = usage(served.process.pid), bench.size("idle")
    time.sleep(seconds)  # what is measured is this very time of doing nothing
    used = usage(served.process.pid).since(before)
    return {"CPU of the hub": used.cpu * 60 / seconds, "memory of the hub": resident(served.process.pid)}


def _busy(remote: HubRemote, chance: random.Random) -> None:
    for _ in range(ROUNDS):
        _create(remote, chance, A_COMMIT)


def _create(remote: HubRemote, chance: random.Random, number: int) -> None:
    empty = Content(blake3(b"").digest(), 0)
    batch = [
        Create(chance.randbytes(16), node, ROOT_ID, f"{node.hex()}.txt", Kind.FILE, content=empty)
        for node in (chance.randbytes(16) for _ in range(number))
    ]
    for outcome in remote.commit(batch):
        if outcome.verdict is not Verdict.DONE:
            raise OSError(f"the hub answers {outcome.verdict} to a create: {outcome.detail}")
