"""The double's state and everything that can happen to it; tests call these methods, requests call the same ones.

As at GitHub: a check and the resolving of a thread don't move a pull request's `updated_at`; a push, a comment, a
review and a change of state do. Times have a resolution of a second. `skew_s` sets GitHub's clock against ours.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from tests.github.records import CheckRun, Pull, Remark, Repo, Review, Status, Thread, User
from tests.github.trees import Graph

Record = User | Repo | Pull | CheckRun | Status | Remark | Thread | Review
R = TypeVar("R", User, Repo, Pull, CheckRun, Status, Remark, Thread, Review)


class RefusedError(Exception):
    """GitHub would refuse this: an HTTP status, the message, and the entries of `errors`."""

    def __init__(self, status: int, message: str, errors: list[object] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = errors


class State:
    """All accounts, repositories and pull requests. The account `viewer` owns the token that the client sends."""

    def __init__(self, *, clock: Callable[[], float] = time.time, viewer: str = "octo-agent") -> None:
        self._clock = clock
        self.skew_s = 0.0
        self.graph = Graph()
        self._ids = itertools.count(1001)
        self.users: dict[str, User] = {}
        self.repos: dict[int, Repo] = {}
        self.renamed: dict[str, int] = {}
        self.nodes: dict[str, Record] = {}
        self.viewer = self.user(viewer)
        self.settles_after = 0
        """How often GitHub answers UNKNOWN after a push before it knows whether a pull request can be merged."""

    def now(self) -> float:
        """GitHub's clock, in whole seconds since the epoch."""
        return float(int(self._clock() + self.skew_s))

    def next_id(self) -> int:
        """A number that nothing else has."""
        return next(self._ids)

    def keep(self, record: R) -> R:
        """Make a record known by its global id."""
        self.nodes[record.node] = record
        return record

    # Accounts and repositories.

    def user(self, login: str, *, kind: str = "") -> User:
        """The account of that name, made at first use; names ending in [bot] are bots."""
        bare = login.removesuffix("[bot]")
        if bare not in self.users:
            is_bot = kind == "Bot" or bare != login
            self.users[bare] = self.keep(User(self.next_id(), bare, "Bot" if is_bot else kind or "User"))
        return self.users[bare]

    def add_repo(self, full_name: str = "octo/widgets", files: Mapping[str, str] | None = None) -> Repo:
        """A repository with one commit on its default branch."""
        owner, name = full_name.split("/")
        repo = self.keep(Repo(self.next_id(), self.user(owner), name))
        self.repos[repo.id] = repo
        tree = dict(files or {"README.md": "# widgets\n"})
        repo.branches[repo.default_branch] = self.graph.add(repo, (), tree, "first", at=self.now())
        return repo

    def fork(self, repo: Repo, owner: str) -> Repo:
        """A fork with the branches of its parent."""
        made = Repo(self.next_id(), self.user(owner), repo.name, parent=repo, branches=dict(repo.branches))
        self.repos[made.id] = self.keep(made)
        return made

    def repo(self, full_name: str) -> Repo | None:
        """By its present name, whatever the case."""
        wanted = full_name.lower()
        return next((repo for repo in self.repos.values() if repo.full_name.lower() == wanted), None)

    def rename_repo(self, repo: Repo, full_name: str) -> None:
        """Give a repository another name or owner; the old name redirects."""
        self.renamed[repo.full_name.lower()] = repo.id
        owner, repo.name = full_name.split("/")
        repo.owner = self.user(owner)

    def delete_repo(self, repo: Repo) -> None:
        """Remove a repository; pull requests from it elsewhere stay."""
        for other in self.repos.values():
            for pull in other.pulls.values():
                if pull.head_repo is repo:
                    pull.head_repo = None
        del self.repos[repo.id]

    # Branches and pull requests.

    def push(
        self,
        repo: Repo,
        branch: str,
        files: Mapping[str, str | None] | None = None,
        *,
        message: str = "work",
        sha: str = "",
    ) -> str:
        """Add a commit on a branch (made from the default branch when it is new); None removes a file. Its hash."""
        parent = repo.branches.get(branch, repo.branches[repo.default_branch])
        tree = {**self.graph[parent].tree, **(files if files is not None else {f"{branch}.txt": message + "\n"})}
        kept = {path: text for path, text in tree.items() if text is not None}
        made = self.graph.add(repo, (parent,), kept, message, at=self.now(), sha=sha)
        self.move(repo, branch, made)
        return made

    def move(self, repo: Repo, branch: str, sha: str, *, told: bool = False) -> None:
        """Point a branch at a commit, as a push (forced or not) does. `told`: the git behind it said so."""
        if repo.git is not None and not told:
            repo.git.point(branch, sha)
        repo.branches[branch] = sha
        for pull in self.open_pulls():
            if pull.head_repo is repo and pull.head_branch == branch and pull.head_sha != sha:
                pull.head_sha = sha
                self._outdate(pull)
                self.touch(pull)
            if pull.repo is repo and pull.base_branch == branch:
                pull.base_sha = sha
                pull.unsettled = self.settles_after

    def _outdate(self, pull: Pull) -> None:
        pull.unsettled = self.settles_after
        for thread in pull.threads:
            old, new = self.graph.get(thread.sha), self.graph.get(pull.head_sha)
            if old is None or new is None or old.tree.get(thread.path) != new.tree.get(thread.path):
                thread.outdated = True

    def delete_branch(self, repo: Repo, branch: str) -> None:
        """Remove a branch; an open pull request from it is closed, as GitHub does."""
        repo.branches.pop(branch)
        for pull in self.open_pulls():
            if pull.head_repo is repo and pull.head_branch == branch:
                self.close(pull)

    def open_pulls(self) -> list[Pull]:
        """All open pull requests of all repositories."""
        return [pull for repo in self.repos.values() for pull in repo.pulls.values() if pull.state == "open"]

    def touch(self, pull: Pull) -> None:
        """Move its time of last change."""
        pull.updated_at = self.now()

    def open_pull(
        self,
        repo: Repo,
        branch: str,
        *,
        base: str = "",
        title: str = "",
        author: str = "",
        head_repo: Repo | None = None,
    ) -> Pull:
        """Open a pull request; the branch gets a commit first if it isn't there. Raises RefusedError."""
        source = head_repo or repo
        if branch not in source.branches:
            self.push(source, branch)
        return self.create(repo, source, branch, base or repo.default_branch, title or branch, author=author)

    def create(self, repo: Repo, source: Repo, branch: str, base: str, title: str, *, author: str = "") -> Pull:
        """Open a pull request as `POST …/pulls` does. Raises RefusedError."""
        if branch not in source.branches or base not in repo.branches:
            raise _invalid("base" if branch in source.branches else "head")
        name = f"{source.owner.login}:{branch}"
        for pull in repo.pulls.values():
            if (pull.head_repo, pull.head_branch, pull.base_branch, pull.state) == (source, branch, base, "open"):
                raise RefusedError(422, "Validation Failed", [_custom(f"A pull request already exists for {name}.")])
        head, base_sha = source.branches[branch], repo.branches[base]
        if not self.graph.only_in(head, base_sha):
            raise RefusedError(422, "Validation Failed", [_custom(f"No commits between {base} and {branch}")])
        repo.last_number += 1
        now = self.now()
        made = Pull(
            id=self.next_id(), repo=repo, number=repo.last_number, title=title, body=None,
            author=self.user(author) if author else self.viewer, head_repo=source, head_branch=branch,
            base_branch=base, head_sha=head, base_sha=base_sha, created_at=now, updated_at=now,
            unsettled=self.settles_after,
        )  # fmt: skip
        repo.pulls[made.number] = made
        return self.keep(made)

    def delete_pull(self, pull: Pull) -> None:
        """Make a pull request vanish, as GitHub's staff can."""
        del pull.repo.pulls[pull.number]
        del self.nodes[pull.node]

    def close(self, pull: Pull) -> None:
        """Close without merging."""
        pull.state = "closed"
        pull.closed_at = self.now()
        self.touch(pull)

    def reopen(self, pull: Pull) -> None:
        """Open a closed one again."""
        pull.state, pull.closed_at = "open", None
        self.touch(pull)

    def merge(self, pull: Pull, *, method: str = "merge", by: str = "", message: str = "") -> str:
        """Merge, whatever stands in its way but a conflict; the commit that this made. Raises RefusedError."""
        if pull.state != "open" or self.graph.conflicts(pull.base_sha, pull.head_sha):
            raise RefusedError(405, "Pull Request is not mergeable")
        tree = self.graph.merged(pull.base_sha, pull.head_sha)
        parents = (pull.base_sha, pull.head_sha) if method == "merge" else (pull.base_sha,)
        text = message or f"Merge pull request #{pull.number} from {pull.head_branch}"
        pull.state = "closed"
        pull.merge_sha = self.graph.add(pull.repo, parents, tree, text, at=self.now())
        pull.closed_at = pull.merged_at = self.now()
        pull.merged_by = self.user(by) if by else self.viewer
        self.touch(pull)
        self.move(pull.repo, pull.base_branch, pull.merge_sha)
        return pull.merge_sha

    # Conversations.

    def add_comment(self, pull: Pull, body: str, *, author: str = "") -> Remark:
        """Comment on the whole pull request."""
        by = self.user(author) if author else self.viewer
        remark = self.keep(Remark(self.next_id(), pull, by, body, self.now()))
        pull.remarks.append(remark)
        self.touch(pull)
        return remark

    def add_thread(
        self, pull: Pull, body: str, *, author: str = "reviewer", path: str = "", line: int | None = 1
    ) -> Thread:
        """Open a conversation on a line (a review of the kind COMMENTED comes with it, as at GitHub)."""
        review = self.add_review(pull, "COMMENTED", author=author)
        return self.start_thread(review, path or self.paths(pull)[0], line, body)

    def start_thread(self, review: Review, path: str, line: int | None, body: str) -> Thread:
        """Open a conversation as part of a review."""
        thread = self.keep(Thread(self.next_id(), review.pull, path, line, review.sha))
        remark = Remark(self.next_id(), review.pull, review.author, body, self.now(), thread=thread, review=review)
        thread.remarks.append(self.keep(remark))
        review.pull.threads.append(thread)
        return thread

    def reply(self, thread: Thread, body: str, *, author: str = "") -> Remark:
        """Answer in a conversation."""
        login = author or self.viewer.login
        review = self.add_review(thread.pull, "COMMENTED", author=login)
        remark = Remark(self.next_id(), thread.pull, review.author, body, self.now(), thread=thread, review=review)
        remark.reply_to = thread.remarks[0]
        thread.remarks.append(self.keep(remark))
        return remark

    def add_review(self, pull: Pull, state: str, *, author: str = "reviewer", body: str = "") -> Review:
        """Submit a review: APPROVED, CHANGES_REQUESTED or COMMENTED."""
        made = Review(self.next_id(), pull, self.user(author), state, body, pull.head_sha, self.now())
        pull.reviews.append(self.keep(made))
        self.touch(pull)
        return made

    def resolve_thread(self, thread: Thread, *, by: str = "") -> None:
        """Mark a conversation as resolved; the pull request's time of last change stays."""
        thread.resolved_by = self.user(by) if by else self.viewer

    def unresolve_thread(self, thread: Thread) -> None:
        """Open a conversation again."""
        thread.resolved_by = None

    def delete_thread(self, thread: Thread) -> None:
        """Delete all comments of a conversation, and with them itself."""
        thread.pull.threads.remove(thread)
        for node in (thread.node, *(remark.node for remark in thread.remarks)):
            del self.nodes[node]

    def paths(self, pull: Pull) -> list[str]:
        """The files that it changes."""
        return self.graph.changed_paths(pull.base_sha, pull.head_sha) or ["README.md"]

    # Checks.

    def set_check(
        self, pull: Pull, name: str, conclusion: str | None = "success", *, log: str | None = "", sha: str = ""
    ) -> CheckRun:
        """A check run of its head: `conclusion` None is in progress, "queued" waits. One of that name on that commit is
        replaced by a new run. `log` None: a third party's check, without a job."""
        commit = sha or pull.head_sha
        runs = pull.repo.runs.setdefault(commit, [])
        runs[:] = [run for run in runs if run.name != name]
        waiting = conclusion in (None, "queued")
        status = "completed" if not waiting else "queued" if conclusion else "in_progress"
        made = CheckRun(self.next_id(), commit, name, status, None if waiting else conclusion, self.now(), log=log)
        made.completed_at = None if waiting else self.now()
        page = f"https://github.com/{pull.repo.full_name}/actions/runs/{made.id + 1}/job/{made.id}"
        made.details_url = page if log is not None else f"https://ci.example/{made.id}"
        made.app = "github-actions" if log is not None else "third-party-ci"
        runs.append(self.keep(made))
        return made

    def add_status(
        self,
        pull: Pull,
        context: str,
        state: str = "success",
        *,
        description: str | None = None,
        target_url: str | None = "https://ci.example/build",
    ) -> Status:
        """A commit status on its head; the newest of a context counts."""
        made = Status(
            self.next_id(), pull.head_sha, context, state, description, target_url, self.now(), self.user("ci")
        )
        statuses = pull.repo.statuses.setdefault(pull.head_sha, [])
        statuses[:] = [status for status in statuses if status.context != context]
        statuses.append(self.keep(made))
        return made


def _invalid(field: str) -> RefusedError:
    return RefusedError(422, "Validation Failed", [{"resource": "PullRequest", "field": field, "code": "invalid"}])


def _custom(message: str) -> dict[str, str]:
    return {"resource": "PullRequest", "code": "custom", "message": message}
