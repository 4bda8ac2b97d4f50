"""Reads the person's config file. Never writes it."""

from syncd.model.errors import Usage
from syncd.service import folders
from syncd.settings import Settings, parse


def load() -> Settings:
    """Return the person's settings, the defaults without a file; raises Usage naming file, line and what to do."""
    path = folders.config_file()
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Settings()
    except UnicodeDecodeError:
        raise Usage(f"{path}:1: is not UTF-8 text: save it as UTF-8") from None
    except OSError as error:
        raise Usage(f"{path}: cannot be read ({error.strerror}): check its permissions, or move it away") from None
    return parse(text, str(path))
