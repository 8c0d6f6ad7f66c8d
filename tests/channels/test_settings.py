"""Channels in config.toml: what is read, and refusals that name the key and show no secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from ao.config import load, problems
from ao.model.errors import AoError
from ao.model.notification import NotificationType
from ao.ports.channels import Channel

SECRET = "xoxb-very-secret"


def environ(home: Path, file: str) -> dict[str, str]:
    """An environment whose `config.toml` is this."""
    (home / ".ao").mkdir()
    (home / ".ao" / "config.toml").write_text(file)
    return {"HOME": str(home)}


def test_without_any_there_are_none(tmp_path: Path) -> None:
    assert load({"HOME": str(tmp_path)}).channels == ()


def test_channels_are_read_in_the_order_of_the_file(tmp_path: Path) -> None:
    file = """
        [channels.phone]
        url = "ntfy://topic"
        types = ["needs_input", "pr_merged"]
        projects = ["shop"]
        quiet = "22:00-07:00"
        [channels.team]
        url_file = "/secrets/slack.url"
        [channels.desk]
        url_env = "DESK_URL"
    """
    assert load(environ(tmp_path, file)).channels == (
        Channel(
            name="phone",
            url="ntfy://topic",
            types=(NotificationType.NEEDS_INPUT, NotificationType.PR_MERGED),
            projects=("shop",),
            quiet="22:00-07:00",
        ),
        Channel(name="team", url_file="/secrets/slack.url"),
        Channel(name="desk", url_env="DESK_URL"),
    )


@pytest.mark.parametrize(
    ("file", "named"),
    [
        ("channels = 1", "tables such as"),
        ("[channels]\nphone = 3", "phone: a table"),
        ('[channels."a b"]\nurl = "x://y"', "'a b' is no name"),
        ("[channels.phone]", "phone: exactly one of url, url_file, url_env"),
        (f'[channels.phone]\nurl = "x://{SECRET}"\nurl_env = "B"', "phone: exactly one of"),
        (f'[channels.phone]\nurl = "{SECRET}"', "phone.url: is not a URL"),
        (f'[channels.phone]\nurll = "x://{SECRET}"', "phone.urll: unknown key; did you mean url?"),
        (f'[channels.phone]\nurl = "x://{SECRET}"\ntypes = ["merged"]', "phone.types: 'merged' is not one of"),
        (f'[channels.phone]\nurl = "x://{SECRET}"\ntypes = ["test"]', "phone.types: 'test' is not one of"),
        (f'[channels.phone]\nurl = "x://{SECRET}"\ntypes = "needs_input"', "phone.types: a list"),
        (f'[channels.phone]\nurl = "x://{SECRET}"\nprojects = [1]', "phone.projects: a list"),
        (f'[channels.phone]\nurl = "x://{SECRET}"\nquiet = "22-7"', "phone.quiet:"),
        (f'[channels.phone]\nurl = "x://{SECRET}"\nquiet = "24:00-07:00"', "phone.quiet:"),
    ],
)
def test_what_cannot_be_used_is_named_and_no_secret_shown(tmp_path: Path, file: str, named: str) -> None:
    given = environ(tmp_path, file)
    with pytest.raises(AoError) as refused:
        load(given)
    error = refused.value
    assert error.code == "CONFIG_INVALID"
    assert error.message.startswith("config.toml: channels: ")
    assert named in error.message
    assert SECRET not in repr((error.message, error.hint, error.details))
    assert [problem.message for problem in problems(given)] == [error.message]


def test_the_secret_of_webhooks_comes_from_the_environment_only(tmp_path: Path) -> None:
    assert load({"HOME": str(tmp_path), "AO_WEBHOOK_SECRET": "s3cret"}).webhook_secret == "s3cret"
    with pytest.raises(AoError, match="unknown key 'webhook_secret'"):
        load(environ(tmp_path, 'webhook_secret = "s3cret"'))
