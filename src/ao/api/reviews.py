"""Reviews by agents: listed, triggered, handed in, cancelled."""

from __future__ import annotations

from typing import Any, TypeVar

from ao.api import review_wire as wire
from ao.api.access import Scope
from ao.api.decoding import decode_body
from ao.api.inputs import Input, NoBody, NoQuery
from ao.api.operation import PREFIX, Call, Operation, Reply
from ao.api.views import moment
from ao.engine.reviews import PullReviews
from ao.model.errors import AoError
from ao.model.review import LineComment, ReviewRun
from ao.model.review_plan import Submission, comments_of

B = TypeVar("B", bound=Input)
_PATH = f"{PREFIX}/sessions/{{sessionId}}/reviews"


def _list(call: Call[NoBody, NoQuery]) -> wire.ReviewsAnswer:
    engine = call.engine.reviews
    runs = engine.of_session(call.session_id)
    return wire.ReviewsAnswer(
        reviewer_handle_id=engine.handle(call.session_id),
        reviewer_harness=next((run.agent for run in runs if run.status == "running"), ""),
        reviews=_states(call),
        runs=[view(run) for run in runs],
    )


async def _trigger(call: Call[NoBody, NoQuery]) -> Reply:
    wanted = _optional(call, wire.TriggerInput)
    found = await call.engine.reviews.trigger(call.session_id, agent=wanted.harness)
    runs = [view(run) for run in found.runs]
    answer = wire.TriggerAnswer(
        created=found.created,
        reviewer_handle_id=call.engine.reviews.handle(call.session_id),
        review=runs[0],
        reviews=_states(call),
        runs=runs,
    )
    return Reply(body=answer, status=201 if found.created else 200)


async def _submit(call: Call[wire.SubmitInput, NoQuery]) -> wire.SubmitAnswer:
    body = call.body
    given = [_submission(one) for one in body.reviews]
    if body.run_id or not given:
        given.insert(0, _submission(body))
    if not all(one.run_id and one.verdict for one in given):
        raise AoError(
            "REVIEW_INVALID",
            "a review needs runId and verdict",
            hint="verdict is approved or changes_requested",
            details={"field": "runId" if not all(one.run_id for one in given) else "verdict"},
        )
    recorded = await call.engine.reviews.submit(call.session_id, given, caller=call.caller.session)
    views = [view(run) for run in recorded]
    return wire.SubmitAnswer(review=views[0], reviewer_handle_id="", reviews=views)


async def _cancel(call: Call[NoBody, NoQuery]) -> wire.CancelAnswer:
    stopped = await call.engine.reviews.cancel(call.session_id, _optional(call, wire.CancelInput).run_id)
    return wire.CancelAnswer(cancelled=[view(run) for run in stopped], reviews=_states(call))


def _optional(call: Call[NoBody, NoQuery], kind: type[B]) -> B:
    """The body where none is an empty one: the original's clients send nothing at all."""
    return decode_body(call.raw, kind, compat=call.api.config.compat) if call.raw.strip() else kind()


def _states(call: Call[Any, NoQuery]) -> list[wire.PullReviewState]:
    return [_state(each) for each in call.engine.reviews.states(call.session_id)]


def _state(each: PullReviews) -> wire.PullReviewState:
    return wire.PullReviewState(
        pr_url=each.pull.url,
        pr_number=each.pull.number,
        title=each.pull.title,
        target_sha=each.pull.head_sha,
        status=each.state,
        latest_run=view(each.latest) if each.latest is not None else None,
        previous_run=view(each.previous) if each.previous is not None else None,
    )


def view(run: ReviewRun) -> wire.ReviewRunView:
    """A run as the API shows it."""
    return wire.ReviewRunView(
        id=run.id,
        review_id=run.id,
        session_id=run.session_id,
        harness=run.agent,
        pr_url=run.pull_url,
        target_sha=run.target_sha,
        status=run.status.value,
        verdict=run.verdict,
        body=run.body,
        github_review_id=run.forge_review_id,
        created_at=moment(run.created_at),
        delivered_at=moment(run.delivered_at) if run.delivered_at is not None else None,
        reviewer_id=run.reviewer_id,
        round=run.round,
        automatic=run.automatic,
        comments=tuple(wire.ReviewLine(path=said.path, line=said.line, body=said.body) for said in comments_of(run)),
        failure=run.failure,
    )


def _submission(given: wire.VerdictInput) -> Submission:
    return Submission(
        run_id=given.run_id.strip(),
        verdict=given.verdict.strip(),
        body=given.body,
        comments=tuple(LineComment(path=said.path, line=said.line, body=said.body) for said in given.comments),
        forge_review_id=given.github_review_id,
    )


OPERATIONS = (
    Operation(
        id="listReviews",
        method="GET",
        path=_PATH,
        handler=_list,
        answers={200: wire.ReviewsAnswer},
        summary="The reviews of a worker's pull requests; an unknown session has none",
        tag="reviews",
        scope=Scope.PULL,
    ),
    Operation(
        id="triggerReview",
        method="POST",
        path=f"{_PATH}/trigger",
        handler=_trigger,
        answers={200: wire.TriggerAnswer, 201: wire.TriggerAnswer},
        summary="Have an agent review the open pull requests of a worker that need it",
        tag="reviews",
        scope=Scope.PROJECT,
        errors=(
            "REVIEW_NOT_FOUND",
            "REVIEW_INVALID",
            "UNKNOWN_HARNESS",
            "REVIEWER_BINARY_NOT_FOUND",
            "REVIEW_OPERATION_FAILED",
        ),
        detached=True,
    ),
    Operation(
        id="submitReview",
        method="POST",
        path=f"{_PATH}/submit",
        handler=_submit,
        body=wire.SubmitInput,
        answers={200: wire.SubmitAnswer},
        summary="Hand in a verdict; the session is the worker or the reviewer",
        tag="reviews",
        scope=Scope.PULL,
        errors=("REVIEW_NOT_FOUND", "REVIEW_INVALID"),
        detached=True,
    ),
    Operation(
        id="cancelReview",
        method="POST",
        path=f"{_PATH}/cancel",
        handler=_cancel,
        answers={200: wire.CancelAnswer},
        summary="Stop the running reviews of a worker's pull requests, or one of them",
        tag="reviews",
        scope=Scope.PROJECT,
        errors=("REVIEW_NOT_FOUND", "RUNTIME_FAILED"),
        detached=True,
    ),
)
