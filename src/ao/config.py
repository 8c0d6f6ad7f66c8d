"""Settings of the daemon: the environment over `config.toml` over defaults, each value checked when it is read.

One table says for every setting which variable and which key of the file name it, how it is read and what it is when
nothing does. A value that can't be used is a `CONFIG_INVALID` that names the variable or the key. The file lies beside
the run file (`AO_CONFIG` overrides). One exception to the order: the file's `agent` wins over `AO_AGENT`.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from ao import paths
from ao.model import quiet_hours
from ao.model.errors import AoError
from ao.model.notification import NotificationType
from ao.model.session import PERMISSIONS
from ao.ports.channels import Channel

COMPAT_ORIGIN: Final = "app://renderer"
"""The origin of the original's desktop page (`spec` of the wire: its default allow-list)."""


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """All settings. Times are in seconds; paths are absolute. `compat` implies `auth` False."""

    port: int
    request_timeout_s: float
    shutdown_timeout_s: float
    kill_grace_s: float
    agent: str
    model: str
    permissions: str
    fetch: str
    auth: bool
    compat: bool
    allowed_hosts: tuple[str, ...]
    allowed_origins: tuple[str, ...]
    log_level: str
    data_dir: str
    run_file: str
    config_file: str
    agents_dir: str
    webhook_secret: str
    channels: tuple[Channel, ...]


class _Setting(NamedTuple):
    field: str
    variable: str
    key: str
    """Key in `config.toml`; "" when the file can't set it."""
    read: Callable[[object], Any]
    default: Any
    file_wins: bool = False


def load(environ: Mapping[str, str]) -> Config:
    """The settings of this environment. Raises `CONFIG_INVALID` for the first value that can't be used."""
    where, file = _sources(environ)
    return _build({setting.field: _value(setting, environ, file) for setting in _SETTINGS}, where)


def problems(environ: Mapping[str, str]) -> list[AoError]:
    """Every setting that can't be used, for a report; empty when `load` would succeed."""
    found: list[AoError] = []
    try:
        _, file = _sources(environ)
    except AoError as error:
        found.append(error)
        file = {}
    for setting in _SETTINGS:
        try:
            _value(setting, environ, file)
        except AoError as error:
            found.append(error)
    return found


def _build(values: dict[str, Any], where: paths.Paths) -> Config:
    values["allowed_hosts"] = tuple(host.lower() for host in values["allowed_hosts"])
    if values["compat"]:
        values["auth"] = False
        values["allowed_origins"] = (*values["allowed_origins"], COMPAT_ORIGIN)
    values["agents_dir"] = values["agents_dir"] or where.config_file.rpartition("/")[0] + "/agents"
    return Config(**values, data_dir=where.data_dir, run_file=where.run_file, config_file=where.config_file)


def _sources(environ: Mapping[str, str]) -> tuple[paths.Paths, dict[str, object]]:
    try:
        where = paths.resolve(environ)
    except ValueError as error:
        raise AoError("CONFIG_INVALID", str(error), details={"setting": "HOME"}) from None
    try:
        with open(where.config_file, "rb") as file:
            values = tomllib.load(file)
    except FileNotFoundError:
        return where, {}
    except (OSError, ValueError) as error:
        raise _invalid(where.config_file, f"can't be read: {error}") from None
    known = sorted(setting.key for setting in _SETTINGS if setting.key)
    for key in values:
        if key not in known:
            hint = _suggestion(key, known)
            raise _invalid(where.config_file, f"unknown key {key!r}", hint=hint, setting=key)
    return where, values


