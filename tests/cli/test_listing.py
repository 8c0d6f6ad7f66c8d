"""Lists of sessions and orchestrators."""

from __future__ import annotations

import json
import re
from typing import Any


def _ages_hidden(text: str) -> str:
    return re.sub(r"\(\d+[smhd]\)", "(AGE)", text)


def test_rows_are_grouped_by_project_and_sorted_by_number(ao: Any, daemon: Any, session: Any) -> None:
    sessions = [
        session("shop-10"),
        session("web-1", status="needs_input", issueId="GH-7"),
        session("shop-2", issueId="77", status="working"),
        session("shop-1", kind="orchestrator"),
    ]
    daemon.script["GET /sessions"] = (200, {"sessions": sessions, "meta": {"hiddenTerminatedCount": 0}})
    ran = ao("session", "ls")
    assert _ages_hidden(ran.out) == (
        "shop:\n"
        "  shop-2  (AGE)  [working]  worker  77\n"
        "  shop-10  (AGE)  [idle]  worker\n"
        "\n"
        "web:\n"
        "  web-1  (AGE)  [needs_input]  worker  GH-7\n"
    )
    assert [request.query for request in daemon.requests] == [{"active": "true"}]


def test_ls_is_session_ls(ao: Any, daemon: Any, session: Any) -> None:
    daemon.script["GET /sessions"] = (200, {"sessions": [session("shop-1"), session("shop-2", kind="orchestrator")]})
    assert ao("ls", "-a").out == ao("session", "ls", "--all").out
    assert "orchestrator" in ao("ls", "-a").out


def test_hidden_sessions_are_counted_in_one_request(ao: Any, daemon: Any, session: Any) -> None:
    for count, told in ((1, "1 terminated session hidden."), (2, "2 terminated sessions hidden.")):
        daemon.script["GET /sessions"] = (200, {"sessions": [], "meta": {"hiddenTerminatedCount": count}})
        assert ao("ls").out == f"(no active sessions)\n{told} Use --include-terminated to show.\n"
    assert len(daemon.requests) == 2


def test_ended_sessions_are_asked_for_on_demand(ao: Any, daemon: Any, session: Any) -> None:
    ended = session("shop-1", status="terminated", isTerminated=True)
    daemon.script["GET /sessions"] = (200, {"sessions": [ended], "meta": {"hiddenTerminatedCount": 3}})
    out = ao("ls", "-t", "-p", "shop").out
    assert "[terminated]" in out
    assert "hidden" not in out
    assert daemon.requests[0].query == {"project": "shop"}


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


def test_unknown_project_is_an_error_not_an_empty_list(ao: Any, daemon: Any, refused: Any) -> None:
    daemon.script["GET /sessions"] = (200, {"sessions": []})
    daemon.script["GET /projects/shpo"] = refused(404, "PROJECT_NOT_FOUND", "no project shpo")
    daemon.script["GET /projects"] = (200, {"projects": [{"id": "shop"}]})
    ran = ao("ls", "-p", "shpo")
    assert ran.code == 1
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
