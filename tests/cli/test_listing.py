"""Lists of sessions and orchestrators."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest


def _ages_hidden(text: str) -> str:
    return re.sub(r"\(\d+[smhd]\)", "(AGE)", text)


TEXT = "shop:\n  shop-2  (3s)  [working]  worker  77 \u00e9\n"


def test_into_a_pipe_the_daemons_own_text_is_copied(ao: Any, daemon: Any) -> None:
    daemon.script["GET /sessions"] = (200, TEXT)
    for words, query in (
        (("session", "ls"), {"active": "true", "kind": "worker"}),
        (("ls", "-a"), {"active": "true"}),
        (("ls", "-t", "-p", "shop"), {"kind": "worker", "project": "shop"}),
    ):
        assert ao(*words).out == TEXT
        assert daemon.requests[-1].query == {**query, "format": "text"}
    assert len(daemon.requests) == 3


def test_a_daemon_without_text_is_an_error_that_says_what_to_do(ao: Any, daemon: Any) -> None:
    daemon.script["GET /sessions"] = (200, {"sessions": []})
    ran = ao("ls")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("the daemon has no text for /sessions (DAEMON_ANSWER_INVALID)\n  hint: ")


def test_on_a_terminal_rows_are_grouped_by_project_and_sorted_by_number(
    ao: Any, daemon: Any, session: Any, on_terminal: Any
) -> None:
    sessions = [
        session("shop-10"),
        session("web-1", status="needs_input", issueId="GH-7"),
        session("shop-2", issueId="77", status="working"),
    ]
    daemon.script["GET /sessions"] = (200, {"sessions": sessions, "meta": {"hiddenTerminatedCount": 1}})
    shown, code = on_terminal(ao, "ls", NO_COLOR="1")
    assert code == 0
    assert [line.rstrip().split("  ")[:2] for line in shown.splitlines()] == [
        ["shop:"], ["", "shop-2"], ["", "shop-10"], [""], ["web:"], ["", "web-1"],
        ["1 terminated session hidden. Use --include-terminated to show."],
    ]  # fmt: skip
    daemon.script["GET /sessions"] = (200, {"sessions": []})
    assert on_terminal(ao, "ls") == ("(no active sessions)\n", 0)
    assert on_terminal(ao, "ls", "-t") == ("(no sessions)\n", 0)


def test_json_has_the_documented_shape(ao: Any, daemon: Any, session: Any) -> None:
    daemon.script["GET /sessions"] = (
        200,
        {"sessions": [session("shop-10"), session("shop-2")], "meta": {"hiddenTerminatedCount": 2}},
    )
    listed = ao("session", "ls", "--json").json
    assert listed["meta"] == {"hiddenTerminatedCount": 2}
    first = listed["data"][0]
    assert list(first)[:4] == ["id", "projectId", "role", "status"]
    assert first["id"] == "shop-2"
    assert {key: first[key] for key in ("role", "isTerminated", "lastActivityAt", "activityState")} == {
        "role": "worker",
        "isTerminated": False,
        "lastActivityAt": "2031-02-03T04:05:06.789Z",
        "activityState": "idle",
    }


def test_empty_json_list_is_a_list(ao: Any, daemon: Any) -> None:
    daemon.script["GET /sessions"] = (200, {"sessions": []})
    assert ao("ls", "--json").json == {"data": [], "meta": {"hiddenTerminatedCount": 0}}


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_unknown_project_is_an_error_not_an_empty_list(ao: Any, daemon: Any, refused: Any, more: Any) -> None:
    daemon.script["GET /sessions"] = (200, {"sessions": []} if more else "(no active sessions)\n")
    daemon.script["GET /projects/shpo"] = refused(404, "PROJECT_NOT_FOUND", "no project shpo")
    daemon.script["GET /projects"] = (200, {"projects": [{"id": "shop"}]})
    ran = ao("ls", "-p", "shpo", *more)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "no project shpo (PROJECT_NOT_FOUND)\n  hint: did you mean shop?\n"


def test_orchestrators_have_their_own_list(ao: Any, daemon: Any, session: Any) -> None:
    sessions = [
        session("shop-3", kind="orchestrator"),
        session("shop-1", kind="orchestrator", isTerminated=True, status="terminated"),
    ]
    daemon.script["GET /orchestrators"] = (200, {"sessions": sessions})
    assert _ages_hidden(ao("orchestrator", "ls").out) == "shop:\n  shop-3  (AGE)  [idle]\n"
    assert _ages_hidden(ao("orchestrator", "list", "-t").out) == (
        "shop:\n  shop-1  (AGE)  [terminated]  terminated\n  shop-3  (AGE)  [idle]\n"
    )
    assert [item["id"] for item in json.loads(ao("orchestrator", "ls", "--json").out)["data"]] == ["shop-3"]
    daemon.script["GET /orchestrators"] = (200, {"sessions": []})
    assert ao("orchestrator", "ls").out == "(no orchestrators)\n"
