"""`ao events` and `ao logs`."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

LAST = 3


def _frames(*seqs: int, reset: bool = False) -> bytes:
    text = ""
    if reset:
        text = 'event: reset\ndata: {"oldest": 1, "head": 3}\n\n'
    for seq in seqs:
        session = f"shop-{seq}"
        data = {
            "seq": seq,
            "projectId": "shop",
            "sessionId": session,
            "type": "session_updated",
            "payload": {"id": session, "activity": "active", "isTerminated": False},
            "createdAt": "2031-02-03T04:05:06.789Z",
        }
        text += f"id: {seq}\nevent: session_updated\ndata: {json.dumps(data)}\n\n"
    return text.encode()


def _stream(request: Any) -> tuple[int, bytes]:
    """The stream of a daemon that keeps the changes 1 to 3 and, later, one more."""
    after = request.query.get("after", "0")
    if after == "latest":
        return 200, _frames()
    if int(after) > LAST:
        return 200, _frames(reset=True)
    return 200, b": alive\n\n" + _frames(*range(int(after) + 1, LAST + 1)) + _frames(9)


def test_kept_events_are_printed_up_to_the_newest(ao: Any, daemon: Any) -> None:
    daemon.script["GET /events"] = _stream
    ran = ao("events")
    assert ran.code == 0
    assert ran.out.splitlines() == [
        f"{seq} 2031-02-03T04:05:06Z session_updated shop-{seq} activity=active isTerminated=false" for seq in (1, 2, 3)
    ]


@pytest.mark.parametrize(
    ("words", "seqs"),
    [
        (("--after", "1"), [2, 3]),
        (("--after", "3"), []),
        (("--after", "latest"), []),
        (("--session", "shop-2"), [2]),
        (("--project", "web"), []),
        (("--follow",), [1, 2, 3, 9]),
        (("--follow", "--after", "latest"), []),
    ],
)
def test_events_are_chosen_by_cursor_and_filter(ao: Any, daemon: Any, words: tuple[str, ...], seqs: list[int]) -> None:
    daemon.script["GET /events"] = _stream
    ran = ao("events", "--json", *words)
    assert ran.code == 0
    assert [json.loads(line)["seq"] for line in ran.out.splitlines()] == seqs


def test_filters_are_the_daemons_while_following(ao: Any, daemon: Any) -> None:
    daemon.script["GET /events"] = (200, _frames())
    ao("events", "-f", "-p", "shop", "-s", "shop-1", "--after", "7")
    assert daemon.requests[0].query == {"after": "7", "project": "shop", "session": "shop-1"}


def test_cursor_that_is_not_kept_is_told_on_stderr(ao: Any, daemon: Any) -> None:
    daemon.script["GET /events"] = (200, _frames(2, 3, reset=True))
    ran = ao("events", "--follow", "--after", "9")
    assert "kept are 1 to 3" in ran.err
    assert len(ran.out.splitlines()) == 2


def test_refused_stream_is_an_error(ao: Any, daemon: Any, refused: Any) -> None:
    daemon.script["GET /events"] = refused(400, "INVALID_AFTER", "not a cursor")
    ran = ao("events", "-f")
    assert (ran.code, ran.err) == (1, "not a cursor (INVALID_AFTER)\n")


def test_logs_print_the_last_lines(ao: Any, home: Path) -> None:
    (home / "daemon.log").write_text("".join(f"line {n} é\n" for n in range(20_000)))
    assert ao("logs", "-n", "2").out == "line 19998 é\nline 19999 é\n"
    assert len(ao("logs").out.splitlines()) == 100
    assert ao("logs", "-n", "0").out == ""
    assert ao("logs", "-n", "1", "--json").json == {"logFile": f"{home}/daemon.log", "lines": ["line 19999 é"]}


def test_logs_without_a_file_say_where_it_would_be(ao: Any, home: Path) -> None:
    ran = ao("logs")
    assert ran.code == 1
    assert f"cannot read {home}/daemon.log" in ran.err


def test_followed_log_goes_on(ao: Any, home: Path) -> None:
    log = home / "daemon.log"
    log.write_text("one\n")
    with subprocess.Popen(ao.command("logs", "-f"), env=ao.env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "one\n"
        with log.open("a") as file:
            file.write("two\n")
        assert process.stdout.readline() == "two\n"
        process.terminate()
