"""The daemon as the commands see it: found by its run file, asked over loopback, refusals turned into `CliError`."""

from __future__ import annotations

import os

from ao.cli.errors import CliError
from ao.cli.loopback import Answer, Exchange, ProtocolError, exchange
from ao.paths import decode_json, encode_json, process_alive, read_run_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from ao.paths import Paths

API = "/api/v1"
# Longer than the daemon's own request timeout (60 s by default), so that its answer arrives rather than our error.
CALL_TIMEOUT_S = 120.0
PROBE_TIMEOUT_S = 2.0
_START_HINT = "start it with: ao start"
_SAFE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class Frame:
    """One event of the stream. `event` is empty for a heartbeat comment; `data` is the decoded JSON object."""

    __slots__ = ("data", "event", "seq")

    def __init__(self, event: str, seq: int, data: dict[str, Any]) -> None:
        self.event = event
        self.seq = seq
        self.data = data


class Client:
    """Calls the daemon on one port with one token; without a token it sends no Authorization header."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._token = token

    def get(self, path: str, query: Mapping[str, str] | None = None, *, timeout_s: float = CALL_TIMEOUT_S) -> Any:
        """GET under `/api/v1`; the decoded body."""
        return self.call("GET", path, query=query, timeout_s=timeout_s)

    def text(self, path: str, query: Mapping[str, str]) -> str:
        """GET lines of text under `/api/v1`. Raises `CliError`, also when the daemon answers with something else."""
        target = API + path + _query(query)
        answer = self._exchange("GET", target, None, {"Accept": "text/plain"}, CALL_TIMEOUT_S)
        if answer.status != 200:
            raise refusal(answer)
        if not answer.headers.get("content-type", "").startswith("text/plain"):
            raise CliError(
                f"the daemon has no text for {path}",
                code="DAEMON_ANSWER_INVALID",
                hint="it is of another version; restart it: ao stop; ao start",
            )
        return answer.body.decode("utf-8", "replace")

    def post(
        self,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """POST under `/api/v1`; the decoded body."""
        return self.call("POST", path, body or {}, query, headers=headers)

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = CALL_TIMEOUT_S,
    ) -> Any:
        """Any request under `/api/v1`. Raises `CliError` with the daemon's code, or with one of ours."""
        data = None if body is None else encode_json(body).encode("utf-8", "replace")
        target = API + path + _query(query)
        answer = self._exchange(method, target, data, headers or {}, timeout_s)
        if not 200 <= answer.status < 300:
            raise refusal(answer)
        if not answer.body:
            return {}
        try:
            return decode_json(answer.body.decode("utf-8", "replace"))
        except ValueError as error:
            raise CliError(f"decode response: {error}", code="DAEMON_ANSWER_INVALID") from None

    def events(self, after: str, filters: Mapping[str, str]) -> EventStream:
        """Open the stream of changes after a cursor (a number, `latest`, or empty for everything kept)."""
        query = {"after": after, **filters} if after else dict(filters)
        return EventStream(self._port, f"{API}/events{_query(query)}", self._headers())

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    def _exchange(
        self, method: str, target: str, body: bytes | None, headers: Mapping[str, str], timeout_s: float
    ) -> Answer:
        merged = {**self._headers(), "Accept": "application/json", **headers}
        try:
            return exchange(self._port, method, target, timeout_s=timeout_s, body=body, headers=merged)
        except (OSError, ProtocolError) as error:
            raise unreachable(error) from None


class EventStream:
    """The open stream of changes. Iterating yields frames, heartbeats included, until the daemon closes it."""

    def __init__(self, port: int, target: str, headers: Mapping[str, str]) -> None:
        self._call = Exchange(port, PROBE_TIMEOUT_S)
        self._rest = b""
        self._fields: dict[str, str] = {}
        try:
            self._call.send("GET", target, None, {**headers, "Accept": "text/event-stream"})
            if self._call.read_head() != 200:
                raise refusal(Answer(self._call.status, self._call.headers, self._call.read_body()))
        except (OSError, ProtocolError) as error:
            self.close()
            raise unreachable(error) from None
        except CliError:
            self.close()
            raise
        self._call.expect(None)

    def close(self) -> None:
        """Hang up."""
        self._call.close()

    def fileno(self) -> int:
        """The descriptor to wait on before `receive`."""
        return self._call.fileno()

    @property
    def ended(self) -> bool:
        """Whether the daemon has closed the stream."""
        return self._call.ended

    def expect(self, timeout_s: float | None) -> None:
        """From now the daemon has this long to say something; None: for ever, as at first."""
        self._call.expect(timeout_s)

    def receive(self) -> list[Frame]:
        """The frames that have come, after waiting for the daemon once. Raises `CliError`, also past the deadline."""
        try:
            *lines, self._rest = (self._rest + self._call.read_some()).split(b"\n")
        except (OSError, ProtocolError) as error:
            raise unreachable(error) from None
        return [frame for line in lines if (frame := self._line(line.decode("utf-8", "replace").rstrip("\r")))]

    def __iter__(self) -> Iterator[Frame]:
        while not self.ended:
            yield from self.receive()

    def _line(self, line: str) -> Frame | None:
        if line.startswith(":"):
            return Frame("", 0, {})
        if line:
            name, _, value = line.partition(":")
            self._fields[name] = value.removeprefix(" ")
            return None
        fields, self._fields = self._fields, {}
        return _frame(fields) if fields else None


