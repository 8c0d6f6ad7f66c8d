"""The words of a nudge: what is wrong with a pull request, the evidence, and what to do. Pure.

Facts and instructions are ours, in plain sentences; whatever others wrote stands between marks or, for names, on one
line in quotes. Nothing of theirs is ever part of a command that we suggest.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from ao.model import ci_log
from ao.model.fence import OVERHEAD, clean, fence, plain
from ao.model.nudge import Cause
from ao.model.project import NudgeRule
from ao.model.pull import LOCAL, Check, Comment, Picture, Pull, Review
from ao.model.reactions import Draft

LIMIT: Final = 24_000
"""Characters of a nudge, well under what a message may have."""
ITEM_LIMIT: Final = 6_000
"""Characters of one log or comment."""
LOG_LINES: Final = 60
_SHORTEST: Final = 200
"""Characters that a log or comment is given at least, or else it is only named."""
_WORTHWHILE: Final = 1_500
"""Characters for an item with which one is dealt before the next gets any."""
_HEADING: Final = 1_000
"""Characters of an item's first line at most."""
_RESERVE: Final = 300
_NAME: Final = 100
_PATH: Final = 200
_URL: Final = 300
_SAFE_ID: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_=+/.:-]{0,199}")
_LINK: Final = re.compile(r"(?:https?|ao)://[!#-;=?-_a-~]+")
_SAFE_BRANCH: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")


class _Item(msgspec.Struct, frozen=True):
    """One thing to tell: our line about it, and others' words, which may be missing."""

    heading: str
    words: str = ""
    label: str = "text"


def text(draft: Draft, picture: Picture, rule: NudgeRule, *, nonce: str, forge_hint: str) -> str:
    """The message of a nudge, at most `LIMIT` characters; what doesn't fit is named with where to read it.

    `nonce` is as for `fence`. `forge_hint` is the forge's name: on the local one there is nothing to push. The rule's
    own text takes the place of our instructions, never of the facts.
    """
    pull = picture.pull
    heading = _heading(draft, pull, rule)
    instructions = clean(rule.text or "").strip() or _INSTRUCTIONS[draft.cause](draft, pull, local=forge_hint == LOCAL)
    room = LIMIT - len(heading) - len(instructions) - _RESERVE
    parts = [heading, *_told(_items(draft), pull, nonce=nonce, room=room), instructions]
    return "\n\n".join(part for part in parts if part)


def _heading(draft: Draft, pull: Pull, rule: NudgeRule) -> str:
    what = {
        Cause.CI: "Checks fail" if any(check.status == "failed" for check in draft.checks) else "Checks were cancelled",
        Cause.REVIEW: "There is review feedback",
        Cause.CONFLICT: "The branch conflicts with its base",
    }[draft.cause]
    branches = f"'{plain(pull.source_branch, _PATH)}' into '{plain(pull.target_branch, _PATH)}'"
    again = f" This is round {draft.round} of at most {rule.rounds} on this commit." if draft.round > 1 else ""
    return (
        f'[ao] {what}: your pull request #{pull.number} "{plain(pull.title, 120)}" ({branches}), '
        f"commit {_sha(draft.head_sha)}.{again}\n{_link(pull.html_url) or _link(pull.url)}".rstrip()
    )


def _items(draft: Draft) -> list[_Item]:
    items = [_check_item(number, check) for number, check in enumerate(draft.checks, 1)]
    for thread in draft.threads:
        line = f":{thread.line}" if thread.line else ""
        where = f"'{plain(thread.path, _PATH)}{line}'"
        known = _SAFE_ID.fullmatch(thread.thread_id)
        about = f"{where} (thread {thread.thread_id})" if known else where
        items += [_comment_item(comment, about) for comment in thread.comments]
    items += [_comment_item(comment, "the pull request as a whole") for comment in draft.comments]
    return items + [_review_item(review) for review in draft.reviews]


def _check_item(number: int, check: Check) -> _Item:
    conclusion = plain(check.conclusion, 40)
    shown = f"{check.status} ({conclusion})" if conclusion not in ("", check.status) else check.status
    words = ci_log.region(check.log_tail, lines=LOG_LINES, limit=ITEM_LIMIT) if check.log_tail.strip() else ""
    silent = "" if words or check.status == "cancelled" else " Its output isn't at hand."
    return _Item(
        f"{number}. '{plain(check.name, _NAME)}': {shown}.{silent} {_link(check.url)}".rstrip(),
        words,
        "output of a check",
    )


