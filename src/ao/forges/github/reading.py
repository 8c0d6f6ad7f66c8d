"""From GitHub's JSON to facts, checks and conversations. Pure; no field that is missing raises.

Tables and the order of reasons: spec of the original's observer. What an agent wrote through us ends with a hidden
marker that names its session; it counts only in what the account of our own token wrote, else anyone could pass as one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from ao.forges.github import from_rest
from ao.forges.github.repository import pull_url
from ao.model.pull import (
    GITHUB,
    Author,
    Check,
    CheckStatus,
    CiState,
    Comment,
    Decision,
    Facts,
    Mergeability,
    PullRef,
    PullState,
    Repo,
    Review,
    Thread,
)
from ao.model.text import TEXT_LIMIT, sanitise

Json = Mapping[str, Any]
TITLE_LIMIT: Final = 1_000
_MARK: Final = re.compile(r"\s*<!-- ao:session=([A-Za-z0-9._-]{1,200}) -->\s*\Z")
_CI: Final[Mapping[str, CiState]] = {
    "SUCCESS": "passing", "FAILURE": "failing", "ERROR": "failing", "PENDING": "pending", "EXPECTED": "pending",
}  # fmt: skip
_STATUS: Final[Mapping[str, CheckStatus]] = {
    "SUCCESS": "passed", "NEUTRAL": "passed", "FAILURE": "failed", "ERROR": "failed", "TIMED_OUT": "failed",
    "ACTION_REQUIRED": "failed", "STARTUP_FAILURE": "failed", "CANCELLED": "cancelled", "SKIPPED": "skipped",
    "STALE": "skipped", "QUEUED": "queued", "PENDING": "queued", "REQUESTED": "queued", "WAITING": "queued",
    "EXPECTED": "queued", "IN_PROGRESS": "in_progress",
}  # fmt: skip
_DECISION: Final[Mapping[str, Decision]] = {
    "APPROVED": "approved", "CHANGES_REQUESTED": "changes_requested", "REVIEW_REQUIRED": "review_required",
}  # fmt: skip
_VERDICT: Final[Mapping[str, Any]] = {
    "APPROVED": "approved", "CHANGES_REQUESTED": "changes_requested", "COMMENTED": "commented",
    "DISMISSED": "dismissed",
}  # fmt: skip


def marked(body: str, session: str) -> str:
    """A body with the marker of the session whose agent wrote it."""
    return f"{body}\n\n<!-- ao:session={session} -->" if session else body


def moment(text: Any) -> int:
    """An ISO time as milliseconds since the epoch, 0 for none."""
    if not isinstance(text, str) or not text:
        return 0
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000)
    except ValueError:
        return 0


def facts(ref: PullRef, node: Json) -> Facts:
    """The facts in a `PullParts` of GraphQL. The repository is called as `ref` does, also after a renaming."""
    state = _state(node.get("state"), draft=bool(node.get("isDraft")))
    ci = _CI.get(_of(node, "statusCheckRollup", "state") or "", "unknown")
    review = _decision(node)
    mergeability, reasons = _mergeability(node, ci, review)
    return Facts(
        url=pull_url(ref),
        number=ref.number,
        repo=ref.repo.key,
        state=state,
        ci=ci,
        review=review,
        mergeability=mergeability,
        reasons=reasons,
        title=title(node.get("title")),
        author=_login(node.get("author")),
        source_branch=str(node.get("headRefName") or ""),
        target_branch=str(node.get("baseRefName") or ""),
        head_sha=str(node.get("headRefOid") or ""),
        base_sha=str(node.get("baseRefOid") or ""),
        head_repo=_head_repo(ref.repo, node),
        merge_sha=_of(node, "mergeCommit", "oid") or "" if state == "merged" else "",
        node=str(node.get("id") or ""),
        html_url=str(node.get("url") or ""),
        additions=_count(node.get("additions")),
        deletions=_count(node.get("deletions")),
        changed_files=_count(node.get("changedFiles")),
        created_at=moment(node.get("createdAt")),
        changed_at=moment(node.get("updatedAt")),
        merged_at=moment(node.get("mergedAt")) or None,
        closed_at=moment(node.get("closedAt")) or None,
    )


def listed_facts(repo: Repo, item: Json) -> Facts:
    """The facts in a pull request of REST. A list's entry knows nothing of checks, reviews and mergeability."""
    return facts(PullRef(repo=repo, number=_count(item.get("number"))), from_rest.pull(item))


