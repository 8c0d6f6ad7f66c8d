"""How the double answers each field of GitHub's schema: a table per type. A field that isn't here fails loudly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

from tests.github import derived
from tests.github.connections import Connection, Info, connect
from tests.github.records import SITE, CheckRun, Commit, Pull, Remark, Repo, Review, Status, Thread, User
from tests.github.state import State

Resolver = Callable[..., Any]
Table = dict[str, Resolver]


def iso(at: float | None) -> str | None:
    """A time as GitHub writes it, in whole seconds."""
    return None if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def value(read: Callable[[Any], Any]) -> Resolver:
    """A field that depends on its object alone."""
    return lambda source, _info, **_arguments: read(source)


def entries(*names: str) -> Table:
    """Fields of an object that is a dictionary."""
    return {name: value(itemgetter(name)) for name in names}


def known(read: Callable[[State, Any], Any]) -> Resolver:
    """A field that depends on the state."""
    return lambda source, info, **_arguments: read(info.context.state, source)


def listed(read: Callable[[State, Any], Sequence[Any]]) -> Resolver:
    """A connection."""
    return lambda source, info, **arguments: connect(info, read(info.context.state, source), arguments)


def _pulls(source: Repo, info: Info, **arguments: Any) -> Connection:
    """`Repository.pullRequests`, by number unless ordered otherwise."""
    found = list(source.pulls.values())
    if arguments.get("states"):
        found = [pull for pull in found if _pull_state(pull) in arguments["states"]]
    if arguments.get("headRefName"):
        found = [pull for pull in found if pull.head_branch == arguments["headRefName"]]
    if arguments.get("baseRefName"):
        found = [pull for pull in found if pull.base_branch == arguments["baseRefName"]]
    if order := arguments.get("orderBy"):
        by = "updated_at" if order["field"] == "UPDATED_AT" else "created_at"
        found.sort(key=lambda pull: (getattr(pull, by), pull.number), reverse=order["direction"] == "DESC")
    return connect(info, found, arguments)


def _reviews(source: Pull, info: Info, **arguments: Any) -> Connection:
    """`PullRequest.reviews`, oldest first."""
    found = source.reviews
    if arguments.get("states"):
        found = [review for review in found if review.state in arguments["states"]]
    if arguments.get("author"):
        found = [review for review in found if review.author and review.author.login == arguments["author"]]
    return connect(info, found, arguments)


def _latest_reviews(source: Pull, *, opinionated: bool) -> list[Review]:
    wanted = [review for review in source.reviews if not opinionated or review.state != "COMMENTED"]
    return list({review.author: review for review in wanted}.values())


def _pull_state(pull: Pull) -> str:
    return "MERGED" if pull.merged_at is not None else pull.state.upper()


def _commit(state: State, sha: str | None) -> Commit | None:
    return state.graph.get(sha) if sha else None


def _counts(source: Connection, kind: type[CheckRun | Status]) -> list[dict[str, Any]]:
    found = Counter(_word(context) for context in source.everything if isinstance(context, kind))
    return [{"state": state, "count": count} for state, count in sorted(found.items())]


def _word(context: CheckRun | Status) -> str:
    return (context.state if isinstance(context, Status) else context.conclusion or context.status).upper()


def _number(source: Connection, kind: type[CheckRun | Status]) -> int:
    return sum(isinstance(context, kind) for context in source.everything)


def _required(source: CheckRun | Status, _info: Info, **_arguments: Any) -> bool:
    name, sha = (source.context if isinstance(source, Status) else source.name), source.sha
    repos = _info.context.state.repos.values()
    return any(name in repo.required_checks for repo in repos if sha in repo.runs or sha in repo.statuses)


ACCOUNT: Table = {
    "id": value(lambda user: user.node),
    "databaseId": value(lambda user: user.id),
    "login": value(lambda user: user.login),
    "url": value(lambda user: f"{SITE}/{user.login}"),
    "resourcePath": value(lambda user: f"/{user.login}"),
    "avatarUrl": value(lambda user: f"{SITE}/{user.login}.png"),
}
REPOSITORY: Table = {
    "id": value(lambda repo: repo.node),
    "databaseId": value(lambda repo: repo.id),
    "name": value(lambda repo: repo.name),
    "nameWithOwner": value(lambda repo: repo.full_name),
    "owner": value(lambda repo: repo.owner),
    "url": value(lambda repo: f"{SITE}/{repo.full_name}"),
    "isFork": value(lambda repo: repo.parent is not None),
    "isPrivate": value(lambda _repo: False),
    "isArchived": value(lambda _repo: False),
    "parent": value(lambda repo: repo.parent),
    "mergeCommitAllowed": value(lambda repo: "merge" in repo.merge_methods),
    "squashMergeAllowed": value(lambda repo: "squash" in repo.merge_methods),
    "rebaseMergeAllowed": value(lambda repo: "rebase" in repo.merge_methods),
    "pullRequests": _pulls,
}
PULL: Table = {
    "id": value(lambda pull: pull.node),
    "databaseId": value(lambda pull: pull.id),
    "fullDatabaseId": value(lambda pull: str(pull.id)),
    "number": value(lambda pull: pull.number),
    "url": value(lambda pull: pull.url),
    "permalink": value(lambda pull: pull.url),
    "resourcePath": value(lambda pull: pull.url.removeprefix(SITE)),
    "title": value(lambda pull: pull.title),
    "body": value(lambda pull: pull.body or ""),
    "bodyText": value(lambda pull: pull.body or ""),
    "author": value(lambda pull: pull.author),
    "authorAssociation": value(lambda pull: derived.association(pull.repo, pull.author)),
    "viewerDidAuthor": known(lambda state, pull: pull.author is state.viewer),
    "state": value(_pull_state),
    "isDraft": value(lambda pull: pull.draft),
    "closed": value(lambda pull: pull.state == "closed"),
    "merged": value(lambda pull: pull.merged_at is not None),
    "locked": value(lambda _pull: False),
    "createdAt": value(lambda pull: iso(pull.created_at)),
    "updatedAt": value(lambda pull: iso(pull.updated_at)),
    "publishedAt": value(lambda pull: iso(pull.created_at)),
    "closedAt": value(lambda pull: iso(pull.closed_at)),
    "mergedAt": value(lambda pull: iso(pull.merged_at)),
    "mergedBy": value(lambda pull: pull.merged_by),
    "mergeCommit": known(lambda state, pull: _commit(state, pull.merge_sha)),
    "mergeable": known(derived.mergeable),
    "mergeStateStatus": known(derived.merge_status),
    "canBeRebased": known(lambda state, pull: derived.mergeable(state, pull, ask=False) == "MERGEABLE"),
    "reviewDecision": value(derived.decision),
    "headRefName": value(lambda pull: pull.head_branch),
    "headRefOid": value(lambda pull: pull.head_sha),
    "headRepository": value(lambda pull: pull.head_repo),
    "headRepositoryOwner": value(lambda pull: pull.head_repo.owner if pull.head_repo else None),
    "baseRefName": value(lambda pull: pull.base_branch),
    "baseRefOid": value(lambda pull: pull.base_sha),
    "baseRepository": value(lambda pull: pull.repo),
    "repository": value(lambda pull: pull.repo),
    "isCrossRepository": value(lambda pull: pull.head_repo is not pull.repo),
    "maintainerCanModify": value(lambda _pull: False),
    "isInMergeQueue": value(lambda _pull: False),
    "autoMergeRequest": value(lambda _pull: None),
    "additions": known(lambda state, pull: state.graph.changes(pull.base_sha, pull.head_sha)[0]),
    "deletions": known(lambda state, pull: state.graph.changes(pull.base_sha, pull.head_sha)[1]),
    "changedFiles": known(lambda state, pull: state.graph.changes(pull.base_sha, pull.head_sha)[2]),
    "totalCommentsCount": value(lambda pull: len(pull.remarks) + sum(len(t.remarks) for t in pull.threads)),
    "statusCheckRollup": value(lambda pull: derived.rollup(pull.repo, pull.head_sha)),
    "commits": listed(lambda state, pull: state.graph.only_in(pull.head_sha, pull.base_sha)),
    "comments": listed(lambda _state, pull: pull.remarks),
    "reviews": _reviews,
    "latestReviews": listed(lambda _state, pull: _latest_reviews(pull, opinionated=False)),
    "latestOpinionatedReviews": listed(lambda _state, pull: _latest_reviews(pull, opinionated=True)),
    "reviewThreads": listed(lambda _state, pull: pull.threads),
    "reviewRequests": listed(lambda _state, _pull: ()),
    "labels": listed(lambda _state, _pull: ()),
    "assignees": listed(lambda _state, _pull: ()),
}
COMMIT: Table = {
    "id": value(lambda commit: commit.node),
    "oid": value(lambda commit: commit.sha),
    "abbreviatedOid": value(lambda commit: commit.sha[:7]),
    "message": value(lambda commit: commit.message),
    "messageHeadline": value(lambda commit: commit.message.partition("\n")[0]),
    "messageBody": value(lambda commit: commit.message.partition("\n")[2].strip()),
    "committedDate": value(lambda commit: iso(commit.at)),
    "authoredDate": value(lambda commit: iso(commit.at)),
    "url": value(lambda commit: f"{SITE}/{commit.repo.full_name}/commit/{commit.sha}"),
    "repository": value(lambda commit: commit.repo),
    "statusCheckRollup": known(lambda state, commit: _rollup_anywhere(state, commit.sha)),
}


def _rollup_anywhere(state: State, sha: str) -> derived.Rollup | None:
    """Of whichever repository ran checks on it; a fork's commit is checked in the parent."""
    found = (derived.rollup(repo, sha) for repo in state.repos.values())
    return next((rollup for rollup in found if rollup), None)


