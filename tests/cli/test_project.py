"""Projects, their configuration, and agents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ao.cli.configuration import merged


def test_projects_are_a_sorted_aligned_table(ao: Any, daemon: Any) -> None:
    plain = {"sessionPrefix": "w", "kind": "single_repo"}
    projects = [
        {"id": "web-10", "name": "Web", "path": "/srv/web", **plain},
        {"id": "web-2", "name": "W2", "path": "/x", "resolveError": "gone", **plain},
    ]
    daemon.script["GET /projects"] = (200, {"projects": projects})
    assert ao("project", "ls").out.splitlines() == [
        "ID      NAME  KIND         SESSION PREFIX  STATUS          PATH",
        "web-2   W2    single_repo  w               degraded: gone  /x",
        "web-10  Web   single_repo  w               ok              /srv/web",
    ]
    assert [item["id"] for item in ao("project", "list", "--json").json["projects"]] == ["web-2", "web-10"]


def test_no_projects_are_two_lines_with_a_way_on(ao: Any, daemon: Any) -> None:
    daemon.script["GET /projects"] = (200, {"projects": []})
    assert ao("project", "ls").out == "no projects registered\nregister one with: ao project add --path DIR\n"
    assert ao("project", "ls", "--json").json == {"projects": []}


def test_get_shows_what_there_is(ao: Any, daemon: Any) -> None:
    project: dict[str, Any] = {"id": "shop", "name": "Shop", "path": "/srv/shop", "repo": "", "defaultBranch": "main"}
    project["config"] = {"worker": {"agent": "codex"}}
    daemon.script["GET /projects/shop"] = (200, {"status": "ok", "project": project})
    assert ao("project", "get", "shop").out.splitlines() == [
        "Project shop (ok)",
        "  name: Shop",
        "  path: /srv/shop",
        "  default branch: main",
        "  agent: codex",
        '  config: {"worker":{"agent":"codex"}}',
    ]


@pytest.mark.parametrize("words", [("--path", "sub"), ("sub",), ("--path", "~/sub"), ("--path", "x/../sub")])
def test_add_sends_an_absolute_path(ao: Any, daemon: Any, home: Path, words: tuple[str, ...]) -> None:
    daemon.script["POST /projects"] = (201, {"project": {"id": "sub", "path": f"{home}/sub"}})
    assert ao("project", "add", *words).out == f"registered project sub at {home}/sub\n"
    assert daemon.requests[0].json == {"path": f"{home}/sub"}


def test_add_passes_id_name_and_agents_on(ao: Any, daemon: Any) -> None:
    daemon.script["POST /projects"] = (201, {"project": {"id": "s", "path": "/x"}})
    ao("project", "add", "--path", "/x", "--id", "s", "--name", " S ", "--worker-agent", "codex", "--json")
    assert daemon.requests[0].json == {
        "path": "/x",
        "projectId": "s",
        "name": "S",
        "config": {"worker": {"agent": "codex"}},
    }


def test_taken_id_comes_with_the_suggested_one(ao: Any, daemon: Any, refused: Any) -> None:
    details = {"existingProjectId": "shop", "suggestedProjectId": "shop1"}
    daemon.script["POST /projects"] = refused(409, "ID_ALREADY_REGISTERED", "shop is taken", details=details)
    ran = ao("project", "add", ".")
    assert ran.err == "shop is taken (ID_ALREADY_REGISTERED)\n  hint: it is registered as shop; or pass --id shop1\n"


def test_removal_tells_what_was_killed_and_kept(ao: Any, daemon: Any) -> None:
    kept = [{"sessionId": "shop-2", "path": "/w/shop-2", "reason": "untracked files"}]
    answer = {"projectId": "shop", "removedStorageDir": False, "killed": ["shop-1", "shop-2"], "preserved": kept}
    daemon.script["DELETE /projects/shop"] = (200, answer)
    assert ao("project", "remove", "shop", "-y").out.splitlines() == [
        "removed project shop",
        "  killed: shop-1",
        "  killed: shop-2",
        "  preserved: shop-2 at /w/shop-2 (untracked files)",
    ]
    assert ao("project", "delete", "shop", "-y", "--json").json == answer


def _with_config(daemon: Any, config: dict[str, Any]) -> None:
    daemon.script["GET /projects/shop"] = (200, {"status": "ok", "project": {"id": "shop", "config": config}})
    for method in ("PUT", "PATCH"):
        daemon.script[f"{method} /projects/shop/config"] = (200, {"project": {"id": "shop"}})


def _patched(ao: Any, daemon: Any, *words: str, **more: Any) -> Any:
    ran = ao("project", "set-config", "shop", *words, **more)
    assert (ran.code, ran.out) == (0, "updated config for project shop\n")
    return daemon.seen("PATCH")[-1].json["config"]


def test_set_config_changes_only_what_it_names(ao: Any, daemon: Any) -> None:
    worker = {"agent": "codex", "agentConfig": {"model": "m"}}
    _with_config(daemon, {"worker": worker, "env": {"A": "1"}, "fetch": "auto"})
    assert _patched(ao, daemon, "--worker-agent", "aider", "--env", "B=2=3") == {
        "worker": {"agent": "aider", "agentConfig": {"model": "m"}},
        "env": {"A": "1", "B": "2=3"},
    }


EVERY_FLAG = (
    "--default-branch trunk --session-prefix s --model m --permissions auto --fetch never --worker-agent a "
    "--worker-model wm --worker-permissions default --orchestrator-agent b --orchestrator-model om "
    "--orchestrator-permissions accept-edits --agent-rules r --agent-rules-file f --orchestrator-rules o "
    "--symlink a --symlink b --post-create c --post-create-timeout 1m30s"
)


def test_every_flag_of_set_config_reaches_its_key(ao: Any, daemon: Any) -> None:
    _with_config(daemon, {})
    words = EVERY_FLAG.split()
    assert _patched(ao, daemon, *words) == {
        "defaultBranch": "trunk",
        "sessionPrefix": "s",
        "fetch": "never",
        "agentConfig": {"model": "m", "permissions": "auto"},
        "worker": {"agent": "a", "agentConfig": {"model": "wm", "permissions": "default"}},
        "orchestrator": {"agent": "b", "agentConfig": {"model": "om", "permissions": "accept-edits"}},
        "agentRules": "r",
        "agentRulesFile": "f",
        "orchestratorRules": "o",
        "symlinks": ["a", "b"],
        "postCreate": ["c"],
        "postCreateTimeout": 90,
    }


def test_the_pull_request_loop_has_flags_of_its_own(ao: Any, daemon: Any) -> None:
    _with_config(daemon, {"checks": [{"name": "old", "run": "false"}], "autoReview": {"rounds": 5}})
    words = (
        "--forge",
        "local",
        "--check",
        "unit=A=1 make test",
        "--check",
        "lint=make lint",
        "--merge-method",
        "rebase",
    )
    more = ("--reviewer", "claude-code=opus", "--reviewer", "demo", "--auto-review", "on", "--merge-policy", "keep")
    assert _patched(ao, daemon, *words, *more, "--trusted-author", "ann") == {
        "forge": "local",
        "checks": [{"name": "unit", "run": "A=1 make test"}, {"name": "lint", "run": "make lint"}],
        "mergeMethod": "rebase",
        "reviewers": [{"harness": "claude-code", "model": "opus"}, {"harness": "demo"}],
        "autoReview": {"rounds": 5, "enabled": True},
        "terminateOnPrMerge": False,
        "trustedAuthors": ["ann"],
    }


def test_any_key_may_be_set_and_removed(ao: Any, daemon: Any) -> None:
    _with_config(daemon, {"env": {"A": "1", "B": "2"}, "fetch": "auto"})
    words = ("--set", 'symlinks=["x"]', "--set", "worker.agent=codex", "--unset", "env.A", "--unset", "fetch")
    assert _patched(ao, daemon, *words, "--set", "env.PORT=5") == {
        "symlinks": ["x"],
        "worker": {"agent": "codex"},
        "env": {"B": "2", "PORT": "5"},
        "fetch": None,
    }


def test_configuration_may_come_from_a_file_or_stdin(ao: Any, daemon: Any, home: Path) -> None:
    _with_config(daemon, {})
    (home / "c.json").write_text('{"fetch": "auto"}')
    assert _patched(ao, daemon, "--file", "c.json") == {"fetch": "auto"}
    assert _patched(ao, daemon, "--file", "-", stdin='{"fetch": "never"}') == {"fetch": "never"}
    assert _patched(ao, daemon, "--config-json", '{"fetch": "always"}') == {"fetch": "always"}
    assert ao("project", "set-config", "shop", "--file", "gone.json").code == 2


@pytest.mark.parametrize(
    ("words", "config"),
    [
        (("--replace", "--fetch", "auto"), {"fetch": "auto"}),
        (("--clear",), {}),
        (("--clear", "--config-json", '{"a":1}'), {}),
    ],
)
def test_replace_and_clear_put_a_whole_configuration(
    ao: Any, daemon: Any, words: tuple[str, ...], config: dict[str, Any]
) -> None:
    _with_config(daemon, {"env": {"A": "1"}})
    assert ao("project", "set-config", "shop", *words).code == 0
    assert daemon.seen("PUT")[0].json == {"config": config}
    assert not daemon.seen("PATCH")


def test_config_and_schema_are_printed_as_json(ao: Any, daemon: Any) -> None:
    _with_config(daemon, {"fetch": "auto"})
    daemon.script["GET /config-schema"] = (200, {"type": "object"})
    assert ao("project", "config", "shop").json == {"fetch": "auto"}
    assert ao("project", "schema").json == {"type": "object"}


def test_merging_is_rfc_7386() -> None:
    old = {"a": {"b": 1, "c": [1]}, "d": 2}
    assert merged(old, {"a": {"b": None, "c": [2], "e": {"f": None}}, "d": None}) == {"a": {"c": [2], "e": {}}}
    assert merged(1, {"a": 1}) == {"a": 1}
    assert old == {"a": {"b": 1, "c": [1]}, "d": 2}


def test_agents_are_a_table_with_what_is_missing_below(ao: Any, daemon: Any) -> None:
    known = {"id": "codex", "label": "Codex", "authStatus": "authorized", "version": "0.169.0"}
    other = {"id": "aider", "label": "Aider", "authStatus": "unknown", "hint": "install it"}
    answer = {"supported": [known, other], "installed": [known], "authorized": [known]}
    daemon.script["GET /agents"] = (200, answer)
    daemon.script["POST /agents/refresh"] = (200, answer)
    assert ao("agent", "ls").out.splitlines() == [
        "ID     LABEL  INSTALLED  SIGNED IN  VERSION",
        "aider  Aider  no         -",
        "codex  Codex  yes        yes        0.169.0",
        "  aider: install it",
    ]
    assert ao("agent", "ls", "--refresh", "--json").json == answer
    assert [request.method for request in daemon.requests] == ["GET", "POST"]


def test_a_directory_whose_name_makes_no_id_asks_for_one(ao: Any, daemon: Any, refused: Any) -> None:
    daemon.script["POST /projects"] = refused(
        400, "INVALID_PROJECT_ID", "'ü' is not a valid project id", hint="letters"
    )
    assert (
        "hint: the id is made from the directory's name; choose another with --id ID" in ao("project", "add", ".").err
    )
    assert "hint: letters" in ao("project", "add", ".", "--id", "ü").err