def checks(sha: str, nodes: Iterable[Json]) -> tuple[Check, ...]:
    """The checks of a commit. Several of one name (of two workflows) are numbered in the order they were made."""
    made = sorted((_check(sha, node) for node in nodes), key=lambda check: (check.name, check.created_at))
    seen: dict[str, int] = {}
    result = []
    for check in made:
        seen[check.name] = number = seen.get(check.name, 0) + 1
        name = check.name if number == 1 else f"{check.name} ({number})"
        result.append(msgspec.structs.replace(check, name=name))
    return tuple(result)


def thread(node: Json) -> Thread:
    """A conversation, without comments that are not submitted yet."""
    shown = [each for each in _nodes(node.get("comments")) if each.get("state") != "PENDING"]
    comments = tuple(line_comment(each, str(node.get("id"))) for each in shown)
    return Thread(
        thread_id=str(node.get("id")),
        path=sanitise(str(node.get("path") or "")),
        line=_count(node.get("line") or node.get("originalLine")),
        resolved=bool(node.get("isResolved")),
        is_bot=bool(comments) and all(comment.author.is_bot for comment in comments),
        comments=comments,
    )


def threads(connection: Json) -> tuple[Thread, ...]:
    """Conversations with at least one comment that is submitted."""
    return tuple(found for found in map(thread, _nodes(connection)) if found.comments)


def line_comment(node: Json, thread_id: str) -> Comment:
    """A comment in a conversation."""
    author, text = _written(node)
    return Comment(
        comment_id=str(node.get("id")),
        thread_id=thread_id,
        author=author,
        body=text,
        path=sanitise(str(node.get("path") or "")),
        line=_count(node.get("line") or node.get("originalLine")),
        url=str(node.get("url") or ""),
        reply=node.get("replyTo") is not None,
        created_at=moment(node.get("createdAt")),
    )


def comments(connection: Json) -> tuple[Comment, ...]:
    """Comments on the whole."""
    made = []
    for node in _nodes(connection):
        author, text = _written(node)
        made.append(
            Comment(
                comment_id=str(node.get("id")),
                author=author,
                body=text,
                url=str(node.get("url") or ""),
                created_at=moment(node.get("createdAt")),
            )
        )
    return tuple(made)


def reviews(connection: Json) -> tuple[Review, ...]:
    """Submitted reviews that say something: GitHub makes an empty one for every reply in a conversation."""
    made = []
    for node in _nodes(connection):
        author, text = _written(node)
        state = _VERDICT.get(str(node.get("state")))
        if state is None or (state == "commented" and not text.strip()):
            continue
        made.append(
            Review(
                review_id=str(node.get("id")),
                author=author,
                state=state,
                body=text,
                url=str(node.get("url") or ""),
                commit_sha=_of(node, "commit", "oid") or "",
                submitted_at=moment(node.get("submittedAt")),
            )
        )
    return tuple(made)


def posted_comment(item: Json) -> Comment:
    """What REST answers to a comment of ours."""
    author, text = _own(item)
    return Comment(
        comment_id=str(item.get("node_id")),
        author=author,
        body=text,
        url=str(item.get("html_url") or ""),
        created_at=moment(item.get("created_at")),
    )


def posted_review(item: Json) -> Review:
    """What REST answers to a review of ours."""
    author, text = _own(item)
    return Review(
        review_id=str(item.get("node_id")),
        author=author,
        state=_VERDICT.get(str(item.get("state")), "commented"),
        body=text,
        url=str(item.get("html_url") or ""),
        commit_sha=str(item.get("commit_id") or ""),
        submitted_at=moment(item.get("submitted_at")),
    )


def title(text: Any) -> str:
    """A title without control characters, cut."""
    return sanitise(str(text or ""))[:TITLE_LIMIT]


def _state(word: Any, *, draft: bool) -> PullState:
    if word == "MERGED":
        return "merged"
    return "closed" if word == "CLOSED" else "draft" if draft else "open"


def _decision(node: Json) -> Decision:
    """GitHub's decision; where no rule asks for reviews it makes none, and the newest verdicts of those who may write
    to the repository stand for it."""
    if word := node.get("reviewDecision"):
        return _DECISION.get(str(word), "none")
    verdicts = {review.get("state") for review in _nodes(node.get("latestOpinionatedReviews"))}
    if "CHANGES_REQUESTED" in verdicts:
        return "changes_requested"
    return "approved" if "APPROVED" in verdicts else "none"


