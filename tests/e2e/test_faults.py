"""Rows of the fault catalogue that only the whole product can answer for, each by its id."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.e2e.home import Home

CANARIES = {
    "AWS_SECRET_ACCESS_KEY": "canary-aws-5d2e8a",
    "GITHUB_TOKEN": "canary-github-77c1f0",
    "DATABASE_URL": "postgres://u:canary-db-0b9d11@localhost/x",
}
READ = (
    "/healthz",
    "/readyz",
    "/api/v1/projects",
    "/api/v1/projects/demo",
    "/api/v1/sessions",
    "/api/v1/sessions/demo-1",
    "/api/v1/sessions/demo-1/output?lines=1000",
    "/api/v1/sessions/demo-1/messages",
    "/api/v1/sessions/demo-1/attach",
    "/api/v1/orchestrators",
    "/api/v1/agents",
    "/api/v1/openapi.json",
)


def worked(home: Home, prompt: str = "begin") -> dict[str, Any]:
    """A session that has committed its first task and rests."""
    body = {"projectId": "demo", "harness": "demo", "prompt": prompt}
    session = home.call("POST", "/api/v1/sessions", body)["session"]
    return home.wait(
        session["id"],
        lambda seen: (
            seen["activity"]["state"] == "idle"
            and bool(home.git(home.repository, "rev-list", f"main..{seen['branch']}"))
        ),
    )


def answers(home: Home) -> Iterator[tuple[str, bytes]]:
    """What the API tells, by path."""
    for path in READ:
        connection, headers = home.connect()
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        assert answer.status == 200, path
        yield path, answer.read()
        connection.close()


def kept(home: Home) -> Iterator[tuple[str, bytes]]:
    """Every file of ours: data, run file, log, but the repository's own."""
    paths = [*home.data.rglob("*"), home.path / "running.json", home.path / "daemon.log"]
    for path in paths:
        if path.is_file() and not path.is_relative_to(home.data / "worktrees"):
            yield str(path), path.read_bytes()


def processes(home: Home) -> Iterator[tuple[str, bytes]]:
    """Environment and command line of every process of a session, and of the tmux server."""
    server = int((home.data / "tmux" / "0.process").read_text().split()[0])
    for pid in [*home.processes(), server]:
        for name in ("environ", "cmdline"):
            yield f"/proc/{pid}/{name}", Path(f"/proc/{pid}/{name}").read_bytes()


def test_s8_nothing_of_the_daemons_secrets_is_anywhere(home: Home) -> None:
    home.stop()
    home.start(**CANARIES)
    session = worked(home)
    home.call("POST", f"/api/v1/sessions/{session['id']}/send", {"message": "[[demo: sleep 30]] rest"})
    home.wait(session["id"], lambda seen: seen["activity"]["state"] == "active")
    places = [*answers(home), *kept(home), *processes(home)]
    assert len(places) > 25
    leaks = [place for place, content in places if b"canary-" in content]
    assert leaks == []


def test_s8_tokens_are_only_where_they_belong(home: Home) -> None:
    session = worked(home)
    user = (home.data / "token").read_bytes().strip()
    environ = Path(f"/proc/{home.processes()[0]}/environ").read_bytes()
    own = next(item[9:] for item in environ.split(b"\0") if item.startswith(b"AO_TOKEN="))
    assert len(own) > 20
    launch = str(home.data / "run" / session["id"])
    everywhere = [*answers(home), *kept(home)]
    assert [place for place, content in everywhere if user in content] == [str(home.data / "token")]
    assert all(place.startswith(launch) for place, content in everywhere if own in content)
    assert [place for place, content in processes(home) if user in content] == []
    assert [place for place, content in processes(home) if own in content and place.endswith("cmdline")] == []
    home.call("POST", f"/api/v1/sessions/{session['id']}/kill")
    assert [place for place, content in kept(home) if own in content] == []


