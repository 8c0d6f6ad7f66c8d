"""Draw the live table as a picture: `python -m demo.picture FILE.svg`.

Runs the demo's sessions, shows `ao status --watch` in a terminal of its own, and turns what stands on that terminal's
screen into an SVG. What the picture shows is therefore what the command prints.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from html import escape
from pathlib import Path

from demo.home import DemoError, Home, scratch
from demo.pantry import REFUSE, Task

COLUMNS, LINES = 96, 12
# Marks in a task make the demo agent do what others do: take long, ask for permission.
TASKS = (
    Task("count items", "Add a function that counts an item, with a test. [[demo: sleep 30]]", ""),
    REFUSE,
    Task("list what to buy", "Add a function that lists what is not there. [[demo: ask]]", ""),
)
CHARACTER, LINE = 8.43, 20
SGR = re.compile(r"\x1b\[([0-9;]*)m")
COLOURS = {
    "31": "#f47067", "32": "#8ddb8c", "33": "#daaa3f", "34": "#6cb6ff", "35": "#dcbdfb", "36": "#76e3ea",
    "90": "#768390",
}  # fmt: skip
INK, PAPER = "#cdd9e5", "#22272e"


def main() -> int:
    """Write the picture to the file that is named; 0 when done."""
    target = Path(sys.argv[1])
    with scratch() as home:
        home.prepare()
        home.spawn(TASKS)
        target.write_text(svg(_screen(home)))
    return 0


def _screen(home: Home) -> list[str]:
    """The lines on the terminal once one agent works, one has a pull request to merge and one asks."""
    socket = str(home.path / "picture.sock")
    env = {name: value for name, value in home.environment.items() if name != "NO_COLOR"}

    def tmux(*arguments: str) -> str:
        command = ["tmux", "-S", socket, "-f", "/dev/null", *arguments]
        return subprocess.run(
            command, env=env | {"TERM": "xterm-256color"}, check=True, capture_output=True, text=True
        ).stdout

    size = ("-x", str(COLUMNS), "-y", str(LINES))
    tmux("new-session", "-d", "-s", "picture", *size, f"{home.ao} status --watch")
    deadline = time.monotonic() + 20
    try:
        while True:
            text = tmux("capture-pane", "-p", "-e", "-t", "picture")
            if all(f"1 {word}" in text for word in ("working", "mergeable", "needs_input")):
                return text.rstrip().splitlines()
            if time.monotonic() > deadline:
                raise DemoError(f"the table did not show the three states:\n{text}")
            time.sleep(0.05)
    finally:
        tmux("kill-server")


def svg(lines: list[str]) -> str:
    """Lines with SGR colours as a picture."""
    width, height = round(COLUMNS * CHARACTER + 32), (len(lines) + 1) * LINE + 40
    rows = [f'<text x="16" y="{62 + number * LINE}">{_spans(line)}</text>' for number, line in enumerate(lines)]
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"'
        ' aria-label="ao status --watch: a table of three sessions">',
        f'<rect width="{width}" height="{height}" rx="8" fill="{PAPER}"/>',
        f'<g font-family="ui-monospace, Menlo, Consolas, monospace" font-size="14" fill="{INK}" xml:space="preserve">',
        '<text x="16" y="30" fill="#768390">$ ao status --watch</text>',
        *rows,
        "</g>",
        "</svg>",
        "",
    ])  # fmt: skip


def _spans(line: str) -> str:
    spans = []
    style = ""
    for number, part in enumerate(SGR.split(line)):
        if number % 2:
            style = _style(part)
        elif part:
            spans.append(f"<tspan{style}>{escape(part)}</tspan>")
    return "".join(spans)


def _style(codes: str) -> str:
    marks = ""
    for code in codes.split(";"):
        marks += f' fill="{COLOURS[code]}"' if code in COLOURS else ""
        marks += ' font-weight="bold"' if code == "1" else ""
        marks += ' opacity="0.6"' if code == "2" else ""
    return marks


if __name__ == "__main__":
    sys.exit(main())
