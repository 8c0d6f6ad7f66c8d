"""Pull requests between local branches, as one of the forges.

A look follows the branches (`branches`), starts the checks that the head still lacks (`checks`) and shows all of it. A
merge moves the branch first and is recorded then; should the daemon be killed between the two, the next look recognises
the merge by what it left.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence

from ao.forges.local.branches import Branches
from ao.forges.local.checks import Checks
from ao.forges.local.conversation import Conversation
from ao.forges.local.parts import LocalParts
from ao.forges.local.showing import digest, observation_of
from ao.forges.local.wording import body_text, merge_message, title_text
from ao.model.errors import AoError
from ao.model.local_pull import LocalCheck, LocalPull
from ao.model.pull import LOCAL, Check, Comment, Facts, Observation, PullRef, Repo, Review
from ao.ports.forge import Listing, MergeOrder, NewPull, ReviewPost, Sighting, Watched
from ao.ports.trees import TreeMerge


class LocalForge:
    """`ao.ports.forge.Forge` over a repository's own branches. A call needs `Repo.root`, the checkout."""

    name = LOCAL

    def __init__(self, parts: LocalParts) -> None:
        self._parts = parts
        self._book = parts.book
        self._trees = parts.trees
        self._branches = Branches(parts)
        self._checks = Checks(parts)
        self._talk = Conversation(parts)
        self._merging: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def resume(self, repos: Sequence[Repo] = ()) -> None:
        """End what a killed daemon's checks left behind, processes and worktrees, and start again what it had not
        finished. Call it once, before the first look at anything."""
        await self._checks.clear()
        await self._trees.sweep([repo.root for repo in repos])
        for repo in repos:
            await self.observe([Watched(ref=_ref(repo, row)) for row in self._book.pulls(repo.path) if _is_open(row)])

    async def trouble(self, repo: Repo) -> AoError | None:
        """None: nothing is needed but git."""
        return None

    async def listing(self, repo: Repo, cursor: str, *, since: int) -> Listing:
        """Pull requests that changed since `cursor`, with all open ones whenever anything did. The cursor is the time
        of the last change, and a digest of what was known then."""
        time, _, known = cursor.partition(":")
        after = int(time) - 1 if time.isdigit() else since
        rows = self._book.pulls(repo.path, changed_after=after)
        facts = [(await self._look(_ref(repo, row))).facts for row in rows]
        newest = max([after + 1, *(each.changed_at for each in facts)])
        mark = digest([each for each in facts if each.state in ("open", "draft") or each.changed_at >= newest])
        if mark == known:
            return Listing(cursor=cursor, unchanged=True)
        facts.sort(key=lambda each: (each.changed_at, each.number), reverse=True)
        return Listing(pulls=tuple(facts), cursor=f"{newest}:{mark}")

    async def observe(self, watched: Sequence[Watched]) -> list[Sighting]:
        """Look at each; what is wrong with one is told in its sighting."""
        return [await self._sighting(each) for each in watched]

    async def fetch(self, ref: PullRef) -> Observation:
        """Everything about one."""
        return await self._look(ref)

    async def log(self, ref: PullRef, check: Check) -> str:
        """The output that was kept of a check, "" when there is none."""
        tree = (*check.provider_id.split("/"), "", "")[1]
        rows = self._book.checks(self._row(ref).project_id, tree)
        return next((row.log for row in rows if row.id == check.provider_id), "")

    async def create(self, repo: Repo, new: NewPull) -> Observation:
        """Open a pull request. Raises `PR_EXISTS`, `INVALID_BRANCH`, `NOTHING_TO_MERGE`, `INVALID_PR`."""
        root = _root(repo)
        title, body = title_text(new.title), body_text(new.body, code="INVALID_PR")
        if new.source_branch == new.target_branch:
            raise AoError("INVALID_BRANCH", f"branch {new.source_branch!r} can't be merged into itself")
        head, base = (
            await self._branches.tip(root, new.source_branch),
            await self._branches.tip(root, new.target_branch),
        )
        if (await self._trees.compare(root, base, head)).ahead == 0:
            raise AoError(
                "NOTHING_TO_MERGE",
                f"branch {new.source_branch!r} has no commit that {new.target_branch!r} has not",
                hint="commit the work first",
            )
        now = self._parts.now()
        made = await self._book.open_pull(
            LocalPull(
                id="",  # the store makes it of the number that it gives
                project_id=repo.path,
                title=title,
                body=body,
                source_branch=new.source_branch,
                target_branch=new.target_branch,
                author=new.session or self._parts.person,
                author_session=new.session,
                draft=new.draft,
                head_sha=head,
                base_sha=base,
                created_at=now,
                updated_at=now,
            )
        )
        self._parts.news(repo.key)
        return await self._look(_ref(repo, made))

    async def comment(self, ref: PullRef, body: str, *, thread_id: str = "", session: str = "") -> Comment:
        """Comment on the whole, or reply in a conversation. Raises `THREAD_NOT_FOUND`, `INVALID_REVIEW`."""
        made = await self._talk.comment(self._row(ref), body, thread_id=thread_id, session=session)
        self._parts.news(ref.repo.key)
        return made

    async def review(self, ref: PullRef, post: ReviewPost) -> Review:
        """Submit a review. Raises `INVALID_REVIEW`."""
        made = await self._talk.review(_root(ref.repo), self._row(ref), post)
        self._parts.news(ref.repo.key)
        return made

    async def resolve(self, ref: PullRef, thread_id: str, *, resolved: bool = True) -> None:
        """Set the mark of a conversation. Raises `THREAD_NOT_FOUND`."""
        if await self._talk.resolve(self._row(ref), thread_id, resolved=resolved):
            self._parts.news(ref.repo.key)

    async def merge(self, ref: PullRef, order: MergeOrder) -> str:
        """Merge; the commit this made. Nothing is pushed. Raises what the port says, and `PR_NOT_MERGEABLE` also while
        checks have not ended."""
        root = _root(ref.repo)
        async with self._merging[ref.repo.key]:
            facts = (await self._look(ref)).facts
            pull = self._open_row(ref)
            if order.expected_head and order.expected_head != facts.head_sha:
                raise AoError(
                    "PR_HEAD_CHANGED",
                    f"#{pull.number} is at {facts.head_sha[:12]}, not at {order.expected_head[:12]}",
                    hint="look at what was pushed and try again",
                    details={"expected": order.expected_head, "head": facts.head_sha},
                )
            if facts.mergeability != "mergeable":
                raise await self._refusal(root, facts)
            made = await self._trees.merge(
                root,
                TreeMerge(
                    target=pull.target_branch,
                    base=facts.base_sha,
                    head=facts.head_sha,
                    method=order.method,
                    message=merge_message(pull, title=order.title, body=order.message),
                ),
            )
            await self._branches.settle(pull, "merged", merge_sha=made)
        self._checks.release(pull.id)
        self._parts.news(ref.repo.key)
        return made

    async def close(self, ref: PullRef) -> None:
        """Close without merging. Raises `PR_NOT_OPEN` for a merged one."""
        await self._look(ref)  # somebody may have merged it by hand
        if self._row(ref).state == "closed":
            return
        pull = self._open_row(ref)
        await self._branches.settle(pull, "closed")
        self._checks.release(pull.id)
        self._parts.news(ref.repo.key)

    async def rerun(self, ref: PullRef) -> None:
        """Run the checks of its head again. Raises `CHECKS_NOT_CONFIGURED`, `PR_NOT_OPEN`."""
        facts = (await self._look(ref)).facts
        pull = self._open_row(ref)
        self._checks.rerun(await self._branches.head(_root(ref.repo), pull, facts.head_sha))
        self._parts.news(ref.repo.key)

    async def diff(self, ref: PullRef, *, limit: int) -> str:
        """Its change as a unified diff."""
        facts = (await self._look(ref)).facts
        return await self._trees.diff(_root(ref.repo), facts.base_sha, facts.head_sha, limit=limit)

    def forget(self, repo: Repo) -> None:
        """Nothing is kept that could grow stale."""

    async def shut(self) -> None:
        """End running checks; they are run again after the next start."""
        await self._checks.shut()

    async def _sighting(self, watched: Watched) -> Sighting:
        try:
            seen = await self._look(watched.ref)
        except AoError as error:
            if error.code == "PR_NOT_FOUND":
                return Sighting(ref=watched.ref, gone=True)
            return Sighting(ref=watched.ref, trouble=error)
        return Sighting(ref=watched.ref, observation=None if seen.stamp == watched.stamp else seen)

    async def _look(self, ref: PullRef) -> Observation:
        """Follow the branches of an open one, start the checks it lacks, and show it."""
        pull, root = self._row(ref), _root(ref.repo)
        if _is_open(pull):
            standing = await self._branches.follow(root, pull)
            pull = self._row(ref)
            if not _is_open(pull):
                self._checks.release(pull.id)
        if not _is_open(pull):
            standing = await self._branches.final(root, pull)
        checks: list[LocalCheck] = []
        if standing.comparison is None or not self._parts.settings(pull.project_id).checks:
            self._checks.release(pull.id)
        else:
            head = await self._branches.head(root, pull, standing.head)
            checks = self._checks.ensure(head) if _is_open(pull) else self._checks.of(pull.project_id, head.tree)
        return observation_of(ref.repo, pull, standing, checks, self._talk.of(pull))

    async def _refusal(self, root: str, facts: Facts) -> AoError:
        comparison = await self._trees.compare(root, facts.base_sha, facts.head_sha)
        reasons = [reason for reason in facts.reasons if reason != "behind_base"]
        waits = facts.ci in ("pending", "unknown") and reasons == ["blocked_by_provider"]
        words = "its checks have not ended" if waits else ", ".join(reasons).replace("_", " ")
        return AoError(
            "PR_NOT_MERGEABLE",
            f"#{facts.number} can't be merged: {words}",
            hint=f"`ao pr view {facts.number}` shows its state",
            details={"reasons": reasons, "files": list(comparison.conflicts)},
        )

    def _row(self, ref: PullRef) -> LocalPull:
        pull = self._book.pull(ref.repo.path, ref.number)
        if pull is None:
            raise AoError(
                "PR_NOT_FOUND",
                f"project {ref.repo.path!r} has no pull request #{ref.number}",
                hint="`ao pr ls` lists them",
            )
        return pull

    def _open_row(self, ref: PullRef) -> LocalPull:
        pull = self._row(ref)
        if not _is_open(pull):
            raise AoError("PR_NOT_OPEN", f"#{pull.number} is {pull.state}", details={"state": pull.state})
        return pull


def _is_open(pull: LocalPull) -> bool:
    return pull.state == "open"


def _ref(repo: Repo, pull: LocalPull) -> PullRef:
    return PullRef(repo=repo, number=pull.number)


def _root(repo: Repo) -> str:
    if not repo.root:
        raise AoError("PROJECT_NOT_RESOLVABLE", f"no checkout is known of {repo.path!r}")
    return repo.root
