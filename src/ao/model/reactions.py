"""What an agent is told about its pull request, and what is taken back: decided from stored facts alone. Pure.

The three causes are independent; none hides another. Each thing to tell has an id that says what it is (a check that
failed on a commit, a comment, two commits in conflict); a nudge's signature is the sorted list of the ids that it
tells. What the ledger says was told is not told again, what surely never arrived is. Decided upon twice, the same facts
give nothing more, so a decision may be repeated after any crash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import msgspec

from ao.model.feedback import Feedback, Steering, feedback, is_bot
from ao.model.message import MessageState
from ao.model.nudge import Cause, LedgerEntry, NudgeState
from ao.model.project import NudgeRule
from ao.model.pull import Check, Comment, Picture, Pull, Review, Thread


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The project's rules: when each cause is told, and whose words are."""

    ci: NudgeRule = NudgeRule()
    review: NudgeRule = NudgeRule()
    conflict: NudgeRule = NudgeRule()
    trusted_authors: tuple[str, ...] = ()
    trust_everyone: bool = False

    def of(self, cause: Cause) -> NudgeRule:
        """The rule of one cause."""
        return {Cause.CI: self.ci, Cause.REVIEW: self.review, Cause.CONFLICT: self.conflict}[cause]


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """What a decision rests on. `siblings` are the other open pull requests of the session, `ledger` the nudges of this
    pull request to this session, oldest first. `reachable`: there is an agent that a message can be queued for.
    `clear_since`: when each cause was last seen to be gone, in milliseconds."""

    picture: Picture
    siblings: tuple[Pull, ...] = ()
    ledger: tuple[LedgerEntry, ...] = ()
    session_id: str
    reachable: bool = True
    clear_since: Mapping[Cause, int] = {}


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A nudge to be: what to tell, and the how-manieth of its cause on this head it is."""

    cause: Cause
    head_sha: str
    signature: str
    round: int
    checks: tuple[Check, ...] = ()
    threads: tuple[Thread, ...] = ()
    comments: tuple[Comment, ...] = ()
    reviews: tuple[Review, ...] = ()


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to do. `withdraw` names nudges whose message waits in the outbox and has been overtaken. Reasons are words
    for people."""

    send: tuple[Draft, ...] = ()
    withdraw: tuple[tuple[str, str], ...] = ()
    give_up: tuple[tuple[Draft, str], ...] = ()
    undeliverable: tuple[tuple[Draft, str], ...] = ()


class _Matter(msgspec.Struct, frozen=True, kw_only=True):
    """One cause as it stands. `items` maps the id of each thing that holds to where it comes from; None: unknown.
    `due`: it is to be told now."""

    items: Mapping[str, str] | None
    due: bool
    feedback: Feedback = Feedback()


def plan(situation: Situation, rules: Rules) -> Plan:
    """What follows from the situation. Nothing but withdrawals for a pull request that is merged or closed."""
    plans = [_plan(situation, rules, cause) for cause in Cause]
    return Plan(
        send=tuple(draft for one in plans for draft in one.send),
        withdraw=tuple(item for one in plans for item in one.withdraw),
        give_up=tuple(item for one in plans for item in one.give_up),
        undeliverable=tuple(item for one in plans for item in one.undeliverable),
    )


def _plan(situation: Situation, rules: Rules, cause: Cause) -> Plan:
    rule, matter = rules.of(cause), _matter(situation, rules, cause)
    ledger = [entry for entry in situation.ledger if entry.nudge.cause is cause]
    withdraw = {
        entry.nudge.id: reason
        for entry in ledger
        if _waits(entry) and (reason := _overtaken(entry, situation, rule, matter))
    }
    ledger = [entry for entry in ledger if entry.nudge.id not in withdraw]
    if not situation.picture.pull.is_open or not rule.enabled or not matter.due or not matter.items:
        return Plan(withdraw=tuple(withdraw.items()))
    recent = _since_clear(ledger, situation.clear_since.get(cause, 0))
    relevant = ledger if cause is Cause.REVIEW else recent
    if _fresh(matter.items, relevant):
        withdraw |= {entry.nudge.id: "told again together with what is new" for entry in ledger if _waits(entry)}
        ledger, recent, relevant = (_without(entries, withdraw) for entries in (ledger, recent, relevant))
    fresh = _fresh(matter.items, relevant)
    if not fresh:
        return Plan(withdraw=tuple(withdraw.items()))
    told = fresh if cause is Cause.REVIEW else frozenset(matter.items)
    draft = _draft(situation, cause, matter, told, ledger)
    in_a_row = ledger if _is_among_machines(draft) else recent
    return _settled(situation, rule, draft, (relevant, in_a_row), tuple(withdraw.items()))


def _settled(
    situation: Situation,
    rule: NudgeRule,
    draft: Draft,
    entries: tuple[list[LedgerEntry], list[LedgerEntry]],
    withdraw: tuple[tuple[str, str], ...],
) -> Plan:
    """Send it; or say once that it can't be, or may not be any more. `entries`: those that could tell the same, and
    those that count in a row."""
    relevant, in_a_row = entries
    reason = _exhausted(rule, draft, in_a_row)
    if reason:
        again = _said(relevant, NudgeState.GAVE_UP, draft)
        return Plan(withdraw=withdraw, give_up=() if again else ((draft, reason),))
    if not situation.reachable:
        again = _said(relevant, NudgeState.UNDELIVERABLE, draft)
        return Plan(withdraw=withdraw, undeliverable=() if again else ((draft, "no agent runs in the session"),))
    return Plan(withdraw=withdraw, send=(draft,))


