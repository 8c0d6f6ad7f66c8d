"""The whole loop: three agents side by side, what goes wrong with their pull requests, and three merges.

Everything happens through the `ao` command, as a person would type it, in a scratch home of its own; the person's part
(a review, an approval, the merges) is played by this script. On every way out (done, error, Ctrl-C, SIGTERM) the
sessions and the daemon are stopped and the scratch home is removed. Exits 0 only when all three are merged, their
sessions have ended by themselves, and each agent was told of exactly what went wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from demo.home import DemoError, Home, LeftoverError, scratch
from demo.live import Moment, Row, Table
from demo.pantry import COUNT, PROJECT, REFUSE, REMARK, REMARK_AT, SHOP, TASKS, Task

PATIENCE_S = 60.0
"""How long one step may take."""
LOOK_EVERY_S = 2.0
"""The longest pause between two looks; what happens is told by the stream of events and looked at at once."""
CAUSES = {"ci": "checks failed", "review": "review feedback", "conflict": "conflict with main"}
EXPECTED = {COUNT.name: ["ci"], REFUSE.name: ["review"], SHOP.name: ["conflict"]}


def main() -> int:
    """Run the demo; 0 when all three are merged, 1 when not, 130 or 143 when interrupted."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--stay", action="store_true", help="keep everything until Enter is pressed")
    stay = options.parse_args().stay
    signal.signal(signal.SIGTERM, _terminated)
    try:
        with scratch() as home:
            return _run(Story(home), stay=stay)
    except LeftoverError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


def _run(story: Story, *, stay: bool) -> int:
    try:
        story.tell()
        if stay:
            story.stay()
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: interrupted", file=sys.stderr)
        return 130
    return 0


def _terminated(signum: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + signum)


