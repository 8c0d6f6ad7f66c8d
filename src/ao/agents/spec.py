"""What a coding agent is, as data: the one description from which its command, hooks, signals and probes follow.

The same structs are the schema of a user's own agent: a file `<user folder>/<id>.toml` with the keys below, strict
(unknown keys, wrong types and unknown placeholders are errors that name the file and the field). A broken file disables
that agent only.

    name = "Aider"                              # required
    args = ["{permissions}", ["--model", "{model}"], {args = ["--message", "{prompt}"], on = "launch"}]
    [binary]
    names = ["aider"]                           # looked up on PATH; an absolute path is taken as it is
    folders = ["~/.local/bin"]                  # searched after PATH
    node = false                                # also search npm's, Volta's, nvm's and fnm's folders
    install = "pipx install aider-chat"         # shown when it isn't found
    [system]                                    # standing instructions; `in_prompt = true` puts them before the prompt
    file = ["--read", "{system_file}"]          # or text = ["--append-system-prompt", "{system}"]
    [permissions.auto]                          # modes: default, accept-edits, auto, bypass-permissions
    args = ["--yes-always"]                     # also: env = {KEY = "VALUE"}, warning = "TEXT"
    [reviewer]                                  # only for an agent that can review without being able to change
    args = ["--read-only"]                      # take the place of the permission arguments; also: env
    [prompt]
    paste = true                                # type the prompt into the terminal instead of passing it
    ready = ["> "]                              # once one of these is on the screen
    [states]                                    # events the agent reports by `ao hooks ID EVENT`
    user-prompt-submit = "active"               # active, idle, waiting_input, blocked, exited, none
    [[dialogs]]                                 # regular expressions that all match when a dialog is open
    name = "permission"
    patterns = ["Allow this\\?"]
    [auth]
    env = ["OPENAI_API_KEY"]                    # one of them set means signed in; also argv, authorized, unauthorized
    [env]
    AIDER_NOTIFY = "{hook:stop}"                # `{hook:EVENT}` is the quoted command that reports EVENT

An element of `args` is one argument, a list of arguments, or `{args, on, since}`: `on` = launch, resume or both,
`since` = the first version of the program that knows it. An element whose placeholder is empty vanishes whole.
`resume = true` says that `args` can continue a conversation by `{native_id}`.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import msgspec

from ao.model.ids import is_id
from ao.model.session import PERMISSIONS, Activity

PLACEHOLDER: Final = re.compile(r"\{([a-z_]+)(?::([a-z-]+))?(\|toml)?\}")
"""`{name}`, `{hook:EVENT}`, or either with `|toml` for a quoted TOML string."""
VALUES: Final = frozenset(
    {
        "prompt", "model", "native_id", "session_id", "project_id", "workspace", "repo", "folder", "system",
        "system_file", "ao",
    }
)  # fmt: skip
"""Placeholders that stand for one text; `ao` is the absolute path of the `ao` program."""
LISTS: Final = frozenset({"permissions", "system", "hooks", "trust"})
"""Placeholders that stand for several arguments when they are a whole element."""
NO_STATE: Final = "none"
_STATES: Final = frozenset({*Activity, NO_STATE})


class _Data(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Strict on the way in."""


class Part(_Data, frozen=True, kw_only=True):
    """Arguments that appear together or not at all."""

    args: tuple[str, ...]
    on: Literal["both", "launch", "resume"] = "both"
    since: str = ""


Element = str | tuple[str, ...] | Part


class Binary(_Data, frozen=True, kw_only=True):
    """Where the program is found and how a person gets it."""

    names: tuple[str, ...]
    folders: tuple[str, ...] = ()
    node: bool = False
    install: str = ""


class Prompt(_Data, frozen=True, kw_only=True):
    """How a prompt is delivered. `ready` holds texts of which one is on the screen when it can be typed."""

    paste: bool = False
    ready: tuple[str, ...] = ()


class System(_Data, frozen=True, kw_only=True):
    """How standing instructions are delivered: as text, as a file (always, or when the text is too long), or in front
    of the prompt."""

    text: tuple[str, ...] = ()
    file: tuple[str, ...] = ()
    in_prompt: bool = False


class Permission(_Data, frozen=True, kw_only=True):
    """What a permission mode means to this agent. `settings` goes into its settings file (channel `settings-file`)."""

    args: tuple[str, ...] = ()
    env: Mapping[str, str] = {}
    settings: Mapping[str, Any] = {}
    warning: str = ""


class ReviewerArguments(_Data, frozen=True, kw_only=True):
    """How the agent is started when it reviews: it may read files, run git's reading commands and `ao review submit`,
    and neither edits nor asks."""

    args: tuple[str, ...]
    env: Mapping[str, str] = {}


class HookEvent(_Data, frozen=True, kw_only=True):
    """One callback to register: the agent's own name of it and ours. `http` = by request instead of by command."""

    native: str
    event: str
    http: bool = False
    since: str = ""


class Hooks(_Data, frozen=True, kw_only=True):
    """How callbacks are registered for one launch, outside the worktree.

    `settings-file`: a file of Claude Code's format, passed by `args` (`{file}`). `config-args`: Codex's `-c` pairs.
    `none`: the agent needs no registration, or has none (placeholders `{hook:EVENT}` still work).
    """

    channel: Literal["none", "settings-file", "config-args"] = "none"
    flag: str = ""
    timeout_s: int = 5
    http_since: str = ""
    events: tuple[HookEvent, ...] = ()


class Choice(_Data, frozen=True, kw_only=True):
    """A state that depends on one field of the payload; `otherwise` also stands for an absent field. A value in `ends`
    is evidence that the turn is over and no dialog is open, as good as the event `stop`."""

    field: str
    values: Mapping[str, str]
    otherwise: str = NO_STATE
    ends: tuple[str, ...] = ()