CHECKS: dict[str, Table] = {
    "StatusCheckRollup": {
        "id": value(lambda rollup: f"SCR_kwDO{rollup.sha}"),
        "state": value(lambda rollup: rollup.state),
        "commit": known(lambda state, rollup: _commit(state, rollup.sha)),
        "contexts": listed(lambda _state, rollup: rollup.contexts),
    },
    "StatusCheckRollupContextConnection": {
        "checkRunCount": value(lambda found: _number(found, CheckRun)),
        "statusContextCount": value(lambda found: _number(found, Status)),
        "checkRunCountsByState": value(lambda found: _counts(found, CheckRun)),
        "statusContextCountsByState": value(lambda found: _counts(found, Status)),
    },
    "CheckRun": {
        "id": value(lambda run: run.node),
        "databaseId": value(lambda run: run.id),
        "name": value(lambda run: run.name),
        "status": value(lambda run: run.status.upper()),
        "conclusion": value(lambda run: run.conclusion and run.conclusion.upper()),
        "detailsUrl": value(lambda run: run.details_url),
        "url": value(lambda run: run.details_url),
        "permalink": value(lambda run: run.details_url),
        "externalId": value(lambda _run: ""),
        "startedAt": value(lambda run: iso(run.started_at)),
        "completedAt": value(lambda run: iso(run.completed_at)),
        "title": value(lambda run: run.title),
        "summary": value(lambda run: run.summary),
        "text": value(lambda run: run.text),
        "isRequired": _required,
        "checkSuite": value(lambda run: run),
    },
    "CheckSuite": {
        "id": value(lambda run: f"CS_kwDO{run.id}"),
        "databaseId": value(lambda run: run.id + 2),
        "app": value(lambda run: run),
        "workflowRun": value(lambda run: run if run.log is not None else None),
        "commit": known(lambda state, run: _commit(state, run.sha)),
    },
    "App": {
        "id": value(lambda run: f"A_{run.app}"),
        "slug": value(lambda run: run.app),
        "name": value(lambda run: run.app),
    },
    "WorkflowRun": {
        "id": value(lambda run: f"WFR_kwLO{run.id}"),
        "databaseId": value(lambda run: run.id + 1),
        "url": value(lambda run: run.details_url.partition("/job/")[0]),
        "workflow": value(lambda run: run),
    },
    "Workflow": {"id": value(lambda _run: "W_kwDO1"), "name": value(lambda _run: "CI")},
    "StatusContext": {
        "id": value(lambda status: status.node),
        "context": value(lambda status: status.context),
        "state": value(lambda status: status.state.upper()),
        "description": value(lambda status: status.description),
        "targetUrl": value(lambda status: status.target_url),
        "createdAt": value(lambda status: iso(status.at)),
        "creator": value(lambda status: status.creator),
        "commit": known(lambda state, status: _commit(state, status.sha)),
        "isRequired": _required,
    },
    "CheckRunStateCount": entries("state", "count"),
    "StatusContextStateCount": entries("state", "count"),
}
WRITTEN: Table = {
    "id": value(lambda said: said.node),
    "databaseId": value(lambda said: said.id),
    "fullDatabaseId": value(lambda said: str(said.id)),
    "author": value(lambda said: said.author),
    "authorAssociation": value(lambda said: derived.association(said.pull.repo, said.author)),
    "viewerDidAuthor": known(lambda state, said: said.author is state.viewer),
    "body": value(lambda said: said.body),
    "bodyText": value(lambda said: said.body),
    "url": value(lambda said: said.url),
    "createdAt": value(lambda said: iso(said.at)),
    "updatedAt": value(lambda said: iso(said.at)),
    "publishedAt": value(lambda said: iso(said.at)),
    "lastEditedAt": value(lambda _said: None),
    "isMinimized": value(lambda _said: False),
    "minimizedReason": value(lambda _said: None),
    "pullRequest": value(lambda said: said.pull),
    "repository": value(lambda said: said.pull.repo),
}
REVIEW: Table = {
    **WRITTEN,
    "state": value(lambda review: review.state),
    "submittedAt": value(lambda review: iso(review.at)),
    "commit": known(lambda state, review: _commit(state, review.sha)),
    "comments": listed(
        lambda _state, review: [r for t in review.pull.threads for r in t.remarks if r.review is review]
    ),
}
THREAD: Table = {
    "id": value(lambda thread: thread.node),
    "path": value(lambda thread: thread.path),
    "line": value(lambda thread: None if thread.outdated else thread.line),
    "originalLine": value(lambda thread: thread.line),
    "startLine": value(lambda _thread: None),
    "diffSide": value(lambda _thread: "RIGHT"),
    "subjectType": value(lambda thread: "LINE" if thread.line else "FILE"),
    "isResolved": value(lambda thread: thread.resolved_by is not None),
    "isOutdated": value(lambda thread: thread.outdated),
    "isCollapsed": value(lambda thread: thread.resolved_by is not None),
    "resolvedBy": value(lambda thread: thread.resolved_by),
    "viewerCanResolve": value(lambda _thread: True),
    "viewerCanUnresolve": value(lambda _thread: True),
    "viewerCanReply": value(lambda _thread: True),
    "comments": listed(lambda _state, thread: thread.remarks),
    "pullRequest": value(lambda thread: thread.pull),
    "repository": value(lambda thread: thread.pull.repo),
}
LINE_COMMENT: Table = {
    **WRITTEN,
    "path": value(lambda remark: remark.thread.path),
    "line": value(lambda remark: None if remark.thread.outdated else remark.thread.line),
    "originalLine": value(lambda remark: remark.thread.line),
    "outdated": value(lambda remark: remark.thread.outdated),
    "replyTo": value(lambda remark: remark.reply_to),
    "pullRequestReview": value(lambda remark: remark.review),
    "state": value(lambda _remark: "SUBMITTED"),
    "commit": known(lambda state, remark: _commit(state, remark.thread.sha)),
}
TYPES: dict[str, Table] = {
    "User": {**ACCOUNT, "name": value(lambda user: user.login)},
    "Bot": ACCOUNT,
    "Repository": REPOSITORY,
    "PullRequest": PULL,
    "PullRequestCommit": {
        "id": value(lambda commit: f"PURC_{commit.sha}"),
        "commit": value(lambda commit: commit),
    },
    "Commit": COMMIT,
    **CHECKS,
    "IssueComment": WRITTEN,
    "PullRequestReview": REVIEW,
    "PullRequestReviewThread": THREAD,
    "PullRequestReviewComment": LINE_COMMENT,
}


def type_name(record: object) -> str:
    """The GraphQL type of a record, for interfaces and unions."""
    if isinstance(record, User):
        return record.kind
    if isinstance(record, Remark):
        return "PullRequestReviewComment" if record.thread else "IssueComment"
    names: dict[type, str] = {
        Repo: "Repository", Pull: "PullRequest", Commit: "Commit", CheckRun: "CheckRun", Status: "StatusContext",
        Review: "PullRequestReview", Thread: "PullRequestReviewThread",
    }  # fmt: skip
    return names[type(record)]
