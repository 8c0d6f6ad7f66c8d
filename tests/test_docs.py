"""The documents speak of what is: their links, error codes, commands and settings exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ao import config
from ao.cli import table
from ao.cli.dispatch import load
from ao.forges.credentials import ENTERPRISE_VARIABLES
from ao.forges.credentials import VARIABLES as VARIABLES_OF_TOKENS
from ao.model.errors import CODES
from ao.model.notification import NotificationType
from ao.model.project import ProjectConfig

ROOT = Path(__file__).parent.parent
PAGES = [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")), *(ROOT / "docs").rglob("*.md")]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
CODE = re.compile(r"`([A-Z]+(?:_[A-Z]+)+)`")
VARIABLES = ("AO_", "GH_", "GITHUB_")
FOREIGN = {"NO_COLOR", "HTTPS_PROXY", "NO_PROXY", "LC_ALL", "XDG_CONFIG_HOME"}
"""Variables that are not ours to name."""
COMMAND = re.compile(r"(?:^|`|\$ )ao ((?:[a-z][a-z-]*)(?: [a-z][a-z-]*)?)", re.MULTILINE)

INVOCATION = re.compile(r"(?:^|`|\$ )ao ((?:[a-z][a-z-]* ){1,2})([^`\n]*)", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page: Path) -> None:
    dead = [link for link in LINK.findall(page.read_text()) if "://" not in link and not (page.parent / link).exists()]
    assert not dead


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_error_code_exists(page: Path) -> None:
    unknown = {word for word in CODE.findall(page.read_text()) if not word.startswith(VARIABLES)} - set(CODES) - FOREIGN
    assert not unknown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_exists(page: Path) -> None:
    unknown = {words for words in COMMAND.findall(page.read_text()) if not _is_command(words)}
    assert not unknown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_flag_of_a_command_exists(page: Path) -> None:
    unknown = {
        f"{words}: {flag}"
        for words, rest in INVOCATION.findall(page.read_text())
        for flag in re.findall(r"(?<!\S)--?[a-z][a-z-]*", rest.partition("#")[0])
        if flag not in _flags(words.strip())
    }
    assert not unknown


def test_every_key_of_a_projects_configuration_is_explained() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    missing = [key for key in ProjectConfig.__struct_encode_fields__ if f"`{key}" not in text]
    assert not missing


def test_every_setting_of_the_daemon_is_explained() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    names = [name for setting in config._SETTINGS for name in (setting.variable, setting.key) if name]
    assert len(names) > 20
    assert not [name for name in names if f"| `{name}` |" not in text]


def test_every_variable_of_github_is_explained() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    hosts = ("AO_GITHUB_HOSTS", "GH_HOST", "GITHUB_API_URL", "HTTPS_PROXY", "NO_PROXY")
    assert not [name for name in (*VARIABLES_OF_TOKENS, *ENTERPRISE_VARIABLES, *hosts) if f"`{name}`" not in text]


def test_every_type_of_notification_is_explained() -> None:
    text = (ROOT / "docs" / "notifications.md").read_text()
    assert not [kind for kind in NotificationType if kind is not NotificationType.TEST and f"| `{kind}` |" not in text]


def test_faults_and_the_tests_named_after_them_are_the_same() -> None:
    rows = set(re.findall(r"^\| ([A-Z][0-9]+) \|", (ROOT / "docs" / "faults.md").read_text(), re.MULTILINE))
    tested = {
        fault.upper()
        for path in (ROOT / "tests").rglob("test_*.py")
        for fault in re.findall(r"def test_([a-z][0-9]{1,2})_", path.read_text())
    }
    assert len(rows) > 50
    assert rows == tested


def test_every_documented_page_is_reachable_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    pages = {page.relative_to(ROOT).as_posix() for page in (ROOT / "docs").glob("*.md")}
    assert pages == {page for page in pages if page in readme}


def _flags(words: str) -> set[str]:
    """The flags of the longest command that `words` begin with."""
    entry = table.find(words.split()[:2]) or table.find(words.split()[:1])
    options = load(entry).options if entry else ()
    return {name for option in options for name in option.flags} | {"--help", "-h"}


def _is_command(words: str) -> bool:
    first, *rest = words.split()
    names = set(_names())
    return first in table.GROUPS and (not rest or words in names) if first in table.GROUPS else first in names


def _names() -> Iterator[str]:
    for entry in table.ENTRIES:
        yield entry.path
        stem = entry.path.rpartition(" ")[0]
        yield from (f"{stem} {alias}".strip() for alias in entry.aliases)
