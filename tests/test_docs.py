"""The documents: what they show can be typed, where they point there is something, and they name no machine of ours."""

import os
import re
import shlex
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import click
import pytest

from syncd.cli import main
from syncd.hub import api_routes

REPO = Path(__file__).parents[1]
PAGES = sorted([REPO / "README.md", *(REPO / "docs").rglob("*.md")])
GUIDES = [page for page in PAGES if "adr" not in page.parts]
FORBIDDEN = re.compile(r"(?<![\w~.])/(root|home/(?!you/)|Users|tmp)/?\w")


def name(page: Path) -> str:
    return str(page.relative_to(REPO))


def prose(page: Path) -> str:
    return re.sub(r"^( *)```.*?^ *```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def shown(page: Path) -> list[str]:
    """Return the `syncd` command lines of a page's code blocks."""
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```$", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    lines = [line.strip().removeprefix("$ ") for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("syncd ")]


def mentioned(page: Path) -> list[str]:
    """Return the `syncd` commands in running text, which may leave arguments out."""
    return re.findall(r"`(syncd [^`]+)`", prose(page))


def parse(line: str, *, whole: bool) -> None:
    """Parse a command line as click does, without running it; raises click's own errors."""
    words = [word for word in shlex.split(line, comments=True)[1:] if word != "&"]
    command: click.Command = main.cli
    context = click.Context(main.cli, info_name="syncd")
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        word = words.pop(0)
        found = command.get_command(context, word)
        assert found is not None, f"there is no `{word}` in `{line}`"
        command, context = found, click.Context(found, parent=context, info_name=word)
    command.make_context(context.info_name, words, resilient_parsing=not whole)


def anchors(page: Path) -> set[str]:
    found = re.findall(r"^#+ (.*)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in found}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        there = page.parent / path if path else page
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there), target


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_shown_can_be_typed(page: Path) -> None:
    for line in shown(page):
        try:
            parse(line, whole=True)
        except click.ClickException as error:
            pytest.fail(f"{line}: {error.format_message()}")
    for line in mentioned(page):
        try:
            parse(line, whole=False)
        except click.ClickException as error:
            pytest.fail(f"{line}: {error.format_message()}")


def test_the_pages_show_commands_at_all() -> None:
    assert sum(len(shown(page)) for page in PAGES) > 30


@pytest.mark.parametrize("line", ["syncd frobnicate", "syncd status --jsn", "syncd hub invite", "syncd trash burn"])
def test_a_command_that_does_not_exist_is_noticed(line: str) -> None:
    with pytest.raises((click.ClickException, AssertionError)):
        parse(line, whole=True)


def test_every_command_is_explained_in_using_or_operating() -> None:
    text = (REPO / "docs/using.md").read_text() + (REPO / "docs/operating.md").read_text()
    hub = main.cli.get_command(click.Context(main.cli), "hub")
    assert isinstance(hub, click.Group)
    for command in [*main.COMMANDS, *(f"hub {one}" for one in hub.commands)]:
        assert f"syncd {command}" in text, command


@pytest.mark.parametrize("page", [*PAGES, REPO / "docs/images/running.svg"], ids=name)
def test_no_page_names_a_machine_of_ours(page: Path) -> None:
    assert not FORBIDDEN.search(page.read_text())


@pytest.mark.parametrize("page", GUIDES, ids=name)
def test_a_page_is_short(page: Path) -> None:
    assert len(page.read_text().splitlines()) <= 200


def test_files_and_tests_that_architecture_names_exist() -> None:
    text = (REPO / "docs/architecture.md").read_text()
    for path in re.findall(r"`([a-z_]+/[\w/]+\.py)`", text):
        assert (REPO / path).exists() or (REPO / "syncd" / path).exists(), path
    tests = "".join(path.read_text() for path in (REPO / "tests").rglob("test_*.py"))
    for test in re.findall(r"`(test_p\w+)`", text):
        assert f"def {test}(" in tests, test


def test_protocol_names_every_path_and_no_other() -> None:
    source = Path(api_routes.__file__).read_text()
    served = set(re.findall(r'"(/(?:v1/[\w/{}]+|healthz|openapi\.json))"', source))
    told = set(re.findall(r"^\| [A-Z, ]+ \| `(/[^`]+)` \|", (REPO / "docs/protocol.md").read_text(), re.MULTILINE))
    assert told == served


def test_every_decision_is_in_the_list() -> None:
    listed = (REPO / "docs/adr/README.md").read_text()
    for page in (REPO / "docs/adr").glob("0*.md"):
        assert f"({page.name})" in listed, page.name


def test_the_picture_is_one_and_needs_nothing_from_elsewhere() -> None:
    text = (REPO / "docs/images/running.svg").read_text()
    assert ET.fromstring(text).tag.endswith("svg")
    assert "url(http" not in text


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_finds_no_fault_in_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "syncd.service"
    text = (REPO / "systemd/syncd.service").read_text()
    unit.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.MULTILINE))  # ours is not installed
    ended = subprocess.run(
        ["systemd-analyze", "--user", "verify", str(unit)], check=False, capture_output=True, text=True, timeout=60,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
    )  # fmt: skip
    assert (ended.returncode, ended.stderr.strip()) == (0, "")
