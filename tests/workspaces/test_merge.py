"""Merging into a branch: three methods, targets checked out or not, and what never moves. Every repository is checked
with `git fsck` afterwards (see conftest)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from ao.model.errors import AoError
from ao.model.pull import MergeMethod
from ao.ports import CommandTimeoutError, Completed
from ao.ports.trees import TreeMerge
from ao.workspaces import Trees
from tests.workspaces.conftest import CountingHost

if TYPE_CHECKING:
    from tests.workspaces.conftest import Bench

METHODS: tuple[MergeMethod, ...] = ("merge", "squash", "rebase")


def _work(bench: Bench, *, target: str = "release") -> tuple[str, str]:
    """A target that is checked out nowhere and has gone on, and a branch of two commits beside it: base and head."""
    bench.git(bench.repo, "checkout", "-qb", "work")
    bench.commit(bench.repo, "one.txt")
    bench.git(bench.repo, "config", "user.name", "Repo")
    bench.git(bench.repo, "config", "user.email", "repo@example.org")
    (bench.repo / "two.txt").write_text("two\n")
    bench.git(bench.repo, "add", "two.txt")
    bench.git(bench.repo, "commit", "-qm", "add two\n\nwith a body", "--author", "Bob Two <bob@example.org>")
    head = bench.git(bench.repo, "rev-parse", "HEAD")
    bench.git(bench.repo, "checkout", "-qb", target, bench.first)
    base = bench.commit(bench.repo, "theirs.txt")
    bench.git(bench.repo, "checkout", "-q", "main" if target != "main" else "--detach")
    return base, head


def _order(
    base: str, head: str, method: str = "merge", *, target: str = "release", message: str = "take it\n"
) -> TreeMerge:
    return TreeMerge(target=target, base=base, head=head, method=cast("MergeMethod", method), message=message)


def _tip(bench: Bench, branch: str = "release") -> str:
    return bench.git(bench.repo, "rev-parse", f"refs/heads/{branch}")


def _show(bench: Bench, revision: str, form: str) -> str:
    return bench.git(bench.repo, "show", "-s", f"--format={form}", revision)


async def _refused(bench: Bench, order: TreeMerge) -> AoError:
    """The error of a merge that must move nothing."""
    refs = bench.git(bench.repo, "for-each-ref")
    with pytest.raises(AoError) as caught:
        await bench.trees.merge(str(bench.repo), order)
    assert bench.git(bench.repo, "for-each-ref") == refs
    return caught.value


@pytest.mark.parametrize("method", METHODS)
async def test_a_target_that_is_checked_out_nowhere_is_moved_and_no_worktree_is_touched(
    bench: Bench, method: str
) -> None:
    base, head = _work(bench)
    made = await bench.trees.merge(str(bench.repo), _order(base, head, method))
    assert _tip(bench) == made
    names = bench.git(bench.repo, "ls-tree", "--name-only", made).split()
    assert names == ["README.md", "one.txt", "theirs.txt", "two.txt"]
    assert bench.git(bench.repo, "status", "--porcelain") == ""
    assert "by ao" in bench.git(bench.repo, "reflog", "-1", "release")


async def test_a_merge_has_two_parents_and_the_repositorys_identity(bench: Bench) -> None:
    base, head = _work(bench)
    order = _order(base, head, message="take it\x1b[2J\x00\n\nbody\n")
    made = await bench.trees.merge(str(bench.repo), order)
    assert _show(bench, made, "%P|%an <%ae>|%cn <%ce>|%B") == (
        f"{base} {head}|Repo <repo@example.org>|Repo <repo@example.org>|take it[2J\n\nbody"
    )


async def test_a_squash_has_one_parent_and_the_last_commits_author(bench: Bench) -> None:
    base, head = _work(bench)
    made = await bench.trees.merge(str(bench.repo), _order(base, head, "squash"))
    assert _show(bench, made, "%P|%an <%ae>|%cn") == f"{base}|Bob Two <bob@example.org>|Repo"


async def test_an_author_can_be_given(bench: Bench) -> None:
    base, head = _work(bench)
    order = TreeMerge(
        target="release", base=base, head=head, method="squash", message="x", author="Cy <cy@example.org>"
    )
    made = await bench.trees.merge(str(bench.repo), order)
    assert _show(bench, made, "%an <%ae>|%cn") == "Cy <cy@example.org>|Repo"
    with pytest.raises(ValueError, match="no author"):
        await bench.trees.merge(
            str(bench.repo),
            TreeMerge(target="main", base=bench.first, head=head, method="merge", message="", author="x"),
        )


async def test_without_an_identity_in_the_repository_ours_commits(bench: Bench) -> None:
    base, head = _work(bench)
    bench.git(bench.repo, "config", "--unset", "user.name")
    bench.git(bench.repo, "config", "--unset", "user.email")
    home = bench.folder / "home"
    home.mkdir()
    trees = Trees(CountingHost(HOME=str(home)), str(bench.checks))
    made = await trees.merge(str(bench.repo), _order(base, head))
    assert _show(bench, made, "%an <%ae>|%cn") == "Agent Orchestrator <ao@localhost>|Agent Orchestrator"


async def test_a_rebase_makes_each_commit_again_with_author_time_and_message(bench: Bench) -> None:
    base, head = _work(bench)
    made = await bench.trees.merge(str(bench.repo), _order(base, head, "rebase"))
    form = "%an <%ae> %ad %B"
    assert bench.git(bench.repo, "log", f"--format={form}", f"{base}..{made}") == bench.git(
        bench.repo, "log", f"--format={form}", f"{bench.first}..{head}"
    )
    assert _show(bench, made, "%cn") == "Repo"
    assert _show(bench, f"{made}~2", "%H") == base


async def test_a_rebase_leaves_merges_out_and_drops_what_the_target_has(bench: Bench) -> None:
    base, head = _work(bench)
    bench.git(bench.repo, "checkout", "-q", "work")
    bench.git(bench.repo, "merge", "-q", "--no-edit", "release")
    picked = bench.commit(bench.repo, "picked.txt")
    head = bench.commit(bench.repo, "last.txt")
    bench.git(bench.repo, "checkout", "-q", "release")
    bench.git(bench.repo, "cherry-pick", picked)
    bench.git(bench.repo, "checkout", "-q", "main")
    base = _tip(bench)
    made = await bench.trees.merge(str(bench.repo), _order(base, head, "rebase"))
    subjects = bench.git(bench.repo, "log", "--format=%s %p", f"{base}..{made}").splitlines()
    assert [line.rpartition(" ")[0] for line in subjects] == ["add last.txt", "add two", "add one.txt"]
    assert bench.git(bench.repo, "diff", made, head) == ""


async def test_a_rebase_keeps_commits_that_lie_where_they_should(bench: Bench) -> None:
    _, head = _work(bench)
    assert await bench.trees.merge(str(bench.repo), _order(bench.first, head, "rebase", target="main")) == head
    assert _tip(bench, "main") == head
    assert (bench.repo / "two.txt").exists()


async def test_a_rebase_without_any_change_left_is_refused(bench: Bench) -> None:
    base, head = _work(bench)
    base = await bench.trees.merge(str(bench.repo), _order(base, head, "rebase"))
    error = await _refused(bench, _order(base, head, "rebase"))
    assert (error.code, "already" in error.message) == ("PR_NOT_MERGEABLE", True)


@pytest.mark.parametrize("method", METHODS)
async def test_a_conflict_names_its_files_and_moves_nothing(bench: Bench, method: str) -> None:
    base, head = _work(bench)
    bench.git(bench.repo, "checkout", "-q", "work")
    head = bench.commit(bench.repo, "theirs.txt", "ours\n")
    bench.git(bench.repo, "checkout", "-q", "main")
    error = await _refused(bench, _order(base, head, method))
    assert (error.code, error.details["files"]) == ("PR_NOT_MERGEABLE", ["theirs.txt"])


async def test_what_is_merged_already_unrelated_or_absent_is_refused_with_the_reason(bench: Bench) -> None:
    base, _ = _work(bench)
    bench.git(bench.repo, "checkout", "-q", "--orphan", "other")
    other = bench.commit(bench.repo, "README.md", "other\n")
    for head, words in (
        (bench.first, "already contains"),
        (other, "no commit in common"),
        ("1" * 40, "not in the rep"),
    ):
        error = await _refused(bench, _order(base, head))
        assert (error.code, words in error.message) == ("PR_NOT_MERGEABLE", True)


async def test_a_target_that_moved_or_went_is_not_merged_into(bench: Bench) -> None:
    base, head = _work(bench)
    error = await _refused(bench, _order(bench.first, head))
    assert (error.code, error.details["head"]) == ("PR_HEAD_CHANGED", base)
    assert (await _refused(bench, _order(base, head, target="gone"))).code == "PR_HEAD_CHANGED"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("linked", [False, True])
async def test_a_target_that_is_checked_out_and_clean_follows_with_its_files(
    bench: Bench, method: str, *, linked: bool
) -> None:
    base, head = _work(bench)
    place = bench.folder / "linked" if linked else bench.repo
    if linked:
        bench.git(bench.repo, "worktree", "add", "-q", str(place), "release")
    else:
        bench.git(bench.repo, "checkout", "-q", "release")
    (place / "untracked.txt").write_text("mine")
    (bench.repo / ".git" / "hooks").mkdir(exist_ok=True)
    hook = bench.repo / ".git" / "hooks" / "post-merge"
    hook.write_text(f"#!/bin/sh\ntouch {bench.folder}/ran\n")
    hook.chmod(0o755)
    made = await bench.trees.merge(str(bench.repo), _order(base, head, method))
    assert bench.git(place, "rev-parse", "HEAD") == made == _tip(bench)
    assert bench.git(place, "symbolic-ref", "HEAD") == "refs/heads/release"
    assert bench.git(place, "status", "--porcelain") == "?? untracked.txt"
    assert (place / "two.txt").read_text() == "two\n"
    assert (bench.folder / "ran").exists()


def _modified(place: Path) -> None:
    (place / "README.md").write_text("changed\n")


def _untracked(place: Path) -> None:
    (place / "two.txt").write_text("mine\n")


def _ignored(place: Path) -> None:
    _untracked(place)
    exclude = place / ".git" / "info" / "exclude"
    exclude.parent.mkdir(exist_ok=True)
    exclude.write_text("two.txt\n")


@pytest.mark.parametrize("soil", [_modified, _untracked, _ignored])
async def test_w7_a_checked_out_target_with_work_in_the_way_stays_as_it_is(bench: Bench, soil: Any) -> None:
    base, head = _work(bench)
    bench.git(bench.repo, "checkout", "-q", "release")
    soil(bench.repo)
    before = {path.name: path.read_bytes() for path in bench.repo.iterdir() if path.is_file()}
    error = await _refused(bench, _order(base, head))
    assert (error.code, error.details["path"]) == ("BASE_CHECKED_OUT_DIRTY", str(bench.repo))
    assert {path.name: path.read_bytes() for path in bench.repo.iterdir() if path.is_file()} == before


async def test_w7_a_change_hidden_from_git_status_is_not_overwritten(bench: Bench) -> None:
    base, head = _work(bench)
    bench.git(bench.repo, "checkout", "-q", "release")
    bench.git(bench.repo, "update-index", "--assume-unchanged", "README.md")
    _modified(bench.repo)
    error = await _refused(bench, _order(base, head))
    assert (error.code, error.details["files"]) == ("BASE_CHECKED_OUT_DIRTY", ["README.md"])


async def test_a_target_that_is_being_rebased_or_merged_stays_as_it_is(bench: Bench) -> None:
    base, head = _work(bench)
    bench.git(bench.repo, "checkout", "-q", "release")
    bench.git(bench.repo, "merge", "--no-commit", "--no-ff", "work")
    assert (await _refused(bench, _order(base, head))).code == "BASE_CHECKED_OUT_DIRTY"
    bench.git(bench.repo, "merge", "--abort")
    bench.git(bench.repo, "rebase", "-q", "--exec", "false", "main", check=False)
    assert (bench.repo / ".git" / "rebase-merge").exists()
    error = await _refused(bench, _order(base, head))
    assert (error.code, "rebased" in error.message) == ("BASE_CHECKED_OUT_DIRTY", True)
    bench.git(bench.repo, "rebase", "--abort")


async def test_a_record_of_a_worktree_that_is_gone_does_not_hold_a_merge_up(bench: Bench) -> None:
    base, head = _work(bench)
    linked = bench.folder / "linked"
    bench.git(bench.repo, "worktree", "add", "-q", str(linked), "release")
    linked.rename(bench.folder / "elsewhere")
    made = await bench.trees.merge(str(bench.repo), _order(base, head))
    assert _tip(bench) == made


async def test_a_worktree_whose_git_file_leads_elsewhere_is_not_merged_in(bench: Bench) -> None:
    base, head = _work(bench)
    linked, other = bench.folder / "linked", bench.folder / "other"
    bench.git(bench.repo, "worktree", "add", "-q", str(linked), "release")
    bench.git(bench.folder, "init", "-q", "other")
    bench.commit(other, "x")
    (linked / ".git").write_text(f"gitdir: {other}/.git\n")
    assert (await _refused(bench, _order(base, head))).code == "BASE_CHECKED_OUT_DIRTY"
    assert bench.git(other, "rev-list", "--count", "HEAD") == "1"


async def test_w13_a_branch_that_another_git_holds_locked_is_busy(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, head = _work(bench)
    monkeypatch.setattr("ao.workspaces.locks._PATIENCE_S", (0.01, 0.01))
    (bench.repo / ".git" / "refs" / "heads" / "release.lock").touch()
    assert (await _refused(bench, _order(base, head))).code == "REPOSITORY_BUSY"


async def test_w13_two_merges_at_once_make_one_and_refuse_the_other(bench: Bench) -> None:
    base, head = _work(bench)
    orders = [_order(base, head), _order(base, head, "squash")]
    results = await asyncio.gather(
        *(bench.trees.merge(str(bench.repo), order) for order in orders), return_exceptions=True
    )
    errors = [result for result in results if isinstance(result, AoError)]
    assert [error.code for error in errors] == ["PR_HEAD_CHANGED"]
    assert _tip(bench) in results


async def test_a_hook_that_never_ends_does_not_undo_a_merge(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    base, head = _work(bench)
    bench.git(bench.repo, "checkout", "-q", "release")
    hook = bench.repo / ".git" / "hooks" / "post-merge"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexec sleep 600\n")
    hook.chmod(0o755)
    monkeypatch.setattr("ao.workspaces.merging._MOVE_TIMEOUT_S", 1.0)
    made = await bench.trees.merge(str(bench.repo), _order(base, head))
    assert _tip(bench) == made
    assert bench.git(bench.repo, "status", "--porcelain") == ""


async def test_a_hook_that_forbids_the_move_is_git_s_word(bench: Bench) -> None:
    base, head = _work(bench)
    hook = bench.repo / ".git" / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    error = await _refused(bench, _order(base, head))
    hook.unlink()
    assert error.code == "PR_OPERATION_FAILED"


class _DyingHost(CountingHost):
    """The real host whose command number `at` is killed after `before` did its work or not at all."""

    def __init__(self, at: int, *, done: bool) -> None:
        super().__init__()
        self.at, self.done, self.count = at, done, 0

    async def run(self, argv: Sequence[str], **options: Any) -> Completed:
        self.count += 1
        if self.count == self.at:
            if self.done:
                await super().run(argv, **options)
            raise CommandTimeoutError("killed")
        return await super().run(argv, **options)


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("method", METHODS)
async def test_w7_a_merge_that_dies_at_any_step_leaves_nothing_or_the_whole(
    bench: Bench, method: str, *, done: bool
) -> None:
    base, head = _work(bench)
    bench.git(bench.repo, "checkout", "-q", "release")
    at, moved = 0, 0
    while True:
        at += 1
        host = _DyingHost(at, done=done)
        try:
            await Trees(host, str(bench.checks)).merge(str(bench.repo), _order(base, head, method))
        except AoError:
            assert _tip(bench) == base
        if host.count < at:
            break  # it had no step of that number: every one has been tried
        assert bench.git(bench.repo, "status", "--porcelain") == ""
        if _tip(bench) != base:
            assert bench.git(bench.repo, "diff", "--stat", head, "release").startswith("theirs.txt")
            moved += 1
            bench.git(bench.repo, "reset", "-q", "--hard", base)
    assert at > 8
    assert moved == (1 if done else 0)


async def test_w7_a_merge_that_is_cancelled_while_it_moves_is_finished(bench: Bench) -> None:
    base, head = _work(bench)
    bench.git(bench.repo, "checkout", "-q", "release")
    started = bench.folder / "started"
    hook = bench.repo / ".git" / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f'#!/bin/sh\n[ "$1" = prepared ] && echo x >{started}\nexit 0\n')
    hook.chmod(0o755)
    merging = asyncio.create_task(bench.trees.merge(str(bench.repo), _order(base, head)))
    assert await bench.host.await_file(str(started), timeout_s=20)
    merging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await merging
    hook.unlink()
    assert _tip(bench) != base
    assert bench.git(bench.repo, "status", "--porcelain") == ""
