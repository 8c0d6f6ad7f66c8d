"""Links into a worktree: only from the repository, only into the worktree, and invisible to git (fault S10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ao.ports import Removal
from ao.workspaces.links import with_excluded

if TYPE_CHECKING:
    from tests.workspaces.conftest import Bench


async def test_files_and_folders_are_linked_and_hidden_from_git(bench: Bench) -> None:
    (bench.repo / ".env").write_text("KEY=1\n")
    (bench.repo / "deps" / "node modules").mkdir(parents=True)
    (bench.repo / "deps" / "node modules" / "x.js").write_text("x")
    checkout = await bench.spawn()
    wanted = [".env", "deps/node modules", "absent", "README.md"]
    for _ in range(2):
        assert await bench.rooms.provision(checkout, wanted) == []
    tree = bench.at(checkout)
    assert (tree / ".env").readlink() == bench.repo / ".env"
    assert (tree / "deps" / "node modules" / "x.js").read_text() == "x"
    assert not (tree / "README.md").is_symlink()
    assert not (tree / "absent").exists()
    assert bench.git(tree, "status", "--porcelain") == ""
    assert await bench.rooms.remove(checkout, force=False) == Removal(removed=True)
    assert (bench.repo / ".env").read_text() == "KEY=1\n"
    assert (bench.repo / "deps" / "node modules" / "x.js").exists()


async def test_names_that_mean_something_in_patterns_are_hidden_literally(bench: Bench) -> None:
    names = ["a[1]", "b*", "c?", "#d", "!e", "f\\g", "h "]
    for name in names:
        (bench.repo / name).write_text("x")
    checkout = await bench.spawn()
    assert await bench.rooms.provision(checkout, names) == []
    assert bench.git(checkout.path, "status", "--porcelain") == ""
    bench.at(checkout, "bb").write_text("visible")
    assert bench.git(checkout.path, "status", "--porcelain") == "?? bb"


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../x", "a/../../x", "", "~/x", ".", "a//b", "a\nb", ".git", ".git/config"]
)
async def test_s10_a_path_out_of_the_repository_is_refused(bench: Bench, path: str) -> None:
    checkout = await bench.spawn()
    before = sorted(bench.at(checkout).iterdir())
    assert len(await bench.rooms.provision(checkout, [path])) == 1
    assert sorted(bench.at(checkout).iterdir()) == before


async def test_s10_a_link_out_of_the_repository_is_refused(bench: Bench) -> None:
    outside = bench.folder / "outside"
    outside.mkdir()
    (outside / "secret").write_text("s")
    (bench.repo / "file").symlink_to(outside / "secret")
    (bench.repo / "folder").symlink_to(outside)
    checkout = await bench.spawn()
    warnings = await bench.rooms.provision(checkout, ["file", "folder", "folder/secret"])
    assert len(warnings) == 3
    assert all("leads out of the repository" in warning for warning in warnings)
    assert sorted(path.name for path in bench.at(checkout).iterdir()) == [".git", "README.md"]


async def test_s10_a_tracked_link_in_the_worktree_does_not_carry_ours_outside(bench: Bench) -> None:
    outside = bench.folder / "outside"
    outside.mkdir()
    (bench.repo / "way").symlink_to(outside)
    bench.git(bench.repo, "add", "way")
    bench.git(bench.repo, "commit", "-qm", "a link")
    (bench.repo / "way").unlink()
    (bench.repo / "way").mkdir()
    (bench.repo / "way" / "file").write_text("x")
    checkout = await bench.spawn()
    assert len(await bench.rooms.provision(checkout, ["way/file"])) == 1
    assert list(outside.iterdir()) == []


_LINES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=60)


@given(_LINES, st.lists(st.sampled_from(["a", "b/c", "d e", "*"]), max_size=4))
def test_a_persons_own_exclude_lines_stay_and_adding_twice_changes_nothing(text: str, paths: list[str]) -> None:
    once = with_excluded(text, paths)
    assert once.startswith(text)
    assert with_excluded(once, paths) == once
    more = with_excluded(once + "mine\n", ["later"])
    assert more.endswith("mine\n")
    assert "/later\n" in more
