"""Settings: environment over file over default, and refusals that name the setting."""

from __future__ import annotations

from pathlib import Path

import pytest

from ao.config import COMPAT_ORIGIN, Config, load, problems
from ao.model.errors import AoError


def _load(home: Path, file: str = "", **environ: str) -> Config:
    (home / ".ao").mkdir(exist_ok=True)
    (home / ".ao" / "config.toml").write_text(file)
    return load({"HOME": str(home), **environ})


def test_defaults(tmp_path: Path) -> None:
    config = load({"HOME": str(tmp_path)})
    assert (config.port, config.request_timeout_s, config.shutdown_timeout_s, config.kill_grace_s) == (3001, 60, 10, 2)
    assert (config.agent, config.permissions, config.fetch, config.model) == ("claude-code", "default", "auto", "")
    assert (config.auth, config.compat, config.allowed_hosts, config.allowed_origins) == (True, False, (), ())
    assert config.data_dir == f"{tmp_path}/.ao/data"
    assert config.run_file == f"{tmp_path}/.ao/running.json"
    assert config.config_file == f"{tmp_path}/.ao/config.toml"
    assert config.agents_dir == f"{tmp_path}/.ao/agents"


def test_the_environment_wins_over_the_file_which_wins_over_the_default(tmp_path: Path) -> None:
    config = _load(tmp_path, 'port = 4000\nrequest_timeout = "1m30s"\nkill_grace = 0.5', AO_PORT="5000")
    assert (config.port, config.request_timeout_s, config.kill_grace_s) == (5000, 90, 0.5)


def test_the_files_agent_wins_over_the_environments(tmp_path: Path) -> None:
    assert _load(tmp_path, 'agent = "codex"', AO_AGENT="demo").agent == "codex"
    assert _load(tmp_path, "", AO_AGENT="demo").agent == "demo"


def test_an_empty_variable_counts_as_unset(tmp_path: Path) -> None:
    assert _load(tmp_path, "", AO_PORT="", AO_REQUEST_TIMEOUT="").port == 3001


def test_ao_config_names_another_file(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text("port = 7")
    assert load({"HOME": str(tmp_path), "AO_CONFIG": str(tmp_path / "x.toml")}).port == 7


def test_compat_turns_the_token_off_and_admits_the_originals_page(tmp_path: Path) -> None:
    config = _load(tmp_path, "", AO_COMPAT="1", AO_ALLOWED_ORIGINS="http://localhost:5173")
    assert config.compat
    assert not config.auth
    assert config.allowed_origins == ("http://localhost:5173", COMPAT_ORIGIN)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AO_PORT", "x"),
        ("AO_PORT", "-1"),
        ("AO_PORT", "65536"),
        ("AO_PORT", "\u0663"),
        ("AO_REQUEST_TIMEOUT", "0"),
        ("AO_REQUEST_TIMEOUT", "5"),
        ("AO_SHUTDOWN_TIMEOUT", "-1s"),
        ("AO_KILL_GRACE", "soon"),
        ("AO_PERMISSIONS", "root"),
        ("AO_FETCH", "often"),
        ("AO_AUTH", "off"),
        ("AO_COMPAT", "maybe"),
        ("AO_ALLOWED_ORIGINS", "*"),
        ("AO_ALLOWED_ORIGINS", "null"),
        ("AO_ALLOWED_ORIGINS", "http://a/b"),
        ("AO_ALLOWED_HOSTS", "*.example"),
        ("AO_LOG_LEVEL", "loud"),
    ],
)
def test_a_value_that_cannot_be_used_names_its_variable(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(AoError) as refused:
        _load(tmp_path, "", **{name: value})
    assert refused.value.code == "CONFIG_INVALID"
    assert refused.value.message.startswith(f"{name}: ")
    assert refused.value.details == {"setting": name}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prot = 1", "did you mean port?"),
        ("zzz = 1", "known keys"),
        ("auth = false", "known keys"),
    ],
)
def test_an_unknown_key_of_the_file_is_refused_with_a_suggestion(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(AoError) as refused:
        _load(tmp_path, text)
    assert words in (refused.value.hint or "")


@pytest.mark.parametrize(
    "text", ["port = ", "port = true", 'allowed_hosts = "a/b"', "agent = 1", "request_timeout = 0"]
)
def test_a_bad_file_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(AoError, match=r"config\.toml"):
        _load(tmp_path, text)


def test_every_problem_is_reported_at_once(tmp_path: Path) -> None:
    found = problems({"HOME": str(tmp_path), "AO_PORT": "x", "AO_FETCH": "y"})
    assert [error.details["setting"] for error in found] == ["AO_PORT", "AO_FETCH"]
    assert problems({"HOME": str(tmp_path)}) == []
