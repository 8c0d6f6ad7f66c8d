"""The API over the real engine, git, tmux and local forge, as pull requests need it."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import ClientSession

from ao.api.access import ensure_secrets
from ao.model.project import CheckConfig
from ao.model.session import Session
from ao.paths import read_run_file
from tests.api.house import Answer
from tests.engine.house import PATIENCE_S, House

UNIT = CheckConfig(name="unit", run="test ! -e broken || { echo 'error: broken is here' >&2; exit 1; }")


class Served:
    """The API of a house, called by the person or by a session's agent."""

    def __init__(self, house: House) -> None:
        self.house = house
        run = read_run_file(house.environ["AO_RUN_FILE"])
        assert run is not None
        self._url = f"http://127.0.0.1:{run.port}/api/v1"
        self._secrets = ensure_secrets(house.environ["AO_DATA_DIR"])

    async def call(
        self, method: str, path: str, body: Any = None, *, by: Session | None = None, data: bytes | None = None
    ) -> Answer:
        """One request; `data` is a body as it is."""
        token = self._secrets.token if by is None else self._secrets.session_token(by.id, by.launches)
        headers = {"Authorization": f"Bearer {token}"}
        if data is not None:
            headers["Content-Type"] = "application/json"
        async with (
            ClientSession() as client,
            client.request(method, self._url + path, json=body, data=data, headers=headers) as response,
        ):
            return Answer(response.status, dict(response.headers), await response.read())

    async def signed(self, body: bytes, *, secret: str) -> Answer:
        """GitHub's callback, without any token."""
        digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        headers = {
            "Content-Type": "application/json",
            "X-GitHub-Event": "push",
            "X-Hub-Signature-256": f"sha256={digest}",
        }
        async with (
            ClientSession() as client,
            client.post(self._url + "/webhooks/github", data=body, headers=headers) as response,
        ):
            return Answer(response.status, dict(response.headers), await response.read())

    def branch(self, name: str, **files: str) -> str:
        """A branch of a person with one commit; the base is checked out nowhere afterwards."""
        git = self.house.git
        git("checkout", "-q", "-b", name, "main")
        for path, text in files.items():
            (self.house.repository / path).write_text(text)
        git("add", ".")
        git("commit", "-q", "-m", f"Work on {name}")
        git("checkout", "-q", "--detach", "main")
        return git("rev-parse", name)

    async def opened(self, name: str, **files: str) -> str:
        """A pull request of a person, that no session owns; its route."""
        self.branch(name, **files or {name: "one\n"})
        made = await self.call("POST", "/prs", {"projectId": "demo", "sourceBranch": name})
        assert made.status == 201, made.body
        return f"/prs/{made.body['pr']['number']}"

    async def worked(self, name: str = "a.txt") -> Session:
        """A session whose branch has a commit."""
        session = await self.house.spawn()
        (Path(session.workspace_path) / name).write_text("one\n")
        self.house.git("add", ".", where=session.workspace_path)
        self.house.git("commit", "-q", "-m", f"write {name}", where=session.workspace_path)
        return session

    async def until(self, path: str, wanted: Callable[[Any], bool]) -> Any:
        """The answer's body once `wanted` accepts it; asked again after each change."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                self.house.changed.clear()
                body = (await self.call("GET", path)).body
                if wanted(body):
                    return body
                await self.house.changed.wait()


async def refused(code: str, status: int, work: Awaitable[Answer]) -> Any:
    """The body of a refusal."""
    answer = await work
    assert (answer.status, answer.body.get("code")) == (status, code), answer.body
    return answer.body
