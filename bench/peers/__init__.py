"""The programs that are measured beside this one, where they are installed. One module each; none is needed."""

from typing import Final

from bench.pairs import Pair
from bench.peers.rclone import Rclone
from bench.peers.rsync import Rsync, RsyncDurable
from bench.peers.syncthing import Syncthing
from bench.peers.unison import Unison

PEERS: Final[tuple[type[Pair], ...]] = (Rsync, RsyncDurable, Unison, Syncthing, Rclone)
