"""A project's configuration: `ao project config`, `set-config` and `schema`.

`set-config` changes what it names and leaves the rest (PATCH). Nested keys are merged here, since the daemon merges
top-level keys only; null removes. `--replace` and `--clear` put a whole new configuration in place.
"""

from __future__ import annotations

from ao.cli import output
from ao.cli.client import escape
from ao.cli.context import suggesting
from ao.cli.errors import UsageError
from ao.cli.grammar import Command, Option
from ao.cli.pr_actions import METHODS
from ao.cli.project import JSON, PROJECT, fetch
from ao.cli.spawn import PERMISSIONS
from ao.paths import decode_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ao.cli.context import Context
    from ao.cli.grammar import Values

# Flag -> the key it sets, dotted where it is nested.
_TEXTS = {
    "default-branch": "defaultBranch",
    "session-prefix": "sessionPrefix",
    "model": "agentConfig.model",
    "permissions": "agentConfig.permissions",
    "fetch": "fetch",
    "worker-agent": "worker.agent",
    "worker-model": "worker.agentConfig.model",
    "worker-permissions": "worker.agentConfig.permissions",
    "orchestrator-agent": "orchestrator.agent",
    "orchestrator-model": "orchestrator.agentConfig.model",
    "orchestrator-permissions": "orchestrator.agentConfig.permissions",
    "agent-rules": "agentRules",
    "agent-rules-file": "agentRulesFile",
    "orchestrator-rules": "orchestratorRules",
    "forge": "forge",
    "merge-method": "mergeMethod",
}
_LISTS = {"symlink": "symlinks", "post-create": "postCreate", "trusted-author": "trustedAuthors"}
# Flag -> the key it turns on or off, and the words for that.
_SWITCHES = {
    "auto-review": ("autoReview.enabled", {"on": True, "off": False}),
    "merge-policy": ("terminateOnPrMerge", {"end": True, "keep": False}),
}


