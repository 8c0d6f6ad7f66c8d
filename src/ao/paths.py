"""Where things live (`~/.ao`), the daemon's run file, and the small text formats both sides of the wire share.

The daemon writes the run file, the CLI and the agents' hooks find the daemon by it. Every `ao` command and every hook
call imports this module, so it loads nothing the interpreter hasn't loaded already: the `json` package alone (it pulls
in `re` and `enum`) would double the cost of a command; the C scanner beneath it is used instead.
"""

from __future__ import annotations

import os
from _json import encode_basestring as _quote
from _json import make_scanner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

DEFAULT_PORT = 3001
_ID_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
_ID_LENGTH = 128
_RUN_FILE_LIMIT = 65_536
_DURATION_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class Paths:
    """The absolute paths of one installation. `explicit` names the variables that moved some of them."""

    __slots__ = ("config_file", "data_dir", "explicit", "log_file", "run_file", "token_file")

    def __init__(self, run_file: str, data_dir: str, config_file: str, explicit: tuple[str, ...] = ()) -> None:
        self.run_file = run_file
        self.data_dir = data_dir
        self.config_file = config_file
        self.log_file = os.path.join(os.path.dirname(run_file), "daemon.log")
        self.token_file = os.path.join(data_dir, "token")
        self.explicit = explicit

    def environment(self) -> dict[str, str]:
        """The variables that make a child process resolve to these same paths, whatever its directory."""
        return {"AO_RUN_FILE": self.run_file, "AO_DATA_DIR": self.data_dir, "AO_CONFIG": self.config_file}


def resolve(environ: Mapping[str, str]) -> Paths:
    """The paths that `AO_RUN_FILE`, `AO_DATA_DIR` and `AO_CONFIG` or their defaults in `~/.ao` name.

    An empty variable counts as unset, `~` is expanded, relative paths are taken from the current directory. Raises
    `ValueError` when a default is needed and there is no home directory.
    """
    explicit = tuple(name for name in ("AO_RUN_FILE", "AO_DATA_DIR", "AO_CONFIG") if environ.get(name))
    run_file = _absolute(environ, environ.get("AO_RUN_FILE") or "~/.ao/running.json")
    data_dir = _absolute(environ, environ.get("AO_DATA_DIR") or "~/.ao/data")
    config = environ.get("AO_CONFIG")
    config_file = _absolute(environ, config) if config else os.path.join(os.path.dirname(run_file), "config.toml")
    return Paths(run_file, data_dir, config_file, explicit)


def _absolute(environ: Mapping[str, str], path: str) -> str:
    if path == "~" or path.startswith("~/"):
        home = environ.get("HOME") or os.path.expanduser("~")
        if not os.path.isabs(home):
            raise ValueError("no home directory: set HOME, or AO_RUN_FILE and AO_DATA_DIR")
        path = home + path[1:]
    return os.path.abspath(path)


class RunFile:
    """Which daemon serves: its process, port and start time (RFC 3339 UTC). A malformed file reads as `pid` 0."""

    __slots__ = ("data_dir", "pid", "port", "started_at", "version")

    def __init__(self, pid: int, port: int, started_at: str, version: str = "", data_dir: str = "") -> None:
        self.pid = pid
        self.port = port
        self.started_at = started_at
        self.version = version
        self.data_dir = data_dir


def read_run_file(path: str) -> RunFile | None:
    """The run file at `path`; None when there is none. Raises `OSError` when it exists but can't be read."""
    try:
        with open(path, "rb") as file:
            data = file.read(_RUN_FILE_LIMIT)
    except FileNotFoundError:
        return None
    try:
        fields = decode_json(data.decode())
    except ValueError:
        fields = None
    fields = fields if isinstance(fields, dict) else {}
    pid, port = _positive(fields.get("pid")), _positive(fields.get("port"))
    if not pid or not 0 < port < 65536:
        pid = port = 0
    started_at, version, data_dir = (_string(fields.get(key)) for key in ("startedAt", "version", "dataDir"))
    return RunFile(pid, port, started_at, version, data_dir)


def write_run_file(path: str, run: RunFile) -> None:
    """Replace the run file in one step, mode 0600; its directory is made with mode 0700 if it is missing."""
    fields: dict[str, Any] = {"pid": run.pid, "port": run.port, "startedAt": run.started_at}
    if run.version:
        fields["version"] = run.version
    if run.data_dir:
        fields["dataDir"] = run.data_dir
    write_private(path, encode_json(fields, indent=2) + "\n")


def remove_run_file(path: str, pid: int) -> bool:
    """Remove the run file if it still names `pid` (or, for `pid` 0, if it is malformed); tells whether it did."""
    run = read_run_file(path)
    if run is None or run.pid != pid:
        return False
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


