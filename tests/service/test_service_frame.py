"""The frame: lock files, Makefile, unit and plist."""

import plistlib
import re
import shutil
import subprocess
import tomllib
from configparser import RawConfigParser
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
LOCKS = ["requirements.lock", "requirements-dev.lock"]


def pinned(text: str) -> dict[str, str]:
    found = re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)", text, re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_file_names_no_host_and_no_path(name: str) -> None:
    text = (REPO / name).read_text()
    assert not re.search(r"https?:|file://|--index|--find-links|--trusted-host|--extra-index", text)


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_package_is_pinned_and_hashed(name: str) -> None:
    blocks = re.split(r"\n(?=[A-Za-z0-9])", (REPO / name).read_text())
    packages = [block for block in blocks if re.match(r"[A-Za-z0-9_.-]+==", block)]
    assert len(packages) > 30
    for block in packages:
        assert "--hash=sha256:" in block, block.splitlines()[0]


def test_everything_the_project_needs_is_locked() -> None:
    project = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    base, dev = (pinned((REPO / name).read_text()) for name in LOCKS)

    def names(requirements: list[str]) -> set[str]:
        return {re.sub(r"[-_.]+", "-", re.split(r"[\[<>=;! ]", one)[0]).lower() for one in requirements}

    assert names(project["dependencies"]) <= base.keys()
    assert names(project["optional-dependencies"]["dev"]) <= dev.keys()
    assert {name: version for name, version in dev.items() if name in base} == base


def test_what_only_linux_or_an_old_python_needs_carries_its_marker() -> None:
    text = (REPO / "requirements.lock").read_text()
    for name in ("secretstorage", "jeepney"):
        assert re.search(rf'^{name}==\S+ ; sys_platform == "linux"', text, re.MULTILINE), name
    for name in ("importlib-metadata", "zipp", "backports-tarfile"):
        assert re.search(rf'^{name}==\S+ ; python_version < "3.12"', text, re.MULTILINE), name


@pytest.mark.parametrize("target", ["help", "up", "install", "test", "lint", "clean"])
def test_make_knows_its_targets(target: str) -> None:
    make = shutil.which("make")
    assert make is not None
    ended = subprocess.run([make, "-n", target], cwd=REPO, check=False, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr


def test_make_up_takes_another_root() -> None:
    ended = subprocess.run(
        ["make", "-n", "up", "ROOT=/x y"], cwd=REPO, check=False, capture_output=True, text=True, timeout=60
    )
    assert 'syncd up "/x y"' in ended.stdout


def test_without_a_python_make_says_what_to_install(tmp_path: Path) -> None:
    for tool in ("sh", "echo", "rm", "touch"):
        found = shutil.which(tool)
        assert found is not None
        (tmp_path / tool).symlink_to(found)
    shutil.copy(REPO / "Makefile", tmp_path / "Makefile")
    make = shutil.which("make")
    assert make is not None
    ended = subprocess.run(
        [make, ".venv/.made"],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": str(tmp_path)},
    )
    assert ended.returncode != 0
    assert "no Python 3.11 or newer found" in ended.stderr


def test_ci_runs_what_a_person_runs() -> None:
    script = REPO / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    assert re.search(r"^make test$", script.read_text(), re.MULTILINE)


def test_the_unit_is_one_systemd_understands() -> None:
    unit = RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(REPO / "systemd" / "syncd.service")
    service = unit["Service"]
    assert (service["Type"], service["Restart"]) == ("notify", "on-failure")
    assert "78" in service["RestartPreventExitStatus"].split()
    assert " run" in service["ExecStart"]


def test_the_plist_is_one_launchd_understands() -> None:
    (path,) = (REPO / "config").glob("*.plist")
    plist = plistlib.loads(path.read_bytes())
    assert plist["Label"] == path.stem
    assert plist["ProgramArguments"][1] == "run"
