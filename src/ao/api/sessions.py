"""Sessions: listing, the lifecycle commands, and what can be seen of one."""

from __future__ import annotations

import asyncio
from typing import Final

from ao import log
from ao.api import inputs, plain, session_wire, views
from ao.api.access import Scope
from ao.api.board import Filter
from ao.api.inputs import CleanupQuery, KillQuery, ListQuery, OutputQuery, PhaseQuery, SpawnQuery
from ao.api.operation import PREFIX, Call, Operation, Reply
from ao.api.refusal import printable
from ao.engine.launching import instructions
from ao.engine.requests import SpawnRequest
from ao.feed import FeedClosed, FeedLagged
from ao.model.errors import AoError
from ao.model.session import Kind

POLL_S: Final = 20.0
_Plain = Call[inputs.NoBody, inputs.NoQuery]


def _list(call: Call[inputs.NoBody, ListQuery]) -> Reply:
    query = call.query
    ended = None if query.active is None else not query.active
    wanted = Filter(
        project=call.within(query.project),
        kind=Kind.ORCHESTRATOR if query.orchestrator_only else query.kind,
        ended=False if query.fresh else ended,
        nothing=(query.fresh and ended is True) or (query.orchestrator_only and query.kind == "worker"),
        limit=query.limit,
        after=_cursor(query.cursor),
    )
    if query.format == "text":
        return Reply(
            body=call.api.board.text(wanted), headers={"Content-Type": plain.TYPE, "Cache-Control": "no-cache"}
        )
    page = call.api.board.page(wanted)
    return Reply(body=page.body, headers={"ETag": page.etag, "Cache-Control": "no-cache"})


def _cursor(text: str | None) -> tuple[str, int] | None:
    if text is None:
        return None
    project, mark, number = text.rpartition("/")
    if not mark or not (number.isascii() and number.isdigit() and len(number) < 16):
        raise AoError("INVALID_QUERY", "query parameter cursor: not one of this list's", details={"field": "cursor"})
    return project, int(number)


async def _spawn(call: Call[inputs.SpawnInput, SpawnQuery]) -> Reply:
    body = call.body
    session = await call.engine.sessions.spawn(
        SpawnRequest(
            project_id=body.project_id,
            kind=_kind(body.kind),
            agent=body.harness,
            branch=body.branch,
            prompt=body.prompt,
            rules=body.agent_rules,
            issue_id=body.issue_id,
            display_name=body.display_name,
            model=body.model,
            permissions=body.permissions,
            idempotency_key=printable(call.headers.get("Idempotency-Key", "")),
        ),
        wait=call.query.wait,
    )
    log.note_session(session.id)
    answer = session_wire.SpawnAnswer(
        session=_view(call, session.id),
        prompt_bytes=len(session.prompt.encode()),
        system_prompt_bytes=len(instructions(call.engine.world, session).encode()),
    )
    return Reply(body=answer, status=201)


def _kind(text: str) -> Kind:
    if text not in ("", Kind.WORKER, Kind.ORCHESTRATOR):  # a reviewer comes to be by a review
        raise AoError("INVALID_KIND", f"unknown kind {text!r}", hint="worker or orchestrator")
    return Kind(text or Kind.WORKER)


def _view(call: Call[inputs.SpawnInput, SpawnQuery] | _Plain, session_id: str) -> session_wire.Session:
    return views.session(call.engine.views.get(session_id))


async def _get(call: Call[inputs.NoBody, PhaseQuery]) -> session_wire.SessionAnswer:
    if call.query.phase_not is not None:
        await _phase_left(call, call.query.phase_not)
    return session_wire.SessionAnswer(session=views.session(call.engine.views.get(call.session_id)))


async def _phase_left(call: Call[inputs.NoBody, PhaseQuery], phase: str) -> None:
    """Return when the session's phase isn't `phase`, after 20 s, or when the daemon stops."""
    reader = call.api.feed.subscribe(session=call.session_id)
    try:
        async with asyncio.timeout(POLL_S):
            while call.engine.sessions.get(call.session_id).phase == phase:
                await reader.batch()
    except (TimeoutError, FeedClosed, FeedLagged):
        # What is known now is the answer; the client asks again.
        return


