"""Text for an agent: arrives whole, is submitted once the agent has taken it in, and never answers a dialog."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ao.ports import Sent, Terminal
from tests.runtimes.conftest import Room

ONE = Terminal(0, "p-1")
START, END = b"\x1b[200~", b"\x1b[201~"

# A full-screen program in small: raw mode, bracketed paste; says DRAFT once a paste has arrived and hands over what it
# read, with the time of each key after the paste, when Enter comes. `dialog` opens one instead of taking the draft.
PROGRAM = r"""
import os, sys, termios, time, tty
mode = sys.argv[1]
old = termios.tcgetattr(0)
tty.setraw(0)
os.write(1, b"\x1b[?2004h> ")
open("ready.new", "w").write("x"); os.rename("ready.new", "ready")
got, pasted = b"", 0.0
while not (pasted and got.endswith(b"\r")):
    got += os.read(0, 65536)
    if not pasted and got.endswith(b"\x1b[201~"):
        pasted = time.monotonic()
        os.write(1, {"draft": b"DRAFT", "dialog": b"Allow? DRAFT", "mute": b""}[mode])
open("got.new", "wb").write(got); os.rename("got.new", "got")
open("took.new", "w").write(str(time.monotonic() - pasted)); os.rename("took.new", "took")
time.sleep(60)
"""


async def _program(room: Room, mode: str = "draft") -> None:
    await room.run("p-1", sys.executable, "-c", PROGRAM, mode)
    await room.content("ready")


def _yes(_screen: str) -> bool:
    return True


@pytest.mark.parametrize(
    "text",
    [
        "- dash first; semicolon last;",
        "line\nline\n\n\ttab 'single' \"double\" \\ $HOME `id` #{pane_id} #(id)",
        "%end 1 2 1\n%begin 1 2 1",
        "ünï 🚀 " * 9000 + "- end;\n",
    ],
    ids=["flags", "specials", "framing", "large"],
)
async def test_h8_text_of_any_size_and_content_arrives_whole_and_is_submitted(room: Room, text: str) -> None:
    await _program(room)
    assert await room.runtime.send(ONE, text, may_enter=_yes) is Sent.ENTERED
    assert await room.content("got") == START + text.encode() + END + b"\r"
    assert await room.tmux("list-buffers") == ""


async def test_h11_a_text_cannot_end_its_own_paste(room: Room) -> None:
    await _program(room)
    await room.runtime.send(ONE, "one\x1b[201~\rtwo\0three", may_enter=_yes)
    assert await room.content("got") == START + b"one\rtwothree" + END + b"\r"


async def test_h7_a_dialog_that_opens_before_enter_is_not_answered(room: Room) -> None:
    await _program(room, "dialog")
    seen: list[str] = []

    def may_enter(screen: str) -> bool:
        seen.append(screen)
        return "Allow?" not in screen

    assert await room.runtime.send(ONE, "text", may_enter=may_enter) is Sent.PASTED
    assert len(seen) == 1
    assert "Allow?" in seen[0]
    # What would have been typed had Enter been pressed arrives before this key does.
    await room.tmux("send-keys", "-t", "=p-1:", "k")
    await room.runtime.press_enter(ONE)
    assert await room.content("got") == START + b"text" + END + b"k\r"


async def test_enter_comes_soon_after_the_screen_has_settled(room: Room) -> None:
    await _program(room)
    await room.runtime.send(ONE, "text", may_enter=_yes)
    assert 0.008 < float(await room.content("took")) < 0.290


async def test_enter_comes_in_the_end_when_the_screen_shows_nothing(room: Room) -> None:
    await _program(room, "mute")
    began = time.monotonic()
    assert await room.runtime.send(ONE, "text", may_enter=_yes) is Sent.ENTERED
    assert time.monotonic() - began >= 0.3
    assert float(await room.content("took")) > 0.2


async def test_enter_reaches_the_agent_of_a_terminal_someone_has_scrolled_back(room: Room) -> None:
    await _program(room)
    await room.tmux("copy-mode", "-t", "=p-1:")
    await room.runtime.send(ONE, "text", may_enter=_yes)
    assert await room.content("got") == START + b"text" + END + b"\r"


async def test_text_goes_to_the_agents_pane_whichever_window_someone_looks_at(room: Room) -> None:
    await _program(room)
    await room.tmux("new-window", "-t", "=p-1:", "cat")
    await room.tmux("split-window", "-t", "=p-1:0", "cat")
    await room.runtime.send(ONE, "text", may_enter=_yes)
    assert await room.content("got") == START + b"text" + END + b"\r"


async def test_an_empty_text_is_a_bare_enter(room: Room) -> None:
    await room.run("p-1", "sh", "-c", "read -r line; echo x >done; exec sleep 60")
    assert await room.runtime.send(ONE, "", may_enter=_yes) is Sent.ENTERED
    assert await room.content("done") == b"x\n"


def _attach(argv: list[str]) -> tuple[subprocess.Popen[bytes], int]:
    ours, theirs = pty.openpty()
    environ = {"PATH": os.environ["PATH"], "TERM": "xterm-256color"}
    viewer = subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, env=environ)
    os.close(theirs)
    os.read(ours, 1)  # it has drawn something: it is attached
    return viewer, ours


@contextmanager
def _viewer(room: Room, *, read_only: bool) -> Iterator[int]:
    """A person's terminal attached to the session; what is written to it is typed."""
    viewer, ours = _attach(room.runtime.attach_argv(ONE, read_only=read_only))
    try:
        yield ours
    finally:
        os.close(ours)
        viewer.terminate()
        viewer.wait(timeout=10)


async def test_typing_of_an_attached_person_is_known_and_a_spectator_never_types(room: Room) -> None:
    await room.run("p-1", "sh", "-c", "read -r line; echo $line >typed; exec sleep 60")
    assert await room.runtime.typed_at(ONE) is None
    with _viewer(room, read_only=True) as keys:
        os.write(keys, b"never\r")
        assert await room.runtime.typed_at(ONE) is None
    before = int(time.time()) * 1000
    with _viewer(room, read_only=False) as keys:
        os.write(keys, b"hello\r")
        assert await room.content("typed") == b"hello\n"
        typed = await room.runtime.typed_at(ONE)
        assert typed is not None
        assert before <= typed <= time.time() * 1000
    assert room.host.stamp([str(room.data_dir / "typed")]) != (None,)


async def test_p11_a_viewer_ends_with_its_terminal(room: Room) -> None:
    await room.run("p-1", "sleep", "60")
    viewer, ours = _attach(room.runtime.attach_argv(ONE, read_only=False))
    await room.run("p-2", "sleep", "60")
    await room.runtime.close(ONE)
    try:
        while os.read(ours, 65536):
            pass
    except OSError:  # the viewer let go of its terminal
        pass
    os.close(ours)
    assert viewer.wait(timeout=10) == 0
