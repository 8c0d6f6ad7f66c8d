"""Checks of the local forge: run on the head, bounded, remembered by tree, and nothing of them stays behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from ao.forges.local.checks import OUTPUT_LIMIT, RETRY_MS
from ao.forges.local.output import HEAD_LIMIT, TAIL_LIMIT, kept
from ao.model.errors import AoError
from ao.model.local_pull import LocalCheck
from ao.model.project import CheckConfig
from ao.model.pull import PullRef
from ao.ports.forge import MergeOrder, PullBook
from ao.ports.trees import Trees
from tests.forges.local_scene import DEADLINE_S, LocalScene, git

HOLDING = 'printf "ran\n" >>"$DIARY"; mkfifo "$GATE" 2>/dev/null; echo started >"$STARTED"; read line <"$GATE"'
"""Notes that it ran, says that it has begun, and waits at a gate."""


def unit(run: str, *, timeout: int = 60) -> CheckConfig:
    """The one check of most tests."""
    return CheckConfig(name="unit", run=run, timeout=timeout)


class Gate:
    """A check that tells when it begins and waits to be let on."""

    def __init__(self, scene: LocalScene, folder: Path) -> None:
        self._scene = scene
        self.diary = folder / "diary"
        self._started = folder / "started"
        self._gate = folder / "gate"
        self.env = {"DIARY": str(self.diary), "STARTED": str(self._started), "GATE": str(self._gate)}
        scene.checks(unit(HOLDING), **self.env)

    async def begun(self) -> None:
        """Return when a check has begun; forget that it has."""
        assert await self._scene.host.await_file(str(self._started), timeout_s=DEADLINE_S) is not None
        self._started.unlink()

    async def open(self) -> None:
        """Let the one that waits go on."""
        await asyncio.to_thread(self._gate.write_text, "on\n")

    @property
    def runs(self) -> int:
        """How often the check has begun."""
        return self.diary.read_text().count("ran") if self.diary.exists() else 0


@pytest.fixture
def gate(local: LocalScene, tmp_path: Path) -> Gate:
    """The project's only check is one that waits."""
    return Gate(local, tmp_path)


async def states(local: LocalScene, ref: PullRef) -> list[tuple[str, str]]:
    """Name and status of its checks."""
    return [(check.name, check.status) for check in (await local.forge.fetch(ref)).checks or ()]


async def test_a_check_sees_the_head_in_a_worktree_of_its_own_and_a_small_environment(local: LocalScene) -> None:
    local.checks(unit("pwd; cat feature.txt; git rev-parse HEAD; env | sort; echo trouble >&2; exit 3"), TASTE="sweet")
    ref = await local.open()
    seen = await local.settled(ref)
    check = local.only(seen)
    assert (check.status, check.conclusion, check.commit_sha, check.url) == (
        "failed",
        "failure",
        seen.facts.head_sha,
        "",
    )
    said = (await local.forge.log(ref, check)).splitlines()
    path = Path(said[0])
    assert path.parent == local.data / "checks"
    assert said[1:11] == [*"123456789", seen.facts.head_sha]
    env = dict(line.split("=", 1) for line in said[11:-1])
    assert said[-1] == "trouble"
    assert (env["CI"], env["AO_CHECK"], env["AO_DATA_DIR"], env["TASTE"]) == ("true", "demo", str(local.data), "sweet")
    assert env["HOME"] == os.environ["HOME"]
    assert not {name for name in env if name.startswith("AO_")} - {"AO_CHECK", "AO_DATA_DIR"}
    assert not path.exists()
    assert str(path) not in git(local.root, "worktree", "list")


async def test_several_checks_run_one_after_the_other_and_all_are_shown(local: LocalScene, tmp_path: Path) -> None:
    trail = tmp_path / "trail"
    run = f"echo begin >>{trail}; sleep 0.05; echo end >>{trail}"
    local.checks(
        CheckConfig(name="a b", run=run), CheckConfig(name="$(x)", run=run), CheckConfig(name="c", run="exit 1")
    )
    ref = await local.open()
    assert (await local.forge.fetch(ref)).facts.ci == "pending"
    seen = await local.settled(ref)
    assert [(c.name, c.status) for c in seen.checks or ()] == [("a b", "passed"), ("$(x)", "passed"), ("c", "failed")]
    assert trail.read_text().split() == ["begin", "end"] * 2
    assert seen.facts.ci == "failing"