def _mergeability(node: Json, ci: CiState, review: Decision) -> tuple[Mergeability, tuple[str, ...]]:
    """Whether it can be merged, and what stands in the way, in the order of `REASONS`."""
    merge_state, mergeable = node.get("mergeStateStatus") or "", node.get("mergeable") or ""
    if node.get("state") != "OPEN":
        return "unknown", ()
    blockers = {
        "draft": bool(node.get("isDraft")),
        "ci_failing": ci == "failing",
        "changes_requested": review == "changes_requested",
        "review_required": review == "review_required",
        "blocked_by_provider": merge_state == "BLOCKED",
    }
    conflicts = merge_state == "DIRTY" or mergeable == "CONFLICTING"
    blocked = [name for name, holds in blockers.items() if holds]
    reasons = ("conflicts",) * conflicts + ("behind_base",) * (merge_state == "BEHIND") + tuple(blocked)
    if conflicts:
        return "conflicting", reasons
    if blocked:
        return "blocked", reasons
    if merge_state == "UNSTABLE":
        return "unstable", reasons
    clean = mergeable == "MERGEABLE" and merge_state in ("CLEAN", "HAS_HOOKS", "")
    return "mergeable" if clean else "unknown", reasons


def _check(sha: str, node: Json) -> Check:
    if node.get("__typename") == "StatusContext":
        word = str(node.get("state") or "")
        return Check(
            name=title(node.get("context")),
            commit_sha=sha,
            status=_STATUS.get(word, "unknown"),
            conclusion=word.lower(),
            url=str(node.get("targetUrl") or ""),
            provider_id="status",
            created_at=moment(node.get("createdAt")),
        )
    conclusion = str(node.get("conclusion") or "")
    done = node.get("status") == "COMPLETED"
    return Check(
        name=title(node.get("name")),
        commit_sha=sha,
        status=_STATUS.get(conclusion if done else str(node.get("status")), "unknown"),
        conclusion=conclusion.lower(),
        url=str(node.get("detailsUrl") or node.get("url") or ""),
        provider_id=str(node.get("databaseId") or ""),
        created_at=moment(node.get("startedAt")),
    )


def _written(node: Json) -> tuple[Author, str]:
    """Who wrote something, and the text without our marker."""
    who, viewer = node.get("author"), bool(node.get("viewerDidAuthor"))
    text, session = _text(node.get("body"))
    login = _login(who)
    author = Author(
        login=login,
        association=str(node.get("authorAssociation") or "none").lower(),
        is_bot=login.endswith("[bot]"),
        is_viewer=viewer,
        session=session if viewer else "",
    )
    return author, text


def _own(item: Json) -> tuple[Author, str]:
    text, session = _text(item.get("body"))
    login = _login(item.get("user"))
    association = str(item.get("author_association") or "none").lower()
    return Author(
        login=login, association=association, is_bot=login.endswith("[bot]"), is_viewer=True, session=session
    ), text


def _text(body: Any) -> tuple[str, str]:
    text = sanitise(str(body or ""))
    found = _MARK.search(text)
    return (text[: found.start()] if found else text)[:TEXT_LIMIT], found[1] if found else ""


def _login(who: Any) -> str:
    """A login as REST spells it: a bot's ends in [bot], which GraphQL leaves out. "ghost" for a deleted account."""
    if not isinstance(who, Mapping):
        return "ghost"
    login = str(who.get("login") or "ghost")
    is_bot = "Bot" in (who.get("__typename"), who.get("type"))
    return login + "[bot]" if is_bot and not login.endswith("[bot]") else login


def _head_repo(repo: Repo, node: Json) -> str:
    named = _of(node, "headRepository", "nameWithOwner")
    return repo.key if named and node.get("isCrossRepository") is False else _key(repo, str(named or ""))


def _key(repo: Repo, path: str) -> str:
    return Repo(forge=GITHUB, host=repo.host, path=path).key if path else ""


def _nodes(connection: Any) -> list[Json]:
    nodes = connection.get("nodes") if isinstance(connection, Mapping) else None
    return [node for node in nodes or () if isinstance(node, Mapping)]


def _of(node: Json, *path: str) -> Any:
    found: Any = node
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _count(number: Any) -> int:
    return number if isinstance(number, int) else 0