def _suggestion(key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(key, known, 1)
    return f"did you mean {near[0]}?" if near else f"known keys: {', '.join(known)}"


def _value(setting: _Setting, environ: Mapping[str, str], file: Mapping[str, object]) -> Any:
    named: list[tuple[str, object]] = [(setting.variable, environ.get(setting.variable, ""))]
    if setting.key:
        named.insert(0 if setting.file_wins else 1, (f"config.toml: {setting.key}", file.get(setting.key, "")))
    for name, raw in named:
        if raw == "":
            continue
        try:
            return setting.read(raw)
        except (ValueError, TypeError) as error:
            raise _invalid(name, str(error), setting=name) from None
    return setting.default


def _invalid(name: str, problem: str, *, hint: str | None = None, setting: str = "") -> AoError:
    return AoError("CONFIG_INVALID", f"{name}: {problem}", hint=hint, details={"setting": setting or name})


def _port(raw: object) -> int:
    if isinstance(raw, bool) or not isinstance(raw, (int, str)) or not str(raw).isascii() or not str(raw).isdigit():
        raise ValueError(f"{raw!r} is not a port (0 to 65535; 0 takes any free one)")
    if int(raw) > 65535:
        raise ValueError(f"{raw} is not a port (0 to 65535; 0 takes any free one)")
    return int(raw)


def _seconds(raw: object) -> float:
    """A positive duration: `500ms`, `1m30s`, or a number of seconds in the file."""
    seconds = paths.parse_duration(raw) if isinstance(raw, str) else None
    if isinstance(raw, (int, float)) and not isinstance(raw, bool):
        seconds = float(raw)
    if seconds is None or not 0 < seconds < 1e9:
        raise ValueError(f"{raw!r} is not a positive duration such as 500ms, 30s or 1m30s")
    return seconds


def _text(raw: object) -> str:
    if not isinstance(raw, str):
        raise TypeError(f"{raw!r} is not a text")
    return raw.strip()


def _folder(raw: object) -> str:
    return paths.resolve({"AO_CONFIG": "/", "AO_RUN_FILE": "/", "AO_DATA_DIR": _text(raw)}).data_dir


def _one_of(*words: str) -> Callable[[object], str]:
    def read(raw: object) -> str:
        if raw not in words:
            raise ValueError(f"{raw!r} is not one of {', '.join(words)}")
        return str(raw)

    return read


def _switch(raw: object) -> bool:
    if raw in (True, "1", "true", "on", "yes"):
        return True
    if raw in (False, "0", "false", "off", "no"):
        return False
    raise ValueError(f"{raw!r} is neither 1 nor 0")


def _auth(raw: object) -> bool:
    return _one_of("token", "none")(raw) != "none"


def _list(raw: object) -> tuple[str, ...]:
    parts = raw.split(",") if isinstance(raw, str) else raw
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise TypeError("a list of texts is needed")
    return tuple(part.strip() for part in parts if part.strip())


def _origins(raw: object) -> tuple[str, ...]:
    origins = _list(raw)
    for origin in origins:
        scheme, mark, host = origin.partition("://")
        if not scheme or not mark or not host or "*" in origin or "/" in host:
            raise ValueError(f"{origin!r} is not an origin such as http://localhost:5173")
    return origins


def _hosts(raw: object) -> tuple[str, ...]:
    hosts = _list(raw)
    for host in hosts:
        if any(character in "/*@? " for character in host):
            raise ValueError(f"{host!r} is not a host name")
    return hosts


def _channels(raw: object) -> tuple[Channel, ...]:
    """The tables `[channels.NAME]`."""
    if not isinstance(raw, dict):
        raise TypeError("tables such as [channels.phone] are needed")
    return tuple(_channel(name, table) for name, table in raw.items())


def _channel(name: str, raw: object) -> Channel:
    if not _CHANNEL_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name: use up to 32 letters, digits, '_' and '-'")
    if not isinstance(raw, dict):
        raise TypeError(f"{name}: a table is needed: [channels.{name}]")
    values: dict[str, Any] = {}
    for key, value in raw.items():
        if key not in _CHANNEL_KEYS:
            raise ValueError(f"{name}.{key}: unknown key; {_suggestion(key, list(_CHANNEL_KEYS))}")
        try:
            values[key] = _CHANNEL_KEYS[key](value)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{name}.{key}: {error}") from None
    if sum(bool(values.get(key)) for key in _CHANNEL_URLS) != 1:
        raise ValueError(f"{name}: exactly one of {', '.join(_CHANNEL_URLS)} is needed")
    return Channel(name=name, **values)


def _channel_url(raw: object) -> str:
    """An Apprise URL. What is wrong is told without it, for it holds secrets."""
    if not isinstance(raw, str) or not _CHANNEL_URL.match(raw.strip()):
        raise ValueError("is not a URL such as ntfy://ntfy.sh/topic")
    return raw.strip()


def _channel_file(raw: object) -> str:
    return _folder(raw) if raw else ""


def _channel_types(raw: object) -> tuple[NotificationType, ...]:
    known = [kind.value for kind in NotificationType if kind is not NotificationType.TEST]
    for name in _channel_list(raw):
        if name not in known:
            raise ValueError(f"{name!r} is not one of {', '.join(known)}")
    return tuple(NotificationType(name) for name in _channel_list(raw))


def _channel_list(raw: object) -> tuple[str, ...]:
    if not isinstance(raw, list):
        raise TypeError("a list of texts is needed")
    return _list(raw)


def _quiet(raw: object) -> str:
    spec = _text(raw)
    if spec:
        quiet_hours.parse(spec)
    return spec


_CHANNEL_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
_CHANNEL_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S")
_CHANNEL_URLS: Final = ("url", "url_file", "url_env")
_CHANNEL_KEYS: Final[Mapping[str, Callable[[object], Any]]] = {
    "url": _channel_url,
    "url_file": _channel_file,
    "url_env": _text,
    "types": _channel_types,
    "projects": _channel_list,
    "quiet": _quiet,
}
_SETTINGS: Final = (
    _Setting("port", "AO_PORT", "port", _port, paths.DEFAULT_PORT),
    _Setting("request_timeout_s", "AO_REQUEST_TIMEOUT", "request_timeout", _seconds, 60.0),
    _Setting("shutdown_timeout_s", "AO_SHUTDOWN_TIMEOUT", "shutdown_timeout", _seconds, 10.0),
    _Setting("kill_grace_s", "AO_KILL_GRACE", "kill_grace", _seconds, 2.0),
    _Setting("agent", "AO_AGENT", "agent", _text, "claude-code", file_wins=True),
    _Setting("model", "AO_MODEL", "model", _text, ""),
    _Setting("permissions", "AO_PERMISSIONS", "permissions", _one_of(*PERMISSIONS), "default"),
    _Setting("fetch", "AO_FETCH", "fetch", _one_of("never", "auto", "always"), "auto"),
    _Setting("auth", "AO_AUTH", "", _auth, True),
    _Setting("compat", "AO_COMPAT", "", _switch, False),
    _Setting("allowed_hosts", "AO_ALLOWED_HOSTS", "allowed_hosts", _hosts, ()),
    _Setting("allowed_origins", "AO_ALLOWED_ORIGINS", "allowed_origins", _origins, ()),
    _Setting("log_level", "AO_LOG_LEVEL", "log_level", _one_of("debug", "info", "warning", "error"), "info"),
    _Setting("agents_dir", "AO_AGENTS_DIR", "agents_dir", _folder, ""),
    _Setting("webhook_secret", "AO_WEBHOOK_SECRET", "", _text, ""),
    _Setting("channels", "", "channels", _channels, ()),
)
