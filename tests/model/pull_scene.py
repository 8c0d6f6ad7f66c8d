"""A pull request, its reviewers and its ledger, in few words, for tests of decisions."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from ao.model.message import MessageState
from ao.model.nudge import Cause, LedgerEntry, Nudge, NudgeState
from ao.model.pull import Author, Check, CheckStatus, Comment, Picture, Pull, Review, Thread
from ao.model.reactions import Draft, Plan, Rules, Situation, plan

HEAD = "a" * 40
BASE = "b" * 40
SESSION = "demo-1"
ANN = Author(login="ann", association="member")
BOB = Author(login="bob", association="owner")
STRANGER = Author(login="mallory", association="contributor")
BOT = Author(login="scanner[bot]", association="collaborator", is_bot=True)
OWN = Author(login="ann", association="member", session=SESSION)
REVIEWER = Author(login="ann", association="member", session="demo-2")
VIEWER = Author(login="ann", association="owner", is_viewer=True)
BLANK = Pull(
    url="https://github.com/o/r/pull/3",
    session_id=SESSION,
    project_id="demo",
    number=3,
    forge="github",
    host="github.com",
    repo="o/r",
    title="Add a parser",
    source_branch="ao/demo-1/root",
    target_branch="main",
    head_sha=HEAD,
    base_sha=BASE,
    created_at=0,
    updated_at=0,
)


def pull(**changes: Any) -> Pull:
    """An open pull request of which nothing is known, but for `changes`."""
    return replace(BLANK, **changes)


def check(name: str = "unit", status: CheckStatus = "failed", **changes: Any) -> Check:
    """A check of the head."""
    return replace(Check(name=name, commit_sha=HEAD, status=status, conclusion="failure"), **changes)


def comment(name: str, author: Author = ANN, **changes: Any) -> Comment:
    """A remark on the whole; `in_thread` makes them remarks on a line."""
    return replace(Comment(comment_id=name, author=author, body=f"body of {name}"), **changes)


def thread(name: str, *comments: Comment, **changes: Any) -> Thread:
    """A conversation on a line; all but the first comment are replies."""
    said = tuple(replace(one, thread_id=name, reply=number > 0) for number, one in enumerate(comments))
    return replace(Thread(thread_id=name, path="src/a.py", line=7, comments=said), **changes)


def review(name: str, author: Author = ANN, **changes: Any) -> Review:
    """A review of the head that only comments."""
    return replace(Review(review_id=name, author=author, body=f"body of {name}", commit_sha=HEAD), **changes)


def red(*checks: Check, **changes: Any) -> Picture:
    """A pull request whose checks fail."""
    return Picture(pull=pull(ci="failing", **changes), checks=checks or (check(),))


def situation(picture: Picture, *ledger: LedgerEntry, **changes: Any) -> Situation:
    """What the decision is asked."""
    return replace(Situation(picture=picture, ledger=ledger, session_id=SESSION), **changes)


def entry(
    cause: Cause = Cause.CI,
    signature: str = "x",
    *,
    state: NudgeState = NudgeState.QUEUED,
    message: MessageState | None = MessageState.SUBMITTED,
    head: str = HEAD,
    at: int = 1,
) -> LedgerEntry:
    """A row of the ledger with the fate of its message."""
    nudge = Nudge(
        id=f"{cause}-{at}",
        session_id=SESSION,
        pull_url=BLANK.url,
        cause=cause,
        head_sha=head,
        signature=signature,
        round=1,
        state=state,
        created_at=at,
        updated_at=at,
    )
    return LedgerEntry(nudge=nudge, message=message if state is NudgeState.QUEUED else None)


class Desk:
    """Carries plans out as the engine does: keeps the ledger, and the messages' fates as they are set."""

    def __init__(self, rules: Rules | None = None, **always: Any) -> None:
        self.rules = rules or Rules()
        self.ledger: list[LedgerEntry] = []
        self.always = always
        self.now = 0

    def decide(self, picture: Picture, **changes: Any) -> Plan:
        """Plan, and record what follows; every message that is sent is submitted at once, unless `hold`."""
        hold = changes.pop("hold", False)
        made = plan(situation(picture, *self.ledger, **(self.always | changes)), self.rules)
        gone = dict(made.withdraw)
        self.ledger = [
            replace(one, nudge=replace(one.nudge, state=NudgeState.WITHDRAWN), message=MessageState.FAILED)
            if one.nudge.id in gone
            else one
            for one in self.ledger
        ]
        message = MessageState.QUEUED if hold else MessageState.SUBMITTED
        for draft in made.send:
            self._add(draft, NudgeState.QUEUED, message)
        for draft, _ in made.give_up:
            self._add(draft, NudgeState.GAVE_UP)
        for draft, _ in made.undeliverable:
            self._add(draft, NudgeState.UNDELIVERABLE)
        return made

    def clear(self, cause: Cause) -> None:
        """The cause was seen to be gone."""
        self.now += 1
        self.ledger.append(entry(cause, "", state=NudgeState.CLEARED, at=self.now))

    def fate(self, message: MessageState) -> None:
        """What became of the last message."""
        self.ledger[-1] = replace(self.ledger[-1], message=message)

    def _add(self, draft: Draft, state: NudgeState, message: MessageState | None = None) -> None:
        self.now += 1
        made = entry(draft.cause, draft.signature, state=state, message=message, head=draft.head_sha, at=self.now)
        self.ledger.append(made)