async def _rename(call: Call[inputs.RenameInput, inputs.NoQuery]) -> session_wire.RenameAnswer:
    session = await call.engine.sessions.rename(call.session_id, call.body.display_name)
    return session_wire.RenameAnswer(ok=True, session_id=session.id, display_name=session.display_name)


async def _kill(call: Call[inputs.NoBody, KillQuery]) -> session_wire.KillAnswer:
    result = await call.engine.sessions.kill(
        call.session_id, force=call.query.force, until="gone" if call.query.wait == "agent" else "done"
    )
    return session_wire.KillAnswer(
        ok=True,
        session_id=call.session_id,
        freed=result.freed,
        preserved=views.preserved(result.preserved_path, result.preserved_reason),
        branch=session_wire.BranchFate(name=result.branch, kept=result.branch_kept) if result.branch else None,
        snapshot=result.snapshot,
    )


async def _restore(call: _Plain) -> session_wire.RestoreAnswer:
    session, mode = await call.engine.sessions.restore(call.session_id)
    return session_wire.RestoreAnswer(
        ok=True, session_id=session.id, session=_view(call, session.id), restore_mode=mode
    )


async def _rollback(call: _Plain) -> session_wire.RollbackAnswer:
    result = await call.engine.sessions.rollback(call.session_id)
    return session_wire.RollbackAnswer(
        ok=True,
        session_id=call.session_id,
        deleted=result.deleted,
        killed=result.killed,
        preserved=views.preserved(result.preserved_path, result.preserved_reason),
    )


async def _cleanup(call: Call[inputs.NoBody, CleanupQuery]) -> session_wire.CleanupAnswer:
    query = call.query
    result = await call.engine.sessions.cleanup(query.project, force=query.force, dry_run=query.dry_run)
    skipped = [session_wire.Skipped(session_id=session_id, reason=reason) for session_id, reason in result.skipped]
    snapshots = tuple(session_wire.Snapshot(session_id=session_id, ref=ref) for session_id, ref in result.snapshots)
    return session_wire.CleanupAnswer(
        ok=True, cleaned=result.cleaned, skipped=skipped, snapshots=snapshots, dry_run=query.dry_run
    )


def _attach(call: _Plain) -> session_wire.AttachAnswer:
    argv, read_only = call.engine.sessions.attach(call.session_id)
    return session_wire.AttachAnswer(session_id=call.session_id, argv=argv, read_only_argv=read_only)


async def _output(call: Call[inputs.NoBody, OutputQuery]) -> session_wire.OutputAnswer:
    text = await call.engine.sessions.output(call.session_id, call.query.lines)
    return session_wire.OutputAnswer(session_id=call.session_id, output=text)


SPAWN_ERRORS: Final = (
    "PROJECT_ID_REQUIRED",
    "PROJECT_NOT_FOUND",
    "PROJECT_NOT_RESOLVABLE",
    "PROMPT_TOO_LONG",
    "UNKNOWN_HARNESS",
    "INVALID_PERMISSIONS",
    "AGENT_BINARY_NOT_FOUND",
    "AGENT_NOT_STARTED",
    "RUNTIME_PREREQUISITE_MISSING",
    "RULES_FILE_UNREADABLE",
    "POST_CREATE_FAILED",
    "BRANCH_NOT_FETCHED",
    "BRANCH_CHECKED_OUT_ELSEWHERE",
    "INVALID_BRANCH",
    "REPOSITORY_BUSY",
    "WORKSPACE_OCCUPIED",
    "WORKSPACE_FAILED",
    "RUNTIME_FAILED",
    "SPAWN_CANCELLED",
    "ORCHESTRATOR_EXISTS",
    "REQUEST_TIMEOUT",
)
_PATH: Final = f"{PREFIX}/sessions"
_ONE: Final = f"{PREFIX}/sessions/{{sessionId}}"

