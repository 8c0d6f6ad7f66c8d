"""The genuine Claude Code and Codex in sessions of `ao`, side by side, against the loopback model server.

Everything a person would do goes through the installed `ao` command; what is true is read from the API, from git and
from what the programs asked the model. Nothing leaves the machine: the programs' only proxy is the model server, which
refuses to connect anywhere.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.model_server import Asked, ModelServer, messages, responses

ROOT = Path(__file__).parents[2]
INSTALLED = Path(os.environ.get("AO_TEST_AGENTS_DIR", ROOT / ".cache" / "agents")) / "node_modules"
PROGRAMS = {
    "claude": INSTALLED / "@anthropic-ai/claude-code-linux-x64/claude",
    "codex": INSTALLED / "@openai/codex-linux-x64/vendor/x86_64-unknown-linux-musl/bin/codex",
}
WIRES = {"claude-code": messages.PATH, "codex": responses.PATH}
PATIENCE_S = 30.0
CODEX_CONFIG = """\
model = "gpt-loopback"
model_provider = "loopback"
[model_providers.loopback]
name = "loopback"
base_url = "{url}/v1"
env_key = "LOOPBACK_KEY"
wire_api = "responses"
[analytics]
enabled = false
[features]
plugins = false
apps = false
"""

pytestmark = pytest.mark.skipif(
    os.environ.get("AO_TEST_AGENTS") != "required" and not all(path.exists() for path in PROGRAMS.values()),
    reason="the genuine agents are not installed: make agents",
)


class Bench:
    """A scratch home with a daemon, a repository and the two programs on PATH."""

    def __init__(self, home: Path, model: ModelServer) -> None:
        self.home = home
        self.model = model
        self.repository = home / "shop"
        self.environment = _environment(home, model.url)
        (home / "bin").mkdir(parents=True)
        (home / ".codex").mkdir()
        (home / "tmp").mkdir()
        for name, program in PROGRAMS.items():
            (home / "bin" / name).symlink_to(program)
        (home / ".claude.json").write_text(json.dumps({"hasCompletedOnboarding": True}))
        (home / ".codex" / "config.toml").write_text(CODEX_CONFIG.format(url=model.url))

    def ao(self, *arguments: str) -> str:
        """What `ao` printed; fails the test with what it said when it exits with an error."""
        return self.finish(self.begin(*arguments))

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """Start one `ao` command."""
        command = [str(Path(sys.executable).parent / "ao"), *arguments]
        return subprocess.Popen(
            command,
            env=self.environment,
            cwd=self.home,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def finish(self, process: subprocess.Popen[str]) -> str:
        """What a begun command printed."""
        try:
            out, err = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
        assert process.returncode == 0, f"{process.args!r}: {err or out}"
        return out

    def git(self, *arguments: str) -> str:
        """The output of git in the repository."""
        command = ["git", "-C", str(self.repository), *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def session(self, session: str) -> dict[str, Any]:
        """A session as the API shows it."""
        connection, headers = self._connect()
        try:
            connection.request("GET", f"/api/v1/sessions/{session}", headers=headers)
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        found: dict[str, Any] = answer["session"]
        return found

    def wait(self, session: str, wanted: Callable[[Mapping[str, Any]], bool]) -> dict[str, Any]:
        """The session once `wanted` accepts it: looked at now and after every change on the stream."""
        connection, headers = self._connect()
        deadline = time.monotonic() + PATIENCE_S
        try:
            connection.request("GET", f"/api/v1/events?after=latest&session={session}", headers=headers)
            stream = connection.getresponse()
            while not wanted(seen := self.session(session)):
                _next_event(stream, connection.sock, deadline, seen)
        finally:
            connection.close()
        return seen

    def _connect(self) -> tuple[http.client.HTTPConnection, dict[str, str]]:
        port = json.loads(Path(self.environment["AO_RUN_FILE"]).read_text())["port"]
        token = (Path(self.environment["AO_DATA_DIR"]) / "token").read_text().strip()
        return http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S), {"Authorization": f"Bearer {token}"}


def _next_event(stream: http.client.HTTPResponse, sock: socket.socket | None, deadline: float, seen: object) -> None:
    """Read the stream up to the end of one event."""
    try:
        while line := stream.readline():
            if line.startswith(b"data:"):
                return
            if sock is not None:
                sock.settimeout(max(0.01, deadline - time.monotonic()))
    except TimeoutError as error:
        raise AssertionError(f"no such state within {PATIENCE_S} s, last seen: {seen}") from error
    raise AssertionError(f"the stream ended, last seen: {seen}")


def _environment(home: Path, url: str) -> dict[str, str]:
    """What the daemon, and so the programs, may know: nothing of the person who runs the tests."""
    kept = {name: os.environ[name] for name in ("TMPDIR", "XDG_RUNTIME_DIR", "AO_TEST_RUN") if name in os.environ}
    named = {
        "HOME": str(home),
        "PATH": f"{home / 'bin'}:{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}",
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
        "AO_RUN_FILE": str(home / "ao" / "running.json"),
        "AO_DATA_DIR": str(home / "ao" / "data"),
        "AO_PORT": "0",
        "HTTPS_PROXY": url,
        "NO_PROXY": "127.0.0.1,localhost",
    }
    return kept | named


def _agent_environment(url: str) -> dict[str, str]:
    """For the project's configuration: where the model is, and no calls of other kinds."""
    quiet = (
        "DISABLE_AUTOUPDATER",
        "DISABLE_TELEMETRY",
        "DISABLE_ERROR_REPORTING",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
        "CLAUDE_CODE_DISABLE_OFFICIAL_MARKETPLACE_AUTOINSTALL",
    )
    named = {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_AUTH_TOKEN": "loopback", "LOOPBACK_KEY": "loopback"}
    # Root may bypass permissions only in what calls itself a sandbox.
    return named | dict.fromkeys(quiet, "1") | ({"IS_SANDBOX": "1"} if os.geteuid() == 0 else {})


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with ModelServer() as model:
        bench = Bench(tmp_path / "h", model)
        bench.repository.mkdir()
        (bench.repository / "README.md").write_text("a shop\n")
        bench.git("init", "--quiet", "--initial-branch", "main")
        bench.git("config", "user.name", "Test")
        bench.git("config", "user.email", "test@localhost")
        bench.git("add", ".")
        bench.git("commit", "--quiet", "--message", "begin")
        bench.ao("start")
        try:
            # Claude Code keeps side files below its temporary folder.
            env = _agent_environment(model.url) | {"TMPDIR": str(bench.home / "tmp")}
            config = {"env": env, "agentConfig": {"permissions": "bypass-permissions"}}
            bench.ao("project", "add", "--path", str(bench.repository), "--id", "shop")
            bench.ao("project", "set-config", "shop", "--config-json", json.dumps(config))
            yield bench
        finally:
            for session in json.loads(bench.ao("session", "ls", "--all", "--json"))["data"]:
                bench.ao("session", "kill", session["id"])
            bench.ao("stop")


def task(name: str, *, hold: str = "") -> str:
    """A prompt whose script writes and commits NAME.txt, then rests (once the gate `hold` is released)."""
    command = f"echo {name} > {name}.txt && git add {name}.txt && git commit -q -m {name}"
    steps = [{"shell": command}, {"text": f"{name} is done.", "hold": hold}]
    return f"Do {name} [[steps:{json.dumps(steps)}]]"


def told(agent: str, prompts: tuple[str, ...], results: int) -> Callable[[Asked], bool]:
    """Whether a request is `agent`'s, with exactly these prompts and that many tool results after the last one."""

    def wanted(asked: Asked) -> bool:
        said = asked.conversation
        return (
            asked.path.startswith(WIRES[agent])
            and said is not None
            and said.prompts == prompts
            and (said.results == results)
        )

    return wanted


def at_rest(session: Mapping[str, Any]) -> bool:
    """Whether the agent's own hooks say that its turn has ended."""
    return (session["activity"]["state"], session["status"]) == ("idle", "idle")


def test_claude_code_and_codex_work_are_sent_more_are_killed_and_go_on_side_by_side(bench: Bench) -> None:
    model = bench.model
    first, second, third = task("first", hold="first"), task("second"), task("third")
    spawning = {
        agent: bench.begin("spawn", "--project", "shop", "--agent", agent, "--prompt", first) for agent in WIRES
    }
    ids = {}
    for agent, process in spawning.items():
        said = bench.finish(process)
        ids[agent] = next(word for word in said.split() if word.startswith("shop-"))

    for agent, session in ids.items():
        model.wait_for(told(agent, (first,), 1), timeout_s=PATIENCE_S)
        assert bench.session(session)["status"] == "working"
    model.release("first")
    for session in ids.values():
        bench.wait(session, at_rest)
        assert bench.git("log", "--format=%s", f"main..ao/{session}/root") == "first"

    for agent, session in ids.items():
        bench.ao("send", "--session", session, "--message", second)
        model.wait_for(told(agent, (first, second), 1), timeout_s=PATIENCE_S)
    before = {session: bench.wait(session, at_rest) for session in ids.values()}

    for session in ids.values():
        bench.ao("session", "kill", session)
        assert bench.session(session)["isTerminated"]
        assert not Path(before[session]["workspacePath"]).exists()
        bench.ao("session", "restore", session)
        after = bench.session(session)
        assert (after["nativeId"], after["isTerminated"]) == (before[session]["nativeId"], False)

    for agent, session in ids.items():
        bench.ao("send", "--session", session, "--message", third)
        model.wait_for(told(agent, (first, second, third), 1), timeout_s=PATIENCE_S)
    for session in ids.values():
        bench.wait(session, at_rest)
        assert bench.git("log", "--format=%s", f"main..ao/{session}/root").split() == ["third", "second", "first"]
        assert bench.session(session)["nativeId"] == before[session]["nativeId"]
