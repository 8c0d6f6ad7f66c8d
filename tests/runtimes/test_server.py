"""What is known when a tmux server or the connection to it is lost: nothing, until the server itself is gone."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from pathlib import Path

import pytest

from ao.model.errors import AoError
from ao.ports import Liveness, ProcessId, Terminal
from tests.runtimes.conftest import Room

ONE, TWO = Terminal(0, "p-1"), Terminal(0, "p-2")


async def _server(room: Room) -> ProcessId:
    process = room.host.identify(int(await room.tmux("display-message", "-p", "#{pid}")))
    assert process is not None
    return process


async def _control_client(room: Room) -> ProcessId:
    process = room.host.identify(int((await room.tmux("list-clients", "-F", "#{client_pid}")).split()[0]))
    assert process is not None
    return process


async def test_a_control_client_that_died_is_replaced_and_nothing_is_lost(room: Room) -> None:
    await room.run("p-1", "sleep", "60")
    for _ in range(2):
        client = await _control_client(room)
        os.kill(client.pid, signal.SIGKILL)
        await asyncio.wait_for(room.host.exited(client), 5)
        await room.runtime.start(room.launch("p-2", "sleep", "60"))
        assert await room.runtime.probe([ONE, TWO]) == {ONE: Liveness.ALIVE, TWO: Liveness.ALIVE}
        await room.runtime.close(TWO)


async def test_p6_a_server_that_does_not_answer_makes_terminals_unknown_and_not_dead(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ao.runtimes.control._TIMEOUT_S", 0.2)
    await room.run("p-1", "sleep", "60")
    server = await _server(room)
    os.kill(server.pid, signal.SIGSTOP)
    try:
        for _ in range(3):
            assert await room.runtime.probe([ONE, TWO]) == {ONE: Liveness.UNKNOWN, TWO: Liveness.UNKNOWN}
        with pytest.raises(AoError) as caught:
            await room.runtime.terminals(0)
        assert caught.value.code == "RUNTIME_FAILED"
    finally:
        os.kill(server.pid, signal.SIGCONT)
    monkeypatch.undo()
    async with asyncio.timeout(20):
        while (found := await room.runtime.probe([ONE, TWO]))[ONE] is Liveness.UNKNOWN:  # noqa: ASYNC110 (a back-off)
            await asyncio.sleep(0.05)
    assert found == {ONE: Liveness.ALIVE, TWO: Liveness.DEAD}


async def test_a_server_that_is_gone_makes_its_terminals_dead_and_a_new_one_takes_its_socket(room: Room) -> None:
    await room.run("p-1", "sleep", "60")
    server = await _server(room)
    os.kill(server.pid, signal.SIGKILL)
    await asyncio.wait_for(room.host.exited(server), 5)
    assert room.host.stamp([room.socket()]) != (None,)
    assert await room.runtime.probe([ONE]) in ({ONE: Liveness.UNKNOWN}, {ONE: Liveness.DEAD})
    assert await room.runtime.probe([ONE]) == {ONE: Liveness.DEAD}
    assert await room.runtime.terminals(0) == []
    await room.runtime.start(room.launch("p-2", "sleep", "60"))
    assert await room.runtime.terminals(0) == ["p-2"]


async def test_p6_a_socket_removed_under_a_living_server_is_not_death_and_starts_no_second_server(room: Room) -> None:
    await room.run("p-1", "sleep", "60")
    server = await _server(room)
    await room.runtime.shut()
    os.unlink(room.socket())
    try:
        assert await room.runtime.probe([ONE]) == {ONE: Liveness.UNKNOWN}
        second = room.another_runtime()
        with pytest.raises(AoError, match=f"kill -USR1 {server.pid}"):
            await second.start(room.launch("p-2", "true"))
        assert room.host.stamp([room.socket()]) == (None,)
    finally:
        os.kill(server.pid, signal.SIGUSR1)
        async with asyncio.timeout(10):
            while room.host.stamp([room.socket()]) == (None,):  # noqa: ASYNC110 (a socket isn't written to)
                await asyncio.sleep(0.005)
    third = room.another_runtime()
    assert await third.probe([ONE]) == {ONE: Liveness.ALIVE}
    await third.shut()


async def test_a_cancelled_question_leaves_no_answer_for_the_next_one(room: Room) -> None:
    await room.run("p-1", "sleep", "60")
    await room.run("p-2", "sleep", "60")
    for turns in range(6):
        asking = asyncio.ensure_future(room.runtime.capture(ONE, lines=50))
        for _ in range(turns):
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait([asking])
        assert await room.runtime.terminals(0) == ["p-1", "p-2"]


async def test_a_holder_session_someone_closed_is_opened_again(room: Room) -> None:
    await room.run("p-1", "sleep", "60")
    client = await _control_client(room)
    await room.tmux("kill-session", "-t", "=ao~holder")
    await asyncio.wait_for(room.host.exited(client), 5)
    assert await room.runtime.terminals(0) == ["p-1"]
    assert "ao~holder" in await room.tmux("list-sessions")


async def test_p7_attempts_to_reconnect_are_bounded(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ao.runtimes.control._TIMEOUT_S", 0.05)
    await room.run("p-1", "sleep", "60")
    server = await _server(room)
    connects = 0
    connect = room.host.connect

    async def counted(*arguments: object, **options: object) -> object:
        nonlocal connects
        connects += 1
        return await connect(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(room.host, "connect", counted)
    os.kill(server.pid, signal.SIGSTOP)
    try:
        for _ in range(200):
            assert await room.runtime.probe([ONE]) == {ONE: Liveness.UNKNOWN}
    finally:
        os.kill(server.pid, signal.SIGCONT)
    assert 1 <= connects <= 2


def _leave_a_client_stuck(room: Room) -> int:
    """Do what a daemon killed in the middle of a reply does: a control client whose output nobody takes any more. tmux
    then waits for ever to hand the rest over. Returns its pid; it is this process's child."""
    argv = ["tmux", "-S", room.socket(), "-N", "-C", "attach-session", "-t", "=ao~holder", "-f", "no-output"]
    client = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert client.stdin
    assert client.stdout
    client.stdout.readline()
    client.stdin.write(b"show-options -g\n" * 500)
    client.stdin.flush()
    client.stdout.readline()
    client.stdout.close()
    client.stdin.close()
    client.returncode = 0  # whoever ends it reaps it, not this object
    return client.pid


async def test_p5_a_client_stuck_by_a_killed_daemon_keeps_no_server_from_ending(room: Room) -> None:
    await room.run("p-1", "sleep", "60")
    server = await _server(room)
    stuck = await asyncio.to_thread(_leave_a_client_stuck, room)
    await room.runtime.close(ONE)
    try:
        await room.another_runtime().shut()
        async with asyncio.timeout(10):
            await room.host.exited(server)
        assert room.host.identify(stuck) is None
    finally:
        if room.host.identify(stuck):
            os.kill(stuck, signal.SIGKILL)
        await asyncio.to_thread(os.waitpid, stuck, 0)


async def test_p5_an_empty_server_of_a_daemon_that_was_killed_is_ended_by_the_next(room: Room) -> None:
    await room.run("p-1", "sleep", "60")
    server = await _server(room)
    await room.runtime.close(ONE)
    Path(room.data_dir, "tmux", "0.process").unlink()
    await room.another_runtime().shut()
    async with asyncio.timeout(10):
        await room.host.exited(server)
    assert not Path(room.socket()).exists()
