"""`ao notify`: lists, marking, channels and their tests, against a scripted daemon."""

from __future__ import annotations

from typing import Any

import pytest


def told(number: int, **fields: Any) -> dict[str, Any]:
    """A notification as the daemon shows it."""
    return {
        "id": f"ntf_{number:032x}",
        "sessionId": "shop-3",
        "projectId": "shop",
        "prUrl": "",
        "type": "needs_input",
        "title": f"shop-3 needs input {number}",
        "body": "",
        "status": "unread",
        "createdAt": "2031-02-03T04:05:06.789Z",
        "target": {"kind": "session", "sessionId": "shop-3"},
        **fields,
    }


def page(*rows: dict[str, Any], **fields: Any) -> tuple[int, dict[str, Any]]:
    """A page of the list."""
    return 200, {"notifications": list(rows), "unreadCount": len(rows), "unresolvedCount": len(rows), **fields}


def test_the_list_shows_what_is_unread_and_how_to_mark_it(ao: Any, daemon: Any) -> None:
    resolved = told(0xABC << 100, resolvedAt="2031-02-03T04:06:00.000Z", type="ci_gave_up", sessionId="")
    daemon.script["GET /notifications"] = page(told(0x123456789ABC << 80), resolved)
    ran = ao("notify", "ls")
    assert ran.code == 0, ran
    head, first, second = ran.out.splitlines()
    assert head.split() == ["ID", "AGE", "TYPE", "STATE", "SESSION", "TITLE"]
    assert first.split()[0] == "123456789abc"
    assert first.split()[2:5] == ["needs_input", "unread", "shop-3"]
    assert second.split()[2:5] == ["ci_gave_up", "resolved", "-"]
    assert "ao notify read" in ran.err
    assert daemon.requests[0].query == {"status": "unread", "limit": "100"}


@pytest.mark.parametrize(
    ("words", "status", "empty"),
    [((), "unread", "(no unread notifications; --all shows all)"), (("--all",), "all", "(no notifications)"),
     (("--unresolved",), "unresolved", "(no unresolved notifications)")],
)  # fmt: skip
def test_an_empty_list_says_so(ao: Any, daemon: Any, words: tuple[str, ...], status: str, empty: str) -> None:
    daemon.script["GET /notifications"] = page()
    ran = ao("notify", "ls", *words, "--project", "shop")
    assert (ran.code, ran.out) == (0, f"{empty}\n")
    assert daemon.requests[0].query == {"status": status, "limit": "100", "projectId": "shop"}


def test_a_failure_names_its_channel_once(ao: Any, daemon: Any) -> None:
    failed = {"channel": "team", "ok": False, "failure": "channel 'team': can't read the file", "hint": ""}
    daemon.script["POST /channels/test"] = (200, {"results": [failed]})
    ran = ao("notify", "test", "team")
    assert (ran.code, ran.out) == (1, "team: can't read the file\n")


def test_a_hostile_title_stays_on_its_line(ao: Any, daemon: Any) -> None:
    daemon.script["GET /notifications"] = page(told(1, title="a\x1b[2J\nb"))
    ran = ao("notify", "ls")
    assert len(ran.out.splitlines()) == 2
    assert "\x1b" not in ran.out


def test_json_is_the_daemons_answer(ao: Any, daemon: Any) -> None:
    daemon.script["GET /notifications"] = page(told(1))
    assert ao("notify", "ls", "--json").json["notifications"][0]["id"] == told(1)["id"]


def test_one_is_marked_by_the_beginning_of_its_id_even_if_it_is_old(ao: Any, daemon: Any) -> None:
    old = told(0xFEED << 112)
    daemon.script["GET /notifications"] = [page(told(1), nextCursor="next"), page(old)]
    daemon.script["POST /notifications/read-all"] = (200, {"notifications": [old], "updatedCount": 1})
    ran = ao("notify", "read", "feed")
    assert (ran.code, ran.out) == (0, "1 notification marked as read\n"), ran
    assert daemon.seen("POST")[0].json == {"ids": [old["id"]]}
    assert [request.query.get("cursor") for request in daemon.seen("GET")] == [None, "next"]


def test_all_are_marked_at_once(ao: Any, daemon: Any) -> None:
    daemon.script["POST /notifications/read-all"] = (200, {"notifications": [], "updatedCount": 3})
    assert ao("notify", "read", "--all").out == "3 notifications marked as read\n"
    assert daemon.seen("POST")[0].json == {}


def test_an_id_that_names_none_or_several_is_refused(ao: Any, daemon: Any) -> None:
    daemon.script["GET /notifications"] = page(told(1), told(2))
    unknown, several = ao("notify", "read", "ffff"), ao("notify", "read", "ntf_0000")
    assert unknown.code == several.code == 1
    assert "NOTIFICATION_NOT_FOUND" in unknown.err
    assert "several" in several.err
    assert not daemon.seen("POST")


@pytest.mark.parametrize("words", [(), ("abc", "--all")])
def test_marking_needs_ids_or_all_of_them(ao: Any, daemon: Any, words: tuple[str, ...]) -> None:
    assert ao("notify", "read", *words).code == 2
    assert not daemon.requests


def test_channels_are_shown_with_their_filters_and_last_attempt(ao: Any, daemon: Any) -> None:
    failed = {"channel": "phone", "ok": False, "at": "2031-02-03T04:05:06.789Z", "failure": "error=500"}
    daemon.script["GET /channels"] = (
        200,
        {
            "channels": [
                {"name": "phone", "types": ["needs_input"], "projects": [], "quiet": "22:00-07:00", "last": failed},
                {"name": "desk", "types": [], "projects": ["shop"]},
            ]
        },
    )
    _, phone, desk = ao("notify", "channels").out.splitlines()
    assert phone.split()[:4] == ["phone", "needs_input", "all", "22:00-07:00"]
    assert phone.endswith("ago, failed: error=500")
    assert desk.split() == ["desk", "all", "shop", "-", "-"]


def test_without_channels_it_says_how_to_get_one(ao: Any, daemon: Any) -> None:
    daemon.script["GET /channels"] = (200, {"channels": []})
    ran = ao("notify", "channels")
    assert (ran.code, ran.out) == (0, "(no channels)\n")
    assert "[channels.NAME]" in ran.err


def test_a_test_tells_of_each_channel_and_fails_when_one_does(ao: Any, daemon: Any) -> None:
    at = "2031-02-03T04:05:06.789Z"
    results = [
        {"channel": "desk", "ok": True, "at": at},
        {"channel": "phone", "ok": False, "at": at, "failure": "no answer within 30 s", "hint": "look at it"},
    ]
    daemon.script["POST /channels/test"] = (200, {"results": results})
    ran = ao("notify", "test")
    assert (ran.code, ran.out) == (1, "desk: sent\nphone: no answer within 30 s\n")
    assert "hint: look at it" in ran.err
    assert daemon.seen("POST")[0].json == {}


def test_one_channel_may_be_tested(ao: Any, daemon: Any, refused: Any) -> None:
    daemon.script["POST /channels/test"] = refused(404, "CHANNEL_NOT_FOUND", "no channel 'x'", hint="configured: desk")
    ran = ao("notify", "test", "x")
    assert ran.code == 1
    assert ran.err == "no channel 'x' (CHANNEL_NOT_FOUND)\n  hint: configured: desk\n"
    assert daemon.seen("POST")[0].json == {"channel": "x"}