def _frame(fields: Mapping[str, str]) -> Frame:
    seq = fields.get("id", "")
    try:
        data = decode_json(fields.get("data", "{}"))
    except ValueError:
        data = {}
    return Frame(
        fields.get("event", "message"), int(seq) if seq.isdigit() else 0, data if isinstance(data, dict) else {}
    )


def connect(paths: Paths, environ: Mapping[str, str]) -> Client:
    """The daemon the run file names, with this process's token. Raises `CliError` when there is none to ask."""
    return Client(find_port(paths), token(paths, environ))


def find_port(paths: Paths) -> int:
    """The port of the running daemon. Raises `CliError` `DAEMON_NOT_RUNNING`."""
    try:
        run = read_run_file(paths.run_file)
    except OSError as error:
        raise CliError(f"cannot read {paths.run_file}: {error.strerror}", code="RUN_FILE_UNREADABLE") from None
    if run is None:
        raise CliError("daemon is not running", code="DAEMON_NOT_RUNNING", hint=_START_HINT)
    if not process_alive(run.pid):
        what = f"daemon is not running; stale run file at {paths.run_file}"
        raise CliError(what, code="DAEMON_NOT_RUNNING", hint=_START_HINT)
    return run.port


def token(paths: Paths, environ: Mapping[str, str]) -> str:
    """The session's token inside a session, the user's otherwise; empty when there is none (`AO_AUTH=none`)."""
    if environ.get("AO_SESSION_ID") and environ.get("AO_TOKEN"):
        return environ["AO_TOKEN"]
    return user_token(paths)


def user_token(paths: Paths) -> str:
    """The user's token from its file; empty when there is no file. Raises `CliError` when it can't be read."""
    try:
        with open(paths.token_file, "rb") as file:
            return file.read(1024).decode("utf-8", "replace").strip()
    except FileNotFoundError:
        return ""
    except OSError as error:
        hint = "the file belongs to the user who started the daemon"
        raise CliError(
            f"cannot read {paths.token_file}: {error.strerror}", code="TOKEN_UNREADABLE", hint=hint
        ) from None


def unreachable(error: Exception) -> CliError:
    """The error for a daemon that didn't answer."""
    if isinstance(error, TimeoutError):
        return CliError("call daemon: no answer in time", code="DAEMON_TIMEOUT", hint="see: ao status; ao logs")
    cause = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return CliError(f"call daemon: {cause}", code="DAEMON_UNREACHABLE", hint="see: ao status; ao logs")


def refusal(answer: Answer) -> CliError:
    """The error an answer outside 2xx stands for."""
    try:
        fields = decode_json(answer.body.decode("utf-8", "replace"))
    except ValueError:
        fields = None
    if not isinstance(fields, dict) or not isinstance(fields.get("message"), str):
        return CliError(f"daemon returned HTTP {answer.status}")
    details = fields.get("details")
    # The log tells more of the daemon's own failures, under this id; of the user's mistakes there is nothing to tell.
    request = str(fields.get("requestId") or "") if answer.status >= 500 else ""
    return CliError(
        fields["message"],
        request=request,
        code=str(fields.get("code") or ""),
        hint=str(fields.get("hint") or ""),
        details=details if isinstance(details, dict) else None,
    )


def escape(text: str) -> str:
    """Percent-escape one path segment or query value."""
    if _SAFE.issuperset(text):
        return text
    data = text.encode("utf-8", "replace")
    return "".join(chr(byte) if chr(byte) in _SAFE else f"%{byte:02X}" for byte in data)


def _query(query: Mapping[str, str] | None) -> str:
    pairs = [f"{name}={escape(value)}" for name, value in (query or {}).items()]
    return "?" + "&".join(pairs) if pairs else ""


def new_idempotency_key() -> str:
    """A key under which the daemon performs a request at most once."""
    return os.urandom(16).hex()
