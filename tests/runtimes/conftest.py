"""A tmux server of the test's own, on a short socket path, ended with the test."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import pytest

from ao.host import LocalHost
from ao.ports import Launch, ProcessId, Terminal
from ao.runtimes import Tmux

PATH = os.environ["PATH"]


class Room:
    """A data directory, the runtime on it, and short cuts to launch things there."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.host = LocalHost(environ={"PATH": PATH, "HOME": str(data_dir), "CANARY": "canary-7c1f"})
        self.runtime = self.another_runtime()

    def another_runtime(self) -> Tmux:
        """A further daemon generation on the same data directory."""
        return Tmux(self.host, data_dir=str(self.data_dir), runtime_dir="")

    def socket(self, number: int = 0) -> str:
        """The path of a server's socket."""
        return str(self.data_dir / "tmux" / str(number))

    def launch(
        self, handle: str, *argv: str, env: Mapping[str, str] | None = None, cwd: str = "", server: int = 0
    ) -> Launch:
        """A launch of `argv`, labelled like its handle."""
        return Launch(
            terminal=Terminal(server, handle),
            folder=str(self.data_dir / "launch" / handle),
            cwd=cwd or str(self.data_dir),
            argv=argv,
            env={"PATH": PATH, "AO_SESSION_ID": handle, "AO_DATA_DIR": str(self.data_dir), **(env or {})},
            label=handle,
        )

    async def run(self, handle: str, *argv: str, env: Mapping[str, str] | None = None) -> ProcessId:
        """Start `argv` in a terminal and return its process."""
        launch = self.launch(handle, *argv, env=env)
        await self.runtime.start(launch)
        process = await self.runtime.agent(launch.folder, timeout_s=10)
        assert process is not None
        return process

    async def content(self, name: str) -> bytes:
        """What a program in a terminal wrote to a file of the data directory, as soon as it has."""
        content = await self.host.await_file(str(self.data_dir / name), timeout_s=10)
        assert content is not None, f"{name} never appeared"
        return content

    async def shown(self, terminal: Terminal, text: str) -> str:
        """The terminal's text once it has `text`: what a program printed has yet to pass through the terminal."""
        async with asyncio.timeout(10):
            while text not in (screen := await self.runtime.capture(terminal, lines=1000)):  # noqa: ASYNC110 (no event)
                await asyncio.sleep(0.005)
        return screen

    async def tmux(self, *arguments: str) -> str:
        """Ask the server by a client of its own."""
        done = await self.host.run(["tmux", "-S", self.socket(), "-N", "-u", *arguments])
        assert done.code == 0, done.err
        return done.out


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder whose path leaves room for a socket's name."""
    folder = Path(tempfile.mkdtemp(prefix="r", dir=os.environ.get("XDG_RUNTIME_DIR")))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
async def room(short_path: Path) -> AsyncIterator[Room]:
    """The runtime on a data directory of its own."""
    room = Room(short_path)
    yield room
    await room.runtime.shut()
    for record in sorted((short_path / "tmux").glob("*.process")):
        await _end_server(room.host, str(record.with_suffix("")))
    assert await room.host.kill(None, {"AO_DATA_DIR": str(short_path)}, grace_s=5) == []


async def _end_server(host: LocalHost, socket: str) -> None:
    """End a tmux server by its socket, and see it and the leaders of its terminals go."""
    tmux = ["tmux", "-S", socket, "-N"]
    pids = (await host.run([*tmux, "list-panes", "-a", "-F", "#{pid} #{pane_pid}"])).out.split()
    processes = [process for pid in set(pids) if (process := host.identify(int(pid)))]
    await host.run([*tmux, "kill-server"])
    for process in processes:
        await asyncio.wait_for(host.exited(process), 10)
