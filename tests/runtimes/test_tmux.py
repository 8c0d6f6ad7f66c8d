"""Terminals: what opens, lives, is found and closes, and what of the person's own tmux stays out of it."""

from __future__ import annotations

import asyncio
import os
import shlex
from pathlib import Path

import pytest

from ao.host import LocalHost
from ao.model.errors import AoError
from ao.ports import Liveness, ProcessId, Terminal
from ao.runtimes import Tmux
from tests.runtimes.conftest import PATH, Room

ONE, TEN = Terminal(0, "p-1"), Terminal(0, "p-10")


async def test_an_agent_runs_ends_and_leaves_its_code_and_a_shell(room: Room) -> None:
    process = await room.run("p-1", "sh", "-c", "cat >/dev/null; exit 3")
    folder = room.launch("p-1").folder
    assert room.host.identify(process.pid) == process
    assert await room.runtime.exit_code(folder) is None
    assert await room.runtime.terminals(0) == ["p-1"]
    await room.tmux("send-keys", "-t", "=p-1:", "C-d")
    assert await room.host.await_file(f"{folder}/exit", timeout_s=10) == b"3\n"
    assert await room.runtime.exit_code(folder) == 3
    assert await room.runtime.probe([ONE]) == {ONE: Liveness.ALIVE}
    await room.runtime.close(ONE)
    assert await room.runtime.probe([ONE]) == {ONE: Liveness.DEAD}


async def test_p14_an_agent_that_ended_at_once_is_still_told_from_one_that_never_started(room: Room) -> None:
    folder = room.launch("p-1").folder
    await room.runtime.start(room.launch("p-1", "false"))
    assert await room.host.await_file(f"{folder}/exit", timeout_s=10) == b"1\n"
    process = await room.runtime.agent(folder, timeout_s=5)
    assert process is not None
    await asyncio.wait_for(room.host.exited(process), 5)
    gone = room.launch("p-2", "true", cwd=str(room.data_dir / "gone"))
    await room.runtime.start(gone)
    assert await room.runtime.agent(gone.folder, timeout_s=5) == ProcessId(0, "")
    os.mkdir(room.data_dir / "empty")
    assert await room.runtime.agent(str(room.data_dir / "empty"), timeout_s=0.01) is None


async def test_p5_the_server_outlives_every_session_and_a_daemon_that_leaves_terminals(room: Room) -> None:
    await room.run("p-1", "sleep", "60")
    server = (await room.tmux("display-message", "-p", "#{pid}")).strip()
    await room.runtime.close(ONE)
    assert (await room.tmux("display-message", "-p", "#{pid}")).strip() == server
    await room.run("p-1", "sleep", "60")
    await room.runtime.shut()
    assert (await room.tmux("display-message", "-p", "#{pid}")).strip() == server


async def test_an_empty_server_is_ended_when_the_daemon_leaves_it(room: Room) -> None:
    await room.run("p-1", "sleep", "60")
    server = room.host.identify(int(await room.tmux("display-message", "-p", "#{pid}")))
    assert server is not None
    await room.runtime.close(ONE)
    await room.runtime.shut()
    assert room.host.identify(server.pid) != server
    await room.run("p-1", "sleep", "60")


async def test_p8_a_second_generation_adopts_what_the_first_left(room: Room) -> None:
    process = await room.run("p-1", "sleep", "60")
    second = room.another_runtime()
    try:
        assert await second.terminals(0) == ["p-1"]
        await room.runtime.shut()
        assert await second.probe([ONE, TEN]) == {ONE: Liveness.ALIVE, TEN: Liveness.DEAD}
        assert await second.agent(room.launch("p-1").folder, timeout_s=5) == process
        assert room.host.identify(process.pid) == process
    finally:
        await second.shut()


async def test_p2_a_foreign_server_with_a_session_of_the_same_name_is_untouched(room: Room) -> None:
    foreign = ["tmux", "-f", "/dev/null", "-S", str(room.data_dir / "foreign")]
    await room.host.run([*foreign, "new-session", "-d", "-s", "p-1", "sleep", "60"])
    try:
        assert await room.runtime.probe([ONE]) == {ONE: Liveness.DEAD}
        await room.run("p-1", "sleep", "60")
        await room.runtime.close(ONE)
        assert (await room.host.run([*foreign, "list-sessions", "-F", "#{session_name}"])).out == "p-1\n"
    finally:
        await room.host.run([*foreign, "kill-server"])


