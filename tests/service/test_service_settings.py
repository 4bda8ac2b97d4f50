"""Settings: what the file may say, and the one line for what it may not."""

from pathlib import Path

import pytest

from syncd.engine.desk import EngineSettings
from syncd.model.errors import Usage
from syncd.service import config, folders
from syncd.settings import DAY, GIB, LogFormat, LogLevel, Settings, parse

EXAMPLE = Path(__file__).parents[2] / "config" / "syncd.toml"


def test_the_example_says_every_setting_with_its_default() -> None:
    import tomllib

    assert parse(EXAMPLE.read_text()) == Settings()
    named = {(table, key) for table, keys in tomllib.loads(EXAMPLE.read_text()).items() for key in keys}
    known = {
        (table, key) for table in Settings.__struct_fields__ for key in getattr(Settings(), table).__struct_fields__
    }
    assert named == known


def test_the_engines_defaults_are_the_settings_defaults() -> None:
    assert EngineSettings.of(Settings()) == EngineSettings()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", Settings(), id="an empty file is all defaults"),
        pytest.param('[guard]\nsize = "10 GiB"', Settings(), id="sizes with a unit"),
        pytest.param(f"[guard]\nsize = {10 * GIB}", Settings(), id="sizes in bytes"),
        pytest.param('[trash]\nretention = "30 days"', Settings(), id="times with a unit"),
        pytest.param(f"[trash]\nretention = {30 * DAY}", Settings(), id="times in seconds"),
    ],
)
def test_parse(text: str, expected: Settings) -> None:
    assert parse(text) == expected


def test_parse_log() -> None:
    log = parse('[log]\nlevel = "debug"\nformat = "json"').log
    assert (log.level, log.format) == (LogLevel.DEBUG, LogFormat.JSON)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        pytest.param("[guard]\n\nnodse = 3", 3, "unknown setting; known here: nodes,", id="a misspelt key"),
        pytest.param("[guard]\nnodes = 3\n\n[gaurd]\nx = 1", 4, "unknown setting", id="a misspelt table"),
        pytest.param('[guard]\nshare = 0.5\nnodes = "many"', 3, "expected `int`", id="a wrong type"),
        pytest.param('[scan]\nevery = "3 moons"', 2, "s, min, h, day", id="a unit that does not exist"),
        pytest.param("[scan]\nevery = true", 2, "a number", id="a boolean for a time"),
        pytest.param("[scan]\nevery = inf", 2, "not endless", id="an endless time"),
        pytest.param("[scan]\nevery = -5", 2, "not negative", id="a negative time"),
        pytest.param('[log]\nlevel = "loud"', 2, "debug, info, warning, error", id="a choice that does not exist"),
        pytest.param("[parallel]\nlook = 0", 2, "between 1 and 64", id="out of range"),
        pytest.param("guard.share = 2", 1, "at most 1", id="a dotted key out of range"),
        pytest.param("[log]\nlevel = ", 2, "not valid TOML", id="broken TOML at the end"),
        pytest.param("[log\nlevel = 3", 1, "not valid TOML", id="broken TOML at a line"),
        pytest.param("log = 3", 1, "expected `object`", id="a value for a table"),
    ],
)
def test_a_fault_is_one_line_with_file_line_and_what_to_do(text: str, line: int, says: str) -> None:
    with pytest.raises(Usage) as fault:
        parse(text, "my.toml")
    message = str(fault.value)
    assert message.startswith(f"my.toml:{line}: ")
    assert says in message
    assert "\n" not in message


def test_the_persons_file_is_read_and_never_made() -> None:
    assert config.load() == Settings()
    assert not folders.config_file().exists()
    folders.config_file().parent.mkdir(parents=True)
    folders.config_file().write_text("[guard]\nnodes = 7\n")
    assert config.load().guard.nodes == 7


def test_a_file_that_is_not_utf8_is_one_line() -> None:
    folders.config_file().parent.mkdir(parents=True)
    folders.config_file().write_bytes(b"\xff\xfe")
    with pytest.raises(Usage, match="UTF-8"):
        config.load()