async def test_checks_that_have_not_ended_or_failed_stop_a_merge(local: LocalScene, gate: Gate) -> None:
    ref = await local.open()
    await gate.begun()
    facts = (await local.forge.fetch(ref)).facts
    assert (facts.ci, facts.mergeability, facts.reasons) == ("pending", "blocked", ("blocked_by_provider",))
    with pytest.raises(AoError) as refused:
        await local.forge.merge(ref, MergeOrder())
    assert (refused.value.code, refused.value.details["reasons"]) == ("PR_NOT_MERGEABLE", ["blocked_by_provider"])
    assert "checks have not ended" in refused.value.message
    await gate.open()
    assert (await local.settled(ref)).facts.mergeability == "mergeable"
    local.checks(unit("exit 1"))
    await local.settled(ref)
    with pytest.raises(AoError) as refused:
        await local.forge.merge(ref, MergeOrder())
    assert refused.value.details["reasons"] == ["ci_failing"]


async def test_the_same_tree_is_checked_once_whichever_commit_or_pull_request_it_is_of(
    local: LocalScene, tmp_path: Path
) -> None:
    diary = tmp_path / "diary"
    local.checks(unit(f"echo ran >>{diary}"))
    first = await local.open("one")
    await local.settled(first)
    amended = git(local.root, "commit-tree", "one^{tree}", "-p", local.tip("main"), "-m", "other words")
    git(local.root, "update-ref", "refs/heads/one", amended)
    seen = await local.forge.fetch(first)
    assert (local.only(seen).status, local.only(seen).commit_sha) == ("passed", amended)
    git(local.root, "branch", "two", "one")
    assert diary.read_text() == "ran\n"
    await local.push("one")
    await local.settled(first)
    assert diary.read_text() == "ran\nran\n"


async def test_another_command_runs_again_and_the_first_result_is_not_forgotten(local: LocalScene) -> None:
    local.checks(unit("exit 1"))
    ref = await local.open()
    failed = local.only(await local.settled(ref))
    local.checks(unit("exit 0"))
    assert (await local.settled(ref)).facts.ci == "passing"
    local.checks(unit("exit 1"))
    again = local.only(await local.forge.fetch(ref))
    assert (again.status, again.provider_id) == ("failed", failed.provider_id)


async def test_a_rerun_runs_what_has_ended_again(local: LocalScene, tmp_path: Path) -> None:
    diary = tmp_path / "diary"
    local.checks(unit(f"echo ran >>{diary}; test $(wc -l <{diary}) -gt 1"))
    ref = await local.open()
    assert (await local.settled(ref)).facts.ci == "failing"
    await local.forge.rerun(ref)
    assert (await local.forge.fetch(ref)).facts.ci == "pending"
    seen = await local.settled(ref)
    assert (seen.facts.ci, await local.forge.log(ref, local.only(seen))) == ("passing", "")
    local.checks()
    with pytest.raises(AoError) as refused:
        await local.forge.rerun(ref)
    assert refused.value.code == "CHECKS_NOT_CONFIGURED"


async def test_c2_a_late_check_says_what_it_printed_and_that_it_was_late(local: LocalScene) -> None:
    local.checks(unit("echo working; exec sleep 600", timeout=1))
    ref = await local.open()
    check = local.only(await local.settled(ref))
    assert (check.status, check.conclusion) == ("failed", "timed_out")
    assert await local.forge.log(ref, check) == "working\n\n(ended: it took longer than 1 s)\n"


async def test_p4_nothing_that_a_check_started_outlives_it(local: LocalScene) -> None:
    stragglers = "(trap '' TERM HUP; setsid sleep 601) & setsid nohup sleep 602 >/dev/null 2>&1 &"
    for rest, timeout, status in (("exit 0", 60, "passed"), ("sleep 603", 1, "failed")):
        local.checks(unit(f"{stragglers} {rest}", timeout=timeout))
        ref = await local.open(f"feature-{timeout}")
        assert local.only(await local.settled(ref)).status == status
        marks = {"AO_CHECK": "demo", "AO_DATA_DIR": str(local.data)}
        assert await local.host.find(marks) == []


