"""Claude Code's folder trust: one key in the user's own `.claude.json`, for the time of the session.

The file belongs to the user and to every running Claude Code. So: its own lock (the folder `<file>.lock`, which the
program makes and honours; a lock older than 10 s is dead) is held for the milliseconds of read, edit and rename;
everything else in the file survives in its order; nothing is written when nothing has to change, or when the file isn't
understood. A small record in our data folder, written before the edit, says what we added, so that the key can be taken
back after a restart; a key that was there before is never touched.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec

from ao.agents.binary import expand
from ao.ports import Host
from ao.ports.agents import AgentContext

KEY: Final = "hasTrustDialogAccepted"
_LIMIT: Final = 256 << 20
_LOCK_DEAD_S: Final = 10.0
_LOCK_WAIT_S: Final = 5.0
_LOCK_RETRY_S: Final = 0.02

Tree = dict[str, Any]
log = logging.getLogger("ao.agents.trust")


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What one session added: the entry `key` of `projects` in `file`."""

    file: str
    key: str


class ClaudeTrust:
    """Adds and takes back the trust of session workspaces."""

    def __init__(self, host: Host, *, data_dir: str) -> None:
        self._host = host
        self._folder = os.path.join(data_dir, "trust")
        self._turn = asyncio.Lock()

    async def prepare(self, context: AgentContext, env: Mapping[str, str]) -> None:
        """Trust the workspace unless it, or the repository it belongs to, is trusted already."""
        file = claude_file(env)
        # The program compares resolved paths: a symlink as the key brings the dialog back.
        key, repository = _resolved(context.workspace_path), _resolved(context.repo_path)
        tree = await self._read(file)
        if tree is None or is_trusted(tree, key) or is_trusted(tree, repository):
            return
        record = Record(file=file, key=key)
        await self._host.write_private(self._record_path(context), msgspec.json.encode(record))
        await self._edit(file, lambda current: add(current, key))

    async def release(self, context: AgentContext) -> None:
        """Take back what `prepare` added for this session; nothing happens when it added nothing."""
        path = self._record_path(context)
        data = await self._host.read(path)
        if data is None:
            return
        record = msgspec.json.decode(data, type=Record)
        if await self._edit(record.file, lambda current: withdraw(current, record.key)):
            await self._host.remove_tree(path)

    def _record_path(self, context: AgentContext) -> str:
        return os.path.join(self._folder, f"{context.session_id}.json")

    async def _read(self, file: str) -> Tree | None:
        """The file's content, empty when there is none; None (and a warning) when it isn't understood."""
        try:
            data = await self._host.read(file, limit=_LIMIT)
            tree = await asyncio.to_thread(json.loads, data) if data and data.strip() else {}
        except (OSError, ValueError, RecursionError) as error:
            log.warning("trust not changed: %s can't be read: %s", file, error)
            return None
        if not isinstance(tree, dict) or not isinstance(tree.get("projects", {}), dict):
            log.warning("trust not changed: %s has an unknown form", file)
            return None
        return tree

    async def _edit(self, file: str, change: Callable[[Tree], bool]) -> bool:
        """Change the file under its lock; False (and a warning) when that couldn't be done. Then the dialog appears,
        which is recognised, and the person answers it."""
        async with self._turn, self._locked(file) as held:
            tree = await self._read(file) if held else None
            if tree is None:
                return False
            if not change(tree):
                return True
            try:
                # Through a link, not in place of it: some people keep this file elsewhere.
                await self._host.write_private(_resolved(file), await asyncio.to_thread(encode, tree))
            except OSError as error:
                log.warning("trust not changed: %s can't be written: %s", file, error)
                return False
            return True

    @asynccontextmanager
    async def _locked(self, file: str) -> AsyncIterator[bool]:
        """Hold the program's own lock; False when somebody else keeps it for 5 s."""
        lock = f"{file}.lock"
        await self._host.make_dir(os.path.dirname(file))
        deadline = time.monotonic() + _LOCK_WAIT_S
        while not (held := await self._command("mkdir", lock)) and time.monotonic() < deadline:
            await self._break_dead(lock)
            # The lock is a folder of another program: nothing tells when it goes.
            await asyncio.sleep(_LOCK_RETRY_S)
        if not held:
            log.warning("trust not changed: %s stayed locked for %.0f s", file, _LOCK_WAIT_S)
        try:
            yield held
        finally:
            if held:
                await asyncio.shield(self._command("rmdir", lock))

    async def _break_dead(self, lock: str) -> None:
        stamp = self._host.stamp([lock])[0]
        if stamp is not None and time.time() - stamp[0] / 1e9 > _LOCK_DEAD_S:
            await self._command("rmdir", lock)

    async def _command(self, name: str, folder: str) -> bool:
        return (await self._host.run((name, "--", folder), timeout_s=_LOCK_WAIT_S)).code == 0


def claude_file(env: Mapping[str, str]) -> str:
    """The file in which Claude Code keeps its trust."""
    home = env.get("HOME", "")
    return os.path.join(expand(env.get("CLAUDE_CONFIG_DIR") or "~", home), ".claude.json")


def is_trusted(tree: Tree, key: str) -> bool:
    """Whether the folder `key` is trusted."""
    entry = tree.get("projects", {}).get(key)
    return isinstance(entry, dict) and entry.get(KEY) is True


def add(tree: Tree, key: str) -> bool:
    """Trust `key` in place; whether anything changed. An entry of an unknown form is left alone."""
    entry = tree.setdefault("projects", {}).setdefault(key, {})
    if not isinstance(entry, dict) or entry.get(KEY) is True:
        return False
    entry[KEY] = True
    return True


def withdraw(tree: Tree, key: str) -> bool:
    """Take the trust of `key` back in place; whether anything changed. What else its entry holds stays."""
    projects = tree.get("projects", {})
    if not is_trusted(tree, key):
        return False
    del projects[key][KEY]
    if not projects[key]:
        del projects[key]
    return True


def encode(tree: Tree) -> bytes:
    """The file's text, in the program's own layout."""
    try:
        return json.dumps(tree, indent=2, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(tree, indent=2).encode()


def _resolved(path: str) -> str:
    return os.path.realpath(path)
