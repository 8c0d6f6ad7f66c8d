"""A scratch home with a daemon as a process, a repository, and a plain client: what the end-to-end tests share."""

from __future__ import annotations

import http.client
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

PATIENCE_S = 25.0
BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[2]


class ApiError(Exception):
    """A refusal of the API."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        super().__init__(f"{status} {body.get('code')}: {body.get('message')}")
        self.status = status
        self.code = body.get("code")
        self.body = body


class Home:
    """Paths, environment, daemon and client of one scratch installation."""

    def __init__(self, path: Path, **variables: str) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self.data = path / "d"
        self.repository = path / "repo"
        kept = {name: os.environ[name] for name in ("TMPDIR", "XDG_RUNTIME_DIR", "AO_TEST_RUN") if name in os.environ}
        self.environ = kept | {
            "HOME": str(path),
            "PATH": f"{BIN}:{os.environ.get('PATH', os.defpath)}",
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
            "AO_RUN_FILE": str(path / "running.json"),
            "AO_DATA_DIR": str(self.data),
            "AO_PORT": "0",
            "AO_AGENT": "demo",
            "AO_DEMO_PACE": "0",
            "GIT_CONFIG_NOSYSTEM": "1",
            **variables,
        }
        self._daemon: subprocess.Popen[bytes] | None = None

    def make_repository(self, name: str = "repo", files: int = 3) -> Path:
        """A repository with one commit on main."""
        where = self.path / name
        where.mkdir()
        for number in range(files):
            (where / f"file{number}.txt").write_text(f"{number}\n")
        self.git(where, "init", "-q", "-b", "main")
        self.git(where, "config", "user.name", "Test")
        self.git(where, "config", "user.email", "test@localhost")
        self.git(where, "add", ".")
        self.git(where, "commit", "-q", "-m", "begin")
        return where

    def git(self, where: Path, *arguments: str) -> str:
        """The output of a git command."""
        done = subprocess.run(
            ["git", "-C", str(where), *arguments], env=self.environ, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def start(self, *, module: str = "ao.daemon", **variables: str) -> None:
        """Run a daemon until `stop`; returns when it answers. Fails with its log when it ends instead."""
        log = self.path / "daemon.log"
        with log.open("ab") as sink:
            self._daemon = subprocess.Popen(
                [sys.executable, "-m", module],
                env={**self.environ, **variables, "PYTHONPATH": str(ROOT)},
                cwd=self.path,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=sink,
                start_new_session=True,
            )
        self._await_run_file(log)

    def _await_run_file(self, log: Path) -> None:
        assert self._daemon is not None
        deadline = time.monotonic() + PATIENCE_S
        gone = os.pidfd_open(self._daemon.pid)
        try:
            while time.monotonic() < deadline:
                if self._serves():
                    return
                if select.select([gone], [], [], 0.02)[0]:
                    break
        finally:
            os.close(gone)
        raise AssertionError(f"the daemon doesn't serve:\n{log.read_text()[-4000:]}")

    def _serves(self) -> bool:
        assert self._daemon is not None
        try:
            named = json.loads((self.path / "running.json").read_text())
        except FileNotFoundError:
            return False
        return bool(named["pid"] == self._daemon.pid)

    @property
    def daemon(self) -> subprocess.Popen[bytes]:
        """The running daemon's process."""
        assert self._daemon is not None
        return self._daemon

    def stop(self) -> int:
        """End the daemon by SIGTERM and return its exit code."""
        daemon = self.daemon
        daemon.terminate()
        code = daemon.wait(PATIENCE_S)
        self._forget()
        return code

    def await_death(self, timeout_s: float = PATIENCE_S) -> bool:
        """Whether the daemon dies by itself in time."""
        try:
            self.daemon.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        self._forget()
        return True

    def _forget(self) -> None:
        if self._daemon is not None and self._daemon.stdout is not None:
            self._daemon.stdout.close()
        self._daemon = None

    def close(self) -> None:
        """End sessions, daemon and tmux server of this home."""
        if self._daemon is None:
            self.start()
        for session in self.sessions(active="true"):
            self.call("POST", f"/api/v1/sessions/{session['id']}/kill?force=true")
        self.stop()

    def tmux_socket(self) -> str | None:
        """The socket of this home's tmux server, wherever its length put it."""
        found = [self.data / "tmux" / "0", *Path(self.environ.get("XDG_RUNTIME_DIR", "/nowhere")).glob("ao-*/tmux-0")]
        return next((str(path) for path in found if path.exists()), None)

    def connect(self) -> tuple[http.client.HTTPConnection, dict[str, str]]:
        """A connection to the daemon and the headers that open it."""
        port = json.loads((self.path / "running.json").read_text())["port"]
        token = (self.data / "token").read_text().strip()
        return http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S), {"Authorization": f"Bearer {token}"}

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> dict[str, Any]:
        """One request. Raises ApiError when it is refused, ConnectionError when the daemon is gone."""
        connection, known = self.connect()
        try:
            payload = None if body is None else json.dumps(body)
            extra = {} if body is None else {"Content-Type": "application/json"}
            try:
                connection.request(method, path, body=payload, headers={**known, **extra, **headers})
                answer = connection.getresponse()
                text = answer.read()
            except (http.client.HTTPException, OSError) as error:
                raise ConnectionError(str(error)) from error
        finally:
            connection.close()
        decoded: dict[str, Any] = json.loads(text) if text else {}
        if answer.status >= 400:
            raise ApiError(answer.status, decoded)
        return decoded

    def sessions(self, **query: str) -> list[dict[str, Any]]:
        """All sessions the API lists."""
        text = "&".join(f"{key}={value}" for key, value in query.items())
        found: list[dict[str, Any]] = self.call("GET", f"/api/v1/sessions?{text}")["sessions"]
        return found

    def session(self, session: str) -> dict[str, Any]:
        """One session."""
        found: dict[str, Any] = self.call("GET", f"/api/v1/sessions/{session}")["session"]
        return found

    def wait(self, session: str, wanted: Callable[[Mapping[str, Any]], bool]) -> dict[str, Any]:
        """The session once `wanted` accepts it: looked at now and after every change on the stream."""
        connection, headers = self.connect()
        deadline = time.monotonic() + PATIENCE_S
        try:
            connection.request("GET", f"/api/v1/events?after=latest&session={session}", headers=headers)
            stream = connection.getresponse()
            while not wanted(seen := self.session(session)):
                while not stream.readline().startswith(b"data:"):
                    # Heartbeats keep the stream going; they are no news.
                    assert time.monotonic() < deadline, f"no such state in time, last seen: {seen}"
        finally:
            connection.close()
        return seen

    def processes(self) -> list[int]:
        """Pids of processes that carry a session of this home in their environment."""
        mark = f"AO_DATA_DIR={self.data}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                variables = (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if mark in variables and any(item.startswith(b"AO_SESSION_ID=") for item in variables):
                found.append(int(entry.name))
        return found
