"""Pull requests: listing, what there is to see of one, and what is done to one.

Any session may read those of its project; what it may do to one depends on whose it is, which the engine decides.
"""

from __future__ import annotations

from typing import Final, TypeVar

from ao.api import pull_inputs, pull_views
from ao.api import pull_wire as wire
from ao.api.access import Scope
from ao.api.decoding import decode_body
from ao.api.inputs import Input, NoBody, NoQuery
from ao.api.operation import PREFIX, B, Call, Operation, Q, Reply
from ao.engine.pull_requests import CreatePull, PullEntry, Target
from ao.model.errors import AoError
from ao.model.review import LineComment
from ao.model.session import Kind
from ao.ports.forge import ReviewPost

_SLACK: Final = 65_536
"""Bytes of a diff asked for beyond the limit, to see whether there are more: forges cut at the end of a line."""
_Plain = Call[NoBody, pull_inputs.PullQuery]
_I = TypeVar("_I", bound=Input)


def _target(call: Call[B, Q], query: pull_inputs.PullQuery) -> Target:
    """The pull request that path and query name."""
    return call.engine.pulls.target(call.params["id"], project=call.within(query.project_id), url=query.pr_url)


def _own_target(call: Call[B, Q], query: pull_inputs.PullQuery) -> Target:
    """The same, to act on."""
    target = _target(call, query)
    call.engine.pulls.may_act(call.caller.session, target)
    return target


def _author(call: Call[B, Q]) -> str:
    """The session that calls, "" for a person."""
    return call.caller.session.id if call.caller.session is not None else ""


async def _list(call: Call[NoBody, pull_inputs.PullsQuery]) -> wire.PullRowsAnswer:
    found = await call.engine.pulls.listing(call.within(call.query.project), state=call.query.state)
    return wire.PullRowsAnswer(prs=[pull_views.row(entry) for entry in found])


async def _create(call: Call[pull_inputs.CreatePullInput, NoQuery]) -> Reply:
    body, caller = call.body, call.caller.session
    session_id = body.session_id or _author(call)
    if caller is not None and caller.kind is not Kind.ORCHESTRATOR and session_id != caller.id:
        raise AoError("FORBIDDEN", "an agent opens pull requests of its own", hint="leave sessionId out")
    project = call.within(body.project_id or None)
    if session_id:
        owner = call.engine.sessions.get(session_id)
        if project not in (None, owner.project_id):
            raise AoError("INVALID_REQUEST", f"session {session_id!r} is not one of project {project!r}")
    entry = await call.engine.pull_actions.create(
        CreatePull(
            project_id=project or "",
            session_id=session_id,
            source=body.source_branch,
            target=body.target_branch,
            title=body.title.strip(),
            body=body.body,
            draft=body.draft,
        )
    )
    return Reply(body=_answer(call, entry), status=201)


def _answer(call: Call[B, Q], entry: PullEntry) -> wire.PullAnswer:
    ledger = call.engine.pulls.nudges(entry.session_id, limit=pull_inputs.LEDGER_LIMIT) if entry.session_id else []
    told = pull_views.by_pull(ledger).get(entry.facts.url, [])
    return wire.PullAnswer(pr=pull_views.detail(entry, told))


async def _seen(call: Call[NoBody, pull_inputs.LookQuery]) -> PullEntry:
    target = _target(call, call.query)
    return await (call.engine.pulls.refresh(target) if call.query.refresh else call.engine.pulls.view(target))


async def _get(call: Call[NoBody, pull_inputs.LookQuery]) -> wire.PullAnswer:
    return _answer(call, await _seen(call))


async def _checks(call: Call[NoBody, pull_inputs.LookQuery]) -> wire.ChecksAnswer:
    return pull_views.checks(await _seen(call))


async def _diff(call: Call[NoBody, pull_inputs.DiffQuery]) -> wire.DiffAnswer:
    limit = call.query.limit
    diff = (await call.engine.pull_actions.diff(_target(call, call.query), limit=limit + _SLACK)).encode()
    return wire.DiffAnswer(diff=diff[:limit].decode("utf-8", "ignore"), truncated=len(diff) > limit)


async def _log(call: Call[NoBody, pull_inputs.CheckLogQuery]) -> wire.CheckLogAnswer:
    name = call.query.name
    if not name:
        raise AoError("INVALID_QUERY", "query parameter name: no check was named", details={"field": "name"})
    return wire.CheckLogAnswer(name=name, log=await call.engine.pull_actions.log(_target(call, call.query), name))


