"""A session's pull requests: which they are, how it gets one, what its agent was told, and what merging does to it."""

from __future__ import annotations

from typing import Final

from ao.api import pull_inputs, pull_views, views
from ao.api import pull_wire as wire
from ao.api.access import Scope
from ao.api.inputs import NoBody, NoQuery
from ao.api.operation import PREFIX, Call, Operation
from ao.engine.pull_requests import PullEntry
from ao.engine.pulls import facts_of
from ao.model.errors import AoError
from ao.model.pull import Picture
from ao.model.session import Kind

_ONE: Final = f"{PREFIX}/sessions/{{sessionId}}"


def _list(call: Call[NoBody, NoQuery]) -> wire.SessionPullsAnswer:
    pulls = call.engine.pulls
    pictures = pulls.of_session(call.session_id)
    told = pull_views.by_pull(pulls.nudges(call.session_id, limit=pull_inputs.LEDGER_LIMIT))
    return wire.SessionPullsAnswer(
        session_id=call.session_id,
        prs=[pull_views.summary(_entry(picture), told.get(picture.pull.url, [])) for picture in pictures],
    )


def _entry(picture: Picture) -> PullEntry:
    pull = picture.pull
    return PullEntry(
        facts=facts_of(pull), project_id=pull.project_id, session_id=pull.session_id, pull=pull, picture=picture
    )


async def _claim(call: Call[pull_inputs.ClaimInput, NoQuery]) -> wire.ClaimAnswer:
    caller = call.caller.session
    steals = caller is None or caller.kind is Kind.ORCHESTRATOR
    try:
        claimed = await call.engine.pull_actions.claim(
            call.session_id, call.body.pr.strip(), allow_takeover=call.body.allow_takeover and steals
        )
    except AoError as error:
        if error.code != "PR_CLAIMED_BY_ACTIVE_SESSION" or steals:
            raise
        hint = "an agent takes none from another that is at work; ask the orchestrator or a person"
        raise AoError(error.code, error.message, hint=hint, details=error.details) from error
    return wire.ClaimAnswer(
        ok=True,
        session_id=call.session_id,
        prs=[views.pull(pull) for pull in claimed.pulls],
        branch_changed=False,
        taken_over_from=claimed.taken_over_from,
    )


def _nudges(call: Call[NoBody, pull_inputs.NudgesQuery]) -> wire.NudgesAnswer:
    found = call.engine.pulls.nudges(call.session_id, limit=call.query.limit)
    return wire.NudgesAnswer(session_id=call.session_id, nudges=[pull_views.nudge(entry) for entry in found])


async def _merge_policy(call: Call[pull_inputs.MergePolicyInput, NoQuery]) -> wire.MergePolicyAnswer:
    wanted = call.body.terminate_on_pr_merge
    await call.engine.pull_actions.set_merge_policy(call.session_id, wanted)
    return wire.MergePolicyAnswer(
        ok=True,
        session_id=call.session_id,
        terminate_on_pr_merge=call.engine.views.get(call.session_id).terminates_on_merge,
        source="project" if wanted is None else "session",
    )


OPERATIONS = (
    Operation(
        id="listSessionPRs",
        method="GET",
        path=f"{_ONE}/pr",
        handler=_list,
        answers={200: wire.SessionPullsAnswer},
        summary="The pull requests of a session, and what is in their way",
        tag="sessions",
        scope=Scope.OWN,
        errors=("SESSION_NOT_FOUND",),
    ),
    Operation(
        id="claimPR",
        method="POST",
        path=f"{_ONE}/pr/claim",
        handler=_claim,
        body=pull_inputs.ClaimInput,
        answers={200: wire.ClaimAnswer},
        summary="Make a session the owner of an open pull request",
        tag="sessions",
        scope=Scope.OWN,
        errors=(
            "PR_REQUIRED",
            "SESSION_NOT_FOUND",
            "SESSION_TERMINATED",
            "SESSION_NOT_CLAIMABLE",
            "SESSION_NO_WORKSPACE",
            "PROJECT_NOT_RESOLVABLE",
            "INVALID_PR_REF",
            "PR_PROJECT_MISMATCH",
            "SCM_UNAVAILABLE",
            "SCM_RATE_LIMITED",
            "PR_NOT_FOUND",
            "PR_NOT_OPEN",
            "PR_CLAIMED_BY_ACTIVE_SESSION",
        ),
        detached=True,
    ),
    Operation(
        id="listSessionNudges",
        method="GET",
        path=f"{_ONE}/nudges",
        handler=_nudges,
        query=pull_inputs.NudgesQuery,
        answers={200: wire.NudgesAnswer},
        summary="What its agent was told because of its pull requests, was not told, and why",
        tag="sessions",
        scope=Scope.OWN,
        errors=("SESSION_NOT_FOUND",),
    ),
    Operation(
        id="setMergePolicy",
        method="PATCH",
        path=f"{_ONE}/merge-policy",
        handler=_merge_policy,
        body=pull_inputs.MergePolicyInput,
        answers={200: wire.MergePolicyAnswer},
        summary="Whether the session ends once its pull requests are merged",
        tag="sessions",
        scope=Scope.USER,
        errors=("SESSION_NOT_FOUND",),
        detached=True,
    ),
)
