"""Questions about commits: found by exact name only, compared, shown; and names that are none."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ao.model.errors import AoError
from ao.ports import BranchRequest
from ao.ports.trees import TreeMerge
from ao.ports.trees import Trees as TreesPort

if TYPE_CHECKING:
    from tests.workspaces.conftest import Bench

NONE = "1" * 40
HOSTILE = [
    "", "-x", "--upload-pack=touch pwned", "--output=pwned", "a..b", "@{-1}", "HEAD", "@", "main^{/x}", ":/x", "a b",
    "a\nb", "a\x1b[2Jb", "a\0b", "a:b", "*", "..", "../../etc/passwd", "x.lock", "x/", "/x", "; touch pwned",
    "$(touch pwned)", "`touch pwned`", "a;touch${IFS}pwned", "$(touch${IFS}pwned)", "`touch${IFS}pwned`",
    "|touch${IFS}pwned", "x\u202egpj.exe", "ext::sh${IFS}-c${IFS}touch", "x" * 3000, "\udcff",
]  # fmt: skip


async def test_a_commit_is_found_by_full_ref_or_id_and_none_otherwise(bench: Bench) -> None:
    second = bench.commit(bench.repo, "b.txt")
    bench.git(bench.repo, "tag", "-a", "-m", "x", "v1", bench.first)
    blob = bench.git(bench.repo, "rev-parse", "HEAD:b.txt")
    repo, trees = str(bench.repo), bench.trees
    for ref, commit in (("refs/heads/main", second), (second, second), ("refs/tags/v1", bench.first)):
        assert await trees.commit(repo, ref) == commit
    tag = bench.git(bench.repo, "rev-parse", "refs/tags/v1")
    for nothing in ("refs/heads/none", "main", "HEAD", second[:12], NONE, blob, tag, f"{second}~1", NONE + "1" * 24):
        assert await trees.commit(repo, nothing) is None


async def test_c5_a_tag_that_is_named_like_a_branch_does_not_pass_for_it(bench: Bench) -> None:
    second = bench.commit(bench.repo, "b.txt")
    bench.git(bench.repo, "update-ref", "refs/tags/refs/heads/gone", second)
    bench.git(bench.repo, "update-ref", f"refs/heads/{NONE}{'1' * 24}", second)
    assert await bench.trees.commit(str(bench.repo), "refs/heads/gone") is None
    assert await bench.trees.commit(str(bench.repo), NONE + "1" * 24) is None


async def test_the_tree_and_the_subject_of_a_commit(bench: Bench) -> None:
    repo = str(bench.repo)
    bench.git(bench.repo, "commit", "-q", "--allow-empty", "-m", "first \x1b[31mline\n\nmore")
    head = bench.git(bench.repo, "rev-parse", "HEAD")
    assert await bench.trees.tree_of(repo, head) == bench.git(bench.repo, "rev-parse", "HEAD^{tree}")
    assert await bench.trees.subject(repo, "refs/heads/main") == "first [31mline"
    assert await bench.trees.subject(repo, "refs/heads/none") == ""
    with pytest.raises(AoError, match="is not in the repository") as caught:
        await bench.trees.tree_of(repo, NONE)
    assert caught.value.code == "BRANCH_NOT_FETCHED"


async def test_a_comparison_counts_commits_lines_and_files(bench: Bench) -> None:
    bench.commit(bench.repo, "old name.txt", "".join(f"{n}\n" for n in range(50)))
    fork = bench.git(bench.repo, "rev-parse", "HEAD")
    bench.git(bench.repo, "branch", "work")
    base = bench.commit(bench.repo, "elsewhere.txt")
    bench.git(bench.repo, "checkout", "-q", "work")
    bench.git(bench.repo, "mv", "old name.txt", "new\tname.txt")
    (bench.repo / "binary").write_bytes(bytes(range(256)))
    bench.git(bench.repo, "add", "-A")
    bench.git(bench.repo, "commit", "-qm", "rename")
    head = bench.commit(bench.repo, "README.md", "bye\nbye\n")
    bench.git(bench.repo, "checkout", "-q", "main")
    found = await bench.trees.compare(str(bench.repo), base, head)
    assert (found.base, found.head, found.merge_base, found.ahead, found.behind) == (base, head, fork, 2, 1)
    assert (found.files, found.additions, found.deletions, found.conflicts) == (3, 2, 1, ())


async def test_conflicts_are_found_without_touching_a_worktree_or_a_ref(bench: Bench) -> None:
    bench.git(bench.repo, "checkout", "-qb", "work")
    head = bench.commit(bench.repo, "READ ME.md", "theirs\n")
    head = bench.commit(bench.repo, "README.md", "theirs\n")
    bench.git(bench.repo, "checkout", "-q", "main")
    base = bench.commit(bench.repo, "READ ME.md", "ours\n")
    base = bench.commit(bench.repo, "README.md", "ours\n")
    refs = bench.refs("refs")
    found = await bench.trees.compare(str(bench.repo), base, head)
    assert set(found.conflicts) == {"READ ME.md", "README.md"}
    assert bench.git(bench.repo, "status", "--porcelain") == ""
    assert bench.refs("refs") == refs


async def test_a_comparison_of_two_commits_is_made_once(bench: Bench) -> None:
    second = bench.commit(bench.repo, "b.txt")
    first = await bench.trees.compare(str(bench.repo), bench.first, second)
    await bench.trees.compare(str(bench.repo), second, bench.first)
    bench.host.argvs.clear()
    assert await bench.trees.compare(str(bench.repo), bench.first, second) == first
    assert bench.host.argvs == []


async def test_histories_without_a_common_commit_have_no_conflicts(bench: Bench) -> None:
    bench.git(bench.repo, "checkout", "-q", "--orphan", "other")
    head = bench.commit(bench.repo, "README.md", "another\n")
    found = await bench.trees.compare(str(bench.repo), bench.first, head)
    assert (found.merge_base, found.ahead, found.behind, found.conflicts) == ("", 1, 1, ())
    assert found.files == 1


async def test_a_diff_shows_what_the_head_changed_since_it_left_and_is_cut_at_a_line(bench: Bench) -> None:
    bench.git(bench.repo, "config", "diff.noprefix", "true")
    bench.git(bench.repo, "config", "diff.external", "false")
    bench.git(bench.repo, "branch", "work")
    base = bench.commit(bench.repo, "elsewhere.txt")
    bench.git(bench.repo, "checkout", "-q", "work")
    head = bench.commit(bench.repo, "b.txt", "".join(f"line é {n}\n" for n in range(5000)))
    whole = await bench.trees.diff(str(bench.repo), base, head, limit=1 << 20)
    assert whole.startswith("diff --git a/b.txt b/b.txt\n")
    assert whole.endswith("+line é 4999\n")
    assert "elsewhere" not in whole
    cut = await bench.trees.diff(str(bench.repo), base, head, limit=1000)
    assert whole.startswith(cut)
    assert cut.endswith("\n")
    assert 980 < len(cut.encode()) <= 1000
    assert await bench.trees.diff(str(bench.repo), base, head, limit=0) == ""


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
async def test_s5_a_hostile_name_is_no_branch_and_runs_nothing(
    bench: Bench, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bench.folder)
    bench.git(bench.repo, "remote", "add", "origin", str(bench.folder / "nowhere"))
    repo, trees, before = str(bench.repo), bench.trees, bench.refs("refs")
    for ref in (name, f"refs/heads/{name}"):
        assert await trees.commit(repo, ref) is None
        assert await trees.subject(repo, ref) == ""
    order = TreeMerge(target=name, base=bench.first, head=bench.first, method="merge", message=name)
    path = str(bench.checks / "p.1")
    calls = [
        trees.merge(repo, order),
        trees.merge(repo, TreeMerge(target="main", base=name, head=bench.first, method="merge", message="")),
        trees.merge(repo, TreeMerge(target="main", base=bench.first, head=name, method="merge", message="")),
        trees.push(repo, name, timeout_s=5),
        trees.compare(repo, name, bench.first),
        trees.compare(repo, bench.first, f"refs/heads/{name}"),
        trees.diff(repo, name, bench.first, limit=10),
        trees.tree_of(repo, name),
        trees.checked_out(repo, name, path).__aenter__(),
        bench.rooms.plan(BranchRequest(repo_path=repo, own="ao/demo-1/root", default="main", commit=name or "-")),
    ]
    codes = []
    for call in calls:
        with pytest.raises(AoError) as caught:
            await call
        codes.append(caught.value.code)
    assert set(codes) <= {"INVALID_BRANCH", "BRANCH_NOT_FETCHED", "PR_HEAD_CHANGED"}
    # As a revision no name will do, however harmless; as a branch, what git allows is merely not there.
    assert {codes[number] for number in (1, 2, 4, 6, 7, 8)} == {"INVALID_BRANCH"}
    files = trees.ref_files(repo, [name])
    assert all(os.path.normpath(file).startswith(f"{repo}/.git/") for file in files)
    checkout = bench.checkout(branch=name or "-")
    assert (await trees.history(checkout)).branches == ()
    assert bench.refs("refs") == before
    assert not list(bench.folder.rglob("*pwned*"))
    assert "pwned" not in os.listdir()


async def test_a_repository_that_is_gone_is_said_to_be(bench: Bench) -> None:
    repo = str(bench.folder / "gone")
    trees: TreesPort = bench.trees
    for call in (trees.commit(repo, "refs/heads/main"), trees.compare(repo, NONE, NONE), trees.remotes(repo)):
        with pytest.raises(AoError) as caught:
            await call
        assert caught.value.code == "PROJECT_NOT_RESOLVABLE"


@pytest.mark.parametrize("move", ["commit", "pack", "delete", "create"])
async def test_the_files_of_a_branch_tell_when_it_moves(bench: Bench, move: str) -> None:
    bench.git(bench.repo, "branch", "ao/x/root")
    bench.commit(bench.repo, "b.txt")
    linked = bench.folder / "linked"
    bench.git(bench.repo, "worktree", "add", "-q", "--detach", str(linked))
    await bench.trees.commit(str(linked), "refs/heads/main")
    files = bench.trees.ref_files(str(linked), ["ao/x/root", "ao/new/root"])
    waiting = asyncio.ensure_future(bench.host.changed(files, timeout_s=20))
    await asyncio.sleep(0)
    acts = {
        "commit": ("update-ref", "refs/heads/ao/x/root", "refs/heads/main"),
        "pack": ("pack-refs", "--all"),
        "delete": ("branch", "-D", "ao/x/root"),
        "create": ("branch", "ao/new/root"),
    }
    bench.git(bench.repo, "branch", "unrelated")
    assert not waiting.done()
    bench.git(bench.repo, *acts[move])
    assert await waiting


async def test_a_new_branch_can_begin_at_a_commit(bench: Bench) -> None:
    second = bench.commit(bench.repo, "b.txt")
    bench.git(bench.repo, "reset", "-q", "--hard", bench.first)
    request = BranchRequest(repo_path=str(bench.repo), own="ao/demo-1/root", default="main", commit=second)
    plan = await bench.rooms.plan(request)
    assert (plan.branch, plan.create, plan.start, plan.base_sha) == ("ao/demo-1/root", True, second, second)
    assert plan.base_at == int(bench.git(bench.repo, "show", "-s", "--format=%ct", second)) * 1000
    await bench.rooms.create(plan, bench.checkout())
    assert Path(bench.checkout().path, "b.txt").exists()


async def test_a_commit_that_is_not_here_is_not_fetched(bench: Bench) -> None:
    for commit in (NONE, bench.first[:10], "refs/heads/main"):
        with pytest.raises(AoError) as caught:
            await bench.rooms.plan(
                BranchRequest(repo_path=str(bench.repo), own="ao/demo-1/root", default="main", commit=commit)
            )
        assert caught.value.code == "BRANCH_NOT_FETCHED"


async def test_s9_the_urls_of_remotes_hold_no_credentials(bench: Bench) -> None:
    assert await bench.trees.remotes(str(bench.repo)) == {}
    for name, url in (("origin", "https://ann:tok3n@example.org/a/b.git"), ("my.fork", "git@example.org:c/d.git")):
        bench.git(bench.repo, "remote", "add", name, url)
    bench.git(bench.repo, "remote", "set-url", "--add", "my.fork", "https://other.example.org/e")
    assert await bench.trees.remotes(str(bench.repo)) == {
        "origin": "https://example.org/a/b.git",
        "my.fork": "git@example.org:c/d.git",
    }