async def test_a_name_that_is_the_beginning_of_another_never_stands_for_it(room: Room) -> None:
    await room.run("p-10", "sh", "-c", "echo here; exec cat")
    await room.runtime.close(ONE)
    assert await room.runtime.probe([ONE, TEN]) == {ONE: Liveness.DEAD, TEN: Liveness.ALIVE}
    assert await room.runtime.capture(ONE, lines=10) == ""
    assert await room.runtime.typed_at(ONE) is None
    with pytest.raises(AoError) as caught:
        await room.runtime.send(ONE, "for p-1 only", may_enter=lambda _: True)
    assert caught.value.code == "RUNTIME_FAILED"
    with pytest.raises(AoError):
        await room.runtime.press_enter(ONE)
    assert "for p-1 only" not in await room.runtime.capture(TEN, lines=10)
    assert "list-buffers" not in await room.tmux("list-buffers")


async def test_closing_a_terminal_ends_what_runs_in_it(room: Room) -> None:
    process = await room.run("p-1", "sleep", "60")
    await room.runtime.close(ONE)
    await asyncio.wait_for(room.host.exited(process), 10)


async def test_a_terminal_that_exists_already_is_not_opened_twice(room: Room) -> None:
    process = await room.run("p-1", "sleep", "60")
    with pytest.raises(AoError, match="duplicate session") as caught:
        await room.runtime.start(room.launch("p-1", "true"))
    assert caught.value.code == "RUNTIME_FAILED"
    assert room.host.identify(process.pid) == process


async def test_without_a_server_terminals_are_gone_and_none_is_started(room: Room) -> None:
    assert await room.runtime.terminals(0) == []
    assert await room.runtime.probe([ONE]) == {ONE: Liveness.DEAD}
    assert await room.runtime.capture(ONE, lines=5) == ""
    await room.runtime.close(ONE)
    done = await room.host.run(room.runtime.attach_argv(ONE, read_only=False))
    assert done.code != 0
    assert room.host.stamp([room.socket()]) == (None,)


async def test_twenty_terminals_open_at_once(room: Room) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(room.run(f"p-{number}", "sleep", "60"))
    assert len(await room.runtime.terminals(0)) == 20


async def test_servers_are_apart(room: Room) -> None:
    await room.runtime.start(room.launch("p-1", "sleep", "60", server=0))
    await room.runtime.start(room.launch("p-2", "sleep", "60", server=1))
    assert [await room.runtime.terminals(number) for number in (0, 1, 2)] == [["p-1"], ["p-2"], []]
    both = [Terminal(0, "p-1"), Terminal(1, "p-1")]
    assert list((await room.runtime.probe(both)).values()) == [Liveness.ALIVE, Liveness.DEAD]


