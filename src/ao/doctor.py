"""`ao doctor`: whether this machine can run what it should, one line a check, each with what to do about it.

It looks and never repairs, apart from making a missing data directory; the store is never opened. Agents are asked of
the running daemon, because its PATH is the one that counts, and looked for here when there is none. The token of
GitHub is found by the daemon's own rule, so a PASS here means the daemon has it too; nothing is sent anywhere.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from ao import config, paths
from ao.agents import Catalog
from ao.cli import moments, output
from ao.cli.client import connect
from ao.cli.errors import CliError
from ao.cli.inspection import NOT_READY, READY, STALE, STOPPED, inspect
from ao.forges.credentials import has_github_credentials
from ao.host import LocalHost
from ao.ports import CommandTimeoutError

PASS: Final = "PASS"  # noqa: S105 (a level)
WARN: Final = "WARN"
FAIL: Final = "FAIL"
PROBE_TIMEOUT_S: Final = 2.0
OLDEST_GIT: Final = (2, 31)
OLDEST_TMUX: Final = (3, 2)
# Folders that systems empty by themselves: worktrees in them have been lost (fault W10).
TEMPORARY: Final = ("/tmp", "/var/tmp", "/dev/shm", "/run")  # noqa: S108 (named, not used)
_DISK_FAIL: Final = 100 << 20
_DISK_WARN: Final = 1 << 30
_DAY_S: Final = 86_400
_HOOKS_TAIL: Final = 65_536
_COLOURS: Final = {PASS: "green", WARN: "yellow", FAIL: "red"}


class Check(msgspec.Struct, frozen=True):
    """One line of the report."""

    level: str
    section: str
    name: str
    message: str


def _core(settings: config.Config) -> Iterator[Check]:
    yield Check(PASS, "Core", "config", f"run file {settings.run_file}, data {settings.data_dir}, port {settings.port}")
    made = _data_dir(settings.data_dir)
    yield made
    if made.level != FAIL:
        yield _writable(settings.data_dir)
        yield _private(settings.data_dir)
        yield _disk(settings.data_dir)
    yield _lasting(settings.data_dir)
    yield _store(settings.data_dir)
    yield _hooks_log(settings.data_dir, time.time())


def _data_dir(path: str) -> Check:
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
    except OSError as error:
        return Check(FAIL, "Core", "data-dir", f"{path} can't be made: {error.strerror}; set AO_DATA_DIR")
    return Check(PASS, "Core", "data-dir", path)


def _writable(path: str) -> Check:
    try:
        descriptor, probe = tempfile.mkstemp(prefix=".doctor-", dir=path)
        os.close(descriptor)
    except OSError as error:
        return Check(FAIL, "Core", "data-dir-write", f"{path} can't be written: {error.strerror}")
    try:
        os.unlink(probe)
    except OSError as error:
        return Check(WARN, "Core", "data-dir-write", f"{probe} can't be removed: {error.strerror}")
    return Check(PASS, "Core", "data-dir-write", "writable")


def _private(path: str) -> Check:
    """Other users must not read what agents do, nor the tokens."""
    for name, mode in ((path, 0o700), (f"{path}/token", 0o600), (f"{path}/auth.key", 0o600)):
        try:
            found = os.stat(name)
        except FileNotFoundError:
            continue
        except OSError as error:
            return Check(FAIL, "Core", "permissions", f"{name}: {error.strerror}")
        if found.st_uid != os.getuid():
            return Check(FAIL, "Core", "permissions", f"{name} belongs to user {found.st_uid}, not to you")
        if found.st_mode & 0o777 & ~mode:
            actual = found.st_mode & 0o777
            return Check(FAIL, "Core", "permissions", f"{name} has mode {actual:04o}; run: chmod {mode:o} {name}")
    return Check(PASS, "Core", "permissions", "only you can read it")


def _disk(path: str) -> Check:
    free = shutil.disk_usage(path).free
    level = FAIL if free < _DISK_FAIL else WARN if free < _DISK_WARN else PASS
    return Check(level, "Core", "disk", f"{free / (1 << 30):.1f} GiB free for worktrees")


def _lasting(path: str) -> Check:
    real = os.path.realpath(path)
    folders = {os.path.realpath(folder) for folder in (*TEMPORARY, tempfile.gettempdir())}
    inside = [folder for folder in folders if real == folder or real.startswith(folder + os.sep)]
    if inside:
        where = max(inside, key=len)
        return Check(WARN, "Core", "data-dir-place", f"{path} is under {where}, which the system may empty: move it")
    return Check(PASS, "Core", "data-dir-place", "not under a temporary directory")


def _store(data_dir: str) -> Check:
    path = f"{data_dir}/ao.db"
    try:
        size = os.stat(path).st_size
    except FileNotFoundError:
        return Check(WARN, "Core", "sqlite", f"{path} doesn't exist yet; the first start makes it")
    except OSError as error:
        return Check(FAIL, "Core", "sqlite", f"{path}: {error.strerror}")
    return Check(PASS, "Core", "sqlite", f"{path}, {size} bytes")


def _hooks_log(data_dir: str, now: float) -> Check:
    path = f"{data_dir}/hooks.log"
    try:
        with open(path, "rb") as file:
            file.seek(max(os.fstat(file.fileno()).st_size - _HOOKS_TAIL, 0))
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return Check(PASS, "Core", "hooks-log", "no failed callbacks")
    except OSError as error:
        return Check(WARN, "Core", "hooks-log", f"{path}: {error.strerror}")
    recent = [line for line in lines if now - (moments.parse(line.partition(" ")[0]) or 0) < _DAY_S]
    if recent:
        return Check(WARN, "Core", "hooks-log", f"{len(recent)} failed callbacks within a day in {path}: {recent[-1]}")
    return Check(PASS, "Core", "hooks-log", "no failed callbacks within a day")


def _daemon(where: paths.Paths) -> Check:
    try:
        found = inspect(where)
    except CliError as error:
        return Check(FAIL, "Core", "daemon", error.message)
    level = {READY: PASS, STOPPED: PASS, STALE: WARN, NOT_READY: WARN}.get(found.state, FAIL)
    told = f"{found.state}, pid {found.pid}" if found.pid else found.state
    return Check(level, "Core", "daemon", f"{told}: {found.error}" if found.error else told)


class _Probes:
    """Checks that run programs."""

    def __init__(self, host: LocalHost, environ: Mapping[str, str]) -> None:
        self._host = host
        self._path = environ.get("PATH", "")

    async def tool(self, name: str, flag: str, oldest: tuple[int, int], install: str) -> Check:
        """A program that must be there in at least this version."""
        program = self._host.which(name, path=self._path)
        wanted = ".".join(map(str, oldest))
        if program is None:
            return Check(FAIL, "Tools", name, f"not found; install {name} {wanted} or newer, e.g. {install}")
        text = await self._version(program, flag)
        if text is None:
            return Check(FAIL, "Tools", name, f"{program} {flag} fails")
        version = parse_version(text)
        if version is None:
            return Check(WARN, "Tools", name, f"{program}: can't tell the version from {text!r}")
        if version < oldest:
            return Check(FAIL, "Tools", name, f"{program} is {text}; install {wanted} or newer")
        return Check(PASS, "Tools", name, f"{program}, {text}")

    async def _version(self, program: str, flag: str) -> str | None:
        try:
            done = await self._host.run([program, flag], timeout_s=PROBE_TIMEOUT_S)
        except (FileNotFoundError, OSError, CommandTimeoutError):
            return None
        lines = output.clean((done.out or done.err).partition("\n")[0])
        return lines if done.code == 0 else None

    def own_program(self) -> Check:
        """Whether the `ao` that a shell finds is the one that runs. Hooks don't care: they carry the absolute path."""
        own = os.path.join(os.path.dirname(sys.executable), "ao")
        found = self._host.which("ao", path=self._path)
        if found is None:
            return Check(WARN, "Tools", "ao-binary", f"ao isn't on PATH; this one is {own}")
        if os.path.realpath(found) != os.path.realpath(own):
            return Check(WARN, "Tools", "ao-binary", f"PATH has {found}, this one is {own}")
        return Check(PASS, "Tools", "ao-binary", found)


