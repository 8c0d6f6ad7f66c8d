"""`Catalog`: the built-in agents and a user's own, behind the port through which the engine asks about them."""

from __future__ import annotations

import asyncio
import difflib
import logging
import os
from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from ao.agents import signals
from ao.agents.binary import Binaries, expand
from ao.agents.catalog import BUILT_IN
from ao.agents.probes import Probes
from ao.agents.render import Program, render
from ao.agents.screens import dialog
from ao.agents.spec import AgentSpec, SpecError, load
from ao.agents.trust import ClaudeTrust
from ao.model.errors import AoError
from ao.model.signal import Signal
from ao.ports import Host
from ao.ports.agents import AgentContext, AgentInfo, AgentLaunch, AgentReport

log = logging.getLogger("ao.agents")


class Catalog:
    """`ao.ports.Agents`. `user_dir` holds a user's own descriptions, `environ` is the daemon's environment.

    A description that can't be used disables that agent only; `problems` (agent id → text) says why.
    """

    def __init__(self, host: Host, *, data_dir: str, user_dir: str, environ: Mapping[str, str]) -> None:
        self._host = host
        self._environ = environ
        self._specs = {spec.id: spec for spec in BUILT_IN}
        self.problems: dict[str, str] = {}
        for path in _files(user_dir):
            self._add(path)
        self._binaries = Binaries(host)
        self._probes = Probes(host, self._binaries)
        self._trust = ClaudeTrust(host, data_dir=data_dir)
        self._survey: list[AgentReport] | None = None

    def ids(self) -> tuple[str, ...]:
        """Known agent ids, in listing order."""
        return tuple(self._specs)

    def get(self, agent: str) -> AgentInfo:
        """Raises `UNKNOWN_HARNESS` with a suggestion."""
        spec = self._spec(agent)
        return AgentInfo(
            id=spec.id,
            label=spec.name,
            reports=bool(spec.states),
            confirms=signals.SUBMITTED in spec.states,
            pins_native_id=spec.pins_native_id,
            reviews=spec.reviewer is not None,
        )

    async def binary(self, agent: str, env: Mapping[str, str]) -> str:
        """Absolute path of its program. No process runs. Raises `AGENT_BINARY_NOT_FOUND` with the places searched and
        how to install it."""
        return await self._binaries.find(self._spec(agent), env)

    async def launch(self, agent: str, context: AgentContext) -> AgentLaunch:
        """The command of a fresh start. A native id that has a conversation already isn't pinned again: the programs
        refuse that; the agent then reports the id it chose."""
        spec = self._spec(agent)
        if context.native_id and await self._has_transcript(spec, context) is True:
            context = replace(context, native_id="")
        return await self._command(spec, context, resume=False)

    async def resume(self, agent: str, context: AgentContext) -> AgentLaunch | None:
        """The command that continues the native conversation `context.native_id`; None when the agent can't, or when
        it is known that there is no such conversation (one that never got a prompt has none)."""
        spec = self._spec(agent)
        if not spec.resume or not context.native_id.strip() or await self._has_transcript(spec, context) is False:
            return None
        return await self._command(spec, context, resume=True)

    async def prepare(self, agent: str, context: AgentContext) -> None:
        """Settle trust for the session's workspace. Idempotent, undone by `release`."""
        spec = self._spec(agent)
        if spec.trust == "claude-json":
            await self._trust.prepare(context, self._env(spec, context.env))

    async def release(self, agent: str, context: AgentContext) -> None:
        """Undo `prepare`, as far as this session did it. Idempotent; the agent needn't be known any more."""
        await self._trust.release(context)

    def signal(self, agent: str, event: str, payload: Mapping[str, object], *, seq: int, boot_id: str) -> Signal | None:
        """What a hook callback means; None when it says nothing about the session (a sub-agent's, say), and for an
        agent that isn't known."""
        spec = self._specs.get(agent)
        return None if spec is None else signals.interpret(spec, event, payload, seq=seq, boot_id=boot_id)

    def dialog(self, agent: str, screen: str) -> str:
        """The name of a blocking dialog visible in `screen`, "" when none is recognised."""
        spec = self._specs.get(agent)
        return "" if spec is None else dialog(spec, screen)

    async def survey(self, *, refresh: bool) -> list[AgentReport]:
        """Installed and signed in? Probes all agents at once, only when `refresh` or never done before."""
        if refresh or self._survey is None:
            asked = (self._probes.report(spec, self._own_env(spec)) for spec in self._specs.values())
            self._survey = list(await asyncio.gather(*asked))
        return self._survey

    def _add(self, path: str) -> None:
        name = os.path.basename(path).removesuffix(".toml")
        try:
            if name in self._specs:
                raise SpecError(f"{path}: id: {name!r} is built in; choose another file name")
            self._specs[name] = load(path)
        except SpecError as error:
            self.problems[name] = str(error)
            log.warning("agent %r is not available: %s", name, error)

    def _spec(self, agent: str) -> AgentSpec:
        spec = self._specs.get(agent)
        if spec is not None:
            return spec
        problem = self.problems.get(agent)
        near = difflib.get_close_matches(agent, self._specs, n=1)
        known = f"known: {', '.join(self._specs)}"
        raise AoError(
            "UNKNOWN_HARNESS",
            f"agent {agent!r} can't be used: {problem}" if problem else f"unknown agent {agent!r}",
            hint=f"did you mean {near[0]!r}? {known}" if near and not problem else known,
            details={"agent": agent, "known": list(self._specs)},
        )

    async def _command(self, spec: AgentSpec, context: AgentContext, *, resume: bool) -> AgentLaunch:
        env = self._env(spec, context.env)
        path = await self._binaries.find(spec, context.env)
        program = Program(path=path, version=await self._probes.version(spec, path, env))
        command = render(spec, context, program, resume=resume)
        extra = {name: value for name, value in env.items() if name not in context.env}
        folder = os.path.dirname(path)
        search = context.env.get("PATH", "")
        if search and folder not in search.split(":"):
            # A program of a version manager finds its interpreter beside itself only.
            extra["PATH"] = f"{search}:{folder}"
        return replace(command, env={**extra, **command.env})

    def _env(self, spec: AgentSpec, env: Mapping[str, str]) -> dict[str, str]:
        """A session's environment with what the agent's provider needs of the daemon's; the session's own wins."""
        return {**dict(_passed(spec, self._environ)), **env}

    def _own_env(self, spec: AgentSpec) -> dict[str, str]:
        names = ("PATH", "HOME", "NVM_DIR", "VOLTA_HOME", "FNM_DIR", "XDG_DATA_HOME")
        return self._env(spec, {name: self._environ[name] for name in names if name in self._environ})

    async def _has_transcript(self, spec: AgentSpec, context: AgentContext) -> bool | None:
        """Whether the conversation exists on disk; None when the agent doesn't say where it would be."""
        where = spec.transcript
        if where is None:
            return None
        env = self._env(spec, context.env)
        root = expand(env.get(where.env) or where.default, env.get("HOME", ""))
        before, star, after = where.pattern.replace("{native_id}", context.native_id.strip()).partition("*")
        folders = await self._host.list_dir(os.path.join(root, before)) if star else [""]
        paths = [os.path.join(root, f"{before}{folder}{after}") for folder in folders]
        return any(stamp is not None and stamp[1] > 0 for stamp in self._host.stamp(paths))


def _files(user_dir: str) -> list[str]:
    try:
        names = sorted(os.listdir(user_dir))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [os.path.join(user_dir, name) for name in names if name.endswith(".toml") and not name.startswith(".")]


def _passed(spec: AgentSpec, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    prefixes = tuple(name[:-1] for name in spec.passes if name.endswith("*"))
    names = frozenset(spec.passes)
    return (item for item in environ.items() if item[0] in names or (prefixes and item[0].startswith(prefixes)))
