"""The Protocols through which the engine reaches the world, and the values they speak in.

One place, so that a reader sees everything the engine may ask: here of hosts, workspaces and runtimes, in
`agents` of coding agents, in `forge` of forges, in `trees` of commits and merges.
Adapters raise `AoError` with a code for what a user can cause; anything else they raise is a bug. Paths are those of
the host the adapter works on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec


class Completed(msgspec.Struct, frozen=True, kw_only=True):
    """A command that ended. Of output beyond the limit it was run with, `out` and `err` keep the beginning and the end,
    half of the limit each, with a line between that says what is missing; `cut` says whether that happened."""

    code: int
    out: str
    err: str
    cut: bool = False


class CommandTimeoutError(Exception):
    """A command didn't end in time; its whole process group has been killed."""


class ProcessId(msgspec.Struct, frozen=True, order=True):
    """A process, safe against reuse of its pid: `started` is the kernel's start time of it, as text."""

    pid: int
    started: str


class Connection(Protocol):
    """A long-lived child process spoken to line by line."""

    async def write(self, data: bytes) -> None:
        """Send `data`. Raises ConnectionError when the process is gone."""

    def lines(self) -> AsyncIterator[bytes]:
        """Its output, line by line without the line end; ends when the process does."""

    async def close(self) -> None:
        """End the process and wait for it; idempotent."""


