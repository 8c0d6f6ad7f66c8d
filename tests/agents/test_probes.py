"""The survey: installed, version, signed in; unknown is never no."""

from __future__ import annotations

from typing import Any

import pytest

from ao.ports.agents import AgentReport

SPLIT = 'case "$1" in --version) echo 2.1.330;; *) {};; esac'


async def survey(machine: Any, agent: str, **environ: str) -> AgentReport:
    reports = await machine.catalog(**environ).survey(refresh=False)
    found: AgentReport = next(report for report in reports if report.id == agent)
    return found


@pytest.mark.parametrize(
    ("answer", "auth"),
    [
        ("echo '{\"loggedIn\": true}'", "authorized"),
        ("echo '{\"loggedIn\": false}'; exit 1", "unauthorized"),
        ('echo "a warning"; echo \'{"loggedIn": true, "x": {}}\'', "authorized"),
        ("echo nonsense; exit 1", "unknown"),
        ("exit 3", "unknown"),
        ('echo \'{"loggedIn": "yes"}\'', "unknown"),
    ],
)
async def test_claude_code_says_in_json_whether_somebody_is_signed_in(machine: Any, answer: str, auth: str) -> None:
    machine.program("claude", script=SPLIT.format(answer))
    report = await survey(machine, "claude-code")
    assert (report.installed, report.version, report.auth) == (True, "2.1.330", auth)
    assert bool(report.hint) is (auth == "unauthorized")


@pytest.mark.parametrize(
    ("answer", "auth"),
    [
        ("echo Logged in using ChatGPT", "authorized"),
        ("echo API key configured", "authorized"),
        ("echo Not logged in >&2; exit 1", "unauthorized"),
        ("echo something new", "unknown"),
        ("exit 1", "unknown"),
    ],
)
async def test_codex_says_in_words_whether_somebody_is_signed_in(machine: Any, answer: str, auth: str) -> None:
    machine.program("codex", script=SPLIT.format(answer))
    assert (await survey(machine, "codex")).auth == auth


@pytest.mark.parametrize("config", ['model_provider = "mine"\n', "broken ["])
async def test_a_no_means_nothing_where_another_provider_is_configured(machine: Any, config: str) -> None:
    machine.program("codex", script=SPLIT.format("echo Not logged in; exit 1"))
    (machine.home / ".codex").mkdir()
    (machine.home / ".codex" / "config.toml").write_text(config)
    assert (await survey(machine, "codex")).auth == "unknown"


@pytest.mark.parametrize(("agent", "name"), [("claude-code", "ANTHROPIC_API_KEY"), ("codex", "OPENAI_API_KEY")])
async def test_a_key_in_the_environment_is_evidence(machine: Any, agent: str, name: str) -> None:
    assert (await survey(machine, agent, **{name: "k"})).auth == "authorized"


async def test_what_is_not_installed_says_how_to_install_it(machine: Any) -> None:
    (machine.bin / "codex").unlink()
    report = await survey(machine, "codex")
    assert (report.installed, report.auth, report.binary) == (False, "unknown", "")
    assert "npm install -g @openai/codex" in report.hint


async def test_demo_needs_neither_program_nor_account(machine: Any) -> None:
    report = await survey(machine, "demo")
    assert (report.installed, report.auth, report.hint) == (True, "authorized", "")


async def test_a_survey_is_repeated_only_when_asked_for(machine: Any) -> None:
    catalog = machine.catalog()
    before = await catalog.survey(refresh=False)
    (machine.bin / "codex").unlink()
    assert await catalog.survey(refresh=False) == before
    assert [report.installed for report in await catalog.survey(refresh=True)] == [True, False, True]


async def test_the_agents_are_listed_in_order(machine: Any) -> None:
    assert machine.catalog().ids() == ("claude-code", "codex", "demo")
