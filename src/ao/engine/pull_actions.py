"""What is done to pull requests: opened, claimed, commented on, reviewed, resolved, merged, closed.

After each action the forge is asked again and the answer recorded, so that what is shown is true at once; a daemon that
is killed in between learns it from the next observation.
"""

from __future__ import annotations

import logging
import uuid
from typing import Final

from msgspec.structs import replace

from ao.engine.preflight import known_project
from ao.engine.pull_requests import Claimed, CreatePull, Merged, PullEntry, Target
from ao.engine.pulls import Pulls
from ao.engine.world import World, checkout_of
from ao.model import pull_reference
from ao.model.attribution import Candidate, may_own, owner
from ao.model.errors import AoError
from ao.model.fence import plain
from ao.model.message import Message, MessageSource
from ao.model.project import Project
from ao.model.pull import LOCAL, Comment, MergeMethod, Observation, PullRef, Repo, Review
from ao.model.session import Kind, Session
from ao.ports.forge import MergeOrder, NewPull, ReviewPost
from ao.store import messages, projects, pulls, sessions
from ao.store.database import Connection
from ao.store.pulls import ClaimedByOther

PUSH_TIMEOUT_S: Final = 60.0
MAX_TITLE: Final = 300
METHODS: Final[tuple[MergeMethod, ...]] = ("squash", "merge", "rebase")

log = logging.getLogger("ao.engine.pull_actions")


