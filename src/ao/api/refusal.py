"""The one shape of every failure, made from the one error type."""

from __future__ import annotations

from typing import Any, Final

from ao import log
from ao.api.wire import APIError, ShutdownError
from ao.model.errors import AoError

SERVICE: Final = "agent-orchestrator-daemon"
"""The name by which clients know that it is us."""


def unforeseen() -> AoError:
    """What a client is told of a bug."""
    return AoError("INTERNAL_ERROR", "an unexpected error occurred", hint="`ao logs` tells more, under this request id")


def headers(error: AoError) -> dict[str, str]:
    """The headers that belong to an error."""
    found = {"Content-Type": "application/json; charset=utf-8"}
    if error.code == "METHOD_NOT_ALLOWED":
        found["Allow"] = ", ".join(error.details["allow"])
    if error.code == "UNAUTHORIZED":
        found["WWW-Authenticate"] = "Bearer"
    return found


def envelope(error: AoError, trace: log.Trace, *, legacy: bool) -> APIError:
    """The body of an error. `legacy` adds what the original's clients read of a refused shutdown."""
    details = error.details
    if error.code == "REQUEST_TIMEOUT" and trace.session_id:
        details = {**details, "sessionId": trace.session_id}
    shape: dict[str, Any] = {
        "error": error.kind,
        "code": error.code,
        "message": printable(error.message),
        "request_id": trace.request_id,
        "details": _printable_tree(details),
        "hint": printable(error.hint or ""),
    }
    if legacy and error.kind == "forbidden":
        return ShutdownError(**shape, status="forbidden", service=SERVICE)
    return APIError(**shape)


def printable(text: str) -> str:
    """`text` with a UTF-8 form, whatever bytes it came from."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _printable_tree(value: Any) -> Any:
    if isinstance(value, dict):
        return {printable(str(key)): _printable_tree(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_printable_tree(item) for item in value]
    return printable(value) if isinstance(value, str) else value
