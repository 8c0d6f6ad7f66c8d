"""The sender: the real library against a web hook on this machine, and what it says when it can't send."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ao.channels import AppriseSender
from ao.channels.apprise import INSTALL_HINT
from ao.log import LineFormatter
from ao.model.errors import AoError
from ao.model.notification import NotificationType
from ao.ports.channels import Channel, Letter

# On Python 3.11 and 3.12 one of the library's plugins imports a module that goes in 3.13.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
LETTER = Letter(type=NotificationType.CI_GAVE_UP, title="PR #4 <b>", body="@everyone\nsee https://example.com/4")
SECRET = "k3yk3yk3yk3yk3yk3y"


class Hook:
    """A web hook that keeps what it was sent, answers as told and can be made to hang until `gate` is set."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.status = 200
        self.gate = threading.Event()
        self.gate.set()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                hook.paths.append(self.path)
                hook.gate.wait(30)
                self.send_response(hook.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Be quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    @property
    def url(self) -> str:
        """Its Apprise URL, with a secret in it."""
        return f"json://127.0.0.1:{self._server.server_port}/{SECRET}"

    def close(self) -> None:
        """Stop."""
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def hook() -> Iterator[Hook]:
    """A web hook on loopback."""
    made = Hook()
    yield made
    made.close()


async def failure(sender: AppriseSender, channel: Channel) -> AoError:
    """The refusal of a letter to `channel`."""
    with pytest.raises(AoError) as caught:
        await sender.send(channel, LETTER)
    assert caught.value.code == "CHANNEL_FAILED"
    return caught.value


async def test_a_letter_arrives_through_the_real_library(hook: Hook) -> None:
    await AppriseSender({}).send(Channel(name="hook", url=hook.url), LETTER)
    (received,) = hook.received
    assert received["title"] == "PR #4 \u2039b\u203a"
    assert received["message"] == "\uff20everyone\nsee https://example.com/4"
    assert received["type"] == "failure"
    assert hook.paths == [f"/{SECRET}"]


async def test_the_url_may_lie_in_a_file_or_a_variable(hook: Hook, tmp_path: Path) -> None:
    (tmp_path / "hook.url").write_text(hook.url + "\n")
    sender = AppriseSender({"HOOK": hook.url})
    await sender.send(Channel(name="file", url_file=str(tmp_path / "hook.url")), LETTER)
    await sender.send(Channel(name="env", url_env="HOOK"), LETTER)
    assert len(hook.received) == 2


async def test_a_refusal_is_told_with_its_reason_and_without_the_secret(hook: Hook) -> None:
    hook.status = 500
    error = await failure(AppriseSender({}), Channel(name="hook", url=hook.url))
    assert "500" in error.message
    assert SECRET not in repr((error.message, error.hint, error.details))


async def test_a_service_that_does_not_answer_is_given_up_in_time(hook: Hook) -> None:
    hook.gate.clear()
    async with asyncio.timeout(10):
        error = await failure(AppriseSender({}, timeout_s=0.2), Channel(name="hook", url=hook.url))
    assert "no answer within 0.2 s" in error.message


async def test_a_url_that_the_library_does_not_know_is_refused_without_showing_it(hook: Hook) -> None:
    error = await failure(AppriseSender({}), Channel(name="odd", url=f"nonsense://{SECRET}"))
    assert "can't use its URL" in error.message
    assert SECRET not in repr((error.message, error.hint, error.details))


async def test_the_secret_never_gets_into_the_log(hook: Hook) -> None:
    hook.status = 500
    await failure(AppriseSender({}), Channel(name="hook", url=hook.url))
    record = logging.LogRecord("ao", logging.ERROR, "", 0, "posting to %s failed", (hook.url,), None)
    record.where = f"http://127.0.0.1/{SECRET}"
    line = LineFormatter().format(record)
    assert "posting to" in line
    assert SECRET not in line


@pytest.mark.parametrize(
    ("channel", "reason"),
    [
        (Channel(name="c", url_env="NOT_THERE"), "has no NOT_THERE"),
        (Channel(name="c", url_file="/nowhere/at/all"), "can't read /nowhere/at/all"),
        (Channel(name="c", url_file="/dev/null"), "/dev/null is empty"),
    ],
)
async def test_a_url_that_is_not_there_is_told_by_where_it_was_looked_for(channel: Channel, reason: str) -> None:
    assert reason in (await failure(AppriseSender({}), channel)).message


async def test_without_the_library_the_refusal_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    error = await failure(AppriseSender({}), Channel(name="c", url="json://localhost"))
    assert error.hint == INSTALL_HINT


async def test_a_plugin_that_breaks_is_a_failure_of_its_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError("a plugin's mistake")

    monkeypatch.setitem(sys.modules, "apprise", Broken())
    assert "unexpected RuntimeError" in (await failure(AppriseSender({}), Channel(name="c", url="json://h"))).message


def test_filters_let_through_what_they_name() -> None:
    merged, asks = NotificationType.PR_MERGED, NotificationType.NEEDS_INPUT
    assert Channel(name="all").admits(merged, "shop")
    narrow = Channel(name="some", types=(asks,), projects=("shop",))
    assert narrow.admits(asks, "shop")
    assert narrow.admits(asks, "")
    assert not narrow.admits(asks, "other")
    assert not narrow.admits(merged, "shop")


def test_a_channel_does_not_show_its_url() -> None:
    assert SECRET not in repr(Channel(name="c", url=f"json://{SECRET}"))
