"""One `syncd run --once` of the root tied in this environment, printing as JSON what it did and opened."""

import json
import sys

from syncd.model.observation import Verb
from syncd.service import config
from syncd.service.roots import Roots
from syncd.service.running import started
from syncd.service.stopping import stop_signals


def main() -> None:
    roots = Roots()
    with stop_signals() as stopped, started(roots, list(roots.all()), config.load(), stopped) as (daemon,):
        reply = daemon.ask(Verb.WAIT).result(600)
        json.dump({"code": reply.code, "text": reply.text, "opened": daemon.opened}, sys.stdout)


if __name__ == "__main__":
    main()
