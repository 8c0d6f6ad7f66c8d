"""Submitting a review: GitHub takes line comments on lines of the diff only, all or none.

What it would not take as a line comment goes into the body of the review, with its place: no text is lost. GitHub lets
nobody approve, or request changes of, their own pull request; an agent's review, which comes from the same account as
the pull request of the other agent, is posted as a comment then, with the verdict as its first line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from ao.forges.github import reading
from ao.forges.github.actions import about, text_of
from ao.forges.github.client import Client
from ao.forges.github.refusals import RefusedError
from ao.forges.github.transport import Keep
from ao.model.errors import AoError
from ao.model.pull import PullRef, Review, Verdict
from ao.model.review import LineComment
from ao.model.text import sanitise
from ao.ports.forge import ReviewPost

DIFF_TYPE: Final = "application/vnd.github.diff"
DIFF_LIMIT: Final = 4 << 20
_EVENTS: Final[dict[Verdict, str]] = {
    "approved": "APPROVE", "changes_requested": "REQUEST_CHANGES", "commented": "COMMENT",
}  # fmt: skip
_HUNK: Final = re.compile(r"@@ -\d+(?:,\d+)? \+(\d+)")


async def submit(client: Client, ref: PullRef, post: ReviewPost) -> Review:
    """Submit a review. Raises `INVALID_REVIEW` for a verdict of one's own, by a person, and for one that is empty."""
    if post.verdict != "approved" and not post.body.strip() and not post.comments:
        raise AoError("INVALID_REVIEW", "a review needs some text", details={"field": "body"})
    placed = [comment for comment in post.comments if comment.line]
    try:
        return await _posted(client, ref, post, placed)
    except RefusedError as refused:
        said = refused.said.lower()
        if refused.status == 422 and "your own pull request" in said:
            return await _as_comment(client, ref, post, refused)
        if refused.status != 422 or not placed:
            raise _meaning(ref, refused) from refused
    shown = lines_of(await diff(client, ref, limit=DIFF_LIMIT))
    inside = [comment for comment in placed if comment.line in shown.get(comment.path, ())]
    # When all seem to be in the diff, GitHub knows better, and doesn't say which one it means.
    placed = inside if len(inside) < len(placed) else []
    try:
        return await _posted(client, ref, post, placed)
    except RefusedError as refused:
        raise _meaning(ref, refused) from refused


async def diff(client: Client, ref: PullRef, *, limit: int) -> str:
    """Its change as a unified diff, of at most `limit` bytes."""
    path = f"/repos/{ref.repo.path}/pulls/{ref.number}"
    with about(ref, "PR_OPERATION_FAILED"):
        text = await client.text(ref.repo.host, path, accept=DIFF_TYPE, keep=Keep(limit=limit))
    return text.encode()[:limit].decode(errors="ignore")


def lines_of(text: str) -> dict[str, set[int]]:
    """The lines of the new side that a unified diff shows, by file. Pure."""
    shown: dict[str, set[int]] = {}
    current: set[int] = set()
    line = 0
    for row in text.splitlines():
        if row.startswith("diff --git "):
            line = 0
        elif not line and row.startswith("+++ b/"):
            current = shown.setdefault(row[6:], set())
        elif hunk := _HUNK.match(row):
            line = int(hunk[1])
        elif line and row[:1] in ("+", " "):
            current.add(line)
            line += 1
    return shown


async def _posted(client: Client, ref: PullRef, post: ReviewPost, placed: list[LineComment]) -> Review:
    rest = [comment for comment in post.comments if comment not in placed]
    body = "\n\n".join(part for part in (text_of(post.body, code="INVALID_REVIEW"), *map(_in_body, rest)) if part)
    asked: dict[str, Any] = {
        "event": _EVENTS[post.verdict],
        "body": reading.marked(body, post.session),
        "comments": list(_in_diff(placed, post.session)),
    }
    if post.commit_sha:
        asked["commit_id"] = post.commit_sha
    path = f"/repos/{ref.repo.path}/pulls/{ref.number}/reviews"
    return reading.posted_review(await client.send("POST", ref.repo.host, path, asked))


async def _as_comment(client: Client, ref: PullRef, post: ReviewPost, refused: RefusedError) -> Review:
    if not post.session or post.verdict == "commented":
        raise AoError(
            "INVALID_REVIEW",
            f"{ref.repo.host} lets nobody {post.verdict.replace('_', ' ')} their own pull request",
            hint="comment instead, or use the token of another account",
        ) from refused
    body = f"**Verdict: {post.verdict.replace('_', ' ')}**\n\n{post.body}".strip()
    comment = ReviewPost(
        verdict="commented", body=body, comments=post.comments, commit_sha=post.commit_sha, session=post.session
    )
    return await submit(client, ref, comment)


def _meaning(ref: PullRef, refused: RefusedError) -> AoError:
    try:
        with about(ref, "INVALID_REVIEW"):
            raise refused
    except AoError as error:
        return error


def _in_body(comment: LineComment) -> str:
    place = f"{comment.path}:{comment.line}" if comment.line else comment.path
    return f"`{sanitise(place)}`: {sanitise(comment.body)}"


def _in_diff(placed: Iterable[LineComment], session: str) -> Iterable[dict[str, Any]]:
    for comment in placed:
        body = reading.marked(sanitise(comment.body), session)
        yield {"path": comment.path, "line": comment.line, "side": "RIGHT", "body": body}