OPERATIONS = (
    Operation(
        id="listSessions",
        method="GET",
        path=_PATH,
        handler=_list,
        query=ListQuery,
        answers={200: session_wire.SessionsAnswer},
        summary="Sessions by project and number",
        tag="sessions",
        scope=Scope.PROJECT,
        tagged=True,
        text=True,
    ),
    Operation(
        id="spawnSession",
        method="POST",
        path=_PATH,
        handler=_spawn,
        body=inputs.SpawnInput,
        query=SpawnQuery,
        answers={201: session_wire.SpawnAnswer},
        summary="Start an agent in a worktree of its own",
        tag="sessions",
        scope=Scope.PROJECT,
        errors=(
            *SPAWN_ERRORS,
            "INVALID_KIND",
            "DISPLAY_NAME_REQUIRED",
            "DISPLAY_NAME_TOO_LONG",
            "IDEMPOTENCY_KEY_REUSED",
        ),
        detached=True,
        idempotent=True,
        project=lambda _params, body: body.project_id,
    ),
    Operation(
        id="getSession",
        method="GET",
        path=_ONE,
        handler=_get,
        query=PhaseQuery,
        answers={200: session_wire.SessionAnswer},
        summary="One session; with `phaseNot`, once its phase is another",
        tag="sessions",
        scope=Scope.OWN,
        errors=("SESSION_NOT_FOUND",),
    ),
    Operation(
        id="renameSession",
        method="PATCH",
        path=_ONE,
        handler=_rename,
        body=inputs.RenameInput,
        answers={200: session_wire.RenameAnswer},
        summary="Change the name that is shown",
        tag="sessions",
        scope=Scope.USER,
        errors=("DISPLAY_NAME_REQUIRED", "DISPLAY_NAME_TOO_LONG", "SESSION_NOT_FOUND"),
    ),
    Operation(
        id="killSession",
        method="POST",
        path=f"{_ONE}/kill",
        handler=_kill,
        query=KillQuery,
        answers={200: session_wire.KillAnswer},
        summary="End a session; unsaved work stays on disk",
        tag="sessions",
        scope=Scope.PROJECT,
        errors=("SESSION_NOT_FOUND", "SESSION_INCOMPLETE_HANDLE", "RUNTIME_FAILED", "REPOSITORY_BUSY"),
        detached=True,
    ),
    Operation(
        id="restoreSession",
        method="POST",
        path=f"{_ONE}/restore",
        handler=_restore,
        answers={200: session_wire.RestoreAnswer},
        summary="Bring an ended session back in its own worktree",
        tag="sessions",
        scope=Scope.USER,
        errors=(
            "SESSION_NOT_FOUND",
            "SESSION_BUSY",
            "SESSION_INCOMPLETE_HANDLE",
            "SESSION_NOT_RESTORABLE",
            "SESSION_NOT_RESUMABLE",
            "WORKSPACE_MISSING",
            *SPAWN_ERRORS,
        ),
        detached=True,
    ),
    Operation(
        id="rollbackSession",
        method="POST",
        path=f"{_ONE}/rollback",
        handler=_rollback,
        answers={200: session_wire.RollbackAnswer},
        summary="Undo a spawn",
        tag="sessions",
        scope=Scope.USER,
        errors=("SESSION_NOT_FOUND", "SESSION_INCOMPLETE_HANDLE", "RUNTIME_FAILED", "REPOSITORY_BUSY"),
        detached=True,
    ),
    Operation(
        id="cleanupSessions",
        method="POST",
        path=f"{_PATH}/cleanup",
        handler=_cleanup,
        query=CleanupQuery,
        answers={200: session_wire.CleanupAnswer},
        summary="Remove what ended sessions left on disk",
        tag="sessions",
        scope=Scope.USER,
        errors=("REPOSITORY_BUSY",),
        detached=True,
    ),
    Operation(
        id="attachSession",
        method="GET",
        path=f"{_ONE}/attach",
        handler=_attach,
        answers={200: session_wire.AttachAnswer},
        summary="How to open the session's terminal",
        tag="sessions",
        scope=Scope.OWN,
        errors=("SESSION_NOT_FOUND", "SESSION_TERMINATED"),
    ),
    Operation(
        id="getSessionOutput",
        method="GET",
        path=f"{_ONE}/output",
        handler=_output,
        query=OutputQuery,
        answers={200: session_wire.OutputAnswer},
        summary="The end of what the session's terminal shows",
        tag="sessions",
        scope=Scope.OWN,
        errors=("SESSION_NOT_FOUND", "RUNTIME_FAILED"),
    ),
)