async def test_a_flood_of_output_is_cut_in_the_middle(local: LocalScene) -> None:
    local.checks(unit(f"echo first; yes flood | head -c {3 * OUTPUT_LIMIT}; echo last; exit 1"))
    ref = await local.open()
    check = local.only(await local.settled(ref))
    text = await local.forge.log(ref, check)
    assert text.startswith("first\nflood\n")
    assert text.endswith("flood\nlast\n")
    assert "left out" in text
    assert len(text.encode()) <= HEAD_LIMIT + TAIL_LIMIT


def test_s7_kept_output_is_plain_text_without_the_secrets_it_ran_with() -> None:
    env = {"API_TOKEN": "s3cret-value", "PASSWORD": "short", "NAME": "a-long-name"}
    text = "\x1b[31mred\x1b[0m \x1b]0;title\x07\x1b]8;;x\x1b\\s3cret-value a-long-name short\x00\x9b1m"
    text += " \u202etxt\u2066\r\nghp_" + "A1" * 18 + "\udce4"
    assert kept(text, env) == "red *** a-long-name short txt\n***?"


@pytest.mark.parametrize("size", [HEAD_LIMIT + TAIL_LIMIT, HEAD_LIMIT + TAIL_LIMIT + 1, 1 << 20])
def test_kept_output_is_bounded_and_keeps_both_ends(size: int) -> None:
    text = "a" * 10 + "ü " * ((size - 20) // 3) + "z" * ((size - 20) % 3) + "z" * 10
    assert len(text.encode()) == size
    data = kept(text, {}).encode()
    assert data.startswith(b"a" * 10)
    assert data.endswith(b"z" * 10)
    assert len(data) <= HEAD_LIMIT + TAIL_LIMIT
    assert (kept(text, {}) == text) == (size <= HEAD_LIMIT + TAIL_LIMIT)


async def test_a_new_head_drops_what_waited_and_ends_what_ran_for_the_old_one(local: LocalScene, gate: Gate) -> None:
    ref = await local.open()
    await gate.begun()
    old = local.only(await local.forge.fetch(ref))
    await local.push("feature")
    await local.forge.fetch(ref)
    await gate.begun()
    tree = old.provider_id.split("/")[1]
    assert [(row.status, row.conclusion) for row in local.book.checks("demo", tree)] == [("cancelled", "cancelled")]
    await local.push("feature")
    await local.forge.fetch(ref)
    await gate.begun()
    await gate.open()
    assert (await local.settled(ref)).facts.ci == "passing"
    assert gate.runs == 3
    assert local.book.unfinished_checks() == []


async def test_a_tree_that_comes_back_is_checked_after_all(local: LocalScene, gate: Gate) -> None:
    local.checks(
        unit('test -e "$DIARY" && exit 0; echo ran >"$DIARY"; echo started >"$STARTED"; sleep 600'), **gate.env
    )
    ref = await local.open()
    await gate.begun()
    first = local.tip("feature")
    await local.push("feature")
    await local.forge.fetch(ref)
    git(local.root, "update-ref", "refs/heads/feature", first)
    assert (await local.forge.fetch(ref)).facts.ci == "pending"
    seen = await local.settled(ref)
    assert (seen.facts.ci, seen.facts.head_sha) == ("passing", first)


async def test_a_check_that_is_configured_no_more_is_ended(local: LocalScene, gate: Gate) -> None:
    ref = await local.open()
    await gate.begun()
    local.checks()
    seen = await local.forge.fetch(ref)
    assert (seen.facts.ci, seen.facts.mergeability, seen.checks) == ("unknown", "mergeable", ())
    await local.under_way()


async def test_closing_ends_what_ran_for_it_unless_another_wants_it(local: LocalScene, gate: Gate) -> None:
    ref = await local.open()
    await gate.begun()
    git(local.root, "branch", "release", local.tip("main"))
    other = await local.propose("feature", "release")
    await local.forge.close(ref)
    assert await states(local, other) == [("unit", "in_progress")]
    await local.forge.close(other)
    await local.under_way()
    assert gate.runs == 1


async def test_c9_a_restart_runs_what_was_not_finished_and_only_once(local: LocalScene, gate: Gate) -> None:
    one, two = await local.open("one"), await local.open("two")
    await gate.begun()
    await local.under_way("in_progress", "queued")
    await local.local.shut()
    assert len(local.book.unfinished_checks()) == 2
    local.local = local.daemon()
    local.forge = local.local
    await local.local.resume([local.repo])
    for ref in (one, two, one, two):
        await local.forge.fetch(ref)
    for _ in range(2):
        await gate.begun()
        await gate.open()
    for ref in (one, two):
        assert (await local.settled(ref)).facts.ci == "passing"
    assert gate.runs == 3
    assert local.book.unfinished_checks() == []


async def test_p4_what_a_killed_daemon_left_running_is_ended_at_the_next_start(local: LocalScene) -> None:
    ref = await local.open()
    marks = {"AO_CHECK": "demo", "AO_DATA_DIR": str(local.data)}
    row = LocalCheck(id="demo/t/unit/x", project_id="demo", tree="t", name="unit", created_at=1, updated_at=1)
    await local.book.put_check(replace(row, status="in_progress", started_at=1))
    sign = local.data / "sign"
    command = f"trap '' TERM; echo up >{sign}; sleep 604; true"
    left = local.start(local.host.run(("/bin/sh", "-c", command), env=marks, timeout_s=60))
    assert await local.host.await_file(str(sign), timeout_s=DEADLINE_S)
    await local.daemon().resume()
    assert await local.host.find(marks) == []
    await asyncio.wait([left], timeout=DEADLINE_S)
    assert left.done()
    assert local.book.unfinished_checks() == []
    assert (await local.forge.fetch(ref)).facts.ci == "unknown"


class FullDisk:
    """Trees that can't make a worktree as long as the disk is full."""

    def __init__(self, trees: Trees) -> None:
        self._trees = trees
        self.full = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trees, name)

    @contextlib.asynccontextmanager
    async def checked_out(self, repo_path: str, commit: str, path: str) -> AsyncIterator[None]:
        """Fails while the disk is full."""
        if self.full:
            raise AoError("WORKSPACE_FAILED", "No space left on device")
        async with self._trees.checked_out(repo_path, commit, path):
            yield


