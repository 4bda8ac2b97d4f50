"""A device of its own for each test: XDG folders below a fresh directory, a short one for sockets.

A folder of tests gets it by importing both fixtures into its conftest.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.service.roots import Roots


@pytest.fixture(autouse=True)
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="syncd-", dir="/tmp") as runtime:
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        monkeypatch.setenv("SYNCD_SECRETS", "file")
        monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
        yield tmp_path


@pytest.fixture
def roots() -> Roots:
    return Roots()
