"""Every command of `ao`, as data: its words, one line of help and the module that implements it.

Dispatch, the overview, group help and shell completion are all made from this table, so none can drift from another.
A module named here has a `COMMANDS` dictionary from the entry's path to its `grammar.Command`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Entry:
    """One command: `path` is its words, `aliases` are other spellings of its last word."""

    __slots__ = ("aliases", "hidden", "module", "path", "summary")

    def __init__(
        self, path: str, module: str, summary: str, *, aliases: tuple[str, ...] = (), hidden: bool = False
    ) -> None:
        self.path = path
        self.module = module
        self.summary = summary
        self.aliases = aliases
        self.hidden = hidden

    def matches(self, words: Sequence[str]) -> bool:
        """Whether `words` spell this command, by its name or an alias."""
        *group, name = self.path.split(" ")
        return list(words[:-1]) == group and (words[-1] == name or words[-1] in self.aliases)


GROUPS = {
    "session": "sessions: list, inspect, end, bring back",
    "pr": "pull requests: look, review, merge",
    "review": "reviews of pull requests by agents",
    "project": "registered repositories and their configuration",
    "orchestrator": "the agent of a project that directs the others",
    "notify": "notifications, and the channels they go out by",
    "agent": "coding agents this machine can run",
}

ENTRIES = (
    Entry("start", "lifecycle", "start the daemon in the background"),
    Entry("stop", "lifecycle", "stop the daemon; agents keep running"),
    Entry("status", "status", "show the daemon's state; --watch shows all sessions live"),
    Entry("doctor", "foreground", "check this machine: tools, agents, permissions"),
    Entry("logs", "logs", "show the daemon's log"),
    Entry("spawn", "spawn", "start an agent on a task, in a worktree of its own"),
    Entry("send", "send", "send a message to a session's agent"),
    Entry("attach", "attach", "open a session's terminal here"),
    Entry("ls", "listing", "list sessions"),
    Entry("events", "events", "print the stream of changes"),
    Entry("session ls", "listing", "list sessions"),
    Entry("session get", "session", "show one session"),
    Entry("session kill", "ending", "end a session; uncommitted work is kept"),
    Entry("session restore", "session", "bring an ended session back, with its conversation where possible"),
    Entry("session rename", "session", "give a session a display name"),
    Entry("session cleanup", "ending", "remove the worktrees of ended sessions"),
    Entry("session rollback", "ending", "undo a spawn"),
    Entry("session messages", "session", "list the messages sent to a session and their fate"),
    Entry("session output", "session", "print the last lines of a session's terminal"),
    Entry("session claim-pr", "claims", "make a session the owner of a pull request"),
    Entry("session nudges", "claims", "list what the agent was told because of its pull requests"),
    Entry("session merge-policy", "claims", "say whether a session ends when its pull requests are merged"),
    Entry("pr ls", "pr", "list pull requests", aliases=("list",)),
    Entry("pr view", "pr", "show one: state, checks, reviews, what is in its way", aliases=("show",)),
    Entry("pr diff", "pr", "print what it changes"),
    Entry("pr checks", "pr", "show its checks, their output, or run them again"),
    Entry("pr create", "pr_actions", "open a pull request"),
    Entry("pr comment", "pr_actions", "comment on it"),
    Entry("pr reply", "pr_actions", "answer in one of its threads"),
    Entry("pr review", "pr_actions", "approve it, or ask for changes"),
    Entry("pr resolve", "pr_actions", "resolve its threads"),
    Entry("pr merge", "pr_actions", "merge it"),
    Entry("pr close", "pr_actions", "close it without merging"),
    Entry("review run", "review", "have a session's pull requests reviewed by an agent"),
    Entry("review ls", "review", "list the reviews of a session", aliases=("list",)),
    Entry("review submit", "review", "record a verdict; reviewing agents call this"),
    Entry("review cancel", "review", "stop the reviews of a session"),
    Entry("project ls", "project", "list projects", aliases=("list",)),
    Entry("project get", "project", "show one project"),
    Entry("project add", "project", "register a git repository"),
    Entry("project rm", "project", "unregister a project; its sessions are ended", aliases=("remove", "delete")),
    Entry("project config", "configuration", "print a project's configuration"),
    Entry("project set-config", "configuration", "change a project's configuration"),
    Entry("project schema", "configuration", "print the JSON Schema of the configuration"),
    Entry("orchestrator ls", "listing", "list orchestrators", aliases=("list",)),
    Entry("orchestrator get", "orchestrator", "show an orchestrator"),
    Entry("orchestrator start", "orchestrator", "start the project's orchestrator, or show the running one"),
    Entry("agent ls", "agent", "list agents, whether installed and signed in", aliases=("list",)),
    Entry("notify ls", "notify", "list what a person should know", aliases=("list",)),
    Entry("notify read", "notify", "mark notifications as read"),
    Entry("notify channels", "notify", "list the channels that notifications go out by"),
    Entry("notify test", "notify", "send a test notification"),
    Entry("completion", "completion", "print a completion script for bash, zsh, fish or powershell"),
    Entry("version", "version", "print the version"),
    Entry("daemon", "foreground", "run the daemon in the foreground", hidden=True),
    Entry("hooks", "foreground", "report an agent's callback to the daemon; agents call this", hidden=True),
    Entry("__complete", "completion", "print completions of a command line", hidden=True),
)

_SECTIONS = (
    ("Work", ("spawn", "send", "attach", "ls", "pr", "review", "session", "orchestrator")),
    ("Set up", ("project", "agent", "notify", "doctor", "completion")),
    ("Daemon", ("start", "stop", "status", "logs", "events", "version")),
)


def find(words: Sequence[str]) -> Entry | None:
    """The command these words spell exactly, or None."""
    return next((entry for entry in ENTRIES if entry.matches(words)), None)


def members(group: str) -> list[Entry]:
    """The commands of a group, in the order of the table."""
    return [entry for entry in ENTRIES if entry.path.startswith(group + " ")]


def overview() -> str:
    """The text of `ao --help`."""
    summaries = {**{entry.path: entry.summary for entry in ENTRIES}, **GROUPS}
    lines = ["ao: supervise many coding agents at once, each in its own git worktree and terminal.", ""]
    lines.append("usage: ao COMMAND [ARGUMENTS]")
    for title, names in _SECTIONS:
        lines += ["", f"{title}:"]
        lines += [f"  {name:<13} {summaries[name]}" for name in names]
    lines += [
        "",
        "Flags:",
        "  -h, --help    help for any command (also: ao help COMMAND)",
        "  -v, --version the version",
    ]
    lines += ["", "First steps: ao start; ao project add; ao spawn --prompt 'fix the failing test'", ""]
    return "\n".join(lines)


def group_help(group: str) -> str:
    """The text of `ao GROUP --help`."""
    lines = [f"ao {group}: {GROUPS[group]}", "", f"usage: ao {group} COMMAND [ARGUMENTS]", "", "Commands:"]
    for entry in members(group):
        name = ", ".join((entry.path.split(" ", 1)[1], *entry.aliases))
        lines.append(f"  {name:<18} {entry.summary}")
    return "\n".join([*lines, "", f"See also: ao {group} COMMAND --help", ""])
