"""The log: one line of `key=value` pairs per event on stderr, carrying the ids of the request and session it is about.

Rooms log through the standard `logging` with an event's name as message and its facts in `extra`. A request sets a
`Trace`; every line written on its behalf, also by tasks it started, carries that trace's ids. Secrets never get in: a
registered secret, a session's token and anything under a telling name is replaced, and long values are cut.
"""

from __future__ import annotations

import logging
import re
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final, TextIO

VALUE_LIMIT: Final = 2_000
"""Characters kept of one value."""
TRACEBACK_LIMIT: Final = 8_000
HIDDEN: Final = "***"

_STANDARD: Final = frozenset({*logging.makeLogRecord({}).__dict__, "message", "asctime", "taskName"})
_TELLING: Final = re.compile(r"(?i)(^|_)(token|secret|password|authorization|cookie|api_?key)$")
_TOKENS: Final = re.compile(
    r"aos_[A-Za-z0-9._-]+_[0-9a-f]{8,}|(?i:bearer)\s+[A-Za-z0-9._~+/=-]+|gh[pousr]_[A-Za-z0-9]{16,}"
    r"|github_pat_\w{16,}|sk-[A-Za-z0-9_-]{16,}"
)
_BARE: Final = re.compile(r"[^\s\"=\\]+")
_secrets: set[str] = set()


class Trace:
    """The ids of one request, filled in as they become known. `session_id` may be set by whoever learns it first."""

    __slots__ = ("request_id", "session_id")

    def __init__(self, request_id: str, session_id: str = "") -> None:
        self.request_id = request_id
        self.session_id = session_id


trace: Final[ContextVar[Trace | None]] = ContextVar("ao_trace", default=None)


def note_session(session_id: str) -> None:
    """Name the session that the current request is about; nothing happens outside of one."""
    current = trace.get()
    if current is not None:
        current.session_id = session_id


def conceal(secret: str) -> None:
    """Never write `secret`. Too short ones would hide ordinary words and are ignored."""
    if len(secret) >= 16:
        _secrets.add(secret)


def first_time(error: BaseException) -> bool:
    """Whether nobody has logged this error yet; from then on somebody has. Who meets it later leaves it at that."""
    if getattr(error, "_ao_logged", False):
        return False
    error._ao_logged = True  # type: ignore[attr-defined]
    return True


def configure(level: str = "info", *, stream: TextIO | None = None) -> None:
    """Send every log line of this process to `stream` (stderr unless given), replacing what was configured before.

    `level` is debug, info, warning or error.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(LineFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("asyncio").setLevel("WARNING")


class LineFormatter(logging.Formatter):
    """`time=… level=… msg=… key=value …`, always one line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record, without line end."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields: dict[str, Any] = {
            "time": moment.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "msg": record.getMessage(),
        }
        current = trace.get()
        if current is not None:
            fields |= {"request": current.request_id, "session": current.session_id}
        fields |= {key: value for key, value in record.__dict__.items() if key not in _STANDARD}
        pairs = [f"{key}={_shown(key, value)}" for key, value in fields.items() if value not in ("", None)]
        if record.exc_info:
            pairs.append(f"error={_quoted(_safe(self.formatException(record.exc_info)[-TRACEBACK_LIMIT:]))}")
        return " ".join(pairs)


def _shown(key: str, value: object) -> str:
    if _TELLING.search(key):
        return HIDDEN
    text = value if isinstance(value, str) else str(value)
    cut = text if len(text) <= VALUE_LIMIT else f"{text[:VALUE_LIMIT]}… ({len(text)} characters)"
    return _quoted(_safe(cut))


def _safe(text: str) -> str:
    for secret in _secrets:
        text = text.replace(secret, HIDDEN)
    return _TOKENS.sub(HIDDEN, text)


def _quoted(text: str) -> str:
    if _BARE.fullmatch(text) and text.isprintable():
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return '"' + "".join(ch if ch.isprintable() else f"\\u{ord(ch):04x}" for ch in escaped) + '"'
