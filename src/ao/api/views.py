"""From facts to what is shown of them. Nothing is decided here; the words come from the model."""

from __future__ import annotations

from datetime import UTC, datetime

from ao.api import session_wire, wire
from ao.engine.requests import SessionFacts
from ao.model.message import Message
from ao.model.project import Project
from ao.model.pull import Pull
from ao.model.session import Session
from ao.ports.agents import AgentReport

_PREFIX_LENGTH = 12


def moment(ms: int) -> str:
    """RFC 3339 UTC of a time in milliseconds since the epoch."""
    seconds, rest = divmod(ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03}Z"


def session(facts: SessionFacts) -> session_wire.Session:
    """A session as the API shows it."""
    row, status = facts.session, facts.status
    return session_wire.Session(
        id=row.id,
        project_id=row.project_id,
        issue_id=row.issue_id,
        kind=row.kind,
        harness=row.agent,
        display_name=row.display_name,
        summary=row.summary,
        activity=session_wire.ActivityView(state=row.activity, last_activity_at=moment(row.activity_at)),
        is_terminated=row.is_terminated,
        created_at=moment(row.created_at),
        updated_at=moment(row.updated_at),
        status=status.word,
        scm_status=status.scm or "",
        phase=row.phase,
        branch=row.branch,
        terminal_handle_id=row.handle if facts.has_terminal else "",
        workspace_path=row.workspace_path,
        model=row.model,
        permissions=row.permissions,
        prs=[pull(row) for row in facts.pulls],
        evidence=_evidence(facts),
        failure=_failure(row),
        base=session_wire.BaseView(ref=row.base_ref, sha=row.base_sha, age=facts.base_age_s) if row.base_sha else None,
        warnings=tuple(row.warning_list) if row.warnings != "[]" else (),
        preserved=preserved(row.preserved_path, row.preserved_reason),
        exit_code=row.exit_code,
        native_id=row.native_id,
        mode="tui",
        is_pinned=False,
        terminate_on_pr_merge=facts.terminates_on_merge,
    )


def pull(row: Pull) -> session_wire.PullView:
    """A pull request, in short."""
    return session_wire.PullView(
        url=row.url,
        number=row.number,
        state=row.state,
        ci=row.ci,
        review=row.review,
        mergeability=row.mergeability,
        review_comments=row.unresolved > 0,
        updated_at=moment(row.updated_at),
        source_branch=row.source_branch,
        target_branch=row.target_branch,
        head_sha=row.head_sha,
        title=row.title,
    )


def _evidence(facts: SessionFacts) -> list[session_wire.EvidenceView]:
    return [
        session_wire.EvidenceView(
            fact=item.fact, value=item.value, source=item.source, at=moment(item.at) if item.at is not None else ""
        )
        for item in facts.status.evidence
    ]


def _failure(row: Session) -> session_wire.FailureView | None:
    if not row.failure_code:
        return None
    return session_wire.FailureView(code=row.failure_code, message=row.failure_message, hint=row.failure_hint)


def preserved(path: str, reason: str) -> session_wire.PreservedView | None:
    """What stays on disk; None when nothing does."""
    return session_wire.PreservedView(path=path, reason=reason) if path else None


def message(row: Message) -> session_wire.MessageView:
    """A message of the outbox."""
    return session_wire.MessageView(
        id=row.id,
        session_id=row.session_id,
        source=row.source,
        sender=row.sender,
        text=row.text,
        state=row.state,
        held_reason=row.held_reason,
        attempts=row.attempts,
        failure=row.failure,
        possible_duplicate=row.possible_duplicate,
        created_at=moment(row.created_at),
        updated_at=moment(row.updated_at),
    )


def project(row: Project) -> wire.Project:
    """A project in full."""
    return wire.Project(
        id=row.id,
        name=row.name or row.id,
        kind=row.kind,
        path=row.path,
        repo=row.repo,
        default_branch=row.base_branch,
        config=row.settings if row.config else None,
    )


def project_summary(row: Project) -> wire.ProjectSummary:
    """A project in a list. Without a configured prefix it is the first 12 bytes of the id, as the original has it."""
    return wire.ProjectSummary(
        id=row.id,
        name=row.name or row.id,
        path=row.path,
        kind=row.kind,
        session_prefix=row.settings.session_prefix or row.id[:_PREFIX_LENGTH] or "ao",
    )


def agents(reports: list[AgentReport]) -> wire.AgentsAnswer:
    """Known, installed and signed-in agents."""
    shown = [
        (
            report,
            wire.AgentView(
                id=report.id,
                label=report.label,
                auth_status=report.auth,
                binary=report.binary,
                version=report.version,
                hint=report.hint,
            ),
        )
        for report in reports
    ]
    installed = [(report, view) for report, view in shown if report.installed]
    return wire.AgentsAnswer(
        supported=[view for _, view in shown],
        installed=[view for _, view in installed],
        authorized=[view for report, view in installed if report.auth == "authorized"],
    )