class Dialog(_Data, frozen=True, kw_only=True):
    """A screen on which the agent waits for a key: all patterns (regular expressions) match near its end."""

    name: str
    patterns: tuple[str, ...]


class Auth(_Data, frozen=True, kw_only=True):
    """How to learn whether somebody is signed in. Only what the program documents; nothing that costs a request.

    `env`: one of these set is evidence. `argv`: a command whose JSON answer has the boolean `field`, or whose output
    matches `unauthorized` or `authorized` (tried in this order, ignoring case). `doubt`: (TOML file, top-level key);
    where that key is set, a "no" means nothing.
    """

    env: tuple[str, ...] = ()
    argv: tuple[str, ...] = ()
    field: str = ""
    authorized: str = ""
    unauthorized: str = ""
    doubt: tuple[str, str] | None = None
    sign_in: str = ""
    needed: bool = True
    """False for an agent that works without an account."""


class Transcript(_Data, frozen=True, kw_only=True):
    """Where the agent keeps a conversation: below `$env` or `default`, at `pattern` (one `*` = any folder)."""

    env: str = ""
    default: str = ""
    pattern: str


class AgentSpec(_Data, frozen=True, kw_only=True):
    """One coding agent. The docstring of this module is the reference of the fields."""

    id: str = ""
    name: str
    binary: Binary
    args: tuple[Element, ...]
    resume: bool = False
    pins_native_id: bool = False
    prompt: Prompt = Prompt()
    system: System = System()
    permissions: Mapping[str, Permission] = {}
    reviewer: ReviewerArguments | None = None
    """None for an agent that can't review."""
    hooks: Hooks = Hooks()
    trust: Literal["none", "claude-json", "codex-args"] = "none"
    states: Mapping[str, str | Choice] = {}
    aliases: Mapping[str, str] = {}
    """Events that count as another one, by which the engine knows the end of a turn."""
    dialogs: tuple[Dialog, ...] = ()
    version: tuple[str, ...] = ()
    """Arguments that print the version."""
    auth: Auth = Auth()
    env: Mapping[str, str] = {}
    """Set unless the session's environment has it already."""
    passes: tuple[str, ...] = ()
    """Variables of the daemon's environment that the agent's own provider needs; `PREFIX*` for all that begin so."""
    transcript: Transcript | None = None


class SpecError(Exception):
    """A description that can't be used; the text names the field."""


def check(spec: AgentSpec) -> AgentSpec:
    """Return `spec`, or raise `SpecError` for the first thing in it that can't work."""
    for field, problem in _problems(spec):
        raise SpecError(f"{field}: {problem}")
    return spec


def load(path: str) -> AgentSpec:
    """The agent described by a user's TOML file. Raises `SpecError` that names the file and the field."""
    stem = os.path.basename(path).removesuffix(".toml")
    try:
        with open(path, "rb") as file:
            spec = msgspec.convert(tomllib.load(file), AgentSpec)
        if spec.id not in ("", stem):
            raise SpecError(f"id: {spec.id!r} differs from the file's name")
        return check(msgspec.structs.replace(spec, id=stem))
    except (SpecError, msgspec.ValidationError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: {error}") from error
    except OSError as error:
        raise SpecError(f"{path}: {error.strerror or error}") from error


def parts(spec: AgentSpec) -> Iterator[Part]:
    """The elements of `args` in their full form."""
    for element in spec.args:
        if isinstance(element, Part):
            yield element
        else:
            yield Part(args=(element,) if isinstance(element, str) else element)


def _problems(spec: AgentSpec) -> Iterator[tuple[str, str]]:
    if not is_id(spec.id):
        yield "id", f"{spec.id!r} is not a valid agent id"
    if not spec.binary.names or not all(spec.binary.names):
        yield "binary.names", "needs at least one name"
    yield from _placeholder_problems(spec)
    for mode in spec.permissions:
        if mode not in PERMISSIONS:
            yield f"permissions.{mode}", f"unknown mode; one of {', '.join(PERMISSIONS)}"
    for event, state in spec.states.items():
        for name in (*state.values.values(), state.otherwise) if isinstance(state, Choice) else (state,):
            if name not in _STATES:
                yield f"states.{event}", f"unknown state {name!r}; one of {', '.join(sorted(_STATES))}"
    for field, pattern in _patterns(spec):
        try:
            re.compile(pattern)
        except re.error as error:
            yield field, f"{pattern!r} is not a regular expression: {error}"


def _patterns(spec: AgentSpec) -> Iterator[tuple[str, str]]:
    for dialog in spec.dialogs:
        yield from ((f"dialogs.{dialog.name}", pattern) for pattern in dialog.patterns)
    yield "auth.authorized", spec.auth.authorized
    yield "auth.unauthorized", spec.auth.unauthorized


def _placeholder_problems(spec: AgentSpec) -> Iterator[tuple[str, str]]:
    texts = [("args", text) for part in parts(spec) for text in part.args]
    texts += [("system", text) for text in (*spec.system.text, *spec.system.file)]
    texts += [(f"env.{name}", value) for name, value in spec.env.items()]
    for mode, permission in spec.permissions.items():
        texts += [(f"permissions.{mode}", text) for text in (*permission.args, *permission.env.values())]
    if spec.reviewer is not None:
        texts += [("reviewer", text) for text in (*spec.reviewer.args, *spec.reviewer.env.values())]
    for field, text in texts:
        for match in PLACEHOLDER.finditer(text):
            name, event = match[1], match[2]
            whole = match[0] == text and name in LISTS
            if not (whole or (name in VALUES and not event) or (name == "hook" and event)):
                yield field, f"unknown placeholder {match[0]}"
