"""What a session's worktree has produced, however its branches were renamed, rewritten or left behind."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from ao.ports.trees import History
from tests.workspaces.conftest import PROJECT

if TYPE_CHECKING:
    from ao.ports import Checkout
    from tests.workspaces.conftest import Bench


async def _history(bench: Bench, checkout: Checkout) -> History:
    return await bench.trees.history(checkout)


async def test_a_new_worktree_has_its_branch_and_no_commit(bench: Bench) -> None:
    bench.commit(bench.repo, "old.txt")
    checkout = await bench.spawn()
    assert await _history(bench, checkout) == History(branches=(checkout.branch,), commits=frozenset())


async def test_c5_a_renamed_branch_is_found_through_the_worktree(bench: Bench) -> None:
    checkout = await bench.spawn()
    made = bench.commit(bench.at(checkout), "a.txt")
    bench.git(bench.at(checkout), "branch", "-m", "feature/new-name")
    assert await _history(bench, checkout) == History(branches=("feature/new-name",), commits=frozenset({made}))


async def test_c5_branches_of_the_sessions_namespace_count_and_a_siblings_do_not(bench: Bench) -> None:
    checkout, sibling = await bench.spawn(), await bench.spawn(2)
    theirs = bench.commit(bench.at(sibling), "theirs.txt")
    bench.git(bench.repo, "branch", f"ao/{PROJECT}-11/x", theirs)
    made = bench.commit(bench.at(checkout), "a.txt")
    bench.git(bench.at(checkout), "checkout", "-q", "-b", f"ao/{PROJECT}-1/stacked")
    stacked = bench.commit(bench.at(checkout), "b.txt")
    bench.git(bench.at(checkout), "checkout", "-q", "-b", "elsewhere")
    found = await _history(bench, checkout)
    assert found.branches == ("elsewhere", checkout.branch, f"ao/{PROJECT}-1/stacked")
    assert found.commits == {made, stacked}


async def test_amended_rebased_and_dropped_commits_are_remembered(bench: Bench) -> None:
    checkout = await bench.spawn()
    tree = bench.at(checkout)
    commits = {bench.commit(tree, "a.txt")}
    bench.git(tree, "commit", "-q", "--amend", "-m", "amended")
    commits.add(bench.git(tree, "rev-parse", "HEAD"))
    upstream = bench.commit(bench.repo, "upstream.txt")
    bench.git(tree, "rebase", "-q", "main")
    commits.add(bench.git(tree, "rev-parse", "HEAD"))
    commits.add(bench.commit(tree, "dropped.txt"))
    bench.git(tree, "reset", "-q", "--hard", "HEAD~1")
    found = await _history(bench, checkout)
    assert found.commits == commits
    assert upstream not in found.commits


async def test_c5_commits_that_only_came_by_are_not_the_sessions(bench: Bench) -> None:
    checkout, sibling = await bench.spawn(), await bench.spawn(2)
    tree = bench.at(checkout)
    theirs = bench.commit(bench.at(sibling), "theirs.txt")
    upstream = bench.commit(bench.repo, "upstream.txt")
    bench.git(tree, "checkout", "-q", "--detach", theirs)
    bench.git(tree, "checkout", "-q", checkout.branch)
    bench.git(tree, "reset", "-q", "--hard", theirs)
    bench.git(tree, "reset", "-q", "--hard", bench.first)
    bench.git(tree, "merge", "-q", "main")
    bench.git(tree, "cherry-pick", "--ff", upstream, check=False)
    mine = bench.commit(tree, "mine.txt")
    assert (await _history(bench, checkout)).commits == {mine}


async def test_commits_that_the_default_branch_has_taken_in_are_still_the_sessions(bench: Bench) -> None:
    checkout = await bench.spawn()
    made = bench.commit(bench.at(checkout), "a.txt")
    bench.git(bench.repo, "merge", "-q", "--ff-only", checkout.branch)
    assert (await _history(bench, checkout)).commits == {made}


async def test_a_detached_head_counts(bench: Bench) -> None:
    checkout = await bench.spawn()
    bench.git(bench.at(checkout), "checkout", "-q", "--detach")
    made = bench.commit(bench.at(checkout), "a.txt")
    assert await _history(bench, checkout) == History(branches=(checkout.branch,), commits=frozenset({made}))


async def test_the_branch_alone_still_tells_when_the_worktree_is_gone(bench: Bench) -> None:
    checkout = await bench.spawn()
    made = bench.commit(bench.at(checkout), "a.txt")
    await bench.rooms.remove(checkout, force=False)
    assert await _history(bench, checkout) == History(branches=(checkout.branch,), commits=frozenset({made}))
    bench.git(bench.repo, "branch", "-D", checkout.branch)
    assert await _history(bench, checkout) == History()


async def test_a_folder_that_was_deleted_by_hand_leaves_its_record(bench: Bench) -> None:
    checkout = await bench.spawn()
    made = bench.commit(bench.at(checkout), "a.txt")
    bench.git(bench.at(checkout), "branch", "-m", "renamed")
    shutil.rmtree(checkout.path)
    assert await _history(bench, checkout) == History(branches=("renamed",), commits=frozenset({made}))


async def test_c5_a_worktree_that_points_at_a_siblings_record_is_not_believed(bench: Bench) -> None:
    checkout, sibling = await bench.spawn(), await bench.spawn(2)
    bench.commit(bench.at(sibling), "theirs.txt")
    bench.at(checkout, ".git").write_text(bench.at(sibling, ".git").read_text())
    assert await _history(bench, checkout) == History(branches=(checkout.branch,), commits=frozenset())


async def test_a_session_on_a_branch_that_was_there_before_has_only_what_it_added(bench: Bench) -> None:
    bench.git(bench.repo, "checkout", "-q", "-b", "feature")
    bench.commit(bench.repo, "before.txt")
    bench.git(bench.repo, "checkout", "-q", "main")
    checkout = await bench.spawn(requested="feature")
    assert (await _history(bench, checkout)).commits == frozenset()
    made = bench.commit(bench.at(checkout), "mine.txt")
    assert await _history(bench, checkout) == History(branches=("feature",), commits=frozenset({made}))


async def test_w7_asking_changes_nothing(bench: Bench) -> None:
    checkout = await bench.spawn()
    bench.commit(bench.at(checkout), "a.txt")
    before = bench.git(bench.repo, "for-each-ref"), bench.git(bench.at(checkout), "reflog")
    await _history(bench, checkout)
    assert (bench.git(bench.repo, "for-each-ref"), bench.git(bench.at(checkout), "reflog")) == before
