"""What is done to a pull request on GitHub, and what GitHub's refusals of it mean."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, NoReturn

from ao.forges.github import logs, reading
from ao.forges.github.client import Client, Results
from ao.forges.github.refusals import RefusedError, graphql_trouble, pull_not_found, thread_not_found, unavailable
from ao.model.errors import AoError
from ao.model.pull import FAILED, Comment, Facts, Observation, PullRef, Repo
from ao.model.text import TEXT_LIMIT, sanitise
from ao.ports.forge import MergeOrder, NewPull

TITLE_LIMIT: Final = 256
"""Characters that GitHub takes as a title."""
Json = Mapping[str, Any]


class Actions:
    """The hands of the forge. `fetch` shows a pull request whole."""

    def __init__(self, client: Client, fetch: Callable[[PullRef], Awaitable[Observation]]) -> None:
        self._client = client
        self._fetch = fetch

    async def create(self, repo: Repo, new: NewPull) -> Facts:
        """Open one. Raises `PR_EXISTS`, `INVALID_BRANCH`, `NOTHING_TO_MERGE`, `INVALID_PR`."""
        title = " ".join(sanitise(new.title).split())[:TITLE_LIMIT]
        if not title:
            raise AoError("INVALID_PR", "a pull request needs a title", details={"field": "title"})
        body = {
            "title": title,
            "head": new.source_branch,
            "base": new.target_branch,
            "body": text_of(new.body, code="INVALID_PR"),
            "draft": new.draft,
        }
        try:
            made = await self._client.send("POST", repo.host, f"/repos/{repo.path}/pulls", body)
        except RefusedError as refused:
            await self._refused_to_create(repo, new, refused)
        if not isinstance(made, dict) or not isinstance(made.get("number"), int):
            raise unavailable(repo.host, "the answer has no number")
        return reading.listed_facts(repo, made)

    async def comment(self, ref: PullRef, body: str, session: str) -> Comment:
        """Comment on the whole."""
        path = f"/repos/{ref.repo.path}/issues/{ref.number}/comments"
        text = {"body": reading.marked(said(body), session)}
        with about(ref, "INVALID_REVIEW"):
            return reading.posted_comment(await self._client.send("POST", ref.repo.host, path, text))

    async def reply(self, ref: PullRef, thread_id: str, body: str, session: str) -> Comment:
        """Answer in a conversation. Raises `THREAD_NOT_FOUND`."""
        text = reading.marked(said(body), session)
        answer = await self._client.mutate(ref.repo.host, "Reply", {"thread": thread_id, "body": text})
        made = _result(ref, answer, "addPullRequestReviewThreadReply", thread_id).get("comment")
        if not isinstance(made, Mapping):
            raise unavailable(ref.repo.host, "the answer has no comment")
        return reading.line_comment(made, thread_id)

    async def resolve(self, ref: PullRef, thread_id: str, *, resolved: bool) -> None:
        """Set the mark of a conversation. Raises `THREAD_NOT_FOUND`."""
        operation, field = ("Resolve", "resolveReviewThread") if resolved else ("Unresolve", "unresolveReviewThread")
        answer = await self._client.mutate(ref.repo.host, operation, {"thread": thread_id})
        _result(ref, answer, field, thread_id)

    async def merge(self, ref: PullRef, order: MergeOrder) -> str:
        """Merge; the commit this made. Raises `PR_HEAD_CHANGED`, `PR_NOT_MERGEABLE`, `PR_NOT_OPEN`."""
        body = {
            "merge_method": order.method,
            "sha": order.expected_head,
            "commit_title": sanitise(order.title),
            "commit_message": sanitise(order.message),
        }
        path = f"/repos/{ref.repo.path}/pulls/{ref.number}/merge"
        given = {name: value for name, value in body.items() if value}
        try:
            made = await self._client.send("PUT", ref.repo.host, path, given)
        except RefusedError as refused:
            await self._refused_to_merge(ref, order, refused)
        if not isinstance(made, dict) or not made.get("sha"):
            raise unavailable(ref.repo.host, "the answer to the merge names no commit")
        return str(made["sha"])

    async def close(self, ref: PullRef) -> None:
        """Close without merging; a closed one stays as it is. Raises `PR_NOT_OPEN` for a merged one."""
        path = f"/repos/{ref.repo.path}/pulls/{ref.number}"
        with about(ref, "PR_NOT_OPEN"):
            made = await self._client.send("PATCH", ref.repo.host, path, {"state": "closed"})
        if isinstance(made, dict) and made.get("merged_at"):
            raise _not_open(ref, "merged")

    async def rerun(self, ref: PullRef) -> None:
        """Run the failed checks of its head again, all when none has failed. Raises `CHECKS_NOT_CONFIGURED`."""
        found = (await self._fetch(ref)).checks or ()
        chosen = [check for check in found if check.status in FAILED] or list(found)
        runs = {run for check in chosen if (run := logs.workflow_run(check))}
        others = [check.provider_id for check in chosen if not logs.workflow_run(check)]
        some = "rerun-failed-jobs" if any(check.status in FAILED for check in chosen) else "rerun"
        paths = [f"/actions/runs/{run}/{some}" for run in sorted(runs)]
        paths += [f"/check-runs/{run}/rerequest" for run in others if run.isdigit()]
        if not paths:
            raise AoError(
                "CHECKS_NOT_CONFIGURED",
                f"#{ref.number} has no check that GitHub could run again",
                hint="commit statuses are run again where they come from",
            )
        for path in paths:
            with about(ref, "CHECKS_NOT_CONFIGURED"):
                await self._client.send("POST", ref.repo.host, f"/repos/{ref.repo.path}{path}")

    async def _refused_to_create(self, repo: Repo, new: NewPull, refused: RefusedError) -> NoReturn:
        said = refused.said.lower()
        if "already exists" in said:
            number = await self._open_one(repo, new)
            named = f"#{number}" if number else "one"
            raise AoError(
                "PR_EXISTS",
                f"{named} of {new.source_branch!r} into {new.target_branch!r} is open already",
                hint=f"push to its branch, or `ao pr view {number or 'N'}`",
                details={"number": number},
            ) from refused
        if "no commits between" in said:
            raise AoError(
                "NOTHING_TO_MERGE",
                f"branch {new.source_branch!r} has no commit that {new.target_branch!r} has not",
                hint="commit the work first, and push it",
            ) from refused
        if refused.status == 404:
            raise unavailable(repo.host, f"no repository {repo.path} for this token", status=404) from refused
        if "head invalid" in said or "base invalid" in said or "not all refs are readable" in said:
            which = new.target_branch if "base invalid" in said else new.source_branch
            raise AoError(
                "INVALID_BRANCH", f"{repo.path} has no branch {which!r} on {repo.host}", hint="push it first"
            ) from refused
        raise AoError("INVALID_PR", f"{repo.host} refuses it: {refused.said}") from refused

    async def _open_one(self, repo: Repo, new: NewPull) -> int:
        """The number of the open pull request of the same branches, 0 when it can't be told."""
        head = f"{repo.path.partition('/')[0]}:{new.source_branch}"
        query = {"state": "open", "head": head, "base": new.target_branch}
        answer = await self._client.get(repo.host, f"/repos/{repo.path}/pulls", query=query)
        return next((int(item["number"]) for item in answer.data or () if isinstance(item, dict)), 0)

    async def _refused_to_merge(self, ref: PullRef, order: MergeOrder, refused: RefusedError) -> NoReturn:
        if refused.status == 404:
            raise pull_not_found(ref) from refused
        facts: Facts = (await self._fetch(ref)).facts
        if facts.state in ("merged", "closed"):
            raise _not_open(ref, facts.state) from refused
        if refused.status == 409:
            raise AoError(
                "PR_HEAD_CHANGED",
                f"#{ref.number} is at {facts.head_sha[:12]}, not at {order.expected_head[:12]}",
                hint="look at what was pushed and try again",
                details={"expected": order.expected_head, "head": facts.head_sha},
            ) from refused
        raise AoError(
            "PR_NOT_MERGEABLE",
            f"#{ref.number} can't be merged: {refused.said}",
            hint=f"`ao pr view {ref.number}` shows its state",
            details={"reasons": list(facts.reasons), "files": []},
        ) from refused


