"""P4 with a real process: what the hub answered is there after ``kill -9``, and nothing it holds is torn."""

import subprocess
import sys
from pathlib import Path

import pytest

from syncd.hub.core import Hub
from syncd.model.remote import Verdict

WRITER = """
import os, sys, time
from pathlib import Path
from blake3 import blake3
from syncd.hub.core import Hub
from syncd.model.node import Kind
from syncd.model.path import ROOT_ID
from syncd.model.remote import Content, Create

class Real:
    now = monotonic = staticmethod(time.time)
    token = staticmethod(os.urandom)
    def between(self, low, high):
        return low

hub = Hub.open(Path(sys.argv[1]), Real(), Real())
session = hub.authenticate(sys.argv[2])
while True:
    data, key, node_id = os.urandom(2000), os.urandom(16), os.urandom(16)
    session.put_chunks([(blake3(data).digest(), data)])
    content = Content(blake3(data).digest(), len(data))
    (outcome,) = session.commit([Create(key, node_id, ROOT_ID, node_id.hex(), Kind.FILE, content=content)])
    sys.stdout.write(f"{outcome.verdict} {key.hex()} {node_id.hex()}\\n")
    sys.stdout.flush()
"""


@pytest.mark.parametrize("answers", [1, 25, 60])
def test_p4_what_was_answered_survives_kill_9(world, one, tmp_path, answers):
    world.hub.close()
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(world.folder), one.token],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert writer.stdout is not None
    lines = [writer.stdout.readline() for _ in range(answers)]
    writer.kill()
    lines += writer.stdout.read().splitlines()
    writer.wait()
    writer.stdout.close()
    world.hub = Hub.open(world.folder, world.clock, world.chance)
    one = world.again(one)
    tree = one.tree()
    complete = [line.split() for line in lines if len(line.split()) == 3 and len(line.split()[2]) == 32]
    assert len(complete) >= answers
    for verdict, key, node_id in complete:
        assert verdict == "done"
        node = tree[bytes.fromhex(node_id)]
        assert len(one.content(node)) == 2000
        (outcome,) = one.session.outcomes([bytes.fromhex(key)])
        assert outcome is not None
        assert (outcome.verdict, outcome.nodes) == (Verdict.DONE, (node,))
    assert len(tree) - len(complete) in (0, 1), "at most the one whose answer was lost"
    assert world.hub.verify().faults == ()
    positions = sorted(node.version.position for node in tree.values())
    assert positions == list(range(1, len(tree) + 1))
