"""The failures a command ends with, and their exit codes.

`CliError` is what the user can act on: it is printed as `MESSAGE (CODE)`, then a `  hint: ` line; a failure of the
daemon itself also names its request, under which the log tells more. Anything else that
reaches the boundary in `dispatch` is a defect and is reported as one.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FAILURE = 1
USAGE = 2
INTERRUPTED = 130
BROKEN_PIPE = 141


class CliError(Exception):
    """A command failed: exit code 1. `code` is the daemon's or one of our own, empty when there is none."""

    exit_code = FAILURE

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        hint: str = "",
        request: str = "",
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.hint = hint
        self.request = request
        self.details = details or {}

    def text(self) -> str:
        """What the user reads, one or two lines without a final line feed."""
        line = f"{self.message} ({self.code})" if self.code else self.message
        line = f"{line} [request {self.request}]" if self.request else line
        return _shown(f"{line}\n  hint: {self.hint}" if self.hint else line)


def _shown(text: str) -> str:
    """The text without control characters but line feeds and tabs: hints may quote what a repository's script wrote."""
    return "".join(sign if sign.isprintable() or sign in "\n\t" else " " for sign in text)


class UsageError(CliError):
    """The command line itself is wrong: exit code 2."""

    exit_code = USAGE