@contextmanager
def about(ref: PullRef, code: str) -> Iterator[None]:
    """Turn a refusal into `PR_NOT_FOUND` or into this code."""
    try:
        yield
    except RefusedError as refused:
        if refused.status in (404, 410):
            raise pull_not_found(ref) from refused
        if code == "PR_NOT_OPEN":
            raise _not_open(ref, "merged") from refused
        raise AoError(code, f"{ref.repo.host} refuses it: {refused.said}") from refused


def text_of(text: str, *, code: str) -> str:
    """A body without control characters. Raises `code` for one that GitHub would not take."""
    body = sanitise(text)
    if len(body) > TEXT_LIMIT:
        raise AoError(code, f"the text has {len(body):,} characters, at most {TEXT_LIMIT:,} are allowed")
    return body


def said(text: str) -> str:
    """The body of a comment. Raises `INVALID_REVIEW` for an empty one and for one that GitHub would not take."""
    body = text_of(text, code="INVALID_REVIEW")
    if not body.strip():
        raise AoError("INVALID_REVIEW", "a comment needs some text", details={"field": "body"})
    return body


def _result(ref: PullRef, answer: Results, field: str, thread_id: str) -> Json:
    found = answer.data.get(field)
    if isinstance(found, Mapping) and not answer.errors:
        return found
    if any(error.get("type") == "NOT_FOUND" for error in answer.errors):
        raise thread_not_found(thread_id)
    raise graphql_trouble(ref.repo.host, answer.errors)


def _not_open(ref: PullRef, state: str) -> AoError:
    return AoError("PR_NOT_OPEN", f"#{ref.number} is {state}", details={"state": state})
