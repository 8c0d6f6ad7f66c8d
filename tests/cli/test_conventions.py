"""What holds for every command: help, exit codes, error texts, suggestions, streams."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ao import __version__
from ao.cli import grammar, table
from ao.cli.dispatch import load

LEAVES = [entry for entry in table.ENTRIES if entry.path != "__complete"]


@pytest.mark.parametrize("entry", LEAVES, ids=lambda entry: str(entry.path))
def test_every_command_of_the_table_has_help_with_an_example(entry: table.Entry) -> None:
    command = load(entry)
    text = grammar.help_text(command, entry.summary)
    assert command.path == entry.path
    assert command.examples
    assert text.startswith(f"ao {entry.path}: {entry.summary}\n\nusage: ao {entry.path}")
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize("entry", LEAVES, ids=lambda entry: str(entry.path))
def test_every_command_but_the_replaced_ones_prints_json(entry: table.Entry) -> None:
    without = {"daemon", "hooks", "completion"}
    assert (load(entry).option("--json") is None) == (entry.path in without)


@pytest.mark.parametrize(
    "words",
    [(), ("--help",), ("-h",), ("help",), ("session",), ("session", "--help"), ("help", "session"), ("project",),
     ("orchestrator",), ("agent",), ("session", "ls", "--help"), ("help", "session", "ls"), ("session", "help", "ls"),
     ("spawn", "-h"), ("daemon", "--help"), ("help", "hooks"), ("send", "shop-1", "--help")],
)  # fmt: skip
def test_help_goes_to_stdout_and_exits_0(ao: Any, words: tuple[str, ...]) -> None:
    ran = ao(*words)
    assert (ran.code, ran.err) == (0, "")
    assert "usage: ao" in ran.out


def test_version_is_printed_in_both_forms(ao: Any) -> None:
    assert ao("--version").out == ao("-v").out == f"ao version {__version__}\n"
    assert ao("version").out == f"{__version__}\n"
    assert ao("version", "--json").json == {"version": __version__}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("staus",), "unknown command 'staus'\n  hint: did you mean ao status?"),
        (("frobnicate",), "unknown command 'frobnicate'\n  hint: see: ao --help"),
        (("session", "bogus"), "unknown session command 'bogus'\n  hint: see: ao session --help"),
        (("session", "kil"), "hint: did you mean ao session kill?"),
        (("project", "lst"), "hint: did you mean ao project list?"),
        (("session", "get", "x", "--jsn"), "unknown flag --jsn for ao session get\n  hint: did you mean --json?"),
        (("session", "get"), "missing ID"),
        (("session", "get", "  "), "missing ID"),
        (("session", "get", "a", "b"), "unexpected argument 'b'"),
        (("session", "rename", "a"), "missing NAME"),
        (("session", "rename", "a", " "), "the name must not be blank"),
        (("session", "ls", "-p"), "-p needs ID"),
        (("session", "ls", "-p", " "), "-p must not be blank"),
        (("session", "ls", "--all=maybe"), "--all takes true or false"),
        (("session", "output", "a", "-n", "x"), "-n needs a whole number"),
        (("start", "--timeout", "5"), "--timeout needs a duration"),
        (("spawn", "-p", "x", "--kind", "boss"), "--kind must be one of worker, orchestrator"),
        (("spawn", "-p", "x", "a", "--prompt", "b"), "give the prompt once"),
        (("project", "add"), "the path must not be blank"),
        (("project", "set-config", "x"), "nothing to change was given"),
        (("project", "set-config", "x", "--env", "novalue"), "--env needs NAME=VALUE"),
        (("project", "set-config", "x", "--check", "unit"), "--check needs NAME=COMMAND"),
        (("pr", "comment", "3"), "say something"),
        (("pr", "reply", "3", "--thread", "t", " "), "say something"),
        (("project", "set-config", "x", "--config-json", "{"), "--config-json: not JSON"),
        (("project", "set-config", "x", "--set", "a..b=1"), "'a..b' is not a key"),
        (("send", "shop-1"), "the message must not be blank"),
        (("send", "--message", "x"), "the session must not be blank"),
        (("events", "--after", "x"), "--after needs a number or latest"),
        (("logs", "-f", "--json"), "don't go together"),
        (("completion",), "missing SHELL"),
        (("completion", "tcsh"), "no completion for 'tcsh'"),
        (("daemon", "now"), "unexpected argument 'now'"),
        (("--version", "now"), "unexpected argument 'now'"),
    ],
)
def test_misuse_exits_2_with_one_explanation_on_stderr(ao: Any, words: tuple[str, ...], told: str) -> None:
    ran = ao(*words)
    assert ran.code == 2
    assert ran.out == ""
    assert told in ran.err


@pytest.mark.parametrize("words", [("ls",), ("spawn", "-p", "x"), ("send", "a", "b"), ("project", "ls"), ("events",)])
def test_without_a_daemon_the_hint_says_how_to_start_one(ao: Any, words: tuple[str, ...]) -> None:
    ran = ao(*words)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "daemon is not running (DAEMON_NOT_RUNNING)\n  hint: start it with: ao start\n"


def test_stale_run_file_is_named(ao: Any, daemon: Any, home: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    daemon.announce(pid=ended.pid)
    assert f"stale run file at {home}/running.json" in ao("ls").err


def test_unreachable_daemon_is_an_error_of_its_own(ao: Any, daemon: Any) -> None:
    daemon.port = 1
    daemon.announce()
    ran = ao("ls")
    assert ran.code == 1
    assert ran.err.startswith("call daemon: Connection refused (DAEMON_UNREACHABLE)\n")


def test_refusal_is_message_code_and_hint(ao: Any, daemon: Any, refused: Any) -> None:
    daemon.script["POST /sessions/shop-1/kill"] = refused(409, "SESSION_BUSY", "shop-1 is busy", hint="try again")
    ran = ao("session", "kill", "shop-1")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "shop-1 is busy (SESSION_BUSY)\n  hint: try again\n"


def test_failure_of_the_daemon_names_its_request(ao: Any, daemon: Any, refused: Any) -> None:
    daemon.script["GET /sessions"] = refused(500, "INTERNAL_ERROR", "broken", hint="see the log")
    assert ao("ls").err == "broken (INTERNAL_ERROR) [request r-1]\n  hint: see the log\n"


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        ((500, {}), "daemon returned HTTP 500\n"),
        ((502, b"<html>"), "daemon returned HTTP 502\n"),
        ((200, b"<html>"), "decode response: "),
    ],
)
def test_answers_that_are_not_ours_are_told(ao: Any, daemon: Any, reply: Any, told: str) -> None:
    daemon.script["GET /sessions"] = reply
    ran = ao("ls", "--json")
    assert ran.code == 1
    assert ran.err.startswith(told)


def test_empty_success_is_a_success(ao: Any, daemon: Any) -> None:
    daemon.script["POST /sessions/shop-1/kill"] = (200, b"")
    assert ao("session", "kill", "shop-1").out == "session shop-1 killed (workspace preserved)\n"


def test_misspelt_session_gets_the_nearest_as_its_hint(ao: Any, daemon: Any, refused: Any, session: Any) -> None:
    daemon.script["GET /sessions/shpo-1"] = refused(404, "SESSION_NOT_FOUND", "no session shpo-1")
    daemon.script["GET /sessions"] = (200, {"sessions": [session("shop-1"), session("web-1")]})
    ran = ao("session", "get", "shpo-1")
    assert ran.err == "no session shpo-1 (SESSION_NOT_FOUND)\n  hint: did you mean shop-1?\n"


def test_misspelt_project_gets_the_nearest_as_its_hint(ao: Any, daemon: Any, refused: Any) -> None:
    daemon.script["POST /sessions"] = refused(404, "PROJECT_NOT_FOUND", "no project shp")
    daemon.script["GET /projects"] = (200, {"projects": [{"id": "shop"}, {"id": "web"}]})
    assert ao("spawn", "-p", "shp", "x").err.endswith("hint: did you mean shop?\n")


def test_hint_of_the_daemon_stands_where_nothing_is_near(ao: Any, daemon: Any, refused: Any, session: Any) -> None:
    daemon.script["GET /sessions/other"] = refused(404, "SESSION_NOT_FOUND", "no session", hint="its own")
    daemon.script["GET /sessions"] = (200, {"sessions": [session("shop-1")]})
    assert ao("session", "get", "other").err.endswith("hint: its own\n")
    daemon.script["GET /sessions/shop-9"] = refused(404, "SESSION_NOT_FOUND", "no session", hint="its own")
    assert ao("session", "get", "shop-9").err.endswith("hint: its own\n")
    daemon.script["GET /sessions"] = refused(500, "INTERNAL_ERROR", "broken")
    assert ao("session", "get", "other").err.endswith("hint: its own\n")


def test_ids_are_escaped_into_the_path(ao: Any, daemon: Any) -> None:
    ao("session", "get", "a/../b c?é")
    assert daemon.requests[0].target == "/api/v1/sessions/a%2F..%2Fb%20c%3F%C3%A9"


def test_user_token_is_sent_outside_a_session_and_the_sessions_inside(ao: Any, daemon: Any, home: Path) -> None:
    daemon.script["GET /projects"] = (200, {"projects": []})
    (home / "data" / "token").write_text("user-token\n")
    ao("project", "ls")
    ao("project", "ls", AO_TOKEN="stray")
    ao("project", "ls", AO_TOKEN="of-session", AO_SESSION_ID="shop-1")
    sent = [request.headers["authorization"] for request in daemon.requests]
    assert sent == ["Bearer user-token", "Bearer user-token", "Bearer of-session"]
    assert all("origin" not in request.headers for request in daemon.requests)


def test_posts_without_fields_send_an_empty_object(ao: Any, daemon: Any) -> None:
    ao("session", "kill", "shop-1")
    assert daemon.requests[0].raw == b"{}"
    assert daemon.requests[0].headers["content-type"] == "application/json"


def test_reader_that_hangs_up_is_no_error_text(ao: Any, daemon: Any) -> None:
    rows = [f"  shop-{number}  (1s)  [idle]  worker  {'x' * 500}\n" for number in range(500)]
    daemon.script["GET /sessions"] = (200, "".join(["shop:\n", *rows]))
    with subprocess.Popen(ao.command("ls"), env=ao.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"shop:\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_ctrl_c_exits_130_quietly(ao: Any, daemon: Any) -> None:
    reached = os.pipe()

    def hang(_: Any) -> tuple[int, Any]:
        os.write(reached[1], b"x")
        process.wait()
        return 200, {}

    daemon.script["GET /sessions"] = hang
    with subprocess.Popen(ao.command("ls"), env=ao.env, stderr=subprocess.PIPE) as process:
        os.read(reached[0], 1)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 130
    for descriptor in reached:
        os.close(descriptor)


def test_colour_only_on_a_terminal_and_without_no_color(ao: Any, daemon: Any, session: Any, on_terminal: Any) -> None:
    daemon.script["GET /sessions"] = (200, {"sessions": [session("shop-1", status="working")]})
    assert "\x1b[32mworking\x1b[0m" in on_terminal(ao, "ls")[0]
    assert "\x1b" not in on_terminal(ao, "ls", NO_COLOR="1")[0]
    assert "\x1b" not in on_terminal(ao, "ls", TERM="dumb")[0]
    assert "\x1b" not in ao("ls").out


def test_hostile_names_cannot_drive_the_terminal(ao: Any, daemon: Any, session: Any, on_terminal: Any) -> None:
    evil = "\x1b]0;owned\x07\x9b2J\u202eevil"
    daemon.script["GET /sessions"] = (200, {"sessions": [session("shop-1", displayName=evil, issueId=evil)]})
    daemon.script["GET /sessions/shop-1"] = (200, {"session": session("shop-1", displayName=evil)})
    for text in (on_terminal(ao, "ls", NO_COLOR="1")[0], ao("session", "get", "shop-1").out):
        assert not set(text) & set("\x1b\x07\x9b\u202e")
        assert "owned" in text


@pytest.mark.parametrize("words", ["ls", "ls --json", "session get shop-1", "--version", "--help"])
def test_a_full_disk_is_told_and_not_called_a_defect(ao: Any, daemon: Any, session: Any, words: str) -> None:
    daemon.script["GET /sessions"] = (200, {"sessions": [session("shop-1")], "meta": {"hiddenTerminatedCount": 0}})
    daemon.script["GET /sessions/shop-1"] = (200, {"session": session("shop-1")})
    if words == "ls":
        daemon.script["GET /sessions"] = (200, "shop:\n")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            ao.command(*words.split()), env=ao.env, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    told = "" if words == "--version" else "cannot write the output: No space left on device (OUTPUT_FAILED)\n"
    assert (done.returncode, done.stderr) == (1, told)


@pytest.mark.parametrize(("closing", "code"), [("<&-", 0), (">&-", 0), ("2>&-", 0), ("<&- >&- 2>&-", 0)])
def test_closed_standard_streams_disturb_no_command(ao: Any, daemon: Any, closing: str, code: int) -> None:
    daemon.script["GET /projects"] = (200, {"projects": []})
    done = subprocess.run(
        ["/bin/sh", "-c", f'"$@" {closing}', "sh", *ao.command("project", "ls")],
        env=ao.env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (code, "")
    assert len(daemon.requests) == 1


def test_text_from_a_closed_stdin_is_a_blank_text(ao: Any, daemon: Any) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", '"$@" <&-', "sh", *ao.command("send", "shop-1", "-")],
        env=ao.env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, "usage: the message must not be blank")
    assert not daemon.requests


@pytest.mark.parametrize("words", ["spawn x", "project add --path ."])
def test_a_directory_that_is_gone_is_told(ao: Any, daemon: Any, home: Path, words: str) -> None:
    (home / "gone").mkdir()
    done = subprocess.run(
        ["/bin/sh", "-c", 'cd gone && rmdir ../gone && exec "$@"', "sh", *ao.command(*words.split())],
        env=ao.env, cwd=home, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "this directory doesn't exist any more (DIRECTORY_GONE)\n"
                                                 "  hint: cd out of it\n")  # fmt: skip
    assert not daemon.requests
