"""A scripted daemon in the test's process and the `ao` command as a real process beside it."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from ao.paths import RunFile, write_run_file

SERVICE = "agent-orchestrator-daemon"


class Request:
    """One request the scripted daemon received."""

    def __init__(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> None:
        self.method = method
        self.path = urlsplit(target).path
        self.target = target
        self.query = dict(parse_qsl(urlsplit(target).query, keep_blank_values=True))
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.raw = body

    @property
    def json(self) -> Any:
        """The decoded body."""
        return json.loads(self.raw)

    def __repr__(self) -> str:
        return f"{self.method} {self.target}"


Reply = tuple[int, Any]
Script = Reply | Callable[[Request], Reply] | list[Reply]


class ScriptedDaemon:
    """Answers each `METHOD /path` as told: a reply, a list of them (the last one repeats) or a function.

    Paths are under `/api/v1` unless they begin with `/!`. Bytes as a body are sent as they are, as an event stream;
    text is sent as text.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.data_dir = home / "data"
        self.data_dir.mkdir(parents=True, mode=0o700)
        self.run_file = home / "running.json"
        self.requests: list[Request] = []
        self.script: dict[str, Script] = {}
        identity = {"service": SERVICE, "pid": os.getpid(), "dataDir": str(self.data_dir), "version": "9.8.7"}
        self.script["GET /!/healthz"] = (200, {"status": "ok", **identity})
        self.script["GET /!/readyz"] = (200, {"status": "ready", **identity})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.port = self._server.server_address[1]
        self.announce()

    def announce(self, pid: int | None = None, started_at: str = "2031-02-03T03:59:58.123Z") -> None:
        """Write the run file, by default with this process as the daemon."""
        pid = os.getpid() if pid is None else pid
        write_run_file(str(self.run_file), RunFile(pid, self.port, started_at, "9.8.7", str(self.data_dir)))

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, request: Request) -> Reply:
        """What the script says to a request; 404 when it says nothing."""
        path = request.path
        key = f"{request.method} " + (path.removeprefix("/api/v1") if path.startswith("/api/v1/") else "/!" + path)
        script = self.script.get(key)
        if script is None:
            return error(404, "ROUTE_NOT_FOUND", f"{request.method} {path} has no handler")
        if isinstance(script, list):
            return script.pop(0) if len(script) > 1 else script[0]
        return script(request) if callable(script) else script

    def seen(self, method: str) -> list[Request]:
        """The requests of a method, in order."""
        return [request for request in self.requests if request.method == method]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        daemon = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                request = Request(self.command, self.path, dict(self.headers.items()), body)
                daemon.requests.append(request)
                status, content = daemon.answer(request)
                kind, data = _encoded(content)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                try:
                    self.end_headers()
                    self.wfile.write(data)
                except ConnectionError:
                    # Some tests end the client first; there is nobody left to answer.
                    self.close_connection = True

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _serve  # noqa: N815

            def log_message(self, *_: object) -> None:
                """Be quiet."""

        return Handler


def _encoded(content: Any) -> tuple[str, bytes]:
    if isinstance(content, bytes):
        return "text/event-stream", content
    if isinstance(content, str):
        return "text/plain; charset=utf-8", content.encode()
    return "application/json; charset=utf-8", json.dumps(content).encode() + b"\n"


def error(status: int, code: str, message: str, **more: Any) -> Reply:
    """The daemon's error envelope."""
    return status, {"error": "x", "code": code, "message": message, "requestId": "r-1", **more}


class Ran:
    """How an `ao` command ended."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.code = done.returncode
        self.out = done.stdout
        self.err = done.stderr

    @property
    def json(self) -> Any:
        """Stdout as JSON."""
        return json.loads(self.out)

    def __repr__(self) -> str:
        return f"exit {self.code}\n{self.out}\n{self.err}"


class Ao:
    """Runs `ao` for one installation, in a clean environment."""

    def __init__(self, home: Path) -> None:
        self.home = home
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith("AO_") or name == "AO_TEST_RUN"
        }
        self.env = kept | {
            "HOME": str(home),
            "AO_RUN_FILE": str(home / "running.json"),
            "AO_DATA_DIR": str(home / "data"),
        }
        self.cwd = home

    def command(self, *words: str) -> list[str]:
        """The argument vector of an `ao` command."""
        return [sys.executable, "-I", "-m", "ao.cli", *words]

    def __call__(self, *words: str, stdin: str | None = None, **env: str) -> Ran:
        done = subprocess.run(
            self.command(*words),
            env=self.env | env,
            cwd=self.cwd,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Ran(done)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty directory that is one installation's `~/.ao`."""
    path = tmp_path / "home"
    path.mkdir()
    return path


@pytest.fixture
def ao(home: Path) -> Ao:
    """The command."""
    return Ao(home)


@pytest.fixture
def daemon(home: Path) -> Iterator[ScriptedDaemon]:
    """The scripted daemon, announced in the installation's run file."""
    scripted = ScriptedDaemon(home)
    try:
        yield scripted
    finally:
        scripted.close()


@pytest.fixture
def refused() -> Callable[..., Reply]:
    """Makes error envelopes."""
    return error


@pytest.fixture
def session() -> Callable[..., dict[str, Any]]:
    """Makes sessions as the daemon shows them."""

    def make(session_id: str, **fields: Any) -> dict[str, Any]:
        return {
            "id": session_id,
            "projectId": session_id.rpartition("-")[0],
            "kind": "worker",
            "harness": "codex",
            "activity": {"state": "idle", "lastActivityAt": "2031-02-03T04:05:06.789Z"},
            "isTerminated": False,
            "createdAt": "2031-02-03T04:00:00.000Z",
            "updatedAt": "2031-02-03T04:05:06.789Z",
            "status": "idle",
            "phase": "live",
            "branch": f"ao/{session_id}/root",
            "prs": [],
            "evidence": [],
            **fields,
        }

    return make


@pytest.fixture
def on_terminal() -> Callable[..., tuple[str, int]]:
    """Runs a command on a terminal, of 80 columns and 24 lines unless told: what it showed, and its exit code."""

    def run(ao: Ao, *words: str, size: tuple[int, int] = (24, 80), **env: str) -> tuple[str, int]:
        leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        env = {**ao.env, "TERM": "xterm-256color", **env}
        process = subprocess.Popen(ao.command(*words), env=env, stdin=follower, stdout=follower, stderr=follower)
        os.close(follower)
        shown = b"".join(iter(lambda: _read(leader), b""))
        os.close(leader)
        return shown.decode().replace("\r\n", "\n"), process.wait()

    return run


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:
        # Linux says EIO once nobody holds the other side any more.
        return b""
