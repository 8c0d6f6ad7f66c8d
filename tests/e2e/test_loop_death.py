"""C4 for real: the daemon's process is killed beside a random effect of the loop, over a real terminal and real git."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.home import PATIENCE_S, Home

KILLS = 12
"""Deaths for each of the two seeds."""
EFFECTS = 40
"""About as many as a new commit has, until its nudge is confirmed or given time to be."""
AGENT = """name = "Sink"
args = []
[binary]
names = ["cat"]
"""
CHECK = {"name": "unit", "run": "echo error: $(cat token.txt); exit 1"}
LIMITS = {"ci": {"rounds": 100, "total": 1000}}


class Street:
    """A home with a session of an agent that only listens, and its pull request."""

    def __init__(self, path: Path) -> None:
        self.home = Home(path, CRASH_ARM=str(path / "arm"), CRASH_AT="0", CRASH_WHEN="before")
        (path / "agents").mkdir()
        (path / "agents" / "sink.toml").write_text(AGENT)
        self.home.make_repository()
        self.home.start()
        self.home.call("POST", "/api/v1/projects", {"path": str(self.home.repository), "projectId": "demo"})
        config = {"checks": [CHECK], "nudges": LIMITS}
        self.home.call("PUT", "/api/v1/projects/demo/config", {"config": config})
        made = self.home.call("POST", "/api/v1/sessions", {"projectId": "demo", "harness": "sink"})
        self.session: str = made["session"]["id"]
        self.worktree = Path(made["session"]["workspacePath"])
        self.commit("tok-first")
        self.home.call("POST", "/api/v1/prs", {"sessionId": self.session, "title": "Doomed"})
        assert self.arrived("tok-first", PATIENCE_S)

    def commit(self, token: str) -> None:
        """A new head, whose check fails with this word."""
        (self.worktree / "token.txt").write_text(token + "\n")
        self.home.git(self.worktree, "add", ".")
        self.home.git(self.worktree, "commit", "-q", "-m", token)

    def messages(self, token: str) -> list[dict[str, Any]]:
        """The nudges that carry the word."""
        found = self.home.call("GET", f"/api/v1/sessions/{self.session}/messages")["messages"]
        return [message for message in found if token in message["text"]]

    def arrived(self, token: str, patience_s: float) -> bool:
        """Whether a nudge with the word gets into the terminal in time; False when the daemon has died before."""
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            if self.home.daemon.poll() is not None:
                return False
            try:
                found = self.messages(token)
            except (ConnectionError, OSError):
                continue
            if any(message["state"] in ("sent", "submitted") for message in found):
                return True
            self.home.await_death(0.02)
            if self.home._daemon is None:
                return False
        return False


@pytest.mark.parametrize("seed", range(2))
def test_c4_a_nudge_survives_the_death_of_the_daemons_process(scratch: Path, seed: int) -> None:
    chance = random.Random(4711 + seed)  # the same deaths in every run
    street = Street(scratch / "h")
    arm, home = scratch / "h" / "arm", street.home
    try:
        kills = 0
        for number in range(KILLS * 4):
            token, at = f"tok-{number:03d}-x", str(chance.randint(1, EFFECTS))
            home.stop()
            home.start(module="tests.e2e.crashing", CRASH_AT=at, CRASH_WHEN=chance.choice(("before", "after")))
            arm.touch()
            street.commit(token)
            survived = street.arrived(token, PATIENCE_S)
            arm.unlink()
            if not survived:
                kills += 1
                assert home._daemon is None or home.await_death(), "it neither told nor died"
                home.start()
                assert street.arrived(token, PATIENCE_S), (token, at)
            told = [message for message in street.messages(token) if message["state"] != "failed"]
            assert 1 <= len(told) <= (1 if survived else 2), told
            assert sum(message.get("possibleDuplicate", False) for message in told) == len(told) - 1
            if kills == KILLS:
                break
        assert kills >= KILLS // 2
    finally:
        home.close()
