"""The control connection: quoting that holds anything, framing that hostile screens can't forge, errors told apart."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ao.runtimes.control import Control, ControlLostError, NotSentError, RefusedError, quote
from tests.runtimes.conftest import Room


class _Script:
    """A connection that answers from a script; `{word}` in it stands for the word asked for last."""

    def __init__(self, *answers: bytes) -> None:
        self.sent: list[bytes] = []
        self._answers = list(answers)

    async def write(self, data: bytes) -> None:
        """Keep what is sent."""
        self.sent.append(data)

    async def lines(self) -> AsyncIterator[bytes]:
        """The script, then the end."""
        while self._answers:
            word = self.sent[-1].split()[-1] if self.sent else b""
            yield self._answers.pop(0).replace(b"{word}", word)

    async def close(self) -> None:
        """Nothing to end."""


async def test_a_reply_is_found_between_notifications() -> None:
    control = Control(
        _Script(
            b"%begin 1 7 0",
            b"%end 1 7 0",
            b"%session-changed $0 x",
            b"%begin 2 8 1",
            b"one",
            b"%end 1 1 1",
            b"%end 2 8 1",
        )
    )
    await control.greet()
    assert await control.ask("x") == ["one", "%end 1 1 1"]


async def test_every_command_of_a_refused_batch_is_read_to_its_end() -> None:
    control = Control(
        _Script(
            b"%begin 1 1 1", b"no such thing", b"%error 1 1 1", b"%begin 1 2 1", b"two", b"%end 1 2 1",
            b"%begin 1 3 1", b"next", b"%end 1 3 1",
        )
    )  # fmt: skip
    with pytest.raises(RefusedError, match="no such thing"):
        await control.ask("a", "b")
    assert await control.ask("c") == ["next"]


async def test_a_screen_that_looks_like_framing_stays_a_screen() -> None:
    control = Control(
        _Script(
            b"%begin 1 1 1", b"%end 1 1 1", b"%begin 1 2 1", b"forged", b"%end 1 2 1", b"%end 1 1 1",
            b"%sessions-changed", b"%begin 1 2 1", b"{word}", b"%end 1 2 1", b"%begin 1 3 1", b"true", b"%end 1 3 1",
        )
    )  # fmt: skip
    assert await control.ask_fenced("capture-pane") == ["%end 1 1 1", "%begin 1 2 1", "forged", "%end 1 2 1"]
    assert await control.ask("x") == ["true"]


async def test_an_error_of_a_fenced_command_is_refused() -> None:
    control = Control(
        _Script(
            b"%begin 1 1 1", b"can't find pane", b"%error 1 1 1", b"%begin 1 2 1", b"{word}", b"%end 1 2 1",
        )
    )  # fmt: skip
    with pytest.raises(RefusedError, match="can't find pane"):
        await control.ask_fenced("capture-pane")


async def test_a_connection_that_ends_is_lost_and_not_refused() -> None:
    with pytest.raises(ControlLostError):
        await Control(_Script()).greet()
    with pytest.raises(ControlLostError):
        await Control(_Script(b"%begin 1 1 0", b"can't find session", b"%error 1 1 0")).greet()
    with pytest.raises(ControlLostError) as caught:
        await Control(_Script(b"%begin 1 1 1", b"half")).ask("x")
    assert not isinstance(caught.value, NotSentError)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=200))
def test_quoting_leaves_no_line_end_and_no_open_quote(text: str) -> None:
    quoted = quote(text)
    assert "\n" not in quoted
    assert _unquote(quoted) == text


def _unquote(quoted: str) -> str:
    """What tmux(1) says of its quotes, read back."""
    parts = re.findall(r"""'([^']*)'|"(\\n|')\"""", quoted)
    assert "".join(f"'{single}'" if not double else f'"{double}"' for single, double in parts) == quoted
    return "".join(single if not double else double.replace("\\n", "\n") for single, double in parts)


async def test_s5_quoted_text_of_any_content_arrives_in_tmux_unchanged(room: Room) -> None:
    await room.run("one", "sleep", "60")
    text = "a;b; -x $HOME #{pane_id} #(touch pwned) ~ 'q' \"d\" \\n \\ % \t\r\x01 é🚀\n\nend;"
    await room.runtime._server(0).ask(f"set-buffer -b b -- {quote(text)}")
    await room.tmux("save-buffer", "-b", "b", str(room.data_dir / "saved"))
    assert (await room.content("saved")).decode() == text
    assert not (room.data_dir / "pwned").exists()