def test_s9_every_file_and_folder_of_ours_is_for_its_owner_alone(home: Home) -> None:
    (home.repository / "local.env").write_text("X=1\n")
    config = {"postCreate": ["true"], "symlinks": ["local.env"]}
    home.call("PUT", "/api/v1/projects/demo/config", {"config": config})
    session = worked(home)
    home.call("POST", f"/api/v1/sessions/{session['id']}/send", {"message": "write more"})
    checkouts = set((home.data / "worktrees").glob("*/*"))
    open_to_others = []
    for path in [home.data, *home.data.rglob("*")]:
        if any(path != checkout and path.is_relative_to(checkout) for checkout in checkouts):
            continue
        mode = path.lstat().st_mode
        if path.is_symlink() or path in checkouts:
            continue  # git makes the checkout; the folder above it lets nobody through
        if stat.S_IMODE(mode) & 0o077 and not stat.S_ISSOCK(mode):
            open_to_others.append((str(path), oct(stat.S_IMODE(mode))))
        assert not (stat.S_ISSOCK(mode) and stat.S_IMODE(mode) & 0o007)
    assert open_to_others == []
    assert stat.S_IMODE((home.path / "running.json").stat().st_mode) == 0o600
    assert all(stat.S_IMODE(path.parent.stat().st_mode) == 0o700 for path in checkouts)


def test_s9_the_credentials_of_a_remote_are_never_stored_shown_or_logged(home: Home) -> None:
    secret = "hunter2-5c0ffee"
    url = f"http://me:{secret}@127.0.0.1:9/x.git"
    other = home.make_repository("other")
    home.git(other, "remote", "add", "origin", url)
    home.call("POST", "/api/v1/projects", {"path": str(other), "projectId": "other", "config": {"fetch": "always"}})
    made = home.call("POST", "/api/v1/sessions", {"projectId": "other", "harness": "demo", "prompt": "begin"})[
        "session"
    ]
    assert any("fetch" in warning for warning in made["warnings"])
    shown = [json.dumps(home.call("GET", path)) for path in ("/api/v1/projects/other", "/api/v1/sessions/other-1")]
    assert all("127.0.0.1:9" in text for text in shown)
    assert not [text for text in shown if secret in text]
    assert [place for place, content in kept(home) if secret.encode() in content] == []
    configuration = home.git(other, "config", "--list", "--show-origin").splitlines()
    assert [line for line in configuration if secret in line and "remote.origin.url" not in line] == []


def test_h8_a_message_of_64_kilobytes_and_many_lines_arrives_whole_once(home: Home) -> None:
    session = worked(home)
    lines = [f"- line {number}: ünï 🚀 'quotes' \"double\" $HOME `id` ;" for number in range(2000)]
    text = "\n".join(lines)[:65_536].rstrip()
    assert len(text) > 65_000
    assert text.count("\n") > 1000
    home.call("POST", f"/api/v1/sessions/{session['id']}/send", {"message": text})
    home.wait(
        session["id"],
        lambda seen: home.git(home.repository, "rev-list", "--count", f"main..{seen['branch']}") == "2",
    )
    conversation = (home.data / "demo" / f"{session['nativeId']}.jsonl").read_text().splitlines()
    assert [json.loads(line)["task"] for line in conversation] == ["begin", text]
    told = home.call("GET", f"/api/v1/sessions/{session['id']}/messages")["messages"]
    assert [(row["state"], row["attempts"]) for row in told] == [("submitted", 1)]


def test_p2_p3_look_alikes_survive_a_kill_and_a_stop(home: Home) -> None:
    session = worked(home)
    foreign = ["tmux", "-S", str(home.path / "foreign"), "-f", "/dev/null"]
    like = {**home.environ, "AO_SESSION_ID": session["id"], "AO_DATA_DIR": str(home.path / "another")}
    subprocess.run([*foreign, "new-session", "-d", "-s", "demo-1", "-n", "demo-1", "sleep", "60"], env=like, check=True)
    name = Path(f"/proc/{home.processes()[0]}/cmdline").read_bytes().split(b"\0")[0]
    twin = subprocess.Popen([os.fsdecode(name), "-c", "input()"], stdin=subprocess.PIPE, env=like)
    try:
        assert home.call("POST", f"/api/v1/sessions/{session['id']}/kill")["freed"] is True
        assert home.processes() == []
        home.stop()
        listed = subprocess.run([*foreign, "list-sessions"], capture_output=True, text=True, check=True).stdout
        assert listed.startswith("demo-1:")
        assert twin.poll() is None
    finally:
        subprocess.run([*foreign, "kill-server"], check=True)
        twin.communicate(b"\n", timeout=10)
        home.start()