class Story:
    """What happens, in order, and the person's part in it."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.table = Table()
        self.stream = -1
        self.commits: dict[str, str] = {}

    def tell(self) -> None:
        """From nothing to three merges. Raises `DemoError` for whatever went wrong."""
        self.home.prepare()
        print("three agents on three tasks, each in its own worktree and terminal", flush=True)
        self.home.spawn(TASKS)
        self.stream = self.home.listen()
        count, refuse, shop = (self._session(task) for task in TASKS)
        self._until("three pull requests are open", lambda now: len(now.pulls) == len(TASKS))
        self._review(refuse)
        self._until("its checks have passed after it was told that they fail", lambda now: now.ready(count), count)
        before = self._merge(count)
        changed = "it was told of the conflict and rebased"
        self._until(changed, lambda now: now.head(shop) != before[shop] and now.ready(shop), shop)
        self._merge(shop)
        self._until("all sessions have ended", _ended)
        self._check()

    def stay(self) -> None:
        """Keep all of it until a person has seen enough."""
        names = ("AO_RUN_FILE", "AO_DATA_DIR")
        print("\nin another terminal:")
        print("  export " + " ".join(f"{name}={self.home.environment[name]}" for name in names))
        print(f"  {self.home.ao} pr view 1 --project {PROJECT}")
        print(f'  {self.home.ao} spawn --project {PROJECT} --agent demo --prompt "Write a note"')
        with contextlib.suppress(EOFError):
            input("\nPress Enter to stop the sessions and the daemon and remove all of it. ")

    def _review(self, session: str) -> None:
        """Ask for a change, look at what comes of it, approve, merge."""
        now = self._until("it can be reviewed", lambda now: now.ready(session), session)
        number, head = self._number(now, session), now.head(session)
        path, remark_at = REMARK_AT
        lines = self.home.git("show", f"{head}:{path}").splitlines()
        line = next(number for number, text in enumerate(lines, 1) if remark_at in text)
        self._person("review", number, "--request-changes", "--line", f"{path}:{line}:{REMARK}")
        answered = "it has answered the review"
        self._until(answered, lambda now: now.head(session) != head and _answered(now, session), session)
        self._person("review", number, "--approve")
        self._until("it can be merged", lambda now: now.ready(session), session)
        self._merge(session)

    def _merge(self, session: str) -> dict[str, str]:
        """Merge a session's pull request; where the heads of all were before."""
        now = self._look()
        self._person("merge", self._number(now, session), "--method", "merge")
        return {name: now.head(name) for name in now.pulls}

    def _person(self, action: str, number: str, *arguments: str) -> None:
        self.table.leave()
        self.home.show("pr", action, number, *arguments, "--project", PROJECT)

    def _until(self, what: str, holds: Callable[[Moment], bool], session: str = "") -> Moment:
        """Show the table until something holds. Raises `DemoError` when it takes too long or an agent gives up."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            now = self._look()
            if holds(now):
                return now
            troubled = now.in_trouble()
            if troubled:
                raise self._stuck(f"the agent of {troubled} went no further; waited until {what}", troubled)
            if time.monotonic() > deadline:
                name = f" ({session})" if session else ""
                raise self._stuck(f"waited {PATIENCE_S:.0f} s in vain until {what}{name}", session)
            self._wait_for_news()

    def _stuck(self, why: str, session: str) -> DemoError:
        return DemoError(f"{why}\n{self.home.last_words(session)}")

    def _wait_for_news(self) -> None:
        """Wait until something has happened, or a while has passed."""
        if select.select([self.stream], [], [], LOOK_EVERY_S)[0] and not os.read(self.stream, 1 << 20):
            raise self._stuck("the daemon's stream of events has ended", "")

    def _look(self) -> Moment:
        """The facts now, shown in the table."""
        sessions = {session["id"]: session for session in self.home.sessions()}
        pulls = self.home.read("pr", "ls", "--all", "--project", PROJECT)["prs"]
        now = Moment(sessions, {pull["sessionId"]: pull for pull in pulls if pull.get("sessionId")})
        self._read_commits()
        self.table.show([self._row(session, now) for session in self.home.tasks])
        return now

    def _row(self, session: str, now: Moment) -> Row:
        pull = now.pulls.get(session)
        status = str(now.sessions.get(session, {}).get("status", "gone"))
        commit = self.commits.get(session, f"({self.home.tasks[session]})")
        if pull is None:
            return Row(session, status, "", "", "", commit)
        review = "" if pull["review"] == "none" else pull["review"]
        checks = "conflict" if pull["mergeability"] == "conflicting" else pull["ci"]
        return Row(session, status, f"#{pull['number']}", checks, review, commit)

    def _read_commits(self) -> None:
        """The newest commit of each session's branch; a branch that is gone keeps its last."""
        fields = "--format=%(refname:lstrip=3) %(objectname) %(objectname:short) %(subject)"
        for line in self.home.git("for-each-ref", fields, "refs/heads/ao").splitlines():
            branch, commit, shown = line.split(" ", 2)
            session = branch.partition("/")[0]
            if session in self.home.tasks and commit != self.home.begin:
                self.commits[session] = shown

    def _session(self, task: Task) -> str:
        return next(session for session, name in self.home.tasks.items() if name == task.name)

    def _number(self, now: Moment, session: str) -> str:
        return str(now.pulls[session]["number"])

    def _check(self) -> None:
        """Show what happened, and see that it is what should have."""
        self.table.leave()
        now = self._look()
        print("\nwhat happened")
        print(f"  {'PR':<4}{'SESSION':<10}{'TITLE':<36}{'THE AGENT WAS TOLD':<26}MERGED AS")
        told = {session: self._told(session) for session in self.home.tasks}
        for session in sorted(told, key=lambda name: int(now.pulls[name]["number"])):
            pull = now.pulls[session]
            words = ", ".join(
                f"{told[session].count(cause)}x {CAUSES[cause]}" for cause in dict.fromkeys(told[session])
            )
            merge = self._detail(pull)["mergeSha"][:7]
            print(f"  #{pull['number']:<3}{session:<10}{pull['title']:<36}{words:<26}{merge}")
        print("\n" + self.home.git("log", "--graph", "--format=%h %s", "main"), flush=True)
        for session, causes in told.items():
            if causes != EXPECTED[self.home.tasks[session]]:
                raise self._stuck(f"{session} was told of {', '.join(causes) or 'nothing'}", session)
        self._check_nothing_left()

    def _check_nothing_left(self) -> None:
        branches = self.home.git("for-each-ref", "--format=%(refname)", "refs/heads/ao").split()
        worktrees = self.home.git("worktree", "list", "--porcelain").count("worktree ")
        if branches or worktrees != 1:
            raise DemoError(f"left in the repository: {' '.join(branches)} and {worktrees - 1} worktrees")
        print("all three are merged; their sessions ended by themselves, worktrees and branches are gone")
        print("next: docs/quickstart.md, with your own repository and agents", flush=True)

    def _detail(self, pull: dict[str, Any]) -> dict[str, Any]:
        detail: dict[str, Any] = self.home.read("pr", "view", str(pull["number"]), "--project", PROJECT)["pr"]
        return detail

    def _told(self, session: str) -> list[str]:
        """The causes of the nudges that reached a session's agent."""
        nudges = self.home.read("session", "nudges", session)["nudges"]
        return [nudge["cause"] for nudge in nudges if nudge.get("messageState") == "submitted"]


def _answered(now: Moment, session: str) -> bool:
    pull = now.pulls[session]
    return pull["ci"] == "passing" and not pull["reviewComments"]


def _ended(now: Moment) -> bool:
    return all(session.get("isTerminated") for session in now.sessions.values())


if __name__ == "__main__":
    raise SystemExit(main())