class Host(Protocol):
    """The machine where commands run. Nothing above it assumes a local path or process.

    Commands get an argument vector, never a shell string; a minimal environment (PATH, HOME, LC_ALL=C, no prompts)
    plus `env`; stdin closed unless `stdin` is given; their own process group.
    """

    async def run(
        self,
        argv: Sequence[str],
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        timeout_s: float = 30.0,
        limit: int = 4 << 20,
    ) -> Completed:
        """Run a command to its end. Raises FileNotFoundError when there is none, CommandTimeoutError when late."""

    async def connect(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> Connection:
        """Start a long-lived command. Raises FileNotFoundError."""

    def which(self, name: str, *, path: str, extra: Sequence[str] = ()) -> str | None:
        """Absolute path of an executable file called `name` in `path` (colon-separated), else in the folders `extra`
        (`~` expanded); an absolute `name` is checked as it is."""

    def stamp(self, paths: Sequence[str]) -> tuple[tuple[int, int, int] | None, ...]:
        """(mtime in ns, size, inode) of each path, None where there is none. The key of a cache; no process runs."""

    async def read(self, path: str, *, limit: int = 1 << 20) -> bytes | None:
        """The first `limit` bytes of a file, None when there is none; OSError for what is no readable regular file."""

    async def write_private(self, path: str, data: bytes, *, mode: int = 0o600, durable: bool = True) -> None:
        """Write a file atomically (temporary file, rename), to the disk when `durable`; its folder gets mode 0700."""

    async def make_dir(self, path: str) -> None:
        """Make a folder (0700) and its parents."""

    async def remove_tree(self, path: str) -> None:
        """Remove a folder and all in it without following links; nothing happens when there is none."""

    async def list_dir(self, path: str) -> list[str]:
        """Names in a folder, sorted; empty when there is none."""

    async def await_file(self, path: str, *, timeout_s: float) -> bytes | None:
        """The content of a file as soon as it exists and isn't empty (woken by the kernel, not polled), None when it
        doesn't appear in time."""

    async def changed(self, paths: Sequence[str], *, timeout_s: float) -> bool:
        """Return True as soon as one of these files is written, made, replaced or removed (woken by the kernel, not
        polled), False after `timeout_s`. Files whose folder doesn't exist are watched from where it would appear."""

    def identify(self, pid: int) -> ProcessId | None:
        """The process that has this pid now, None when there is none or it is a zombie."""

    async def exited(self, process: ProcessId) -> None:
        """Return when `process` is gone. Costs no wake-ups while it lives."""

    async def kill(self, root: ProcessId | None, marks: Mapping[str, str], *, grace_s: float) -> list[ProcessId]:
        """End `root`, its descendants and every process of our user whose environment holds all of `marks`.

        SIGTERM to all, up to `grace_s` for them to go, SIGKILL to the rest, until none is left. Every signal is sent
        to a verified (pid, start time). Returns those that could not be ended (normally none).
        """

    async def find(self, marks: Mapping[str, str]) -> list[ProcessId]:
        """Processes of our user whose environment holds all of `marks`."""


class Repository(msgspec.Struct, frozen=True, kw_only=True):
    """What registration needs to know of a repository. `path` is its top level; `origin` has no credentials."""

    path: str
    origin: str
    default_branch: str


class BranchRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`requested` "" means the session's own branch `own`, from the project's base `default`."""

    repo_path: str
    own: str
    default: str
    requested: str = ""
    commit: str = ""
    """Begin a branch `own` at this commit; `requested` is "" then."""


class BranchPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A validated answer to a request. `start` is the commit at which a new branch begins; "" with `create` False."""

    branch: str
    create: bool
    start: str
    base_ref: str
    base_sha: str
    base_at: int | None
    """Commit time of the base in milliseconds; None when it wasn't read (it is a hint, never a decision)."""
    warnings: tuple[str, ...] = ()


class Checkout(msgspec.Struct, frozen=True, kw_only=True):
    """A session's worktree, by what its row says."""

    session_id: str
    repo_path: str
    path: str
    branch: str
    branch_created: bool
    base_sha: str


class WorkState(msgspec.Struct, frozen=True, kw_only=True):
    """What a look at the disk found. `problem` is "" when the worktree may go without loss, else why it must stay:
    uncommitted changes, untracked files, rebase/merge/cherry-pick/bisect in progress, locked, unreadable."""

    exists: bool
    registered: bool
    problem: str = ""
    own_commits: int = 0


class Removal(msgspec.Struct, frozen=True, kw_only=True):
    """What removal left behind, re-read from disk. `preserved` "" = the worktree is gone."""

    removed: bool
    preserved_reason: str = ""
    branch_kept: bool = False
    snapshot: str = ""
    """The ref that holds a snapshot taken before a forced removal."""


class Workspaces(Protocol):
    """Checkouts of repositories. Each call that touches a repository's worktree list holds that repository's lock
    (waits ≤ 60 s, then `REPOSITORY_BUSY`)."""

    async def inspect(self, path: str) -> Repository:
        """Facts of the repository whose top level is `path`. Raises `NOT_A_GIT_REPO`."""

    async def top_number(self, repo_path: str, project_id: str) -> int:
        """The highest N with an `ao/<project>-N` in refs/heads or refs/ao/preserved; 0 when none."""

    async def taken(self, repo_path: str, session_id: str) -> bool:
        """Whether refs/heads/ao/<id> or refs/ao/preserved/<id> exists. Answered from a cache checked by stat."""

    async def plan(self, request: BranchRequest) -> BranchPlan:
        """Resolve branch and base, changing nothing. With nothing requested no process runs once the
        cache, checked by stat, is warm. Raises `INVALID_BRANCH`, `BRANCH_CHECKED_OUT_ELSEWHERE`,
        `BRANCH_NOT_FETCHED`, `PROJECT_NOT_RESOLVABLE` (the repository is gone or unreadable)."""

    async def fetch(self, repo_path: str, branch: str, *, timeout_s: float) -> str:
        """Fetch `branch` of origin. Returns "" or a warning that says why it failed; never raises for that. Does
        nothing without a remote."""

    async def create(self, plan: BranchPlan, checkout: Checkout) -> None:
        """Make the worktree. A failed attempt removes its folder, its registration and the branch it made. Raises
        `BRANCH_CHECKED_OUT_ELSEWHERE`, `WORKSPACE_OCCUPIED` (a foreign non-empty folder is at the path),
        `REPOSITORY_BUSY`, `WORKSPACE_FAILED`."""

    async def reopen(self, checkout: Checkout) -> None:
        """Make sure the worktree of an ended session exists, on its branch: as it is when registered, re-added from
        the branch when gone, dirty or not untouched. Raises `WORKSPACE_OCCUPIED`, `WORKSPACE_MISSING` (worktree and
        branch are both gone), `BRANCH_CHECKED_OUT_ELSEWHERE`."""

    async def examine(self, checkout: Checkout) -> WorkState:
        """Look at the disk; change nothing."""

    async def remove(self, checkout: Checkout, *, force: bool) -> Removal:
        """Remove the worktree unless that would lose something, and its branch if that holds nothing of its own.
        Idempotent. `force` first keeps uncommitted, untracked and ignored files in a verified numbered ref."""

    async def provision(self, checkout: Checkout, symlinks: Sequence[str]) -> list[str]:
        """Link repository files into the worktree (missing sources and existing targets are skipped, a link out of
        the repository refused) and hide them from git status. Returns warnings."""


class Liveness(StrEnum):
    """What a probe found. Unknown changes nothing."""

    ALIVE = "alive"
    DEAD = "dead"
    UNKNOWN = "unknown"


class Terminal(msgspec.Struct, frozen=True):
    """A session's terminal: tmux server number and session name."""

    server: int
    handle: str


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the supervisor needs. `folder` is this launch's own (0700); `env` is complete but for the terminal's
    own variables. Both reach the supervisor through a 0600 file; the agent's own command line is `argv`, for all to
    see, and so holds no secret."""

    terminal: Terminal
    folder: str
    cwd: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    label: str = ""
    """Shown as the terminal's title: the session id."""


class Sent(StrEnum):
    """How far a text got: nothing was written; pasted but not submitted; pasted and Enter pressed."""

    NOT_WRITTEN = "not_written"
    PASTED = "pasted"
    ENTERED = "entered"


class Runtime(Protocol):
    """What holds terminals and outlives the daemon: tmux on a private socket."""

    async def check(self) -> None:
        """Raises `RUNTIME_PREREQUISITE_MISSING` when tmux is absent or older than 3.2. Cached."""

    async def start(self, launch: Launch) -> None:
        """Write the launch files and open the terminal. Raises `RUNTIME_FAILED`; then no terminal is left."""

    async def agent(self, folder: str, *, timeout_s: float) -> ProcessId | None:
        """The agent's process as the supervisor of that launch folder recorded it; waits for it to appear, None when
        it doesn't in time. A process that is already gone is still returned."""

    async def exit_code(self, folder: str, *, timeout_s: float = 0.0) -> int | None:
        """The agent's exit code as recorded, awaited for up to `timeout_s` (it is written just after the process is
        gone); None when it hasn't ended or nobody could record it."""

    async def probe(self, terminals: Sequence[Terminal]) -> dict[Terminal, Liveness]:
        """Liveness of all in one question per server."""

    async def send(self, terminal: Terminal, text: str, *, may_enter: Callable[[str], bool]) -> Sent:
        """Paste `text` (any size and content, bracketed) and press Enter once the screen rests. Just before Enter
        `may_enter` is asked with the screen's text; False leaves the text unsubmitted. Raises `RUNTIME_FAILED` when
        the terminal is gone before anything was written."""

    async def press_enter(self, terminal: Terminal) -> None:
        """One bare Enter. Raises `RUNTIME_FAILED` when it can't be given."""

    async def typed_at(self, terminal: Terminal) -> int | None:
        """When an attached client last typed, in milliseconds since the epoch; None when none is attached. Raises
        `RUNTIME_FAILED` when nobody can tell."""

    async def capture(self, terminal: Terminal, *, lines: int) -> str:
        """The last `lines` lines of screen and history, trailing blank lines trimmed; "" when there is no terminal.
        Raises `RUNTIME_FAILED` when nobody can tell."""

    async def close(self, terminal: Terminal) -> None:
        """Close the terminal with what runs in it; idempotent. Raises `RUNTIME_FAILED` when nobody can tell."""

    async def terminals(self, server: int) -> list[str]:
        """Handles of all session terminals of a server; empty when it doesn't run. Raises `RUNTIME_FAILED` when it
        can't be asked (which is not the same)."""

    def attach_argv(self, terminal: Terminal, *, read_only: bool) -> list[str]:
        """The command a person runs to see and use the terminal."""

    async def shut(self) -> None:
        """Let go of the tmux servers: one that holds a terminal lives on, an empty one is ended."""