async def _rerun(call: _Plain) -> wire.DoneAnswer:
    target = _own_target(call, call.query)
    await call.engine.pull_actions.rerun(target)
    return wire.DoneAnswer(ok=True, pr_number=target.ref.number)


async def _comment(call: Call[pull_inputs.CommentInput, pull_inputs.PullQuery]) -> Reply:
    target = _own_target(call, call.query)
    if not call.body.body.strip():
        raise AoError("MESSAGE_REQUIRED", "the comment must not be blank")
    made = await call.engine.pull_actions.comment(
        target, call.body.body, thread_id=call.body.thread_id, session_id=_author(call)
    )
    return Reply(body=wire.CommentAnswer(ok=True, comment=pull_views.comment(made)), status=201)


async def _review(call: Call[pull_inputs.ReviewInput, pull_inputs.PullQuery]) -> Reply:
    target, body = _own_target(call, call.query), call.body
    post = ReviewPost(
        verdict=body.verdict,
        body=body.body,
        comments=tuple(LineComment(path=one.path, line=one.line, body=one.body) for one in body.comments),
        commit_sha=body.commit_sha,
        session=_author(call),
    )
    made = await call.engine.pull_actions.review(target, post)
    return Reply(body=wire.RemarkAnswer(ok=True, review=pull_views.remark(made)), status=201)


async def _resolve(call: _Plain) -> wire.ResolvedAnswer:
    wanted = _optional(call, pull_inputs.ResolveInput)
    resolved = await call.engine.pull_actions.resolve(_own_target(call, call.query), wanted.comment_ids)
    return wire.ResolvedAnswer(ok=True, resolved=resolved)


async def _merge(call: _Plain) -> wire.MergedAnswer:
    order = _optional(call, pull_inputs.MergeInput)
    query = pull_inputs.PullQuery(
        project_id=order.project_id or call.query.project_id, pr_url=order.pr_url or call.query.pr_url
    )
    merged = await call.engine.pull_actions.merge(
        _own_target(call, query), method=order.method, expected_head=order.expected_head_sha
    )
    return wire.MergedAnswer(ok=True, pr_number=merged.number, method=merged.method, sha=merged.sha)


def _optional(call: _Plain, kind: type[_I]) -> _I:
    """The body where none is an empty one: the original's clients send nothing at all."""
    return decode_body(call.raw, kind, compat=call.api.config.compat) if call.raw.strip() else kind()


async def _close(call: _Plain) -> wire.DoneAnswer:
    target = _own_target(call, call.query)
    await call.engine.pull_actions.close(target)
    return wire.DoneAnswer(ok=True, pr_number=target.ref.number)


_FIND: Final = ("PR_NOT_FOUND", "PR_AMBIGUOUS", "INVALID_PR_REF", "PROJECT_NOT_FOUND")
_FORGE: Final = ("SCM_UNAVAILABLE", "SCM_RATE_LIMITED")
_PATH: Final = f"{PREFIX}/prs"
_ONE: Final = f"{PREFIX}/prs/{{id}}"

