"""The demo agent as a reviewer: what it objects to, and how it hands that in."""

from __future__ import annotations

from typing import Any

from ao.agents.demo_review import remarks, review

TASK = """Review it.
- The change: `git diff aaaaaaa...bbbbbbb` (add `-- PATH`).

'/my opt/ao' review submit --run rev_1 --verdict VERDICT --body-file - <<'END'
words
END"""
DIFF = """\
diff --git a/a.py b/a.py
--- a/a.py
+++ b/a.py
@@ -1,3 +1,4 @@
 one
-FORGOTTEN before
+two FORGOTTEN
 three FORGOTTEN, but not new
+OBJECT
@@ -20 +21 @@ def f():
-x
+UNFORGOTTEN
\\ No newline at end of file
diff --git a/gone b/gone
--- a/gone
+++ /dev/null
@@ -1 +0,0 @@
-FORGOTTEN
"""


class Commands:
    """What was run; git prints `diff`, everything else `said`."""

    def __init__(self, diff: str, *, code: int = 0) -> None:
        self.diff = diff
        self.code = code
        self.seen: list[tuple[tuple[str, ...], dict[str, Any]]] = []

    def __call__(self, *argv: str, **options: Any) -> tuple[int, str]:
        self.seen.append((argv, options))
        return (0, self.diff) if argv[0] == "git" else (self.code, "recorded")


def test_it_objects_to_added_lines_at_their_place_after_the_change() -> None:
    assert remarks(DIFF) == [("a.py", 2, "FORGOTTEN must go"), ("a.py", 4, "OBJECT must go")]


def test_it_hands_in_what_it_found_with_the_command_of_its_task() -> None:
    run = Commands(DIFF)
    assert review(run, TASK) == "reviewed: changes_requested"
    (diff, _), (submit, options) = run.seen
    assert diff == ("git", "diff", "--no-color", "aaaaaaa...bbbbbbb")
    assert submit == (
        *("/my opt/ao", "review", "submit", "--run", "rev_1", "--verdict", "changes_requested", "--body-file", "-"),
        *("--line", "a.py:2:FORGOTTEN must go", "--line", "a.py:4:OBJECT must go"),
    )
    assert options["stdin"] == "2 lines must not stay as they are."


def test_it_approves_what_it_finds_nothing_in() -> None:
    run = Commands("")
    assert review(run, TASK) == "reviewed: approved"
    assert "approved" in run.seen[1][0]


def test_without_a_review_in_its_task_or_with_a_refusal_it_has_failed() -> None:
    assert review(Commands(DIFF), "say hello") == ""
    assert review(Commands(DIFF, code=1), TASK) == ""