async def test_a_full_disk_fails_no_check_and_the_check_is_run_later(local: LocalScene) -> None:
    disk = FullDisk(local.trees)
    local.local = local.daemon(trees=disk)
    local.forge = local.local
    local.checks(unit("exit 0"))
    ref = await local.open()
    seen = await local.settled(ref)
    assert (seen.facts.ci, seen.facts.mergeability) == ("unknown", "blocked")
    assert local.only(seen).status == "unknown"
    assert "No space left on device" in await local.forge.log(ref, local.only(seen))
    disk.full = False
    assert local.only(await local.forge.fetch(ref)).status == "unknown"
    local.clock += RETRY_MS
    assert local.only(await local.forge.fetch(ref)).status == "queued"
    assert (await local.settled(ref)).facts.mergeability == "mergeable"


class FullStore:
    """A book that takes no check while it is full."""

    def __init__(self, book: PullBook) -> None:
        self._book = book
        self.full = True
        self.refused = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._book, name)

    async def put_check(self, check: LocalCheck) -> None:
        """Refuses while full."""
        if self.full:
            self.refused.set()
            raise AoError("STORE_UNAVAILABLE", "the disk is full")
        await self._book.put_check(check)


async def test_a_store_that_refuses_is_no_news_and_the_next_look_tries_again(local: LocalScene) -> None:
    book = FullStore(local.book)
    local.local = local.daemon(book=book)
    local.forge = local.local
    local.checks(unit("exit 0"))
    ref = await local.open()
    async with asyncio.timeout(DEADLINE_S):
        await book.refused.wait()
    assert local.told == ["local:demo"]
    book.full = False
    assert (await local.settled(ref)).facts.ci == "passing"


async def test_projects_are_checked_side_by_side_two_at_a_time(local: LocalScene, tmp_path: Path) -> None:
    run = f"echo up >{tmp_path}/$AO_CHECK; mkfifo {tmp_path}/$AO_CHECK.gate; read line <{tmp_path}/$AO_CHECK.gate"
    local.checks(unit(run))
    refs = [await local.open(), *[await local.in_another_project(name) for name in ("two", "three")]]
    for name in ("demo", "two"):
        assert await local.host.await_file(str(tmp_path / name), timeout_s=DEADLINE_S)
    await local.under_way("in_progress", "in_progress", "queued")
    for name in ("demo", "two", "three"):
        assert await local.host.await_file(str(tmp_path / name), timeout_s=DEADLINE_S)
        await asyncio.to_thread((tmp_path / f"{name}.gate").write_text, "on\n")
    for ref in refs:
        assert (await local.settled(ref)).facts.ci == "passing"
