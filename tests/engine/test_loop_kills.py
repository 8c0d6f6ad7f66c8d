"""C4: `kill -9` between any two of observe, record, decide, send and acknowledge loses no nudge."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from ao.model.pull import Check
from ao.store import pulls
from tests.engine.mortal import URL, Facing, Fate, Life, Typed, remark, seed

KILLS = 50
"""Deaths for each of the four seeds."""
EFFECTS = 12
"""More than one event has; a death beyond the last effect doesn't come, and isn't counted."""
PATIENCE_S = 20.0
NOW_AND_THEN_S = 0.05
"""An acknowledgement alone is no change that would wake."""


def happen(forge: Facing, number: int, chance: random.Random) -> str:
    """Something goes wrong with the pull request; the word by which the nudge about it is known."""
    token = f"tok{number:04d}x"
    kind = chance.choice(("ci", "review", "conflict"))
    if kind == "ci":
        head = f"{number + 1:040x}"
        forge.checks = (Check(name=token, commit_sha=head, status="failed", conclusion="failure"),)
        forge.change(head_sha=head, ci="failing", mergeability="blocked")
    elif kind == "review":
        forge.threads = (*forge.threads, remark(token))
        forge.change()
    else:
        # Each conflict is with another base; the branch's name in the nudge tells which.
        forge.change(mergeability="conflicting", base_sha=f"{number + 1:040x}", target_branch=token)
    return token


async def until_told(life: Life, terminal: Typed, fate: Fate, token: str) -> bool:
    """Wait until the agent was told and all is settled; False when death came first."""
    async with asyncio.timeout(PATIENCE_S):
        while not fate.died.is_set():
            if any(token in text for text in terminal.texts) and life.is_settled():
                return True
            waits = [asyncio.ensure_future(event.wait()) for event in (life.changed, terminal.told, fate.died)]
            await asyncio.wait(waits, timeout=NOW_AND_THEN_S, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
            life.changed.clear()
            terminal.told.clear()
    return False


@pytest.mark.parametrize("number", range(4))
async def test_c4_no_nudge_is_lost_by_a_kill_and_at_most_one_is_repeated(tmp_path: Path, number: int) -> None:
    chance = random.Random(20261125 + number)  # the same deaths in every run
    fate = Fate()
    forge, terminal = Facing(fate), Typed(fate)
    life = Life(tmp_path, forge, terminal, fate)
    await life.db.write(seed)
    await life.begin()
    kills = event = 0
    while kills < KILLS:
        event += 1
        fate.arm(chance.randint(1, EFFECTS), after=chance.random() < 0.5)
        token = happen(forge, event, chance)
        life.engine.observer.wake("github:github.com/acme/shop")
        died = not await until_told(life, terminal, fate, token)
        fate.arm(0, after=False)
        if died:
            kills += 1
            await life.end()
            life = Life(tmp_path, forge, terminal, fate)
            await life.begin()
            assert await until_told(life, terminal, fate, token)
        arrivals = sum(token in text for text in terminal.texts)
        marked = sum(token in row.text and row.possible_duplicate for row in life.messages())
        assert arrivals in ((1, 2) if died else (1,)), f"event {event}: {arrivals} arrivals"
        assert marked >= arrivals - 1, f"event {event}: a repeated nudge isn't marked"
    row = pulls.get(life.db.read, URL)
    await life.end()
    assert row is not None
    assert row.acked == row.revision
