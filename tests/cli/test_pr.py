"""`ao pr`, and what sessions do with pull requests, against the real daemon and the local forge."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ao.cli.errors import UsageError
from ao.cli.pr import _said, path_of
from ao.cli.pr_actions import line_comment
from tests.cli.test_real_daemon import GIT, real, repository

__all__ = ["real", "repository"]
CHECKS = {"checks": [{"name": "unit", "run": "test ! -e broken || { echo 'error: it is broken' >&2; exit 1; }"}]}
HOSTILE = "Bad \x1b]0;title\x07 $(touch /tmp/ao-pwned) `id` \u202eevil; -- --json"


def git(where: Path, *words: str) -> str:
    done = subprocess.run([*GIT, *words], cwd=where, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def shop(real: Any, repository: Path) -> Any:
    """A registered project with a check, whose base branch is checked out nowhere."""
    git(repository, "config", "user.name", "Test")
    git(repository, "config", "user.email", "test@localhost")
    assert real("project", "add", "--path", ".", "--id", "shop").code == 0
    assert real("project", "set-config", "shop", "--config-json", json.dumps(CHECKS)).code == 0
    git(repository, "checkout", "-q", "--detach")
    return real


def branch(repository: Path, name: str, **files: str) -> None:
    """A branch of a person with one commit."""
    git(repository, "checkout", "-q", "-b", name, "main")
    for path, text in files.items():
        (repository / path).write_text(text)
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", f"Work on {name}")
    git(repository, "checkout", "-q", "--detach", "main")


def test_a_pull_request_is_opened_reviewed_and_merged_from_the_command_line(shop: Any, repository: Path) -> None:
    branch(repository, "topic", shelf="one\n")
    assert shop("pr", "ls").out == "(no open pull requests; --all shows all)\n"
    opened = shop("pr", "create", "-p", "shop", "--head", "topic", "--body", "With a shelf.")
    assert opened.out.startswith("opened pull request #1: Work on topic\n"), opened
    assert "ao://local/shop/pull/1" in opened.out

    again = shop("pr", "create", "-p", "shop", "--head", "topic")
    assert (again.code, "PR_EXISTS" in again.err) == (1, True)

    assert shop("pr", "checks", "1", "--watch").out.startswith("unit: passed (success)")
    own = shop("pr", "review", "1", "--approve")
    assert (own.code, "INVALID_REVIEW" in own.err) == (1, True)
    assert shop("pr", "review", "1", "--comment", "--line", "shelf:1:Two, please").code == 0
    assert "Two, please" in shop("pr", "view", "1").out

    [thread] = shop("pr", "view", "1", "--json").json["pr"]["threads"]
    assert shop("pr", "reply", "1", "--thread", thread["id"], "Two", "it", "is").code == 0
    assert shop("pr", "resolve", "1", "--thread", thread["id"]).out == "resolved 1 thread of #1\n"
    assert shop("pr", "resolve", "1", "--all").code == 1
    assert "+one" in shop("pr", "diff", "1").out
    head = git(repository, "rev-parse", "topic")
    assert "PR_HEAD_CHANGED" in shop("pr", "merge", "1", "--expected-head", "0" * 40).err
    merged = shop("pr", "merge", "ao://local/shop/pull/1", "--method", "rebase", "--expected-head", head)
    assert merged.out.startswith("merged pull request #1 (rebase) as "), merged
    assert git(repository, "show", "main:shelf") == "one"
    assert "merged" in shop("pr", "ls", "--all").out


def test_failing_checks_are_told_with_their_output_and_exit_code(shop: Any, repository: Path) -> None:
    branch(repository, "topic", broken="yes\n")
    assert shop("pr", "create", "-p", "shop", "--head", "topic").code == 0
    checked = shop("pr", "checks", "1", "--watch")
    assert (checked.code, "CHECKS_FAILING" in checked.err) == (1, True)
    assert shop("pr", "checks", "1", "--log", "unit").out == "error: it is broken\n"
    assert "its checks: unit" in shop("pr", "checks", "1", "--log", "lint").err
    assert shop("pr", "close", "1").out == "closed pull request #1 without merging it\n"


def test_s5_titles_and_branches_are_text_and_nothing_else(shop: Any, repository: Path) -> None:
    branch(repository, "topic", shelf="one\n")
    assert shop("pr", "create", "-p", "shop", "--head", "topic", "--title", HOSTILE).code == 0
    for words in (("ls",), ("view", "1"), ("checks", "1"), ("diff", "1")):
        shown = shop("pr", *words)
        assert shown.code == 0
        assert not [mark for mark in shown.out if not mark.isprintable() and mark != "\n"]
    for name in ("-rf", "--upload-pack=touch x", "a..b", "x;touch y", "$(id)", "a b", "@{-1}", "\u202ex"):
        refused = shop("pr", "create", "-p", "shop", f"--head={name}")
        assert (refused.code, "INVALID_BRANCH" in refused.err) == (1, True), name
    assert not Path("/tmp/ao-pwned").exists()


def test_bug4_a_spawn_whose_claim_fails_leaves_nothing_and_exits_with_1(shop: Any, repository: Path) -> None:
    failed = shop("spawn", "-p", "shop", "--agent", "demo", "--claim-pr", "77", "write", "a.txt")
    assert (failed.code, "PR_NOT_FOUND" in failed.err) == (1, True)
    assert shop("ls", "--all", "--json").json["data"] == []
    assert git(repository, "branch", "--list", "ao/*") == ""
    assert git(repository, "worktree", "list", "--porcelain").count("worktree ") == 1


def test_bug4_a_claim_that_fails_late_undoes_the_spawn(shop: Any, repository: Path) -> None:
    branch(repository, "topic", shelf="one\n")
    assert shop("pr", "create", "-p", "shop", "--head", "topic").code == 0
    first = shop("spawn", "-p", "shop", "--agent", "demo", "--claim-pr", "1", "--json", "write", "a.txt")
    assert first.code == 0, first
    owner = first.json["session"]["id"]
    failed = shop("spawn", "-p", "shop", "--agent", "demo", "--claim-pr", "1", "--no-takeover", "write", "b.txt")
    assert (failed.code, "PR_CLAIMED_BY_ACTIVE_SESSION" in failed.err) == (1, True), failed
    assert [session["id"] for session in shop("ls", "--json").json["data"]] == [owner]
    assert git(repository, "worktree", "list", "--porcelain").count("worktree ") == 2
    assert git(repository, "branch", "--list", "ao/*").count("ao/") == 1

    shown = shop("session", "get", owner).out
    assert "pull request: #1 open" in shown
    assert shop("session", "nudges", owner).out.startswith("(no nudges")
    assert "stays" in shop("session", "merge-policy", owner, "keep").out
    assert shop("session", "merge-policy", owner, "perhaps").code == 2
    assert f"session {owner} claimed PR #1" in shop("session", "claim-pr", owner, "#1").out


def test_what_a_person_writes_is_checked_before_it_is_sent() -> None:
    assert line_comment("src/a.py:7:What: if?") == {"path": "src/a.py", "line": 7, "body": "What: if?"}
    assert line_comment("src/a.py::All of it") == {"path": "src/a.py", "line": 0, "body": "All of it"}
    for wrong in ("src/a.py", "src/a.py:7", "src/a.py:x:No", ":7:No", "a:7: "):
        with pytest.raises(UsageError):
            line_comment(wrong)
    assert path_of("#7", "/diff") == "/prs/7/diff"
    assert path_of("https://github.com/a/b/pull/7") == "/prs/7"


def test_marks_of_the_daemon_in_a_text_are_not_shown() -> None:
    assert _said("review by shop-2", "No.\n\n<!-- ao:review=rev_1 -->") == ["review by shop-2", "  No."]
