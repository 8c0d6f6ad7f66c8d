"""What is answered about sessions, their messages and their activity."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from ao.api.wire import Flag, Output, Time


class ActivityView(Output, frozen=True, kw_only=True):
    """What the agent does, and since when."""

    state: str
    last_activity_at: Time


class EvidenceView(Output, frozen=True, kw_only=True):
    """A fact that the status rests on."""

    fact: str
    value: str
    source: str
    at: str = ""


class FailureView(Output, frozen=True, kw_only=True):
    """Why a session ended before its agent lived."""

    code: str
    message: str
    hint: str = ""


class BaseView(Output, frozen=True, kw_only=True):
    """The commit a session's branch started at; `age` in seconds, as of the session's last change."""

    ref: str
    sha: str
    age: int | None = None


class PreservedView(Output, frozen=True, kw_only=True):
    """Work that stays on disk, and why."""

    path: str
    reason: str


class PullView(Output, frozen=True, kw_only=True):
    """A pull request of a session."""

    url: str
    number: int
    state: str
    ci: str
    review: str
    mergeability: str
    review_comments: bool
    updated_at: Time
    source_branch: str = ""
    target_branch: str = ""
    head_sha: str = ""
    title: str = ""


class Session(Output, frozen=True, kw_only=True):
    """One agent on one task."""

    id: str
    project_id: str
    issue_id: str = ""
    kind: str
    harness: str
    display_name: str = ""
    summary: Annotated[str, Meta(description="the first line of its prompt, at most 120 characters")] = ""
    activity: ActivityView
    is_terminated: bool
    created_at: Time
    updated_at: Time
    status: str
    scm_status: str = ""
    phase: str
    branch: str = ""
    terminal_handle_id: str = ""
    workspace_path: str = ""
    model: str = ""
    permissions: str = ""
    prs: list[PullView]
    evidence: list[EvidenceView]
    failure: FailureView | None = None
    base: BaseView | None = None
    warnings: tuple[str, ...] = ()
    preserved: PreservedView | None = None
    exit_code: int | None = None
    native_id: str = ""
    mode: Literal["tui"]
    is_pinned: bool
    terminate_on_pr_merge: bool


class SessionAnswer(Output, frozen=True, kw_only=True):
    """One session."""

    session: Session


class ListMeta(Output, frozen=True, kw_only=True):
    """`hiddenTerminatedCount`: ended sessions that match all filters but `active` or `fresh`."""

    hidden_terminated_count: int
    next_cursor: str = ""


class SessionsAnswer(Output, frozen=True, kw_only=True):
    """Sessions by project, then number."""

    sessions: list[Session]
    meta: ListMeta


class SpawnAnswer(Output, frozen=True, kw_only=True):
    """The session, and the size of what its agent is told, in bytes."""

    session: Session
    prompt_bytes: int
    system_prompt_bytes: int


class RenameAnswer(Output, frozen=True, kw_only=True):
    """The name as it is stored."""

    ok: Flag
    session_id: str
    display_name: str


class BranchFate(Output, frozen=True, kw_only=True):
    """A session's branch, and whether it stays."""

    name: str
    kept: bool


class KillAnswer(Output, frozen=True, kw_only=True):
    """`freed`: the worktree is gone; without it, `preserved` says what stays."""

    ok: Flag
    session_id: str
    freed: bool = False
    preserved: PreservedView | None = None
    branch: BranchFate | None = None
    snapshot: Annotated[str, Meta(description="the ref that holds what a forced removal took away")] = ""


class RestoreAnswer(Output, frozen=True, kw_only=True):
    """How the agent came back: in its own conversation, with the saved prompt, or with nothing."""

    ok: Flag
    session_id: str
    session: Session
    restore_mode: str


class RollbackAnswer(Output, frozen=True, kw_only=True):
    """`deleted`: a seed vanished. `killed`: the session was torn down and keeps its history."""

    ok: Flag
    session_id: str
    deleted: bool = False
    killed: bool = False
    preserved: PreservedView | None = None


class Skipped(Output, frozen=True, kw_only=True):
    """A session whose worktree stays."""

    session_id: str
    reason: str


class Snapshot(Output, frozen=True, kw_only=True):
    """The ref that holds what a forced removal took away."""

    session_id: str
    ref: str


class CleanupAnswer(Output, frozen=True, kw_only=True):
    """Whose worktree is gone (or would go, in a dry run), and whose stays."""

    ok: Flag
    cleaned: list[str]
    skipped: list[Skipped]
    snapshots: tuple[Snapshot, ...] = ()
    dry_run: bool = False


class AttachAnswer(Output, frozen=True, kw_only=True):
    """Commands that open the session's terminal on the daemon's machine."""

    session_id: str
    argv: list[str]
    read_only_argv: list[str]


class OutputAnswer(Output, frozen=True, kw_only=True):
    """The end of what the session's terminal shows."""

    session_id: str
    output: str


class SendAnswer(Output, frozen=True, kw_only=True):
    """The message as it will be written, and how far it is."""

    ok: Flag
    session_id: str
    message: str
    message_id: str
    state: str
    held_reason: str = ""


class MessageView(Output, frozen=True, kw_only=True):
    """A message of the outbox."""

    id: str
    session_id: str
    source: str
    sender: str = ""
    text: str
    state: str
    held_reason: str = ""
    attempts: int
    failure: str = ""
    possible_duplicate: bool = False
    created_at: Time
    updated_at: Time


class MessagesAnswer(Output, frozen=True, kw_only=True):
    """The newest messages of a session, oldest first."""

    messages: list[MessageView]


class ActivityAnswer(Output, frozen=True, kw_only=True):
    """`state` is what the report says the agent does, if it says so."""

    ok: Flag
    session_id: str
    state: str = ""


class OrchestratorRef(Output, frozen=True, kw_only=True):
    """Which session orchestrates which project."""

    id: str
    project_id: str
    project_name: str


class OrchestratorAnswer(Output, frozen=True, kw_only=True):
    """The orchestrator."""

    orchestrator: OrchestratorRef
    session: Session
