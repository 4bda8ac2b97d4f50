"""Logging, set up once: lines for people on a terminal, JSON for machines; always on standard error.

Owns how a line looks and that no secret gets into one. Never decides what is worth a line.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Final, TextIO, cast

import structlog
from structlog.tracebacks import ExceptionDictTransformer

from syncd.model.path import shown
from syncd.settings import LogFormat, LogLevel

_SECRET_KEYS: Final = ("token", "secret", "password", "authorization", "invite")
_INVITE: Final = re.compile(r"(syncd://[^\s#]*)#\S+")
_BEARER: Final = re.compile(r"(?i)(bearer\s+)[A-Za-z0-9._~+/=-]{8,}")


class _StandardError:
    """Standard error as it is when a line is written, not as it was when logging was set up."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def configure(level: LogLevel, format_: LogFormat) -> None:
    """Set structlog and the standard library's logging up. Call once, before the first line.

    A traceback never shows what variables held: a token would be among them."""
    number = getattr(logging, level.name)
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(
            fmt="%H:%M:%S" if format_ is LogFormat.CONSOLE else "iso", utc=format_ is LogFormat.JSON
        ),
        without_secrets,
    ]
    if format_ is LogFormat.JSON:
        bare = ExceptionDictTransformer(show_locals=False)
        processors += [structlog.processors.ExceptionRenderer(bare), structlog.processors.JSONRenderer()]
    else:
        colours, bare_text = sys.stderr.isatty(), structlog.dev.plain_traceback
        processors.append(structlog.dev.ConsoleRenderer(colors=colours, pad_event_to=0, exception_formatter=bare_text))
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _StandardError())),
        cache_logger_on_first_use=True,
    )
    # Libraries log through the standard library; only what is wrong is worth a line there.
    logging.basicConfig(
        stream=cast(TextIO, _StandardError()), level=max(number, logging.WARNING), format="%(levelname)s %(message)s"
    )


def without_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Blot out tokens and invites, and escape what could steer a terminal (P10), in every value of a line."""
    for key, value in event.items():
        if any(word in key.lower() for word in _SECRET_KEYS):
            event[key] = "…"
        elif isinstance(value, str) and key != "exception":
            event[key] = shown(_BEARER.sub(r"\1…", _INVITE.sub(r"\1#…", value))).replace("\\\\", "\\")
    return event
