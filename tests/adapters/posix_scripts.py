"""Scripts that need a process of their own: other users, namespaces, signals."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs to be root")


def run_script(script: str, *arguments: Path, prefix: tuple[str, ...] = ()) -> str:
    done = subprocess.run(
        [*prefix, sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
