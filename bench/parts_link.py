"""The row about a far link: how much of it is used when much is to be sent."""

from bench.book import FLOOR, OURS
from bench.far import Far
from bench.ours import Syncd
from bench.plan import Bench
from bench.rig import LONG
from bench.trees import large, small_files

ROUND_TRIP = 0.2
LOSS = 0.01
RATE = 1_000_000
EACH = 4096


def link(bench: Bench) -> None:
    """Many small files and a large one, sent to a hub that is far away."""
    files, size = bench.size("link"), bench.size("link file")
    total = files * EACH + size
    note = f"the bytes at {RATE / 1e6:g} MB a second, and one round trip of {ROUND_TRIP * 1000:g} ms"
    bench.book.add("link", FLOOR, {"time": total / RATE + ROUND_TRIP}, note)
    for _ in range(bench.repeat):
        with bench.trying("link", OURS), bench.ground.place() as base:
            far = Far(ROUND_TRIP, LOSS, RATE)
            pair = Syncd(base, far, "a", bench.profiles)
            try:
                small_files(base / "stage" / "small", files, EACH)
                large(base / "stage" / "large.bin", size)
                pair.open()
                bench.heat("time")

                def work(pair: Syncd = pair) -> None:
                    (pair.a.parent.parent / "stage").rename(pair.a / "work")
                    pair.devices[0].ask("wait", LONG)

                bench.timed("link", pair, work)
                bench.book.add("link", OURS, {"connections": far.connections},
                               f"{LOSS:.0%} loss: {far.connection_rate / 1000:.0f} kB/s a connection")  # fmt: skip
            finally:
                pair.close()
                far.close()