def place(tree: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key in a tree of dicts; `UsageError` for an empty part."""
    *parents, last = key.split(".")
    if not all((*parents, last)):
        raise UsageError(f"{key!r} is not a key", hint="such as fetch, worker.agent or env.NAME")
    for name in parents:
        child = tree.get(name)
        if not isinstance(child, dict):
            child = tree[name] = {}
        tree = child
    tree[last] = value


def merged(old: Any, new: Any) -> Any:
    """`new` over `old`: dicts key by key, null removes (RFC 7386)."""
    if not isinstance(new, dict):
        return new
    result = dict(old) if isinstance(old, dict) else {}
    for key, value in new.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def changes(context: Context, values: Values) -> dict[str, Any]:
    """What the flags ask for, as one tree; null removes. Later sources win: documents, then flags, then --set."""
    tree: dict[str, Any] = {}
    for text in values.many("config-json"):
        tree |= _document(text, "--config-json")
    for path in values.many("file"):
        tree |= _document(context.read_text(path), path)
    for flag, key in _TEXTS.items():
        if values.given(flag):
            place(tree, key, values.text(flag))
    for flag, key in _LISTS.items():
        if values.given(flag):
            place(tree, key, values.many(flag))
    if values.given("post-create-timeout"):
        seconds = values.number("post-create-timeout", 0)
        place(tree, "postCreateTimeout", int(seconds) if seconds == int(seconds) else seconds)
    for flag, (key, words) in _SWITCHES.items():
        if values.given(flag):
            place(tree, key, words[values.text(flag)])
    if values.given("check"):
        place(tree, "checks", [_check(pair) for pair in values.many("check")])
    if values.given("reviewer"):
        place(tree, "reviewers", [_reviewer(pair) for pair in values.many("reviewer")])
    for pair in values.many("env"):
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"--env needs NAME=VALUE, not {pair!r}")
        tree["env"] = {**(tree.get("env") or {}), name: value}
    for pair in values.many("set"):
        key, equals, text = pair.partition("=")
        if not equals:
            raise UsageError(f"--set needs KEY=VALUE, not {pair!r}")
        place(tree, key, text if key.startswith("env.") else _literal(text))
    for key in values.many("unset"):
        place(tree, key, None)
    return tree


def _check(pair: str) -> dict[str, Any]:
    name, equals, command = pair.partition("=")
    if not (equals and name.strip() and command.strip()):
        raise UsageError(f"--check needs NAME=COMMAND, not {pair!r}")
    return {"name": name.strip(), "run": command}


def _reviewer(pair: str) -> dict[str, Any]:
    agent, _, model = pair.partition("=")
    return {"harness": agent, "model": model} if model else {"harness": agent}


def _document(text: str, source: str) -> dict[str, Any]:
    try:
        value = decode_json(text)
    except ValueError as error:
        raise UsageError(f"{source}: not JSON: {error}") from None
    if not isinstance(value, dict):
        raise UsageError(f"{source}: not a JSON object")
    return value


def _literal(text: str) -> Any:
    """`text` as JSON where it is that, else as it stands: `--set fetch=auto` needs no quotes."""
    try:
        return decode_json(text)
    except ValueError:
        return text


def _set_config(context: Context, values: Values) -> None:
    project_id = values.text("ID")
    tree = changes(context, values)
    if values.on("clear"):
        tree = {}
    elif not tree:
        raise UsageError("nothing to change was given", hint="see: ao project set-config --help")
    path = f"/projects/{escape(project_id)}/config"
    with suggesting(context, project_id):
        if values.on("clear") or values.on("replace"):
            answer = context.client.call("PUT", path, {"config": merged({}, tree)})
        else:
            old = fetch(context, project_id).get("project", {}).get("config") or {}
            # Only the top-level keys that were named are sent, each whole; another's change to a third key survives.
            patch = {key: merged(old.get(key), value) for key, value in tree.items()}
            answer = context.client.call("PATCH", path, {"config": patch})
    if values.on("json"):
        output.emit_json(answer)
    else:
        output.emit(f"updated config for project {project_id}")


def _config(context: Context, values: Values) -> None:
    output.emit_json(fetch(context, values.text("ID")).get("project", {}).get("config") or {})


def _schema(context: Context, _: Values) -> None:
    output.emit_json(context.client.get("/config-schema"))


COMMANDS = {
    "project config": Command(
        "project config", _config, arguments=(PROJECT,), options=(JSON,), examples=("ao project config shop",)
    ),
    "project schema": Command(
        "project schema", _schema, options=(JSON,), examples=("ao project schema > schema.json",)
    ),
    "project set-config": Command(
        "project set-config",
        _set_config,
        arguments=(PROJECT,),
        options=(
            Option("--default-branch", "the branch new work starts from", "NAME"),
            Option("--session-prefix", "shown before session numbers", "TEXT"),
            Option("--worker-agent", "the agent of workers", "ID", ids="agent"),
            Option("--orchestrator-agent", "the agent of the orchestrator", "ID", ids="agent"),
            Option("--model", "the model, for every role", "NAME"),
            Option("--worker-model", "the workers' model", "NAME"),
            Option("--orchestrator-model", "the orchestrator's model", "NAME"),
            Option("--permissions --permission", "what agents may do unasked", "MODE", choices=PERMISSIONS),
            Option("--worker-permissions", "what workers may do unasked", "MODE", choices=PERMISSIONS),
            Option("--orchestrator-permissions", "what the orchestrator may do unasked", "MODE", choices=PERMISSIONS),
            Option("--env", "an environment variable of the agents, added to the others", "NAME=VALUE", many=True),
            Option("--symlink", "a path linked from the repository; replaces the list", "PATH", many=True),
            Option("--post-create", "a command run in a new worktree; replaces the list", "COMMAND", many=True),
            Option("--post-create-timeout", "how long all of them together may take", "DURATION", kind="duration"),
            Option(
                "--fetch",
                "fetch the base before a spawn: never, auto or always",
                "WHEN",
                choices=("never", "auto", "always"),
            ),
            Option("--agent-rules", "rules for workers, as text", "TEXT"),
            Option("--agent-rules-file", "rules for workers, from a file of the repository", "PATH"),
            Option("--orchestrator-rules", "rules for the orchestrator", "TEXT"),
            Option(
                "--forge",
                "where pull requests live: auto, local or github",
                "WHERE",
                choices=("auto", "local", "github"),
            ),
            Option("--check", "a check of the local forge; replaces the list", "NAME=COMMAND", many=True),
            Option("--merge-method", "squash, merge or rebase", "METHOD", choices=METHODS),
            Option("--merge-policy", "end or keep sessions whose work is merged", "POLICY", choices=("end", "keep")),
            Option("--trusted-author", "whose comments count, too; replaces the list", "LOGIN", many=True),
            Option("--reviewer", "an agent that reviews; replaces the list", "ID[=MODEL]", many=True, ids="agent"),
            Option("--auto-review", "on or off: review each new head unasked", "WHEN", choices=("on", "off")),
            Option(
                "--set",
                "any key, dotted where nested; VALUE is JSON or text (env: text)",
                "KEY=VALUE",
                many=True,
            ),
            Option("--unset", "remove a key", "KEY", many=True),
            Option("--config-json", "keys from a JSON object", "JSON", many=True),
            Option("--file -f", "keys from a file with a JSON object; - is stdin", "PATH", many=True),
            Option("--replace", "what is given becomes the whole configuration"),
            Option("--clear", "remove the whole configuration"),
            JSON,
        ),
        details="Changes what is named and keeps the rest, unless --replace or --clear. See: ao project schema",
        examples=(
            "ao project set-config shop --worker-agent codex --fetch auto",
            "ao project set-config shop --env CI=1 --post-create 'npm ci'",
            "ao project set-config shop --check 'unit=make test' --check 'lint=make lint' --auto-review on",
            "ao project set-config shop --set worker.agentConfig.model=opus --unset env.CI",
            "ao project config shop | ao project set-config copy --replace --file -",
        ),
    ),
}
