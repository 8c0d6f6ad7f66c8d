"""What the demo agent does as a reviewer: it reads the change its task names, and hands in a verdict.

It has no model, so it knows one thing to object to: lines that the change adds and that say `FORGOTTEN` or `OBJECT`.
Each is a remark on its line; without one it approves. Run by its path from `demo.py`; standard library only.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable

TIMEOUT_S = 30.0
DIFF = re.compile(r"`git diff ([0-9a-f]{7,64})\.\.\.([0-9a-f]{7,64})`")
SUBMIT = re.compile(r"^(.* review submit --run \S+) --verdict VERDICT --body-file - <<'END'$", re.MULTILINE)
FILE = re.compile(r"^\+\+\+ b/(.*)$")
HUNK = re.compile(r"^@@ -\S+ \+(\d+)")
Run = Callable[..., tuple[int, str]]
BAD = re.compile(r"\b(FORGOTTEN|OBJECT)\b")


def review(run: Run, task: str) -> str:
    """Do the review that `task` describes; what was done, "" when there is none in it or it can't be handed in. `run`
    runs a command: its exit code and output."""
    change, command = DIFF.search(task), SUBMIT.search(task)
    if command is None:
        return ""
    code, diff = run("git", "diff", "--no-color", f"{change[1]}...{change[2]}") if change is not None else (0, "")
    if code:
        return ""
    found = remarks(diff)
    verdict = "changes_requested" if found else "approved"
    body = f"{len(found)} lines must not stay as they are." if found else "Nothing is wrong with this change."
    lines = [word for path, line, text in found for word in ("--line", f"{path}:{line}:{text}")]
    code, output = run(
        *shlex.split(command[1]), "--verdict", verdict, "--body-file", "-", *lines, stdin=body, timeout_s=TIMEOUT_S
    )
    sys.stdout.write(f"  {len(found)} remarks, {verdict}\n    {output.strip()}\n")
    sys.stdout.flush()
    return "" if code else f"reviewed: {verdict}"


def remarks(diff: str) -> list[tuple[str, int, str]]:
    """Path, line and text of each objection to a unified diff."""
    found: list[tuple[str, int, str]] = []
    path, number = "", 0
    for line in diff.splitlines():
        if named := FILE.match(line):
            path = named[1]
        elif hunk := HUNK.match(line):
            number = int(hunk[1]) - 1
        elif not line.startswith(("-", "\\")):
            number += 1
            bad = BAD.search(line) if line.startswith("+") else None
            if bad is not None and path:
                found.append((path, number, f"{bad[1]} must go"))
    return found