OPERATIONS = (
    Operation(
        id="listPRs",
        method="GET",
        path=_PATH,
        handler=_list,
        query=pull_inputs.PullsQuery,
        answers={200: wire.PullRowsAnswer},
        summary="Pull requests: all of the local forge, elsewhere those of sessions",
        tag="pulls",
        scope=Scope.PULL,
        errors=("PROJECT_NOT_FOUND", *_FORGE),
    ),
    Operation(
        id="createPR",
        method="POST",
        path=_PATH,
        handler=_create,
        body=pull_inputs.CreatePullInput,
        answers={201: wire.PullAnswer},
        summary="Open a pull request",
        tag="pulls",
        scope=Scope.PULL,
        errors=(
            "INVALID_REQUEST",
            "INVALID_PR",
            "PROJECT_ID_REQUIRED",
            "PROJECT_NOT_FOUND",
            "SESSION_NOT_FOUND",
            "INVALID_BRANCH",
            "NOTHING_TO_MERGE",
            "PR_EXISTS",
            "PUSH_FAILED",
            *_FORGE,
        ),
        detached=True,
    ),
    Operation(
        id="getPR",
        method="GET",
        path=_ONE,
        handler=_get,
        query=pull_inputs.LookQuery,
        answers={200: wire.PullAnswer},
        summary="One pull request with its checks and all that was said about it",
        tag="pulls",
        scope=Scope.PULL,
        errors=(*_FIND, *_FORGE),
    ),
    Operation(
        id="getPRDiff",
        method="GET",
        path=f"{_ONE}/diff",
        handler=_diff,
        query=pull_inputs.DiffQuery,
        answers={200: wire.DiffAnswer},
        summary="What it changes",
        tag="pulls",
        scope=Scope.PULL,
        errors=(*_FIND, *_FORGE),
    ),
    Operation(
        id="getPRChecks",
        method="GET",
        path=f"{_ONE}/checks",
        handler=_checks,
        query=pull_inputs.LookQuery,
        answers={200: wire.ChecksAnswer},
        summary="The checks of its head",
        tag="pulls",
        scope=Scope.PULL,
        errors=(*_FIND, *_FORGE),
    ),
    Operation(
        id="getPRCheckLog",
        method="GET",
        path=f"{_ONE}/checks/log",
        handler=_log,
        query=pull_inputs.CheckLogQuery,
        answers={200: wire.CheckLogAnswer},
        summary="The output of one check",
        tag="pulls",
        scope=Scope.PULL,
        errors=(*_FIND, *_FORGE),
    ),
    Operation(
        id="rerunPRChecks",
        method="POST",
        path=f"{_ONE}/checks/rerun",
        handler=_rerun,
        query=pull_inputs.PullQuery,
        answers={200: wire.DoneAnswer},
        summary="Run the checks of its head again",
        tag="pulls",
        scope=Scope.PULL,
        errors=(*_FIND, "CHECKS_NOT_CONFIGURED", "PR_NOT_OPEN", *_FORGE),
        detached=True,
    ),
    Operation(
        id="commentPR",
        method="POST",
        path=f"{_ONE}/comments",
        handler=_comment,
        body=pull_inputs.CommentInput,
        query=pull_inputs.PullQuery,
        answers={201: wire.CommentAnswer},
        summary="Comment on the whole, or answer in a conversation",
        tag="pulls",
        scope=Scope.PULL,
        errors=(*_FIND, "MESSAGE_REQUIRED", "INVALID_REVIEW", "THREAD_NOT_FOUND", *_FORGE),
        detached=True,
    ),
    Operation(
        id="reviewPR",
        method="POST",
        path=f"{_ONE}/reviews",
        handler=_review,
        body=pull_inputs.ReviewInput,
        query=pull_inputs.PullQuery,
        answers={201: wire.RemarkAnswer},
        summary="Submit a review with comments on lines",
        tag="pulls",
        scope=Scope.PULL,
        errors=(*_FIND, "INVALID_REVIEW", "PR_NOT_OPEN", *_FORGE),
        detached=True,
    ),
    Operation(
        id="resolvePRComments",
        method="POST",
        path=f"{_ONE}/resolve-comments",
        handler=_resolve,
        query=pull_inputs.PullQuery,
        answers={200: wire.ResolvedAnswer},
        summary="Resolve conversations: those of `commentIds` in the body, or all that are open",
        tag="pulls",
        scope=Scope.PULL,
        errors=(*_FIND, "THREAD_NOT_FOUND", "NOTHING_TO_RESOLVE", "PR_OPERATION_FAILED", *_FORGE),
        detached=True,
    ),
    Operation(
        id="mergePR",
        method="POST",
        path=f"{_ONE}/merge",
        handler=_merge,
        query=pull_inputs.PullQuery,
        answers={200: wire.MergedAnswer},
        summary="Merge it; the body may hold `method`, `expectedHeadSha`, `prUrl` and `projectId`",
        tag="pulls",
        scope=Scope.PULL,
        errors=(
            *_FIND,
            "INVALID_REQUEST",
            "PR_PRECONDITIONS_UNMET",
            "PR_HEAD_CHANGED",
            "PR_NOT_MERGEABLE",
            "PR_NOT_OPEN",
            "BASE_CHECKED_OUT_DIRTY",
            "PR_OPERATION_FAILED",
            *_FORGE,
        ),
        detached=True,
    ),
    Operation(
        id="closePR",
        method="POST",
        path=f"{_ONE}/close",
        handler=_close,
        query=pull_inputs.PullQuery,
        answers={200: wire.DoneAnswer},
        summary="Close it without merging",
        tag="pulls",
        scope=Scope.PULL,
        errors=(*_FIND, "PR_NOT_OPEN", *_FORGE),
        detached=True,
    ),
)
