"""`ao hooks AGENT EVENT`: an agent's callback, handed to the daemon. The hottest path: every tool call of every agent.

Whatever happens it exits 0, prints nothing on stdout and takes at most a second, because the agent waits for it and
would read output as instructions. Outside one of our sessions it does nothing at all, not even read stdin. Failures
go to stderr and to `hooks.log` in the data directory.
"""

from __future__ import annotations

import os
import sys
import time

from ao.paths import decode_json, encode_json, is_id, read_run_file, resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

BUDGET_S = 0.9
_STDIN_BUDGET_S = 0.5
_STDIN_LIMIT = 16 * 1024 * 1024
PAYLOAD_LIMIT = 65_536
LOG_LIMIT = 1024 * 1024
_TEXT_LIMIT = 4_096
# What is kept of a payload that is too large to send (tool results can be megabytes).
KNOWN_FIELDS = (
    "session_id",
    "sessionId",
    "conversation_id",
    "hook_event_name",
    "tool_name",
    "tool_use_id",
    "notification_type",
    "reason",
    "source",
    "agent_id",
    "prompt_id",
    "turn_id",
    "last_assistant_message",
)


class UndeliveredError(Exception):
    """The callback wasn't delivered; the text says why."""


def report(words: list[str], environ: Mapping[str, str] = os.environ) -> int:
    """Deliver one callback; always 0."""
    seq = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    session_id = environ.get("AO_SESSION_ID", "").strip()
    if not is_id(session_id):
        return 0
    try:
        if len(words) != 2:
            raise UndeliveredError(f"needs AGENT and EVENT, got {len(words)} arguments")
        _deliver(session_id, words, environ, seq)
    except UndeliveredError as failure:
        _record(session_id, words, environ, str(failure))
    except Exception as error:
        _record(session_id, words, environ, f"{type(error).__name__}: {error}")
    return 0


def _deliver(session_id: str, words: list[str], environ: Mapping[str, str], seq: int) -> None:
    deadline = seq / 1e9 + BUDGET_S
    payload = shrink(_read_stdin(min(deadline, time.monotonic() + _STDIN_BUDGET_S)))
    run = read_run_file(resolve(environ).run_file)
    if run is None or not run.pid:
        raise UndeliveredError("daemon is not running")
    fields = {"agent": words[0], "event": words[1], "seq": seq, "bootId": _boot_id()}
    body = encode_json(fields)[:-1] + f',"payload":{payload}}}'
    token = environ.get("AO_TOKEN", "")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    _post(run.port, f"/api/v1/sessions/{session_id}/activity", body, headers, deadline)


def _post(port: int, target: str, body: str, headers: Mapping[str, str], deadline: float) -> None:
    from ao.cli.loopback import ProtocolError, exchange

    left = max(deadline - time.monotonic(), 0.001)
    try:
        data = body.encode("utf-8", "replace")
        answer = exchange(port, "POST", target, timeout_s=left, body=data, headers=headers)
    except TimeoutError:
        raise UndeliveredError("the daemon didn't answer in time") from None
    except OSError as error:
        raise UndeliveredError(f"call daemon: {error.strerror or error}") from None
    except ProtocolError as error:
        raise UndeliveredError(f"call daemon: {error}") from None
    if not 200 <= answer.status < 300:
        from ao.cli.client import refusal

        raise UndeliveredError(refusal(answer).text().partition("\n")[0])


def shrink(data: bytes) -> str:
    """The JSON object to send for a payload: all of it up to 64 KiB, else its known fields; `{}` for anything else.

    It is encoded anew, so that what our lenient reader accepts (raw control characters, NaN) is strict JSON.
    """
    text = data.decode("utf-8", "replace").strip()
    try:
        value = decode_json(text) if text else {}
        if not isinstance(value, dict):
            return "{}"
        whole = encode_json(value)
    except (ValueError, RecursionError):
        return "{}"
    if len(whole.encode("utf-8", "replace")) <= PAYLOAD_LIMIT:
        return whole
    return encode_json({name: _short(value[name]) for name in KNOWN_FIELDS if name in value})


def _short(value: Any) -> Any:
    if isinstance(value, str):
        return value[:_TEXT_LIMIT]
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)[:_TEXT_LIMIT]


def _read_stdin(deadline: float) -> bytes:
    """Stdin up to its end, the deadline or the limit, whichever comes first."""
    import select

    pieces: list[bytes] = []
    size = 0
    try:
        if os.isatty(0):
            return b""
        while size < _STDIN_LIMIT:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([0], [], [], left)[0]:
                break
            piece = os.read(0, 262_144)
            if not piece:
                break
            pieces.append(piece)
            size += len(piece)
    except (OSError, ValueError):
        # A closed or unreadable stdin is a callback without a payload; the event alone still says something.
        return b"".join(pieces)
    return b"".join(pieces)


def _boot_id() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read(64).strip()
    except OSError:
        return ""


def _record(session_id: str, words: list[str], environ: Mapping[str, str], cause: str) -> None:
    name = " ".join(["ao hooks", *words[:2]])
    line = "".join(character if character.isprintable() else " " for character in f"{name}: {cause}")[:1000]
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    data = f"{stamp} session={session_id} {line}\n".encode("utf-8", "replace")
    try:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
        descriptor = os.open(
            os.path.join(resolve(environ).data_dir, "hooks.log"),
            os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW,
            0o600,
        )
    except (OSError, ValueError):
        # Nowhere to tell it: the agent's terminal and the data directory are both gone.
        return
    try:
        if os.fstat(descriptor).st_size > LOG_LIMIT:
            os.ftruncate(descriptor, 0)
        os.write(descriptor, data)
    finally:
        os.close(descriptor)
