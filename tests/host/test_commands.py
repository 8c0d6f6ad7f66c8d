"""Commands run to their end, bounded in time, output and environment; connections are spoken to line by line."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from ao.host import LocalHost
from ao.ports import CommandTimeoutError


async def test_a_command_answers_with_code_output_and_error_output(host: LocalHost) -> None:
    done = await host.run(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert (done.code, done.out, done.err, done.cut) == (3, "out\n", "err\n", False)


async def test_a_command_ended_by_a_signal_has_a_negative_code(host: LocalHost) -> None:
    assert (await host.run(["sh", "-c", "kill -9 $$"])).code == -9


async def test_s5_arguments_are_never_read_by_a_shell(host: LocalHost, tmp_path: Path) -> None:
    hostile = ["; touch pwned", "$(touch pwned)", "`touch pwned`", "a\nb", "--flag", "'\"", "é\x7f"]
    done = await host.run(["printf", "%s|", *hostile], cwd=str(tmp_path))
    assert done.out == "".join(f"{text}|" for text in hostile)
    assert os.listdir(tmp_path) == []


async def test_s8_the_daemons_environment_does_not_reach_commands(host: LocalHost, tmp_path: Path) -> None:
    names = set()
    for line in (await host.run(["env"], env={"GIVEN": "1"})).out.splitlines():
        assert "canary" not in line
        names.add(line.partition("=")[0])
    assert names == {"PATH", "HOME", "LC_ALL", "LANG", "GIT_TERMINAL_PROMPT", "GIVEN"}
    assert (await host.run(["sh", "-c", "echo $HOME $LC_ALL"])).out == f"{tmp_path} C\n"


async def test_standard_input_is_given_or_empty(host: LocalHost) -> None:
    text = b"x" * 300_000
    assert (await host.run(["wc", "-c"], stdin=text)).out.strip() == "300000"
    assert (await host.run(["cat"])).out == ""
    assert (await host.run(["true"], stdin=text)).code == 0


async def test_of_output_beyond_the_limit_the_beginning_and_the_end_are_kept(host: LocalHost) -> None:
    done = await host.run(["sh", "-c", "echo first; yes | head -c 1000000; echo last; echo err >&2"], limit=1001)
    assert done.cut
    assert done.out.startswith("first\ny\n")
    assert done.out.endswith("y\nlast\n")
    before, gap, after = done.out.partition("\n… 999010 bytes left out …\n")
    assert (len(before), bool(gap), len(after)) == (501, True, 500)
    assert done.err == "err\n"


async def test_output_up_to_the_limit_is_whole(host: LocalHost) -> None:
    for size, cut in ((999, False), (1000, False), (1001, True)):
        done = await host.run(["sh", "-c", f"yes | head -c {size}"], limit=1000)
        assert (done.cut, "1 bytes left out" in done.out) == (cut, cut)
        assert cut or len(done.out) == size
    assert (await host.run(["echo", "x"], limit=0)).out == "\n… 2 bytes left out …\n"


async def test_undecodable_output_is_still_text(host: LocalHost) -> None:
    assert (await host.run(["printf", r"\377a"])).out == "\ufffda"


async def test_a_late_command_is_ended_with_its_whole_group(host: LocalHost) -> None:
    mark = {"LATE_MARK": os.urandom(8).hex()}
    with pytest.raises(CommandTimeoutError, match="sh took longer"):
        await host.run(["sh", "-c", "sleep 60 & sleep 60"], env=mark, timeout_s=0.2)
    for process in await host.find(mark):
        await asyncio.wait_for(host.exited(process), 5)


async def test_a_cancelled_command_is_ended_with_its_whole_group(host: LocalHost, tmp_path: Path) -> None:
    mark = {"CANCEL_MARK": os.urandom(8).hex()}
    task = asyncio.create_task(
        host.run(["sh", "-c", "sleep 60 & printf x >started; sleep 60"], cwd=str(tmp_path), env=mark)
    )
    assert await host.await_file(str(tmp_path / "started"), timeout_s=5) == b"x"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for process in await host.find(mark):
        await asyncio.wait_for(host.exited(process), 5)


async def test_a_background_child_that_holds_the_output_does_not_hold_the_answer(host: LocalHost) -> None:
    mark = {"HOLD_MARK": os.urandom(8).hex()}
    try:
        done = await host.run(["sh", "-c", "sleep 60 & echo done"], env=mark, timeout_s=20)
        assert done.out == "done\n"
    finally:
        assert await host.kill(None, mark, grace_s=5) == []


async def test_an_unknown_command_is_not_found(host: LocalHost) -> None:
    with pytest.raises(FileNotFoundError):
        await host.run(["no-such-program-here"])
    with pytest.raises(FileNotFoundError):
        await host.connect(["no-such-program-here"])


async def test_a_connection_is_spoken_to_line_by_line(host: LocalHost) -> None:
    connection = await host.connect(["cat"])
    lines = connection.lines()
    await connection.write(b"one\ntwo\nth")
    assert [await anext(lines), await anext(lines)] == [b"one", b"two"]
    await connection.write(b"ree\n")
    assert await anext(lines) == b"three"
    await connection.close()
    await connection.close()
    assert [line async for line in connection.lines()] == []
    with pytest.raises(ConnectionError):
        await connection.write(b"x\n")


async def test_a_wait_for_a_line_that_is_cancelled_loses_none(host: LocalHost) -> None:
    connection = await host.connect(["cat"])
    lines = connection.lines()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(lines), 0.05)
    await connection.write(b"kept\n")
    assert await anext(lines) == b"kept"
    await connection.close()


async def test_a_connection_ends_when_its_process_does(host: LocalHost) -> None:
    connection = await host.connect(["sh", "-c", "echo bye; exit 1"])
    assert [line async for line in connection.lines()] == [b"bye"]
    with pytest.raises(ConnectionError):
        await connection.write(b"x\n")
    await connection.close()


async def test_a_reader_that_is_slow_gets_every_line_of_a_fast_process(host: LocalHost) -> None:
    connection = await host.connect([sys.executable, "-c", "for i in range(400_000): print('line', i)"])
    count = 0
    async for line in connection.lines():
        assert line == b"line %d" % count
        count += 1
    assert count == 400_000
    await connection.close()


async def test_p10_commands_leave_no_descriptor_behind(host: LocalHost) -> None:
    await host.run(["true"])
    before = os.listdir("/proc/self/fd")
    for _ in range(30):
        await host.run(["true"], stdin=b"x")
        await (await host.connect(["cat"])).close()
    with pytest.raises(CommandTimeoutError):
        await host.run(["sleep", "60"], timeout_s=0.01)
    await asyncio.sleep(0)  # pipes are closed in the loop's next turn
    assert len(os.listdir("/proc/self/fd")) <= len(before)