def write_private(path: str, text: str) -> None:
    """Write `text` to `path` atomically and durably, mode 0600, making the parent directory (0700) if missing."""
    parent = os.path.dirname(path)
    os.makedirs(parent, mode=0o700, exist_ok=True)
    draft = os.path.join(parent, f".{os.path.basename(path)}-{os.getpid()}-{os.urandom(4).hex()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise


def process_alive(pid: int) -> bool:
    """Whether a process `pid` exists, whoever owns it. A zombie counts as alive; a `pid` below 1 never does."""
    if pid < 1:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    except OverflowError:
        return False
    return True


def is_id(text: str) -> bool:
    """Whether `text` is a well-formed project or session id: `[A-Za-z0-9][A-Za-z0-9._-]{0,127}` without `..`."""
    return (
        0 < len(text) <= _ID_LENGTH
        and text[0] not in "._-"
        and ".." not in text
        and all(character in _ID_CHARACTERS for character in text)
    )


def parse_duration(text: str) -> float:
    """Seconds in a duration of Go's syntax, such as `1m30s`, `500ms`, `1.5h`, `0` or `-2s`; `ValueError` otherwise."""
    rest = text[1:] if text[:1] in ("+", "-") else text
    if rest == "0":
        return 0.0
    total = 0.0
    while rest:
        number = _leading(rest, "0123456789.")
        unit = _leading(rest[len(number) :], "nuµμmsh")
        factor = _DURATION_UNITS.get(unit)
        if factor is None or number.count(".") > 1 or number in ("", "."):
            break
        total += float(number) * factor
        rest = rest[len(number) + len(unit) :]
        if not rest:
            return -total if text[0] == "-" else total
    raise ValueError(f"{text!r} is not a duration such as 500ms, 30s or 1m30s")


def format_duration(seconds: float) -> str:
    """A duration in Go's syntax, rounded to whole seconds: `0s`, `42s`, `6m2s`, `1h0m3s`."""
    whole = int(abs(seconds) + 0.5)
    sign = "-" if seconds < 0 and whole else ""
    hours, rest = divmod(whole, 3600)
    minutes, remainder = divmod(rest, 60)
    if hours:
        return f"{sign}{hours}h{minutes}m{remainder}s"
    return f"{sign}{minutes}m{remainder}s" if minutes else f"{sign}{remainder}s"


class _ScannerSettings:
    """What the C scanner reads from its context argument."""

    strict = False
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float
    memo: dict[str, str] = {}  # noqa: RUF012 (the scanner's protocol)


_scan = make_scanner(_ScannerSettings)  # type: ignore[arg-type]
_BLANKS = " \t\r\n"


def decode_json(text: str) -> Any:
    """The value of a JSON document; `ValueError` with the place when it isn't one."""
    start = len(text) - len(text.lstrip(_BLANKS))
    try:
        value, end = _scan(text, start)
    except (StopIteration, SystemError, ValueError, RecursionError):
        # Without `json` loaded the scanner can't even name the error (SystemError); the package below can.
        end = -1
    if end >= 0 and not text[end:].strip(_BLANKS):
        return value
    import json

    try:
        return json.loads(text, strict=False)
    except RecursionError:
        raise ValueError("the JSON document is nested too deeply") from None


def encode_json(value: Any, *, indent: int = 0, level: int = 0) -> str:
    """JSON text of a tree of dicts, lists, strings, numbers, booleans and None; `indent` in spaces, 0 = compact.

    JSON has no infinities and no NaN; they become null.
    """
    if isinstance(value, dict):
        items = [f"{_quote(key)}:{' ' * bool(indent)}{_element(value[key], indent, level)}" for key in value]
        return _bracket("{}", items, indent, level)
    if isinstance(value, (list, tuple)):
        return _bracket("[]", [_element(item, indent, level) for item in value], indent, level)
    if isinstance(value, str):
        return _quote(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return repr(value)
    if isinstance(value, float):
        return repr(value) if value - value == 0 else "null"
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _element(value: Any, indent: int, level: int) -> str:
    return encode_json(value, indent=indent, level=level + 1)


def _bracket(pair: str, items: list[str], indent: int, level: int) -> str:
    if not items:
        return pair
    if not indent:
        return pair[0] + ",".join(items) + pair[1]
    margin = "\n" + " " * indent * (level + 1)
    return pair[0] + margin + ("," + margin).join(items) + "\n" + " " * indent * level + pair[1]


def _leading(text: str, allowed: str) -> str:
    return text[: len(text) - len(text.lstrip(allowed))]


def _positive(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31 else 0


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""
