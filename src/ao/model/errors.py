"""The one error type that crosses rooms, and the table of codes it may carry.

A code fixes the kind (the coarse word on the wire) and the HTTP status, so a code means the same thing wherever it is
raised. Codes, kinds and statuses are wire contract: they are added to, never renamed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

BAD_REQUEST: Final = ("bad_request", 400)
UNAUTHORIZED: Final = ("unauthorized", 401)
FORBIDDEN: Final = ("forbidden", 403)
NOT_FOUND: Final = ("not_found", 404)
METHOD_NOT_ALLOWED: Final = ("method_not_allowed", 405)
CONFLICT: Final = ("conflict", 409)
PAYLOAD_TOO_LARGE: Final = ("payload_too_large", 413)
UNSUPPORTED_MEDIA_TYPE: Final = ("unsupported_media_type", 415)
MISDIRECTED: Final = ("forbidden", 421)
INTERNAL: Final = ("internal", 500)
UNAVAILABLE: Final = ("unavailable", 503)
TIMEOUT: Final = ("timeout", 504)

CODES: Final[Mapping[str, tuple[str, int]]] = {
    "AGENT_BINARY_NOT_FOUND": BAD_REQUEST,
    "AGENT_EXITED": CONFLICT,
    "AGENT_NOT_STARTED": BAD_REQUEST,
    "BRANCH_CHECKED_OUT_ELSEWHERE": CONFLICT,
    "BRANCH_NOT_FETCHED": BAD_REQUEST,
    "CONFIG_INVALID": BAD_REQUEST,
    "DAEMON_ALREADY_RUNNING": CONFLICT,
    "DISPLAY_NAME_REQUIRED": BAD_REQUEST,
    "DISPLAY_NAME_TOO_LONG": BAD_REQUEST,
    "FORBIDDEN": FORBIDDEN,
    "HOST_FORBIDDEN": MISDIRECTED,
    "ID_ALREADY_REGISTERED": CONFLICT,
    "IDEMPOTENCY_KEY_REUSED": CONFLICT,
    "INTERNAL_ERROR": INTERNAL,
    "INVALID_ACTIVITY_STATE": BAD_REQUEST,
    "INVALID_AFTER": BAD_REQUEST,
    "INVALID_BRANCH": BAD_REQUEST,
    "INVALID_JSON": BAD_REQUEST,
    "INVALID_KIND": BAD_REQUEST,
    "INVALID_PATH": BAD_REQUEST,
    "INVALID_PERMISSIONS": BAD_REQUEST,
    "INVALID_PROJECT_CONFIG": BAD_REQUEST,
    "INVALID_PROJECT_ID": BAD_REQUEST,
    "INVALID_QUERY": BAD_REQUEST,
    "INVALID_REQUEST": BAD_REQUEST,
    "MESSAGE_REQUIRED": BAD_REQUEST,
    "MESSAGE_TOO_LONG": BAD_REQUEST,
    "METHOD_NOT_ALLOWED": METHOD_NOT_ALLOWED,
    "NOT_A_GIT_REPO": BAD_REQUEST,
    "ORIGIN_FORBIDDEN": FORBIDDEN,
    "ORCHESTRATOR_EXISTS": CONFLICT,
    "PATH_ALREADY_REGISTERED": CONFLICT,
    "PATH_REQUIRED": BAD_REQUEST,
    "PAYLOAD_TOO_LARGE": PAYLOAD_TOO_LARGE,
    "POST_CREATE_FAILED": BAD_REQUEST,
    "PROJECT_BUSY": CONFLICT,
    "PROJECT_ID_REQUIRED": BAD_REQUEST,
    "PROJECT_NOT_FOUND": NOT_FOUND,
    "PROJECT_NOT_RESOLVABLE": BAD_REQUEST,
    "PROMPT_TOO_LONG": BAD_REQUEST,
    "REPOSITORY_BUSY": CONFLICT,
    "REQUEST_TIMEOUT": TIMEOUT,
    "ROUTE_NOT_FOUND": NOT_FOUND,
    "RULES_FILE_UNREADABLE": BAD_REQUEST,
    "RUNTIME_FAILED": INTERNAL,
    "RUNTIME_PREREQUISITE_MISSING": BAD_REQUEST,
    "SESSION_BUSY": CONFLICT,
    "SESSION_INCOMPLETE_HANDLE": CONFLICT,
    "SESSION_NOT_FOUND": NOT_FOUND,
    "SESSION_NOT_RESTORABLE": CONFLICT,
    "SESSION_NOT_RESUMABLE": CONFLICT,
    "SESSION_TERMINATED": CONFLICT,
    "SPAWN_CANCELLED": CONFLICT,
    "STORE_DAMAGED": INTERNAL,
    "STORE_TOO_NEW": INTERNAL,
    "STORE_UNAVAILABLE": UNAVAILABLE,
    "UNAUTHORIZED": UNAUTHORIZED,
    "UNKNOWN_HARNESS": BAD_REQUEST,
    "UNSUPPORTED_MEDIA_TYPE": UNSUPPORTED_MEDIA_TYPE,
    "WORKSPACE_FAILED": INTERNAL,
    "WORKSPACE_LOCKED": CONFLICT,
    "WORKSPACE_MISSING": CONFLICT,
    "WORKSPACE_OCCUPIED": CONFLICT,
}


class AoError(Exception):
    """A failure a user can cause or must act on.

    `code` must be in `CODES`. `message` names the offending value; `hint` says what to do; `details` is JSON data.
    """

    def __init__(
        self, code: str, message: str, *, hint: str | None = None, details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.kind, self.status = CODES[code]
        self.message = message
        self.hint = hint
        self.details: dict[str, Any] = dict(details or {})

    def __repr__(self) -> str:
        return f"AoError({self.code}: {self.message})"
