"""Virtual time: moves only when told, for disks, engines and the hub alike."""

START = 1_800_000_000.0


class SimTime:
    """``syncd.ports.Clock`` for everything in one play. *ahead*: seconds since its start."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        return START + self.ahead

    def monotonic(self) -> float:
        return self.now()

    def nanoseconds(self) -> int:
        """Return what a disk's clock shows."""
        return int(START) * 1_000_000_000 + int(self.ahead * 1e9)
