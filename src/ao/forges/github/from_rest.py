"""REST's words for what GraphQL calls otherwise, so that there is one reading of both. Pure.

The result has the form of `PullParts` and `CheckParts` in `queries.graphql`, as far as REST knows. What REST doesn't
tell are conversations and GitHub's own decision on reviews.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

Json = Mapping[str, Any]
_MERGEABLE: Final = {True: "MERGEABLE", False: "CONFLICTING"}
_WRITERS: Final = frozenset({"OWNER", "MEMBER", "COLLABORATOR"})
_VERDICTS: Final = frozenset({"APPROVED", "CHANGES_REQUESTED", "DISMISSED"})
_GOOD: Final = frozenset({"SUCCESS", "NEUTRAL", "SKIPPED"})


def pull(item: Json) -> dict[str, Any]:
    """A pull request, of a list or by itself."""
    head, base = _object(item, "head"), _object(item, "base")
    source, target = _object(head, "repo"), _object(base, "repo")
    merged = bool(item.get("merged_at"))
    user = item.get("user")
    return {
        "id": item.get("node_id"),
        "number": item.get("number"),
        "url": item.get("html_url"),
        "state": "MERGED" if merged else str(item.get("state") or "").upper(),
        "isDraft": item.get("draft"),
        "title": item.get("title"),
        "author": {"login": user.get("login"), "__typename": user.get("type")} if isinstance(user, Mapping) else None,
        "createdAt": item.get("created_at"),
        "updatedAt": item.get("updated_at"),
        "closedAt": item.get("closed_at"),
        "mergedAt": item.get("merged_at"),
        # Of an open one this is a trial that GitHub made to find conflicts.
        "mergeCommit": {"oid": item.get("merge_commit_sha")} if merged else None,
        "headRefName": head.get("ref"),
        "headRefOid": head.get("sha"),
        "headRepository": {"nameWithOwner": source.get("full_name")} if source else None,
        "isCrossRepository": source.get("id") != target.get("id"),
        "baseRefName": base.get("ref"),
        "baseRefOid": base.get("sha"),
        "additions": item.get("additions"),
        "deletions": item.get("deletions"),
        "changedFiles": item.get("changed_files"),
        "mergeable": _MERGEABLE.get(item["mergeable"], "UNKNOWN") if "mergeable" in item else "",
        "mergeStateStatus": str(item.get("mergeable_state") or "").upper(),
    }


def runs(body: Any) -> list[dict[str, Any]]:
    """The check runs of a commit."""
    return [
        {
            "__typename": "CheckRun",
            "databaseId": run.get("id"),
            "name": run.get("name"),
            "status": str(run.get("status") or "").upper(),
            "conclusion": str(run.get("conclusion") or "").upper(),
            "detailsUrl": run.get("details_url") or run.get("html_url"),
            "startedAt": run.get("started_at"),
        }
        for run in _list(body, "check_runs")
    ]


def statuses(body: Any) -> list[dict[str, Any]]:
    """The commit statuses of a commit."""
    return [
        {
            "__typename": "StatusContext",
            "context": status.get("context"),
            "state": str(status.get("state") or "").upper(),
            "targetUrl": status.get("target_url"),
            "createdAt": status.get("created_at"),
        }
        for status in _list(body, "statuses")
    ]


def rollup(contexts: Iterable[Json]) -> dict[str, str] | None:
    """The state of all checks together, as GitHub sums them up."""
    words = [_word(context) for context in contexts]
    if not words:
        return None
    if all(word in _GOOD for word in words):
        return {"state": "SUCCESS"}
    waiting = ("QUEUED", "PENDING", "REQUESTED", "WAITING", "IN_PROGRESS", "EXPECTED")
    return {"state": "FAILURE" if any(word not in _GOOD and word not in waiting for word in words) else "PENDING"}


def verdicts(body: Any) -> dict[str, Any]:
    """The newest verdict of each reviewer who may write to the repository."""
    newest: dict[Any, Any] = {}
    for review in body if isinstance(body, list) else ():
        if review.get("state") in _VERDICTS and review.get("author_association") in _WRITERS:
            newest[_object(review, "user").get("login")] = {"state": review["state"]}
    return {"nodes": list(newest.values())}


def _word(context: Json) -> str:
    if context.get("__typename") == "StatusContext":
        return str(context.get("state"))
    return str(context.get("conclusion") if context.get("status") == "COMPLETED" else context.get("status"))


def _object(item: Json, name: str) -> Json:
    found = item.get(name)
    return found if isinstance(found, Mapping) else {}


def _list(body: Any, name: str) -> list[Json]:
    found = body.get(name) if isinstance(body, Mapping) else None
    return [each for each in found or () if isinstance(each, Mapping)]
