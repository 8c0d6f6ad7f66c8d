"""Shell completion: the scripts of `ao completion SHELL`, and `ao __complete`, which they ask.

The scripts only pass the words of the line on; what completes comes from the command table here, so a script never
goes stale. Ids of sessions, projects and agents come from the daemon, which gets 300 ms.
"""

from __future__ import annotations

import os

from ao.cli import table
from ao.cli.context import Context
from ao.cli.dispatch import load
from ao.cli.errors import CliError, UsageError
from ao.cli.grammar import Argument, Command
from ao.cli.output import emit, natural

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ao.cli.grammar import Option, Values

_BUDGET_S = 0.3
# Which sessions a command can act on; the others take all of them.
_ACTIVE = {
    "attach": "true",
    "send": "true",
    "session kill": "true",
    "session output": "true",
    "session restore": "false",
    "session rollback": "true",
}
_ROUTES = {
    "session": ("/sessions", "sessions"),
    "project": ("/projects", "projects"),
    "agent": ("/agents", "supported"),
    "pull": ("/prs", "prs"),
}

_SCRIPTS = {
    "bash": """\
# bash completion for ao; load with: source <(ao completion bash)
_ao() {
    local IFS=$'\\n' word joined= after=
    local -a words=()
    for word in "${COMP_WORDS[@]:1:COMP_CWORD}"; do  # readline takes --flag=value apart
        if [[ ( $word == '=' || $after ) && ${#words[@]} -gt 0 ]]; then words[-1]+=$word; joined=1
        else words+=("$word"); joined=; fi
        if [[ $word == '=' ]]; then after=1; else after=; fi
    done
    COMPREPLY=($(ao __complete "${words[@]}" 2>/dev/null))
    [[ ! $joined ]] || COMPREPLY=("${COMPREPLY[@]#*=}")
    [[ ${#COMPREPLY[@]} -gt 0 ]] || compopt -o default
}
complete -F _ao ao
""",
    "zsh": """\
#compdef ao
# zsh completion for ao; load with: source <(ao completion zsh)
_ao() {
    local -a found
    found=("${(@f)$(ao __complete "${(@)words[2,$CURRENT]}" 2>/dev/null)}")
    if [[ -n "${found[*]}" ]]; then compadd -- "${found[@]}"; else _files; fi
}
compdef _ao ao
""",
    "fish": """\
# fish completion for ao; load with: ao completion fish | source
function __ao_complete
    set -l words (commandline -opc) (commandline -ct)
    ao __complete $words[2..-1] 2>/dev/null
end
complete -c ao -f -a '(__ao_complete)'
""",
    "powershell": """\
# PowerShell completion for ao; load with: ao completion powershell | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName ao -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $words = @($commandAst.CommandElements | Select-Object -Skip 1 | ForEach-Object { $_.ToString() })
    if ($wordToComplete -eq '') { $words += '' }
    ao __complete @words 2>$null | ForEach-Object {
        [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_)
    }
}
""",
}


def complete(words: Sequence[str], environ: dict[str, str] | None = None) -> int:
    """Print what may stand in place of the last word, one candidate a line; nothing when nothing is known."""
    context = Context(os.environ if environ is None else environ)
    *before, current = words or [""]
    for candidate in candidates(context, list(before), current):
        if candidate.startswith(current):
            emit(candidate)
    return 0


def candidates(context: Context, before: list[str], current: str) -> list[str]:
    """What may follow the words `before`."""
    if before[:1] == ["help"]:
        before = before[1:]
    if not before:
        names = [entry.path for entry in table.ENTRIES if " " not in entry.path and not entry.hidden]
        return sorted([*names, *table.GROUPS, "help", "--help", "--version"])
    if before[0] in table.GROUPS and len(before) == 1:
        return [entry.path.split(" ", 1)[1] for entry in table.members(before[0])] + ["--help"]
    length = 2 if before[0] in table.GROUPS else 1
    entry = table.find(before[:length])
    return _of_command(context, load(entry), before[length:], current) if entry else []


def _of_command(context: Context, command: Command, before: list[str], current: str) -> list[str]:
    flag, equals, _ = current.partition("=")
    option = command.option(flag)
    if equals and option:
        return [f"{flag}={value}" for value in _values(context, option, command)]
    if current.startswith("-"):
        return [name for name in command.flags() if name.startswith("--")]
    previous = command.option(before[-1]) if before else None
    if previous is not None and previous.metavar:
        return _values(context, previous, command)
    argument = _next_argument(command, before)
    return _values(context, argument, command) if argument else []


def _next_argument(command: Command, before: list[str]) -> Argument | None:
    """The positional that comes next after these words."""
    count = 0
    skip = False
    for word in before:
        option = command.option(word)
        if not skip and not word.startswith("-"):
            count += 1
        skip = not skip and option is not None and bool(option.metavar)
    if count < len(command.arguments):
        return command.arguments[count]
    return command.arguments[-1] if command.arguments and command.arguments[-1].many and not count else None


def _values(context: Context, wanted: Option | Argument, command: Command) -> list[str]:
    if wanted.choices:
        return list(wanted.choices)
    if wanted.ids not in _ROUTES:
        return []
    active = _ACTIVE.get(command.path) if wanted.ids == "session" else None
    return known_ids(context, wanted.ids, {"active": active} if active else {})


def known_ids(context: Context, kind: str, query: dict[str, str]) -> list[str]:
    """The daemon's ids of a kind, in natural order; none when it doesn't answer within 300 ms."""
    path, key = _ROUTES[kind]
    try:
        answer = context.client.get(path, query, timeout_s=_BUDGET_S)
    except CliError:
        return []
    return sorted((str(item.get("id") or item.get("number")) for item in answer.get(key, [])), key=natural)


def _completion(_: Context, values: Values) -> None:
    shell = values.text("SHELL")
    if shell not in _SCRIPTS:
        raise UsageError(f"no completion for {shell!r}", hint=f"there is: {', '.join(_SCRIPTS)}")
    emit(_SCRIPTS[shell].rstrip("\n"))


_SHELL = Argument("SHELL", "bash, zsh, fish or powershell")
_SHELL.choices = tuple(_SCRIPTS)

COMMANDS = {
    "completion": Command(
        "completion",
        _completion,
        arguments=(_SHELL,),
        details="bash: add `source <(ao completion bash)` to ~/.bashrc.",
        examples=("source <(ao completion bash)", "ao completion fish > ~/.config/fish/completions/ao.fish"),
    ),
    "__complete": Command(
        "__complete", lambda _, __: 0, arguments=(Argument("WORD", "a word of the line", many=True),)
    ),
}
