"""Which dialog a screen shows: H5 (the same words as output are not one), H7, H12."""

from __future__ import annotations

from typing import Any

import pytest

SCREENS = [
    ("claude-code", "trust", " Accessing workspace:\n /w/tree\n ❯ 1. Yes, I trust this folder\n   2. No, exit"),
    ("claude-code", "api-key", "Detected a custom API key in your environment\n ❯ 1. Yes\n   2. No (recommended)"),
    ("claude-code", "bypass-warning", "WARNING: running in Bypass Permissions mode\n ❯ 1. No\n   2. Yes, I accept"),
    (
        "claude-code",
        "permission",
        "Bash command\n  rm x\nDo you want to proceed?\n ❯ 1. Yes\n   2. No\n\nEsc to cancel",
    ),
    ("claude-code", "permission", "Do you want to make this edit to a.py?\n   1. Yes\n ❯ 2. Yes, all\n   3. No"),
    ("claude-code", "question", "Which one?\n❯ 1. A\n  2. B\nEnter to select · ↑/↓ to navigate · Esc to cancel"),
    ("claude-code", "", "● Done.\n\n❯ \n  ⏵⏵ accept edits on (shift+tab to cycle)"),
    ("claude-code", "", "● I wonder: do you want to go on?\n\n❯ \n  manual mode on"),
    ("codex", "permission", "Would you like to run the following command?\n  $ ls\n› 1. Yes, proceed (y)\n  2. No"),
    ("codex", "permission", "Would you like to make the following edits?\n  1. Yes\n› 2. No"),
    ("codex", "trust", "Trust this folder?\n› 1. Yes"),
    ("codex", "hook-review", "Hooks need review"),
    ("codex", "sign-in", "  Sign in with ChatGPT"),
    ("codex", "", "• Would you like to hear more?\n\n› Ask Codex to do anything\n\n  gpt · /w/tree"),
    ("demo", "permission", "  Do you want to go on?\n  › 1. Yes (y)\n    2. No (n)"),
    ("demo", "", "demo › "),
    ("nobody", "", "Do you want to proceed?\n❯ 1. Yes"),
]


@pytest.mark.parametrize(("agent", "name", "screen"), SCREENS)
def test_h12_each_blocking_dialog_has_its_name(machine: Any, agent: str, name: str, screen: str) -> None:
    assert machine.catalog().dialog(agent, screen + "\n\n\n") == name


def test_h5_a_dialog_that_scrolled_away_is_not_open(machine: Any) -> None:
    screen = "Do you want to proceed?\n❯ 1. Yes\n" + "output\n" * 40 + "❯ \n  manual mode on"
    assert machine.catalog().dialog("claude-code", screen) == ""


def test_h7_a_tall_dialog_is_recognised_by_its_end(machine: Any) -> None:
    screen = "+ changed line\n" * 500 + "Do you want to make this edit?\n❯ 1. Yes\n  2. Always\n  3. No"
    assert machine.catalog().dialog("claude-code", screen) == "permission"