def _comment_item(comment: Comment, about: str) -> _Item:
    return _Item(
        f"- '{_author(comment.author.login)}' on {about}: {_link(comment.url)}".rstrip(), comment.body, "comment"
    )


def _review_item(review: Review) -> _Item:
    verb = "asks for changes" if review.state == "changes_requested" else "reviewed it"
    silent = (
        "" if review.body.strip() else " No words came with it; look at the pull request, and ask if it isn't clear."
    )
    return _Item(
        f"- '{_author(review.author.login)}' {verb}.{silent} {_link(review.url)}".rstrip(), review.body, "review"
    )


def _author(login: str) -> str:
    return plain(login, _NAME) or "somebody"


def _link(url: str) -> str:
    """The URL where it is one; nothing else may stand there by itself."""
    return url if len(url) <= _URL and _LINK.fullmatch(url) else ""


def _sha(commit: str) -> str:
    return plain(commit[:12], 12)


def _told(items: list[_Item], pull: Pull, *, nonce: str, room: int) -> list[str]:
    """The items in turn, each with a fair share of what room is left; the last line names those that found none."""
    told: list[str] = []
    left = room
    for number, item in enumerate(items):
        heading = item.heading[:_HEADING]
        share = min(max(left // (len(items) - number), _WORTHWHILE), left) - len(heading) - 4
        part = heading
        if item.words.strip() and share >= OVERHEAD + _SHORTEST:
            part += "\n" + fence(item.words, label=item.label, nonce=nonce, limit=min(share - OVERHEAD, ITEM_LIMIT))
        elif item.words.strip():
            part += " (left out here)"
        if len(part) + 4 > left:
            told.append(f'… and {len(items) - number} more: `"$AO_BIN" pr view {pull.number}` shows all.')
            return told
        told.append(part)
        left -= len(part) + 4
    return told


def _ci(draft: Draft, pull: Pull, *, local: bool) -> str:
    number = pull.number
    if all(check.status == "cancelled" for check in draft.checks):
        return (
            "No check failed, but these were cancelled before they ended, so the pull request can't be merged. If your "
            f"change made them hang, fix that and {_handed_in(local)}; otherwise run them again with "
            f'`"$AO_BIN" pr checks {number} --rerun`.'
        )
    return (
        f"Find the cause, fix it, run the failing check here if you can, and {_handed_in(local)}. All the output: "
        f'`"$AO_BIN" pr checks {number} --log NAME`. Don\'t weaken a check to make it pass. If the failure has nothing '
        f'to do with your change, say so with `"$AO_BIN" pr comment {number} "TEXT"` and leave it.'
    )


def _review(draft: Draft, pull: Pull, *, local: bool) -> str:
    number = pull.number
    parts = [f"Deal with each point: change what should be changed and {_handed_in(local)}, or say why not."]
    if draft.threads:
        parts.append(
            f'Answer in the thread: `"$AO_BIN" pr reply {number} --thread ID "TEXT"`; once it is settled: '
            f'`"$AO_BIN" pr resolve {number} --thread ID`.'
        )
    if draft.comments or draft.reviews:
        parts.append(f'Answer what is about the whole: `"$AO_BIN" pr comment {number} "TEXT"`.')
    return " ".join([*parts, f'Everything that was said: `"$AO_BIN" pr view {number}`.'])


def _conflict(_draft: Draft, pull: Pull, *, local: bool) -> str:
    base = pull.target_branch if _SAFE_BRANCH.fullmatch(pull.target_branch) else "BASE"
    if local:
        how = f"Rebase your branch onto it (`git rebase {base}`), or merge it into yours (`git merge {base}`)"
        done = "The commits are enough; nothing needs to be pushed."
    else:
        how = f"Get it with `git fetch origin`, then merge it into your branch (`git merge origin/{base}`)"
        done = "Then push. If this repository wants a rebase instead, push with `--force-with-lease`."
    return (
        f"The base branch is at {_sha(pull.base_sha) or 'another commit'} now and changed the same lines. {how}, "
        f"keep what both sides meant, run the checks, and commit. {done}"
    )


def _handed_in(local: bool) -> str:
    return "commit it on your branch (nothing needs to be pushed)" if local else "commit and push it"


_INSTRUCTIONS: Final = {Cause.CI: _ci, Cause.REVIEW: _review, Cause.CONFLICT: _conflict}
