"""A device's way to the hub: requests get lost before they arrive, replies after, and the hub may die in between."""

from typing import TYPE_CHECKING

from syncd.hub.session import CAPABILITIES
from syncd.model.errors import Offline, Transient
from syncd.model.remote import Capabilities
from tests.sim.weather import Crash, HubCrash

if TYPE_CHECKING:
    from tests.sim.device import SimDevice


class SimWire:
    """``syncd.ports.Remote`` over the hub's core in memory. *cut*: nothing gets through; *dead*: its process is."""

    def __init__(self, device: "SimDevice") -> None:
        self.device = device
        self.cut = self.dead = False
        self.commits: list[object] = []

    def __getattr__(self, name: str) -> object:
        return lambda *given: self._call(name, given)

    @property
    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    def close(self) -> None:
        """Nothing is held open."""

    def _call(self, name: str, given: tuple[object, ...]) -> object:
        if self.dead:
            raise Crash
        play, luck = self.device.play, self.device.play.luck
        play.at_call(self.device, f"hub.{name}")
        if self.cut or luck.random() < play.weather.cut:
            raise Offline("the hub cannot be reached") if luck.random() < 0.8 else Transient("busy", 2.0)
        try:
            out = self._request(name, given)
        except HubCrash:
            play.hub_dies()
            raise Offline("the hub went away") from None
        if name == "commit":
            self.commits.extend(given[0])  # type: ignore[call-overload]
            play.commits += 1
            if play.lose_commit == play.commits:
                raise self._lost(f"{name} {play.commits}")
        if luck.random() < play.weather.lost:
            raise self._lost(name)
        play.at_call(self.device, f"after hub.{name}")
        return out

    def _request(self, name: str, given: tuple[object, ...]) -> object:
        session = self.device.play.hub.authenticate(self.device.enrolled.token)
        if name == "wait":
            return session.changed(str(given[0]))
        out = getattr(session, name)(*given)
        return iter(list(out)) if name == "get_chunks" else out

    def _lost(self, what: str) -> Offline:
        self.device.play.say(f"{self.device.name}: the reply to {what} is lost")
        return Offline("the reply was lost")
