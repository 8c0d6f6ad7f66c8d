"""Channels by way of Apprise (an optional library that speaks to about a hundred services, each named by a URL).

Apprise blocks and can't be interrupted, so each letter goes in a thread of its own that ends with the process: a dead
service holds up neither the daemon nor its stop. It is imported when the first letter is sent (80 ms). What it says of
a failure is told with every part of the URL masked, for that is where its secrets are.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from ao import log as ao_log
from ao.channels import wording
from ao.model.errors import AoError
from ao.model.notification import NotificationType
from ao.ports.channels import Channel, Letter

SEND_TIMEOUT_S: Final = 30.0
_URL_LIMIT: Final = 8_192
INSTALL_HINT: Final = "install it into the daemon's environment: pip install 'agent-orchestrator[notify]'; then restart"
log = logging.getLogger("ao.channels")
_LEVELS: Final = {
    NotificationType.PR_MERGED: "success",
    NotificationType.READY_TO_MERGE: "success",
    NotificationType.CI_GAVE_UP: "failure",
    NotificationType.REVIEW_GAVE_UP: "failure",
    NotificationType.CONFLICT_GAVE_UP: "failure",
    NotificationType.SESSION_LOST: "failure",
    NotificationType.NEEDS_INPUT: "warning",
    NotificationType.BUDGET: "warning",
}
"""Apprise's words for how a message looks; the others are `info`."""


class AppriseSender:
    """Sends through Apprise. `environ` is where `url_env` is looked up."""

    def __init__(self, environ: Mapping[str, str], *, timeout_s: float = SEND_TIMEOUT_S) -> None:
        self._environ = environ
        self._timeout_s = timeout_s

    async def send(self, channel: Channel, letter: Letter) -> None:
        """Hand `letter` over. Raises `CHANNEL_FAILED`."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await _in_thread(channel, lambda: self._deliver(channel, letter))
        except TimeoutError:
            raise _failed(channel, f"no answer within {self._timeout_s:g} s") from None

    def _deliver(self, channel: Channel, letter: Letter) -> None:
        url = self._url(channel)
        for secret in wording.secrets_of(url):
            ao_log.conceal(secret)
        apprise = _library(channel)
        asset = apprise.AppriseAsset(async_mode=False, app_id="ao", app_desc="Agent Orchestrator")
        service = apprise.Apprise(asset=asset)
        if not service.add(url):
            reason = "Apprise can't use its URL: an unknown service, a missing part, or a library that isn't installed"
            raise _failed(channel, reason)
        result = service.notify(
            title=wording.title(letter.title),
            body=wording.body(letter.body) or wording.title(letter.title),
            notify_type=_LEVELS.get(letter.type, "info"),
            body_format="text",
        )
        if not result:
            reasons = " ".join(str(entry.message) for entry in result.logs())
            raise _failed(channel, wording.masked(reasons, url) or "the service refused it")

    def _url(self, channel: Channel) -> str:
        if channel.url_env:
            url = self._environ.get(channel.url_env, "").strip()
            if not url:
                raise _failed(channel, f"the daemon's environment has no {channel.url_env}")
            return url
        if not channel.url_file:
            return channel.url
        try:
            with open(channel.url_file, encoding="utf-8") as file:
                url = file.read(_URL_LIMIT).strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise _failed(channel, f"can't read {channel.url_file}: {reason}") from None
        if not url:
            raise _failed(channel, f"{channel.url_file} is empty")
        return url


def _library(channel: Channel) -> Any:
    """The Apprise package, told to keep its own log lines to itself: they may hold parts of URLs."""
    try:
        apprise = importlib.import_module("apprise")
    except ImportError:
        raise _failed(channel, "the library Apprise is not installed", hint=INSTALL_HINT) from None
    logging.getLogger("apprise").propagate = False
    return apprise


def _failed(channel: Channel, reason: str, *, hint: str | None = None) -> AoError:
    return AoError(
        "CHANNEL_FAILED",
        f"channel {channel.name!r}: {reason}",
        hint=hint or f"`ao notify test {channel.name}` tries it again",
        details={"channel": channel.name, "reason": reason},
    )


async def _in_thread(channel: Channel, work: Callable[[], None]) -> None:
    """Run `work` in a thread that the process doesn't wait for at its end; what it raises is raised here."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[None] = loop.create_future()

    def settle(error: AoError | None) -> None:
        if outcome.done():
            return
        if error is None:
            outcome.set_result(None)
        else:
            outcome.set_exception(error)

    def run() -> None:
        error = _outcome(channel, work)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, error)

    threading.Thread(target=run, name="ao-channel", daemon=True).start()
    await outcome


def _outcome(channel: Channel, work: Callable[[], None]) -> AoError | None:
    """What `work` failed with. A mistake of one of Apprise's hundred plugins is a failure of its channel, no more."""
    try:
        work()
    except AoError as error:
        return error
    except Exception as error:
        log.exception("a channel broke", extra={"channel": channel.name})
        return _failed(channel, f"unexpected {type(error).__name__}; the log has the details")
    return None