class PullActions:
    """Use cases that change a pull request."""

    def __init__(self, world: World, pulls_: Pulls) -> None:
        self._world = world
        self._pulls = pulls_

    async def create(self, request: CreatePull) -> PullEntry:
        """Open a pull request; on GitHub its branch is pushed first.

        Raises `PROJECT_NOT_FOUND`, `SESSION_NOT_FOUND`, `INVALID_BRANCH`, `NOTHING_TO_MERGE`, `PR_EXISTS`,
        `PUSH_FAILED` and what the forge raises.
        """
        session = self._world.session(request.session_id) if request.session_id else None
        project = known_project(self._world, session.project_id if session is not None else request.project_id)
        repo = self._pulls.forges.repo_of(project)
        source = request.source or await self._branch_of(session)
        if repo.forge != LOCAL:
            await self._world.trees.push(project.path, source, timeout_s=PUSH_TIMEOUT_S)
        new = NewPull(
            source_branch=source,
            target_branch=request.target or project.base_branch,
            title=request.title or await self._subject(project, source),
            body=request.body,
            draft=request.draft,
            session=session.id if session is not None else "",
        )
        seen = await self._pulls.forges.of(repo).create(repo, new)
        ref = PullRef(repo=repo, number=seen.facts.number, node=seen.facts.node)
        owning = session.id if session is not None else await self._owner(seen, project, repo)
        if owning:
            await self._pulls.record((owning, project.id), ref, seen)
        return await self._pulls.view(self._pulls.target(seen.facts.url, project=project.id))

    async def _branch_of(self, session: Session | None) -> str:
        if session is None:
            raise AoError("INVALID_BRANCH", "no source branch was named", hint="name it with --head BRANCH")
        history = await self._world.trees.history(checkout_of(session))
        return history.branches[0] if history.branches else session.branch

    async def _subject(self, project: Project, branch: str) -> str:
        return (await self._world.trees.subject(project.path, f"refs/heads/{branch}"))[:MAX_TITLE] or branch

    async def _owner(self, seen: Observation, project: Project, repo: Repo) -> str | None:
        """The session whose branch a person opened a pull request for."""
        candidates = []
        for session in sessions.unfinished(self._world.db.read, project=project.id):
            if may_own(seen.facts, session.branch, session.id):
                history = await self._world.trees.history(checkout_of(session))
                candidates.append(
                    Candidate(session_id=session.id, branches=frozenset(history.branches), commits=history.commits)
                )
        return owner(seen.facts, candidates, repos=frozenset({repo.key}))

    async def claim(self, session_id: str, reference: str, *, allow_takeover: bool) -> Claimed:
        """Make a session the owner of an open pull request.

        Raises `PR_REQUIRED`, `SESSION_NOT_FOUND`, `SESSION_TERMINATED`, `SESSION_NOT_CLAIMABLE`,
        `SESSION_NO_WORKSPACE`, `PROJECT_NOT_RESOLVABLE`, `INVALID_PR_REF`, `PR_PROJECT_MISMATCH`, `SCM_UNAVAILABLE`,
        `PR_NOT_FOUND`, `PR_NOT_OPEN`, `PR_CLAIMED_BY_ACTIVE_SESSION`.
        """
        session, project = self._claimer(session_id, reference)
        ref = self._claimed_ref(project, reference)
        seen = await self._pulls.forges.of(ref.repo).fetch(ref)
        if seen.facts.state != "open":
            raise AoError(
                "PR_NOT_OPEN",
                f"pull request #{ref.number} is {seen.facts.state}; only an open one can be claimed",
                hint="mark it ready for review first" if seen.facts.state == "draft" else None,
            )
        now = self._world.now()

        def claim(conn: Connection) -> tuple[pulls.Recorded, str]:
            recorded, previous = pulls.claim(
                conn, (session.id, project.id), ref, seen, allow_takeover=allow_takeover, now=now
            )
            if recorded.created or previous:
                messages.add(conn, _claim_message(session, seen, now))
            return recorded, previous

        try:
            recorded, previous = await self._world.db.write(claim)
        except ClaimedByOther as other:
            raise AoError(
                "PR_CLAIMED_BY_ACTIVE_SESSION",
                f"pull request #{ref.number} belongs to active session {other.session_id!r}",
                hint="leave out --no-takeover to take it over",
                details={"ownerSessionId": other.session_id},
            ) from None
        self._pulls.changed(recorded.pull)
        others = pulls.of_session(self._world.db.read, session.id)
        first = [pull for pull in others if pull.url == recorded.pull.url]
        rest = [pull for pull in others if pull.url != recorded.pull.url]
        return Claimed(pulls=first + rest, taken_over_from=[previous] if previous not in ("", session.id) else [])

    def _claimer(self, session_id: str, reference: str) -> tuple[Session, Project]:
        if not reference.strip():
            raise AoError("PR_REQUIRED", "no pull request was named", hint="a number such as 142, or its URL")
        session = self._world.session(session_id)
        if session.is_terminated:
            raise AoError(
                "SESSION_TERMINATED", f"session {session_id!r} has ended", hint=f"`ao session restore {session_id}`"
            )
        if session.kind is not Kind.WORKER:
            raise AoError("SESSION_NOT_CLAIMABLE", f"{session_id!r} is the project's {session.kind}; workers claim")
        if not session.workspace_path:
            raise AoError("SESSION_NO_WORKSPACE", f"session {session_id!r} has no worktree yet", hint="wait for it")
        project = projects.get(self._world.db.read, session.project_id)
        if project is None:
            raise AoError("PROJECT_NOT_RESOLVABLE", f"project {session.project_id!r} is no longer registered")
        return session, project

    def _claimed_ref(self, project: Project, text: str) -> PullRef:
        reference = pull_reference.parse(text)
        repo = self._pulls.forges.repo_of(project)
        if not reference.url:
            return PullRef(repo=repo, number=reference.number)
        named = self._pulls.forges.named(reference.url)
        if named is None:
            raise AoError(
                "INVALID_PR_REF",
                f"{text[:200]!r} is no pull request of a known forge",
                hint="a number, https://HOST/OWNER/NAME/pull/N or ao://local/PROJECT/pull/N",
            )
        if named.repo.key != repo.key:
            raise AoError(
                "PR_PROJECT_MISMATCH",
                f"{text[:200]!r} isn't in the repository of project {project.id!r}",
                hint=f"its pull requests are at {repo.key}",
            )
        return PullRef(repo=repo, number=named.number)

    async def comment(self, target: Target, body: str, *, thread_id: str = "", session_id: str = "") -> Comment:
        """Comment, or reply in a thread."""
        forge = self._pulls.forge_of(target)
        comment = await forge.comment(target.ref, body, thread_id=thread_id, session=session_id)
        await self._look_again(target)
        return comment

    async def review(self, target: Target, post: ReviewPost) -> Review:
        """Submit a review."""
        review = await self._pulls.forge_of(target).review(target.ref, post)
        await self._look_again(target)
        return review

    async def resolve(self, target: Target, ids: list[str] | None) -> int:
        """Resolve the threads named, by their own ids or those of comments in them; None: all that are open.

        Raises `THREAD_NOT_FOUND`, `NOTHING_TO_RESOLVE`.
        """
        entry = await self._pulls.view(target)
        threads = entry.picture.threads if entry.picture is not None else ()
        chosen = {thread.thread_id for thread in threads if not thread.resolved} if ids is None else set[str]()
        for name in ids or ():
            match = next(
                (thread for thread in threads if name in (thread.thread_id, *(c.comment_id for c in thread.comments))),
                None,
            )
            if match is None:
                raise AoError("THREAD_NOT_FOUND", f"no thread {name[:200]!r}", hint="`ao pr view` lists the threads")
            if not match.resolved:
                chosen.add(match.thread_id)
        if not chosen:
            raise AoError("NOTHING_TO_RESOLVE", f"pull request #{target.ref.number} has no open thread to resolve")
        for thread_id in sorted(chosen):
            await self._pulls.forge_of(target).resolve(target.ref, thread_id)
        await self._look_again(target)
        return len(chosen)

    async def merge(self, target: Target, *, method: str = "", expected_head: str = "") -> Merged:
        """Merge, if it is ready, what its head is now; `expected_head` says what the caller has seen.

        Raises `PR_PRECONDITIONS_UNMET` (draft, merged, closed), `PR_HEAD_CHANGED`, `PR_NOT_MERGEABLE`
        (details.reasons), `BASE_CHECKED_OUT_DIRTY`.
        """
        facts = (await self._pulls.refresh(target)).facts
        if facts.state != "open":
            raise AoError("PR_PRECONDITIONS_UNMET", f"pull request #{facts.number} is {facts.state}")
        if expected_head and expected_head != facts.head_sha:
            raise AoError(
                "PR_HEAD_CHANGED",
                f"the head of #{facts.number} is {facts.head_sha[:12]}, not {expected_head[:12]}",
                hint="look at the new commits, then merge again",
                details={"headSha": facts.head_sha},
            )
        if facts.mergeability in ("conflicting", "blocked"):
            raise AoError(
                "PR_NOT_MERGEABLE",
                f"pull request #{facts.number} can't be merged: {', '.join(facts.reasons) or facts.mergeability}",
                hint="`ao pr view` shows what is in the way",
                details={"reasons": list(facts.reasons)},
            )
        order = MergeOrder(
            method=checked_method(method or target.project.settings.merge_method or "squash"),
            expected_head=facts.head_sha,
        )
        sha = await self._pulls.forge_of(target).merge(target.ref, order)
        log.info("pull request merged", extra={"pull": facts.url, "method": order.method})
        await self._look_again(target)
        return Merged(number=facts.number, method=order.method, sha=sha)

    async def close(self, target: Target) -> None:
        """Close without merging."""
        await self._pulls.forge_of(target).close(target.ref)
        await self._look_again(target)

    async def diff(self, target: Target, *, limit: int) -> str:
        """Its change, cut to `limit` bytes."""
        return await self._pulls.forge_of(target).diff(target.ref, limit=limit)

    async def log(self, target: Target, name: str) -> str:
        """The output of one of its checks. Raises `INVALID_QUERY` for a name that isn't one."""
        entry = await self._pulls.view(target)
        checks = entry.picture.checks if entry.picture is not None else ()
        check = next((check for check in checks if check.name == name), None)
        if check is None:
            known = ", ".join(sorted(plain(check.name, 60) for check in checks)) or "it has none"
            raise AoError("INVALID_QUERY", f"no check {name[:200]!r}", hint=f"its checks: {known}")
        return check.log_tail or await self._pulls.forge_of(target).log(target.ref, check)

    async def rerun(self, target: Target) -> None:
        """Run its checks again. Raises `CHECKS_NOT_CONFIGURED` when there are none."""
        await self._pulls.forge_of(target).rerun(target.ref)
        await self._look_again(target)

    async def set_merge_policy(self, session_id: str, terminate: bool | None) -> Session:
        """Whether a session ends when its pull requests are merged; None: as its project says."""
        self._world.session(session_id)
        changed = await self._world.change(session_id, lambda row: replace(row, terminate_on_pr_merge=terminate))
        for pull in pulls.of_session(self._world.db.read, session_id):
            self._pulls.changed(pull)
        return changed

    async def _look_again(self, target: Target) -> None:
        """Record what the forge says after an action; that it can't be asked right now undoes nothing."""
        self._pulls.forge_of(target).forget(target.ref.repo)
        if target.pull is None:
            return
        try:
            await self._pulls.refresh(target)
        except AoError as error:
            log.warning("not seen again after an action", extra={"pull": target.pull.url, "cause": error.message})


def checked_method(text: str) -> MergeMethod:
    """The merge method of that name. Raises `INVALID_REQUEST`."""
    for method in METHODS:
        if text == method:
            return method
    raise AoError("INVALID_REQUEST", f"unknown merge method {text[:40]!r}", hint=f"one of {', '.join(METHODS)}")


def _claim_message(session: Session, seen: Observation, now: int) -> Message:
    facts = seen.facts
    text = (
        f'Pull request #{facts.number} "{plain(facts.title, 120)}" ({facts.url}) is yours now. Its branch is '
        f"`{plain(facts.source_branch, 200)}`, its head {facts.head_sha[:12]}. If you are not on that branch, fetch it "
        "and continue from its head; push to it, so that your work arrives in this pull request."
    )
    return Message(
        id=f"msg_{uuid.uuid4().hex}",
        session_id=session.id,
        num=0,
        source=MessageSource.NUDGE,
        sender="ao",
        text=text,
        created_at=now,
        updated_at=now,
    )