def _matter(situation: Situation, rules: Rules, cause: Cause) -> _Matter:
    picture = situation.picture
    pull = picture.pull
    if cause is Cause.CI:
        failed = {} if pull.ci == "passing" else {_check_id(check): check.name for check in picture.failed_checks}
        return _Matter(items=None if pull.ci == "unknown" else failed, due=pull.ci == "failing")
    if cause is Cause.REVIEW:
        steering = Steering(
            session_id=situation.session_id,
            trusted_authors=rules.trusted_authors,
            trust_everyone=rules.trust_everyone,
        )
        found = feedback(picture, steering)
        return _Matter(items={_digest(name): name for name in found.ids}, due=True, feedback=found)
    stacked = pull.target_branch in {sibling.source_branch for sibling in situation.siblings if sibling.is_open}
    holds = pull.mergeability == "conflicting" and not stacked
    commits = {_digest("conflict", pull.base_sha, pull.head_sha): pull.base_sha}
    return _Matter(items=None if pull.mergeability == "unknown" else commits if holds else {}, due=holds)


def _check_id(check: Check) -> str:
    """Never made from the log: a log that comes late tells nothing new."""
    return _digest("check", check.commit_sha, check.name, check.status, check.conclusion)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _overtaken(entry: LedgerEntry, situation: Situation, rule: NudgeRule, matter: _Matter) -> str:
    """Why a message that still waits should not be sent any more; "" when it should."""
    pull = situation.picture.pull
    if not pull.is_open:
        return f"the pull request is {pull.state}"
    if not rule.enabled:
        return "nudges of this kind are switched off"
    if entry.nudge.head_sha != pull.head_sha:
        return "there is a newer commit"
    if not situation.reachable:
        return "no agent runs in the session"
    if matter.items is None or _ids(entry) & frozenset(matter.items):
        return ""
    return "overtaken by what holds now" if matter.items else "it holds no more"


def _draft(
    situation: Situation, cause: Cause, matter: _Matter, told: frozenset[str], ledger: list[LedgerEntry]
) -> Draft:
    picture = situation.picture
    head = picture.pull.head_sha
    said = matter.feedback.only(name for key, name in (matter.items or {}).items() if key in told)
    return Draft(
        cause=cause,
        head_sha=head,
        signature=",".join(sorted(told)),
        round=sum(_was_sent(entry) and entry.nudge.head_sha == head for entry in ledger) + 1,
        checks=picture.failed_checks if cause is Cause.CI else (),
        threads=said.threads,
        comments=said.comments,
        reviews=said.reviews,
    )


def _exhausted(rule: NudgeRule, draft: Draft, in_a_row: Iterable[LedgerEntry]) -> str:
    if draft.round > rule.rounds:
        return f"told {draft.round - 1} times about commit {draft.head_sha[:12]}, at most {rule.rounds} are allowed"
    count = sum(_was_sent(entry) for entry in in_a_row)
    return f"told {count} times in a row, at most {rule.total} are allowed" if count >= rule.total else ""


def _is_among_machines(draft: Draft) -> bool:
    """Whether only programs speak. Each of their rounds may look settled in between, so none of them starts the count
    anew: a reviewer and an author that are both agents must end some time. People end by themselves."""
    authors = Feedback(threads=draft.threads, comments=draft.comments, reviews=draft.reviews).authors
    return bool(authors) and all(author.session or is_bot(author) for author in authors)


def _since_clear(ledger: list[LedgerEntry], clear_at: int) -> list[LedgerEntry]:
    """Those after the cause was last seen to be gone."""
    marks = [number for number, entry in enumerate(ledger) if entry.nudge.state is NudgeState.CLEARED]
    later = ledger[marks[-1] + 1 :] if marks else ledger
    return [entry for entry in later if entry.nudge.created_at >= clear_at]


def _fresh(items: Mapping[str, str], ledger: Iterable[LedgerEntry]) -> frozenset[str]:
    """What none of these nudges tells."""
    covered = [_ids(entry) for entry in ledger if entry.counts]
    return frozenset(items).difference(*covered)


def _said(ledger: list[LedgerEntry], state: NudgeState, draft: Draft) -> bool:
    """Whether this is what the ledger says last."""
    ignored = (NudgeState.WITHDRAWN, NudgeState.CLEARED)
    last = next((entry.nudge for entry in reversed(ledger) if entry.nudge.state not in ignored), None)
    return last is not None and (last.state, last.signature, last.head_sha) == (state, draft.signature, draft.head_sha)


def _without(ledger: list[LedgerEntry], ids: Mapping[str, str]) -> list[LedgerEntry]:
    return [entry for entry in ledger if entry.nudge.id not in ids]


def _ids(entry: LedgerEntry) -> frozenset[str]:
    return frozenset(entry.nudge.signature.split(","))


def _waits(entry: LedgerEntry) -> bool:
    """Whether its message can still be taken back."""
    return entry.nudge.state is NudgeState.QUEUED and entry.message is MessageState.QUEUED


def _was_sent(entry: LedgerEntry) -> bool:
    """Whether it used up one of the rounds, arrived or not: a message that fails each time must end too."""
    return entry.nudge.state is NudgeState.QUEUED
