"""Where a measurement happens: the installed product, and daemons in scratch homes of their own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.client import Client, HttpError
from bench.pipe import Pipe

READY_WITHIN_S = 30.0
FOLDERS = 100

AGENT = """\
name = "Bench agent"
args = ["{{prompt}}"]
[binary]
names = ["{program}"]
"""
# Says that main() runs, then echoes raw input into the same pipe: first bytes and Enter arrive as they are typed.
PROGRAM = """\
#!/bin/sh
exec 3>"$AO_BENCH_PIPE"
echo "main $AO_SESSION_ID" >&3
stty raw echo
exec cat >&3
"""


class Place:
    """The installed product. `env` is the environment of everything that runs in a scratch home `root`."""

    def __init__(self, root: Path, binaries: Path) -> None:
        self.root = root
        self.python = binaries / "python"
        self.ao = binaries / "ao"
        self.env = {
            "PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "HOME": str(root / "home"),
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
            "GIT_AUTHOR_NAME": "Bench",
            "GIT_AUTHOR_EMAIL": "bench@localhost",
            "GIT_COMMITTER_NAME": "Bench",
            "GIT_COMMITTER_EMAIL": "bench@localhost",
        }
        (root / "home").mkdir()

    def repository(self, files: int) -> Path:
        """A new repository with one commit of `files` files of 1 KB in up to 100 folders."""
        path = Path(tempfile.mkdtemp(prefix=f"repo{files}-", dir=self.root))
        for number in range(files):
            folder = path / f"d{number % FOLDERS:03}"
            folder.mkdir(exist_ok=True)
            (folder / f"f{number:05}.txt").write_text(f"{number}\n" * (1024 // (len(str(number)) + 1)))
        for arguments in (("init", "-q", "-b", "main"), ("add", "."), ("commit", "-q", "-m", "start"), ("gc", "-q")):
            self.git(path, *arguments)
        return path

    def git(self, repository: Path, *arguments: str) -> None:
        """Run git in a repository."""
        subprocess.run(["git", "-C", repository, *arguments], env=self.env, check=True, stdout=subprocess.DEVNULL)

    @contextlib.contextmanager
    def daemon(self) -> Iterator[Daemon]:
        """A daemon in a new home, ready; afterwards all that ran in that home is gone."""
        home = Path(tempfile.mkdtemp(prefix="d-", dir=self.root))
        daemon = Daemon(self, home)
        try:
            daemon.start()
            yield daemon
        finally:
            daemon.stop()
            daemon.pipe.close()
            end_all(home)
            shutil.rmtree(home, ignore_errors=True)


class Daemon:
    """One daemon with its scratch home."""

    def __init__(self, place: Place, home: Path) -> None:
        self.place = place
        self.home = home
        self.data = home / "data"
        self.log = home / "daemon.log"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.env = place.env | {
            "AO_RUN_FILE": str(home / "running.json"),
            "AO_DATA_DIR": str(self.data),
            "AO_PORT": str(self.port),
        }
        self.process: subprocess.Popen[bytes] | None = None
        self._write_agent()
        self.pipe = Pipe(home / "pipe")

    @property
    def pid(self) -> int:
        """The daemon's process id; it must run."""
        assert self.process is not None
        return self.process.pid

    def start(self) -> float:
        """Start and wait until it says ready; returns the seconds from exec to that answer."""
        with self.log.open("ab") as log:
            began = time.perf_counter()
            self.process = subprocess.Popen(
                [self.place.python, "-m", "ao.daemon"],
                cwd=self.home,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        while True:
            with contextlib.suppress(OSError, HttpError):
                client = Client(self.port, "")
                client.call("GET", "/readyz")
                ready = time.perf_counter() - began
                client.close()
                return ready
            if self.process.poll() is not None or time.perf_counter() - began > READY_WITHIN_S:
                raise RuntimeError(f"the daemon is not ready:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.001)

    def stop(self) -> None:
        """Stop the daemon; sessions live on."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=20)
            self.process = None

    def client(self) -> Client:
        """A new connection with the user's token."""
        return Client(self.port, (self.data / "token").read_text().strip())

    def register(self, project: str, repository: Path) -> None:
        """Register a repository whose agents are the bench's own."""
        client = self.client()
        client.call("POST", "/api/v1/projects", {"path": str(repository), "projectId": project})
        config = {"env": {"AO_BENCH_PIPE": str(self.pipe.path)}, "fetch": "never", "worker": {"agent": "bench"}}
        client.call("PUT", f"/api/v1/projects/{project}/config", {"config": config})
        client.close()

    def spawn(self, project: str, count: int) -> list[str]:
        """Spawn live sessions, all at once, and wait until each one's program runs; returns their ids."""
        client = self.client()
        path = "/api/v1/sessions?wait=seeded"
        body = {"projectId": project, "prompt": "wait"}
        ids = [str(client.call("POST", path, body)["session"]["id"]) for _ in range(count)]
        for session in ids:
            self.pipe.wait(b"main ")
            self.settle(client, session)
        client.close()
        return ids

    def settle(self, client: Client, session: str) -> None:
        """Wait until an accepted session is live. Raises `RuntimeError` when it ends instead."""
        phase = "seeded"
        while phase in ("seeded", "workspace", "launched"):
            found = client.call("GET", f"/api/v1/sessions/{session}?phaseNot={phase}")["session"]
            phase = found["phase"]
        if phase != "live":
            raise RuntimeError(f"the spawn failed: {found.get('failure')}")

    def _write_agent(self) -> None:
        program = self.home / "bench-agent"
        program.write_text(PROGRAM)
        program.chmod(0o755)
        agents = self.home / "agents"
        agents.mkdir()
        (agents / "bench.toml").write_text(AGENT.format(program=program))
        os.mkfifo(self.home / "pipe")


def end_all(home: Path) -> None:
    """End every process that names `home` in its environment, arguments or working directory."""
    for pid in running_in(home):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def running_in(home: Path) -> list[int]:
    """Those processes."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            texts = [(entry / name).read_bytes() for name in ("environ", "cmdline")]
            texts.append(os.fsencode(os.readlink(entry / "cwd")))
            if int(entry.name) != os.getpid() and any(os.fsencode(home) in text for text in texts):
                found.append(int(entry.name))
    return found
