"""Pushing a branch: the same name at origin, never by force, and the cause of a failure in one line without secrets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ao.model.errors import AoError
from ao.workspaces import Trees
from tests.workspaces.conftest import CountingHost

if TYPE_CHECKING:
    from tests.workspaces.conftest import Bench


def _origin(bench: Bench) -> Path:
    origin = bench.folder / "origin.git"
    bench.git(bench.folder, "init", "-q", "--bare", str(origin))
    bench.git(bench.repo, "remote", "add", "origin", str(origin))
    return origin


async def _failed(bench: Bench, branch: str = "main", *, trees: Trees | None = None) -> AoError:
    with pytest.raises(AoError) as caught:
        await (trees or bench.trees).push(str(bench.repo), branch, timeout_s=20)
    return caught.value


async def test_a_branch_is_pushed_under_its_own_name_and_nothing_beside_it(bench: Bench) -> None:
    origin = _origin(bench)
    bench.git(bench.repo, "tag", "-a", "-m", "x", "v1")
    bench.git(bench.repo, "branch", "other")
    bench.git(bench.repo, "config", "push.followTags", "true")
    bench.git(bench.repo, "config", "remote.origin.push", "refs/heads/*:refs/heads/x/*")
    await bench.trees.push(str(bench.repo), "main", timeout_s=20)
    await bench.trees.push(str(bench.repo), "main", timeout_s=20)
    assert bench.git(origin, "for-each-ref", "--format=%(refname) %(objectname)") == f"refs/heads/main {bench.first}"


async def test_a_branch_that_has_moved_at_origin_is_not_overwritten(bench: Bench) -> None:
    origin = _origin(bench)
    theirs = bench.commit(bench.repo, "theirs.txt")
    bench.git(bench.repo, "push", "-q", "origin", "main")
    bench.git(bench.repo, "reset", "-q", "--hard", bench.first)
    bench.commit(bench.repo, "ours.txt")
    bench.git(bench.repo, "config", "remote.origin.push", "+refs/heads/main:refs/heads/main")
    error = await _failed(bench)
    assert (error.code, "rejected" in error.message) == ("PUSH_FAILED", True)
    assert "git pull --rebase origin main" in (error.hint or "")
    assert bench.git(origin, "rev-parse", "refs/heads/main") == theirs


async def test_a_server_that_refuses_is_quoted(bench: Bench) -> None:
    origin = _origin(bench)
    hook = origin / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho protected >&2\nexit 1\n")
    hook.chmod(0o755)
    error = await _failed(bench)
    assert (error.code, "remote rejected" in error.message) == ("PUSH_FAILED", True)
    assert "protected" in error.details["git"]
    assert "\n" not in error.message


async def test_without_origin_or_branch_there_is_nothing_to_push(bench: Bench) -> None:
    error = await _failed(bench)
    assert (error.code, "git remote add origin" in (error.hint or "")) == ("PUSH_FAILED", True)
    _origin(bench)
    assert (await _failed(bench, "none")).code == "INVALID_BRANCH"


async def test_s9_a_failure_shows_no_credentials_and_asks_for_none(bench: Bench) -> None:
    bench.git(bench.repo, "remote", "add", "origin", "http://ann:s3cret@127.0.0.1:9/x.git")
    error = await _failed(bench, trees=Trees(CountingHost(), str(bench.checks)))
    assert error.code == "PUSH_FAILED"
    assert "check the network" in (error.hint or "")
    assert "s3cret" not in f"{error.message} {error.hint} {error.details}"


async def test_a_repository_that_is_not_at_origin_is_pointed_out(bench: Bench) -> None:
    bench.git(bench.repo, "remote", "add", "origin", str(bench.folder / "nowhere"))
    assert (await _failed(bench)).hint == "git remote -v shows where origin is"
