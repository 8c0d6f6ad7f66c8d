"""Which branch a session gets and where it starts."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ao.model.errors import AoError
from ao.ports import BranchRequest

if TYPE_CHECKING:
    from tests.workspaces.conftest import Bench


async def _refused(bench: Bench, requested: str = "", *, default: str = "main") -> AoError:
    with pytest.raises(AoError) as caught:
        await bench.plan(requested, default=default)
    return caught.value


def _remote(bench: Bench, sha: str, *, branch: str = "main") -> None:
    bench.git(bench.repo, "update-ref", f"refs/remotes/origin/{branch}", sha)


async def test_nothing_requested_starts_the_own_branch_at_the_local_default(bench: Bench) -> None:
    plan = await bench.plan()
    assert (plan.branch, plan.create, plan.start) == ("ao/demo-1/root", True, bench.first)
    assert (plan.base_ref, plan.base_sha, plan.warnings) == ("refs/heads/main", bench.first, ())
    assert plan.base_at == int(bench.git(bench.repo, "show", "-s", "--format=%ct", "HEAD")) * 1000


async def test_the_base_is_whichever_of_local_and_remote_contains_the_other(bench: Bench) -> None:
    second = bench.commit(bench.repo, "b.txt")
    _remote(bench, bench.first)
    assert (await bench.plan()).base_ref == "refs/heads/main"
    _remote(bench, second)
    bench.git(bench.repo, "reset", "-q", "--hard", bench.first)
    plan = await bench.plan()
    assert (plan.base_ref, plan.start) == ("refs/remotes/origin/main", second)


async def test_diverged_branches_start_from_the_remote_with_a_warning(bench: Bench) -> None:
    theirs = bench.commit(bench.repo, "theirs.txt")
    _remote(bench, theirs)
    bench.git(bench.repo, "reset", "-q", "--hard", bench.first)
    bench.commit(bench.repo, "ours.txt")
    plan = await bench.plan()
    assert (plan.base_ref, plan.start) == ("refs/remotes/origin/main", theirs)
    assert "diverged" in plan.warnings[0]


async def test_a_default_that_names_another_remote_is_used_as_it_is(bench: Bench) -> None:
    bench.git(bench.repo, "update-ref", "refs/remotes/upstream/dev", bench.first)
    assert (await bench.plan(default="upstream/dev")).base_ref == "refs/remotes/upstream/dev"


async def test_a_requested_branch_that_exists_is_used_and_not_made(bench: Bench) -> None:
    bench.git(bench.repo, "branch", "fix")
    plan = await bench.plan("fix")
    assert (plan.branch, plan.create, plan.start, plan.base_ref) == ("fix", False, "", "refs/heads/fix")


async def test_a_branch_only_at_origin_becomes_a_local_one_that_starts_there(bench: Bench) -> None:
    second = bench.commit(bench.repo, "b.txt")
    _remote(bench, second, branch="feature/x")
    bench.git(bench.repo, "reset", "-q", "--hard", bench.first)
    plan = await bench.plan("feature/x")
    assert (plan.branch, plan.create, plan.start) == ("feature/x", True, second)
    assert plan.base_ref == "refs/remotes/origin/feature/x"


@pytest.mark.parametrize("tag", ["light", "annotated", "nested"])
async def test_a_tag_gives_the_own_branch_at_the_tags_commit(bench: Bench, tag: str) -> None:
    bench.git(bench.repo, "tag", "light")
    bench.git(bench.repo, "tag", "-am", "release", "annotated")
    bench.git(bench.repo, "tag", "-am", "tag of a tag", "nested", "annotated")
    bench.commit(bench.repo, "later.txt")
    plan = await bench.plan(tag)
    assert (plan.branch, plan.create, plan.start) == ("ao/demo-1/root", True, bench.first)
    assert plan.base_ref == f"refs/tags/{tag}"


async def test_a_tag_of_something_else_than_a_commit_is_no_base(bench: Bench) -> None:
    bench.git(bench.repo, "tag", "tree", "HEAD^{tree}")
    assert (await _refused(bench, "tree")).code == "BRANCH_NOT_FETCHED"


async def test_a_branch_wins_over_a_tag_of_its_name(bench: Bench) -> None:
    bench.git(bench.repo, "tag", "both")
    bench.git(bench.repo, "branch", "both", bench.commit(bench.repo, "b.txt"))
    checkout = await bench.spawn(requested="both")
    assert bench.git(checkout.path, "symbolic-ref", "HEAD") == "refs/heads/both"
    assert bench.at(checkout, "b.txt").exists()


async def test_an_unknown_name_is_a_new_branch_from_the_base(bench: Bench) -> None:
    plan = await bench.plan("brand/new")
    assert (plan.branch, plan.create, plan.start, plan.base_ref) == ("brand/new", True, bench.first, "refs/heads/main")


@pytest.mark.parametrize("name", ["HEAD~0", "main~0", "main^{commit}", "@{0}", ":/add"])
async def test_a_revision_expression_is_never_a_branch(bench: Bench, name: str) -> None:
    assert (await _refused(bench, name)).code == "INVALID_BRANCH"


async def test_a_commit_id_is_a_name_like_any_other(bench: Bench) -> None:
    second = bench.commit(bench.repo, "b.txt")
    plan = await bench.plan(bench.first)
    assert (plan.branch, plan.start) == (bench.first, second)


async def test_a_branch_checked_out_anywhere_is_refused_with_its_place(bench: Bench) -> None:
    error = await _refused(bench, "main")
    assert (error.code, error.details["path"]) == ("BRANCH_CHECKED_OUT_ELSEWHERE", str(bench.repo))
    other = bench.folder / "a place with blanks"
    bench.git(bench.repo, "worktree", "add", "-q", "-b", "busy", str(other))
    error = await _refused(bench, "busy")
    assert (error.code, error.details["path"]) == ("BRANCH_CHECKED_OUT_ELSEWHERE", str(other))
    shutil.rmtree(other)
    error = await _refused(bench, "busy")
    assert error.code == "BRANCH_CHECKED_OUT_ELSEWHERE"
    assert "folder is gone" in error.message


async def test_no_base_anywhere_is_branch_not_fetched(bench: Bench) -> None:
    error = await _refused(bench, default="trunk")
    assert error.code == "BRANCH_NOT_FETCHED"
    assert "git fetch" in (error.hint or "")
    assert (await _refused(bench, "wanted", default="trunk")).code == "BRANCH_NOT_FETCHED"


async def test_a_repository_without_a_commit_says_so(bench: Bench, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    bench.git(empty, "init", "-q")
    with pytest.raises(AoError, match="no commit") as caught:
        await bench.rooms.plan(BranchRequest(repo_path=str(empty), own="ao/e-1/root", default="main"))
    assert caught.value.code == "BRANCH_NOT_FETCHED"


@pytest.mark.parametrize(("existing", "wanted"), [("a", "a/b"), ("a/b", "a"), ("a/b", "a/b/c")])
async def test_names_that_git_can_not_keep_side_by_side_are_refused(bench: Bench, existing: str, wanted: str) -> None:
    bench.git(bench.repo, "branch", existing)
    error = await _refused(bench, wanted)
    assert (error.code, error.details["conflictsWith"]) == ("INVALID_BRANCH", existing)


async def test_a_repository_that_is_gone_is_not_resolvable_even_inside_another_one(bench: Bench) -> None:
    bench.git(bench.folder, "init", "-q")
    await bench.plan()
    shutil.rmtree(bench.repo)
    for requested in ("", "x"):
        assert (await _refused(bench, requested)).code == "PROJECT_NOT_RESOLVABLE"
    bench.repo.mkdir()
    assert (await _refused(bench)).code == "PROJECT_NOT_RESOLVABLE"
    (bench.repo / ".git").mkdir()
    assert (await _refused(bench)).code == "PROJECT_NOT_RESOLVABLE"
    shutil.rmtree(bench.repo)


async def test_a_warm_plan_and_a_warm_look_at_names_run_no_process(bench: Bench) -> None:
    await bench.plan()
    assert not await bench.rooms.taken(str(bench.repo), "demo-1")
    bench.host.argvs.clear()
    for number in range(2, 6):
        assert (await bench.plan(number=number)).branch == f"ao/demo-{number}/root"
        assert not await bench.rooms.taken(str(bench.repo), f"demo-{number}")
    assert [argv[5:] for argv in bench.host.argvs] == []


async def test_spawning_others_does_not_cool_the_cache(bench: Bench) -> None:
    await bench.spawn(1)
    assert not await bench.rooms.taken(str(bench.repo), "demo-3")
    checkout = await bench.spawn(2)
    await bench.rooms.remove(checkout, force=False)
    bench.host.argvs.clear()
    await bench.plan(number=3)
    assert not await bench.rooms.taken(str(bench.repo), "demo-3")
    assert [argv[5:] for argv in bench.host.argvs] == []


async def test_a_warm_plan_sees_every_way_the_base_can_move(bench: Bench) -> None:
    seen = {(await bench.plan()).start}
    for move in range(9):
        sha = bench.commit(bench.repo, f"{move}.txt")
        if move % 3 == 1:
            bench.git(bench.repo, "pack-refs", "--all")
        assert (await bench.plan()).start == sha
        seen.add(sha)
    assert len(seen) == 10
    bench.git(bench.repo, "update-ref", "refs/heads/main", bench.first)
    assert (await bench.plan()).start == bench.first


async def test_w3_a_name_is_taken_by_a_branch_or_a_snapshot_loose_or_packed(bench: Bench) -> None:
    taken, repo = bench.rooms.taken, str(bench.repo)
    assert not await taken(repo, "demo-1")
    bench.git(bench.repo, "branch", "ao/demo-1/root")
    bench.git(bench.repo, "update-ref", "refs/ao/preserved/demo-2/1", bench.first)
    for _ in range(2):
        assert [await taken(repo, f"demo-{n}") for n in (1, 2, 3)] == [True, True, False]
        bench.git(bench.repo, "pack-refs", "--all", "--prune")
    bench.git(bench.repo, "branch", "-D", "ao/demo-1/root")
    assert not await taken(repo, "demo-1")


async def test_w3_the_top_number_counts_names_of_this_project_only(bench: Bench) -> None:
    assert await bench.rooms.top_number(str(bench.repo), "demo") == 0
    for name in (
        "heads/ao/demo-7/root",
        "heads/ao/demo-x-40/root",
        "ao/preserved/demo-12/3",
        "heads/ao/demo",
        "tags/x-99",
    ):
        bench.git(bench.repo, "update-ref", f"refs/{name}", bench.first)
    assert await bench.rooms.top_number(str(bench.repo), "demo") == 12
    assert await bench.rooms.top_number(str(bench.repo), "demo-x") == 40


async def test_a_project_that_is_itself_a_linked_worktree_is_planned_from_its_repository(bench: Bench) -> None:
    linked = bench.folder / "linked"
    bench.git(bench.repo, "worktree", "add", "-q", "--detach", str(linked))
    request = BranchRequest(repo_path=str(linked), own="ao/demo-1/root", default="main")
    assert (await bench.rooms.plan(request)).start == bench.first
    sha = bench.commit(bench.repo, "b.txt")
    assert (await bench.rooms.plan(request)).start == sha