async def test_s8_an_agent_sees_exactly_the_environment_it_was_given(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMUX", "/somewhere,1,0")
    process = await room.run("p-1", "sleep", "60", env={"AO_TOKEN": "tok-5e1", "MULTI": "a\nb"})
    async with asyncio.timeout(10):  # the pid is recorded just before the program takes its place
        while not (await room.host.read(f"/proc/{process.pid}/cmdline") or b"").startswith(b"sleep"):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    environ = await room.host.read(f"/proc/{process.pid}/environ")
    assert environ is not None
    seen = dict(entry.split("=", 1) for entry in environ.decode().strip("\0").split("\0"))
    own = {"TERM": "tmux-256color", "COLORTERM": "truecolor", "PWD": str(room.data_dir)}
    assert {name: value for name, value in seen.items() if name not in ("SHLVL", "_")} == {
        **own, "PATH": PATH, "AO_SESSION_ID": "p-1", "AO_DATA_DIR": str(room.data_dir), "AO_TOKEN": "tok-5e1",
        "MULTI": "a\nb",
    }  # fmt: skip
    server = (await room.tmux("display-message", "-p", "#{pid}")).strip()
    environ = await room.host.read(f"/proc/{server}/environ") or b""
    assert b"CANARY" not in environ
    assert b"TMUX" not in environ
    assert b"AO_" not in environ
    assert await room.tmux("show-environment", "-g") == ""


async def test_s8_neither_prompt_nor_token_stands_in_a_command_line_or_an_open_file(room: Room) -> None:
    process = await room.run("p-1", "sh", "-c", "read line; exec sleep 60", "prompt-3d9", env={"AO_TOKEN": "tok-5e1"})
    server = (await room.tmux("display-message", "-p", "#{pid}")).strip()
    parent = (await room.host.read(f"/proc/{process.pid}/stat") or b"").rpartition(b")")[2].split()[1].decode()
    for pid in (server, parent):
        line = await room.host.read(f"/proc/{pid}/cmdline") or b""
        assert line
        assert b"prompt-3d9" not in line
        assert b"tok-5e1" not in line
    launch = os.stat(f"{room.launch('p-1').folder}/launch")
    assert launch.st_mode & 0o777 == 0o600
    assert os.stat(room.launch("p-1").folder).st_mode & 0o777 == 0o700


async def test_options_are_pinned_whatever_the_persons_own_configuration_says(room: Room) -> None:
    (room.data_dir / ".tmux.conf").write_text("set -g base-index 5\nset -g status on\nset -g remain-on-exit on\n")
    await room.run("p-1", "sleep", "60")
    shown = "".join([await room.tmux("show-options", flags) for flags in ("-s", "-g", "-gw")])
    options = dict(line.split(" ", 1) for line in shown.splitlines() if " " in line)
    expected = {
        "exit-empty": "off", "escape-time": "0", "status": "off", "mouse": "on", "history-limit": "50000",
        "base-index": "0", "pane-base-index": "0", "remain-on-exit": "off", "destroy-unattached": "off",
        "set-titles": "off", "window-size": "latest", "default-command": "''", "allow-rename": "off",
        "default-terminal": "tmux-256color", "update-environment": None,
    }  # fmt: skip
    assert {name: options.get(name) for name in expected} == expected
    assert "allow-passthrough on" not in shown
    assert (await room.tmux("display-message", "-p", "-t", "=p-1:", "#{window_width}x#{window_height}")) == "220x50\n"
    assert (await room.tmux("display-message", "-p", "-t", "=p-1:", "#{window_name}")) == "p-1\n"


async def test_capture_shows_history_and_screen_without_trailing_blank_lines(room: Room) -> None:
    await room.run("p-1", "sh", "-c", "seq 300; echo 'ünï %end 1 2 1'; echo; touch shown; echo x >done; exec sleep 60")
    await room.content("done")
    whole = (await room.shown(ONE, "%end")).split("\n")
    assert whole == [str(number) for number in range(1, 301)] + ["ünï %end 1 2 1"]
    assert await room.runtime.capture(ONE, lines=3) == "299\n300\nünï %end 1 2 1"
    assert await room.runtime.capture(ONE, lines=0) == ""


async def test_p10_terminals_and_daemon_generations_leave_no_descriptor_and_no_terminal_behind(room: Room) -> None:
    # One terminal stays, so that the server does.
    await room.run("p-0", "sleep", "60")
    server = (await room.tmux("display-message", "-p", "#{pid}")).strip()

    def held() -> tuple[int, int]:
        return len(os.listdir("/proc/self/fd")), len(os.listdir(f"/proc/{server}/fd"))

    before = held()
    for number in range(1, 25):
        terminal = Terminal(0, f"p-{number}")
        process = await room.run(terminal.handle, "sleep", "60")
        await room.runtime.send(terminal, "x", may_enter=lambda _: False)
        await room.runtime.close(terminal)
        assert await room.host.kill(process, {}, grace_s=5) == []
        if number % 8 == 0:
            await room.runtime.shut()
            assert await room.runtime.terminals(0) == ["p-0"]
    after = held()
    assert after[0] <= before[0]
    assert after[1] <= before[1] + 1


async def test_an_idle_daemon_hears_nothing_of_what_agents_print(room: Room) -> None:
    await room.run("p-1", "sh", "-c", "read line; seq 20000; echo x >done; exec sleep 60")
    clients = await room.tmux("list-clients", "-F", "#{client_pid} #{client_flags}")
    pid, flags = clients.split()[:2]
    assert "no-output" in flags
    wake_ups = _context_switches(pid)
    await room.tmux("send-keys", "-t", "=p-1:", "go", "Enter")
    await room.content("done")
    await room.tmux("list-sessions")
    assert _context_switches(pid) == wake_ups


def _context_switches(pid: str) -> list[str]:
    return [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "ctxt" in line]


async def test_a_long_data_directory_works_through_a_short_socket(room: Room, short_path: Path) -> None:
    data_dir = short_path / ("d" * 100)
    runtime = Tmux(room.host, data_dir=str(data_dir), runtime_dir=str(short_path))
    launch = room.launch("p-1", "sleep", "60")
    await runtime.start(launch)
    socket = runtime.attach_argv(ONE, read_only=True)[2]
    try:
        assert socket.startswith(f"{short_path}/ao-")
        assert await runtime.terminals(0) == ["p-1"]
    finally:
        await runtime.shut()
        await room.host.run(["tmux", "-S", socket, "-N", "kill-server"])


async def test_a_folder_in_tmp_that_others_may_enter_is_refused(room: Room, short_path: Path) -> None:
    runtime = Tmux(room.host, data_dir=str(short_path / ("d" * 100)), runtime_dir="")
    folder = os.path.dirname(runtime.attach_argv(ONE, read_only=False)[2])
    os.mkdir(folder)
    os.chmod(folder, 0o755)
    try:
        with pytest.raises(AoError, match="mode 0700") as caught:
            await runtime.start(room.launch("p-1", "true"))
        assert caught.value.code == "RUNTIME_FAILED"
        assert os.listdir(folder) == []
    finally:
        os.rmdir(folder)


@pytest.mark.parametrize(
    ("version", "good"), [("tmux 3.2", 1), ("tmux 3.3a", 1), ("tmux next-3.6", 1), ("tmux 3.1c", 0)]
)
async def test_an_old_tmux_is_refused(version: str, good: int, tmp_path: Path) -> None:
    (tmp_path / "tmux").write_text(f"#!/bin/sh\necho '{version}'\n")
    (tmp_path / "tmux").chmod(0o755)
    runtime = Tmux(LocalHost(environ={"PATH": str(tmp_path)}), data_dir=str(tmp_path))
    if good:
        await runtime.check()
        (tmp_path / "tmux").unlink()
        await runtime.check()
    else:
        with pytest.raises(AoError, match=r"3\.1c is too old"):
            await runtime.check()


async def test_a_machine_without_tmux_is_told_what_to_install(room: Room, tmp_path: Path) -> None:
    runtime = Tmux(LocalHost(environ={"PATH": str(tmp_path)}), data_dir=str(tmp_path / "data"))
    for attempt in (runtime.check(), runtime.start(room.launch("p-1", "true"))):
        with pytest.raises(AoError) as caught:
            await attempt
        assert caught.value.code == "RUNTIME_PREREQUISITE_MISSING"
        assert "install tmux" in (caught.value.hint or "")


async def test_what_runs_in_a_terminal_is_told_from_text_only_by_its_own_pane(room: Room) -> None:
    """A person may open further windows; the agent's stays the one that is read and written."""
    await room.run("p-1", "sh", "-c", "echo the-agent; exec sleep 60")
    await room.shown(ONE, "the-agent")
    await room.tmux("new-window", "-t", "=p-1:", "sleep", "60")
    assert "the-agent" in await room.runtime.capture(ONE, lines=10)


async def test_whoever_attaches_is_told_how_to_leave(room: Room) -> None:
    await room.run("p-1", "sleep", "60")
    command = shlex.join(room.runtime.attach_argv(ONE, read_only=False))
    await room.runtime.start(room.launch("viewer", "sh", "-c", command, server=1))
    assert "Ctrl-b d leaves" in await room.shown(Terminal(1, "viewer"), "leaves")