def parse_version(text: str) -> tuple[int, int] | None:
    """The first `MAJOR.MINOR` in a program's version line; None when there is none (`tmux master`)."""
    found = re.search(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else None


async def _agents(host: LocalHost, settings: config.Config, environ: Mapping[str, str]) -> list[Check]:
    where = paths.resolve(environ)
    try:
        ready = inspect(where).state == READY
        answer = connect(where, environ).call("POST", "/agents/refresh", {}) if ready else None
    except CliError:
        # The daemon's own trouble is told by its check; the agents are looked for here then.
        answer = None
    if answer is not None:
        installed = {agent["id"]: agent for agent in answer.get("installed", [])}
        return [_agent(installed.get(agent["id"], {}), agent, "by the daemon") for agent in answer.get("supported", [])]
    catalog = Catalog(host, data_dir=settings.data_dir, user_dir=settings.agents_dir, environ=environ)
    checks = [Check(WARN, "Agents", name, f"disabled: {problem}") for name, problem in catalog.problems.items()]
    for report in await catalog.survey(refresh=True):
        fields = {"id": report.id, "authStatus": report.auth, "binary": report.binary, "version": report.version}
        checks.append(_agent(fields if report.installed else {}, {"id": report.id, "hint": report.hint}, "here"))
    return checks


def _agent(found: Mapping[str, Any], known: Mapping[str, Any], by: str) -> Check:
    name, hint = str(known["id"]), known.get("hint") or found.get("hint") or ""
    more = f"; {hint}" if hint else ""
    if not found:
        return Check(WARN, "Agents", name, f"not found {by}{more}")
    told = " ".join(str(found[key]) for key in ("binary", "version") if found.get(key)) or "installed"
    signed_in = found.get("authStatus")
    if signed_in == "unauthorized":
        return Check(WARN, "Agents", name, f"{told}, not signed in{more}")
    return Check(PASS, "Agents", name, f"{told}, {'signed in' if signed_in == 'authorized' else 'sign-in unknown'}")


async def examine(environ: Mapping[str, str]) -> list[Check]:
    """Every check, in the order of the report. A configuration that can't be used ends it."""
    problems = config.problems(environ)
    if problems:
        return [Check(FAIL, "Core", "config", f"{error.message} ({error.code})") for error in problems]
    settings = config.load(environ)
    host = LocalHost(environ=environ)
    probes = _Probes(host, environ)
    checks = [*_core(settings), _daemon(paths.resolve(environ))]
    checks += await asyncio.gather(
        probes.tool("git", "--version", OLDEST_GIT, "apt install git"),
        probes.tool("tmux", "-V", OLDEST_TMUX, "apt install tmux"),
    )
    checks.append(probes.own_program())
    checks += await _agents(host, settings, environ)
    has_token = await has_github_credentials(host, environ)
    told = "a token is set" if has_token else "none; set AO_GITHUB_TOKEN or run: gh auth login"
    return [*checks, Check(PASS if has_token else WARN, "GitHub", "github-token", told)]


def _report(checks: Sequence[Check], *, as_json: bool) -> None:
    failures = sum(check.level == FAIL for check in checks)
    if as_json:
        fields = [msgspec.structs.asdict(check) for check in checks]
        output.emit_json({"ok": not failures, "failures": failures, "checks": fields})
        return
    paint: Callable[[str, str], str] = output.paint if output.colourful() else lambda text, _: text
    section = ""
    for check in checks:
        if check.section != section:
            output.emit(f"{section and chr(10)}{check.section}:")
            section = check.section
        output.emit(f"{paint(check.level, _COLOURS[check.level])} {check.name}: {output.clean(check.message)}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report; 1 when a check failed."""
    words = sys.argv[1:] if arguments is None else arguments
    checks = asyncio.run(examine(os.environ))
    _report(checks, as_json="--json" in words)
    failures = sum(check.level == FAIL for check in checks)
    if failures:
        output.note(f"doctor found {failures} failing check{'' if failures == 1 else 's'}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
