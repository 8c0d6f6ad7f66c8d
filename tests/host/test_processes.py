"""Processes: identity that survives pid reuse, waiting without wake-ups, and ending all that a session started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ao.host import LocalHost
from ao.ports import ProcessId

Marks = dict[str, str]


@pytest.fixture
def marks() -> Iterator[Marks]:
    """Marks of a session of its own; whatever still carries them is ended afterwards."""
    mark = {"AO_SESSION_ID": f"t-{os.urandom(6).hex()}", "AO_DATA_DIR": "/data"}
    yield mark
    for process in asyncio.run(LocalHost(environ={}).find(mark)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)


@contextlib.contextmanager
def _child(script: str, marks: Marks, *, cwd: Path) -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen(
        ["sh", "-c", script], env={**os.environ, **marks}, cwd=cwd, start_new_session=True, stdout=subprocess.DEVNULL
    )
    try:
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


async def _ready(host: LocalHost, path: Path) -> bytes:
    content = await host.await_file(str(path), timeout_s=10)
    assert content is not None
    return content


async def _gone(host: LocalHost, *processes: ProcessId) -> None:
    for process in processes:
        await asyncio.wait_for(host.exited(process), 10)


def _known(host: LocalHost, pid: int) -> ProcessId:
    process = host.identify(pid)
    assert process is not None
    return process


async def test_a_process_is_known_by_pid_and_start_time(host: LocalHost, tmp_path: Path, marks: Marks) -> None:
    with _child("exec sleep 60", marks, cwd=tmp_path) as child:
        process = _known(host, child.pid)
        assert process.started.isdigit()
        assert host.identify(child.pid) == process
        child.kill()
        await _gone(host, process)  # a zombie until it is waited for
        assert host.identify(child.pid) is None
    assert host.identify(child.pid) is None
    assert host.identify(0) is None


async def test_waiting_for_an_end_returns_when_it_comes_and_at_once_afterwards(
    host: LocalHost, tmp_path: Path, marks: Marks
) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with _child("exec sleep 60", marks, cwd=tmp_path) as child:
        process = _known(host, child.pid)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(host.exited(process), 0.05)
        async with asyncio.TaskGroup() as group:
            waiters = [group.create_task(host.exited(process)) for _ in range(3)]
            await asyncio.sleep(0)
            child.kill()
        assert all(waiter.done() for waiter in waiters)
    await _gone(host, process)
    assert len(os.listdir("/proc/self/fd")) == before


async def test_p2_a_reused_pid_is_another_process(host: LocalHost, tmp_path: Path, marks: Marks) -> None:
    with _child("exec sleep 60", marks, cwd=tmp_path) as child:
        stale = ProcessId(child.pid, "1")
        await asyncio.wait_for(host.exited(stale), 5)
        assert await host.kill(stale, {}, grace_s=0) == []
        assert child.poll() is None


async def test_processes_are_found_by_all_of_their_marks(host: LocalHost, tmp_path: Path, marks: Marks) -> None:
    with _child("exec sleep 60", marks, cwd=tmp_path) as child:
        process = _known(host, child.pid)
        assert await host.find(marks) == [process]
        assert await host.find({**marks, "AO_DATA_DIR": "/data2"}) == []
        assert await host.find({"AO_SESSION_ID": marks["AO_SESSION_ID"][:-1]}) == []
        assert await host.find({}) == []


async def test_killing_asks_first_and_lets_a_process_end_in_peace(
    host: LocalHost, tmp_path: Path, marks: Marks
) -> None:
    script = "trap 'echo bye >said; exit 0' TERM; echo x >ready; while :; do sleep 0.05; done"
    with _child(script, marks, cwd=tmp_path) as child:
        await _ready(host, tmp_path / "ready")
        assert await host.kill(_known(host, child.pid), {}, grace_s=10) == []
        assert child.wait() == 0
        assert (tmp_path / "said").read_text() == "bye\n"


async def test_killing_insists_when_the_grace_is_over(host: LocalHost, tmp_path: Path, marks: Marks) -> None:
    script = "trap '' TERM HUP INT; echo x >ready; while :; do sleep 60; done"
    with _child(script, marks, cwd=tmp_path) as child:
        await _ready(host, tmp_path / "ready")
        assert await host.kill(_known(host, child.pid), marks, grace_s=0.2) == []
        assert child.wait() == -signal.SIGKILL
        assert await host.find(marks) == []


async def test_p4_children_that_left_the_session_or_ignore_hangups_are_ended_too(
    host: LocalHost, tmp_path: Path, marks: Marks
) -> None:
    script = """
    nohup sh -c 'trap "" HUP TERM; echo $$ >ignores.tmp; mv ignores.tmp ignores; while :; do sleep 60; done' &
    setsid sh -c 'echo $$ >apart.tmp; mv apart.tmp apart; exec sleep 60' &
    (setsid sh -c 'sleep 60 & echo $! >orphan.tmp; mv orphan.tmp orphan' &)
    env -i PATH="$PATH" sh -c 'echo $$ >bare.tmp; mv bare.tmp bare; exec sleep 60' &
    wait
    """
    with _child(script, marks, cwd=tmp_path) as child:
        names = ("ignores", "apart", "orphan", "bare")
        processes = [_known(host, int(await _ready(host, tmp_path / name))) for name in names]
        assert await host.kill(_known(host, child.pid), marks, grace_s=0.5) == []
        await _gone(host, *processes)
        assert await host.find(marks) == []


async def test_p4_what_a_dead_agent_left_is_found_by_its_marks(host: LocalHost, tmp_path: Path, marks: Marks) -> None:
    with _child("setsid sh -c 'echo $$ >t; mv t left; exec sleep 60' & sleep 60", marks, cwd=tmp_path) as child:
        left = _known(host, int(await _ready(host, tmp_path / "left")))
        root = _known(host, child.pid)
        child.kill()
        child.wait()
        assert host.identify(left.pid) == left
        assert await host.kill(root, marks, grace_s=5) == []
        await _gone(host, left)


async def test_p3_processes_of_others_with_the_same_name_are_untouched(
    host: LocalHost, tmp_path: Path, marks: Marks
) -> None:
    other = {**marks, "AO_SESSION_ID": marks["AO_SESSION_ID"] + "0"}
    with _child("exec sleep 60", marks, cwd=tmp_path) as ours, _child("exec sleep 60", other, cwd=tmp_path) as decoy:
        assert await host.kill(_known(host, ours.pid), marks, grace_s=5) == []
        assert ours.wait() == -signal.SIGTERM
        assert decoy.poll() is None


async def test_a_stopped_process_is_ended_without_waiting_for_the_grace(
    host: LocalHost, tmp_path: Path, marks: Marks
) -> None:
    with _child("echo x >ready; kill -STOP $$; sleep 60", marks, cwd=tmp_path) as child:
        await _ready(host, tmp_path / "ready")
        await asyncio.to_thread(os.waitid, os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
        await asyncio.wait_for(host.kill(_known(host, child.pid), marks, grace_s=60), 10)
        assert child.wait() == -signal.SIGTERM


def test_init_this_process_and_its_ancestors_are_never_taken_for_a_tree(host: LocalHost) -> None:
    """Looked at, not tried: the tree below them is everybody's."""
    from ao.host.processes import _may_end, _with_descendants

    pid, spared = os.getpid(), [1]
    while pid > 1:
        spared.append(pid)
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    assert len(spared) > 2
    for pid in spared:
        assert not _may_end(pid)
        assert _with_descendants([_known(host, pid)]) == set()


async def test_children_are_found_without_the_kernels_children_files(
    host: LocalHost, tmp_path: Path, marks: Marks
) -> None:
    from ao.host.processes import _children, _children_by_scan

    with _child("sleep 60 & echo x >ready; wait", marks, cwd=tmp_path) as child:
        await _ready(host, tmp_path / "ready")
        assert _children(child.pid) == _children_by_scan(child.pid) != []
