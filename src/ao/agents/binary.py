"""Where an agent's program is: PATH first, then the folders installers use, then those of Node's version managers.

The answer is cached with the stamps of the program and of every folder on PATH, so that a warm look-up runs no process
and an upgrade, a removal or a newly installed program that comes first on PATH is seen at once. Failures aren't cached.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final

from ao.agents.spec import AgentSpec
from ao.model.errors import AoError
from ao.ports import Host

Stamps = tuple[tuple[int, int, int] | None, ...]
_NODE_FOLDERS: Final = ("~/.npm-global/bin", "~/.npm/bin", "~/.local/bin")
_NUMBERS: Final = re.compile(r"\d+")


class Binaries:
    """Finds programs on one host."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._found: dict[tuple[str, str, str], tuple[str, Stamps]] = {}

    async def find(self, spec: AgentSpec, env: Mapping[str, str]) -> str:
        """Absolute path of the program. Raises `AGENT_BINARY_NOT_FOUND` with the places searched."""
        path, home = env.get("PATH") or os.defpath, env.get("HOME", "")
        key = (spec.id, path, home)
        known = self._found.get(key)
        if known is not None and known[1][0] is not None and self._stamps(known[0], path) == known[1]:
            return known[0]
        folders = [expand(folder, home) for folder in spec.binary.folders]
        if spec.binary.node:
            folders += await self._node_folders(env, home)
        for name in spec.binary.names:
            found = self._host.which(name, path=path, extra=folders)
            if found is not None:
                self._found[key] = (found, self._stamps(found, path))
                return found
        self._found.pop(key, None)
        raise _not_found(spec, path, folders)

    def _stamps(self, found: str, path: str) -> Stamps:
        return self._host.stamp([found, *filter(os.path.isabs, path.split(":"))])

    async def _node_folders(self, env: Mapping[str, str], home: str) -> list[str]:
        volta = env.get("VOLTA_HOME") or expand("~/.volta", home)
        nvm = env.get("NVM_DIR") or expand("~/.nvm", home)
        data = env.get("XDG_DATA_HOME") or expand("~/.local/share", home)
        fnm = env.get("FNM_DIR") or f"{data}/fnm"
        folders = [expand(folder, home) for folder in _NODE_FOLDERS] + [f"{volta}/bin"]
        folders += [f"{nvm}/versions/node/{name}/bin" for name in await self._nvm_versions(nvm)]
        versions = _newest_first(await self._host.list_dir(f"{fnm}/node-versions"))
        return folders + [f"{fnm}/node-versions/{name}/installation/bin" for name in versions]

    async def _nvm_versions(self, nvm: str) -> list[str]:
        """Installed versions, the default one first, then the newest."""
        names = _newest_first(await self._host.list_dir(f"{nvm}/versions/node"))
        alias = (await self._host.read(f"{nvm}/alias/default", limit=100) or b"").decode(errors="replace").strip()
        wanted = f"v{alias.removeprefix('v')}"
        return sorted(names, key=lambda name: not (alias and (name == wanted or name.startswith(f"{wanted}."))))


def expand(path: str, home: str) -> str:
    """`path` with a leading `~` replaced by `home`."""
    return home + path[1:] if path == "~" or path.startswith("~/") else path


def _newest_first(names: list[str]) -> list[str]:
    return sorted(names, key=lambda name: [int(number) for number in _NUMBERS.findall(name)], reverse=True)


def _not_found(spec: AgentSpec, path: str, folders: list[str]) -> AoError:
    names = " or ".join(repr(name) for name in spec.binary.names)
    searched = list(dict.fromkeys([*filter(None, path.split(":")), *folders]))
    hint = f"install it: {spec.binary.install}" if spec.binary.install else "install it, or put it on PATH"
    return AoError(
        "AGENT_BINARY_NOT_FOUND",
        f"{spec.name}: no program {names} on PATH or in the usual folders",
        hint=hint,
        details={"agent": spec.id, "names": list(spec.binary.names), "searched": searched},
    )
