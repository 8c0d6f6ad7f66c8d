"""The genuine Claude Code as a reviewer: it reads, is kept from changing anything, and hands its verdict in, all
without a dialog. The model is the loopback server's; see `test_real_agents`."""

from __future__ import annotations

import json
import re

import pytest

from tests.e2e.test_real_agents import Bench, at_rest, bench, pytestmark
from tests.model_server import script
from tests.model_server.script import Step, WriteFile

__all__ = ["bench", "pytestmark"]

COMMAND = re.compile(r"^(.* review submit --run \S+ --verdict) VERDICT (--body-file - <<'END')$", re.MULTILINE)
DIFF = re.compile(r"`(git diff [0-9a-f]+\.\.\.[0-9a-f]+)`")


def reviewing(prompt: str, results: int) -> Step:
    """What the model says to a reviewer: two things that aren't its to do, one to read, and the verdict."""
    command, diff = COMMAND.search(prompt), DIFF.search(prompt)
    if command is None or diff is None:
        return script.step_for(prompt, results)
    words = f"{command[1]} changes_requested {command[2]}".replace(
        "--body-file", "--line 'made.txt:1:Why?' --body-file"
    )
    steps = (
        Step(write=WriteFile(path="made.txt", content="changed by the reviewer\n")),
        Step(shell="git commit --quiet --allow-empty --message reviewed"),
        Step(shell=diff[1]),
        Step(shell=f"{words}\nIt says `nothing` of $HOME.\nEND"),
        Step(text="Done."),
    )
    return steps[min(results, len(steps) - 1)]


def test_claude_code_reviews_without_a_dialog_and_without_changing_anything(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.model_server.server.step_for", reviewing)
    said = bench.ao("spawn", "--project", "shop", "--agent", "claude-code", "--prompt", "Make it [[script:commit]]")
    worker = next(word for word in said.split() if word.startswith("shop-"))
    bench.wait(worker, lambda session: at_rest(session) and bench.git("rev-list", f"main..ao/{worker}/root") != "")
    bench.ao("pr", "create", "--session", worker, "--title", "Made")
    head = bench.git("rev-parse", f"ao/{worker}/root")

    ran = json.loads(bench.ao("review", "run", worker, "--agent", "claude-code", "--wait", "--json"))
    (run,) = ran["runs"]
    assert (run["harness"], run["targetSha"], run["verdict"]) == ("claude-code", head, "changes_requested")
    assert run["body"] == "It says `nothing` of $HOME."
    assert run["comments"] == [{"path": "made.txt", "line": 1, "body": "Why?"}]

    reviewer = bench.wait(run["reviewerId"], lambda session: session["phase"] == "ended")
    assert "preserved" not in reviewer
    assert bench.git("for-each-ref", "refs/ao/preserved", f"refs/heads/ao/{run['reviewerId']}") == ""
    assert bench.git("log", "-1", "--format=%s", f"ao/{worker}/root") != "reviewed"
