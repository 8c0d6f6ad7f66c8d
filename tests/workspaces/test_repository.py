"""Registration's questions, the remote's public address, and bounded fetching."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ao.model.errors import AoError
from ao.paths import resolve
from ao.workspaces.git import public_url, redacted

if TYPE_CHECKING:
    from tests.workspaces.conftest import Bench

SECRET = "s3cr3t-t0ken"


async def _refused(bench: Bench, path: Path | str) -> AoError:
    with pytest.raises(AoError) as caught:
        await bench.rooms.inspect(str(path))
    assert caught.value.code == "NOT_A_GIT_REPO"
    return caught.value


async def test_a_repository_is_described(bench: Bench) -> None:
    found = await bench.rooms.inspect(str(bench.repo))
    assert (found.path, found.origin, found.default_branch) == (str(bench.repo), "", "main")


async def test_the_default_branch_is_origins_then_the_one_checked_out(bench: Bench) -> None:
    bench.git(bench.repo, "switch", "-qc", "topic")
    assert (await bench.rooms.inspect(str(bench.repo))).default_branch == "topic"
    bench.git(bench.repo, "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/master")
    assert (await bench.rooms.inspect(str(bench.repo))).default_branch == "master"
    bench.git(bench.repo, "symbolic-ref", "-d", "refs/remotes/origin/HEAD")
    bench.git(bench.repo, "checkout", "-q", "--detach")
    assert (await bench.rooms.inspect(str(bench.repo))).default_branch == "main"


async def test_an_unborn_repository_can_be_described(bench: Bench, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    bench.git(empty, "init", "-q", "-b", "trunk")
    assert (await bench.rooms.inspect(str(empty))).default_branch == "trunk"


async def test_only_the_top_level_of_a_work_tree_is_a_repository(bench: Bench, tmp_path: Path) -> None:
    bench.commit(bench.repo, "sub/file.txt")
    bare, plain = tmp_path / "bare.git", tmp_path / "plain"
    bench.git(tmp_path, "init", "-q", "--bare", str(bare))
    plain.mkdir()
    for path in (bench.repo / "sub", bench.repo / ".git", bare, plain, tmp_path / "absent", bench.repo / "README.md"):
        await _refused(bench, path)
    await _refused(bench, "relative/path")
    assert "bare" in (await _refused(bench, bare)).message


async def test_a_link_to_a_repository_is_reported_by_its_real_path(bench: Bench, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(bench.repo)
    assert (await bench.rooms.inspect(str(link))).path == str(bench.repo)


async def test_s9_origin_is_reported_without_credentials(bench: Bench) -> None:
    bench.git(bench.repo, "remote", "add", "origin", f"https://ann:{SECRET}@git.example.org/a/b.git?token={SECRET}")
    assert (await bench.rooms.inspect(str(bench.repo))).origin == "https://git.example.org/a/b.git"


@pytest.mark.parametrize(
    ("url", "public"),
    [
        ("https://tok@host/a.git", "https://host/a.git"),
        ("ssh://git@host:22/a.git", "ssh://git@host:22/a.git"),
        ("ssh://git:pw@host/a.git", "ssh://git@host/a.git"),
        ("git@host:a/b.git", "git@host:a/b.git"),
        ("/srv/a@b.git", "/srv/a@b.git"),
        ("https://host/a.git#frag", "https://host/a.git"),
    ],
)
def test_s9_every_form_of_url_loses_its_secret(url: str, public: str) -> None:
    assert public_url(url) == public


def test_s9_what_git_says_is_shown_without_credentials() -> None:
    assert (
        redacted(f"fatal: unable to access 'https://a:{SECRET}@host/x/'") == "fatal: unable to access 'https://host/x/'"
    )


async def test_fetch_brings_the_branch_and_nothing_else(bench: Bench, tmp_path: Path) -> None:
    upstream = tmp_path / "upstream"
    bench.git(tmp_path, "clone", "-q", str(bench.repo), str(upstream))
    bench.git(bench.repo, "remote", "add", "origin", str(upstream))
    sha = bench.commit(upstream, "new.txt")
    bench.git(upstream, "tag", "v1")
    bench.git(upstream, "branch", "other")
    before = (bench.repo / ".git" / "config").read_bytes()
    assert await bench.rooms.fetch(str(bench.repo), "main", timeout_s=20) == ""
    assert bench.refs("refs") == ["refs/heads/main", "refs/remotes/origin/main"]
    assert bench.git(bench.repo, "rev-parse", "refs/remotes/origin/main") == sha
    assert not (bench.repo / ".git" / "FETCH_HEAD").exists()
    assert (bench.repo / ".git" / "config").read_bytes() == before
    assert (await bench.plan()).start == sha


async def test_fetch_without_a_remote_does_nothing(bench: Bench) -> None:
    assert await bench.rooms.fetch(str(bench.repo), "main", timeout_s=5) == ""


async def test_s9_a_failing_fetch_is_a_one_line_warning_without_credentials(bench: Bench) -> None:
    bench.git(bench.repo, "remote", "add", "origin", f"http://ann:{SECRET}@127.0.0.1:9/x.git")
    warning = await bench.rooms.fetch(str(bench.repo), "main", timeout_s=20)
    assert warning.startswith("couldn't fetch main from origin: ")
    assert SECRET not in warning
    assert "\n" not in warning
    shutil.rmtree(bench.repo)
    assert "can't be used" in await bench.rooms.fetch(str(bench.repo), "main", timeout_s=5)


async def test_a_fetch_that_hangs_ends_in_time(bench: Bench, tmp_path: Path) -> None:
    hang = tmp_path / "hang.sh"
    hang.write_text("#!/bin/sh\nexec tail -f /dev/null\n")
    hang.chmod(0o755)
    bench.git(bench.repo, "remote", "add", "origin", "ssh://host.invalid/x.git")
    bench.git(bench.repo, "config", "core.sshCommand", str(hang))
    warning = await bench.rooms.fetch(str(bench.repo), "main", timeout_s=0.5)
    assert "took longer than 0.5 s" in warning


@pytest.mark.parametrize("branch", ["--upload-pack=touch x", "a:b", "+main~", ""])
async def test_s5_a_hostile_branch_is_not_fetched(bench: Bench, branch: str) -> None:
    bench.git(bench.repo, "remote", "add", "origin", "/nowhere")
    assert "not a branch name" in await bench.rooms.fetch(str(bench.repo), branch, timeout_s=5)
    assert not any("fetch" in argv for argv in bench.host.argvs)


def test_w10_the_default_root_is_not_in_a_temporary_folder() -> None:
    data_dir = resolve({"HOME": "/home/ann"}).data_dir
    assert data_dir.startswith("/home/ann/")
    for folder in ("/tmp", "/var/tmp", tempfile.gettempdir()):
        assert not data_dir.startswith(os.path.realpath(folder) + "/")
