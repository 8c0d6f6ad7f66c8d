"""What a command is run with: the environment, the installation's paths, the daemon, and the streams."""

from __future__ import annotations

import os
import sys

from ao.cli.errors import CliError, UsageError
from ao.paths import resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ao.cli.client import Client
    from ao.paths import Paths


class Context:
    """One invocation. Paths are resolved and the daemon is looked for only when a command asks."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self._paths: Paths | None = None
        self._client: Client | None = None

    @property
    def paths(self) -> Paths:
        """The installation's paths; `CliError` when they can't be determined."""
        if self._paths is None:
            try:
                self._paths = resolve(self.environ)
            except ValueError as error:
                raise CliError(str(error), code="NO_HOME") from None
        return self._paths

    @property
    def client(self) -> Client:
        """The running daemon; `CliError` when there is none."""
        if self._client is None:
            from ao.cli.client import connect

            self._client = connect(self.paths, self.environ)
        return self._client

    def absolute(self, path: str) -> str:
        """`path` as seen from this process's directory, `~` expanded: the daemon's directory is another."""
        expanded = os.path.expanduser(path)
        return os.path.normpath(expanded if os.path.isabs(expanded) else os.path.join(self.directory, expanded))

    @property
    def directory(self) -> str:
        """Where the command was given; `CliError` when somebody has removed that directory since."""
        try:
            return os.getcwd()
        except OSError:
            raise CliError(
                "this directory doesn't exist any more", code="DIRECTORY_GONE", hint="cd out of it"
            ) from None

    def session(self, session_id: str, project: str = "") -> dict[str, Any]:
        """Fetch a session; with a project, `UsageError` when the session isn't one of it."""
        from ao.cli.client import escape

        with suggesting(self, session_id):
            session: dict[str, Any] = self.client.get(f"/sessions/{escape(session_id)}")["session"]
        if project and session.get("projectId") != project:
            raise UsageError(f"session {session_id} not in project {project}")
        return session

    def read_text(self, source: str) -> str:
        """The text of a file, or of stdin for `-`."""
        try:
            if source == "-":
                return sys.stdin.buffer.read().decode("utf-8", "replace")
            with open(self.absolute(source), encoding="utf-8", errors="replace") as file:
                return file.read()
        except OSError as error:
            raise UsageError(f"cannot read {source}: {error.strerror}") from None


class suggesting:  # noqa: N801 (reads as a statement)
    """Within it, a refused id that is nearly another's gets that one as its hint."""

    def __init__(self, context: Context, word: str) -> None:
        self._context = context
        self._word = word

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, CliError):
            error.hint = self._hint(error.code) or error.hint

    def _hint(self, code: str) -> str:
        kind = {"SESSION_NOT_FOUND": "session", "PROJECT_NOT_FOUND": "project"}.get(code, "")
        if not kind:
            return ""
        from ao.cli.suggest import nearest

        try:
            answer = self._context.client.get(f"/{kind}s", timeout_s=2)
        except CliError:
            return ""
        # Of shop-99 and shop-5 neither is a misspelling of the other.
        letters = self._word.rstrip("0123456789")
        known = [item["id"] for item in answer[f"{kind}s"] if item["id"].rstrip("0123456789") != letters]
        near = nearest(self._word, known)
        return f"did you mean {near}?" if near else ""
