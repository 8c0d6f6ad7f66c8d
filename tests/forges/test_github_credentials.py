"""Which token a host gets, when it is looked for, and that it stays where it belongs."""

from __future__ import annotations

from pathlib import Path

import pytest

from ao.forges.credentials import KEEP_MS, Credentials, has_github_credentials
from ao.host import LocalHost

GH = """#!/bin/sh
echo "$@" >> "{calls}"
[ -s "{token}" ] || {{ echo "no oauth token" >&2; exit 1; }}
cat "{token}"
"""


class Gh:
    """A `gh` in a folder of its own, which gives what lies in a file."""

    def __init__(self, folder: Path) -> None:
        self.token = folder / "token"
        self.calls = folder / "calls"
        self.path = folder / "bin"
        self.path.mkdir()
        program = self.path / "gh"
        program.write_text(GH.format(calls=self.calls, token=self.token))
        program.chmod(0o755)
        self.environ = {"PATH": f"{self.path}:/usr/bin:/bin"}

    def asked(self) -> list[str]:
        """The arguments of each call."""
        return self.calls.read_text().splitlines() if self.calls.exists() else []


@pytest.fixture
def gh(tmp_path: Path) -> Gh:
    """A `gh` that isn't logged in."""
    return Gh(tmp_path)


def credentials(environ: dict[str, str], now: list[int] | None = None) -> Credentials:
    """Those of an environment, with a clock that a test may move."""
    clock = now or [0]
    return Credentials(LocalHost(environ=environ), environ, now=lambda: clock[0])


async def test_the_environment_comes_first_in_its_order(gh: Gh) -> None:
    gh.token.write_text("gho_from_gh_itself\n")
    environ = {**gh.environ, "AO_GITHUB_TOKEN": " ours ", "GITHUB_TOKEN": "theirs"}
    assert await credentials(environ).token("github.com") == "ours"
    assert await credentials({**environ, "AO_GITHUB_TOKEN": "  "}).token("github.com") == "theirs"
    assert gh.asked() == []
    assert await credentials(gh.environ).token("github.com") == "gho_from_gh_itself"
    assert gh.asked() == ["auth token --hostname github.com"]


async def test_s9_a_token_for_github_is_never_given_to_another_host(gh: Gh) -> None:
    environ = {**gh.environ, "AO_GITHUB_TOKEN": "ours", "GITHUB_TOKEN": "theirs"}
    assert await credentials(environ).token("ghe.example") == ""
    assert gh.asked() == ["auth token --hostname ghe.example"]
    environ["GH_ENTERPRISE_TOKEN"] = "enterprise"
    assert await credentials(environ).token("ghe.example") == "enterprise"
    assert await credentials(environ).token("acme.ghe.io") == "ours"


async def test_no_gh_and_a_gh_that_is_logged_out_are_no_error(gh: Gh, tmp_path: Path) -> None:
    assert await credentials({"PATH": str(tmp_path)}).token("github.com") == ""
    assert await credentials(gh.environ).token("github.com") == ""
    assert not await has_github_credentials(LocalHost(environ=gh.environ), gh.environ)
    gh.token.write_text("gho_1")
    assert await has_github_credentials(LocalHost(environ=gh.environ), gh.environ)


async def test_an_answer_that_is_no_token_is_none(gh: Gh) -> None:
    gh.token.write_text("you are not\nlogged in")
    assert await credentials(gh.environ).token("github.com") == ""


async def test_the_answer_is_kept_for_five_minutes_also_when_there_was_none(gh: Gh) -> None:
    now = [1_000]
    mine = credentials(gh.environ, now)
    assert await mine.token("github.com") == ""
    gh.token.write_text("gho_later")
    now[0] += KEEP_MS - 1
    assert await mine.token("github.com") == ""
    assert len(gh.asked()) == 1
    now[0] += 1
    assert await mine.token("github.com") == "gho_later"
    assert await mine.token("github.com") == "gho_later"
    assert len(gh.asked()) == 2


async def test_a_token_that_was_refused_counts_as_none_until_there_is_another_or_time_has_passed(gh: Gh) -> None:
    now = [1_000]
    mine = credentials(gh.environ, now)
    gh.token.write_text("gho_old")
    mine.refuse("github.com", await mine.token("github.com"))
    assert mine.was_refused("github.com")
    assert await mine.token("github.com") == ""
    assert len(gh.asked()) == 2
    now[0] += KEEP_MS
    assert await mine.token("github.com") == "gho_old"
    assert not mine.was_refused("github.com")
    mine.refuse("github.com", "gho_old")
    gh.token.write_text("gho_new")
    assert await mine.token("github.com") == "gho_new"
