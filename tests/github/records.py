"""What the double's GitHub consists of. Numbers, names and relations only: who may change what is in `state.py`."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Protocol

SITE = "https://github.com"


def node_id(kind: str, number: int) -> str:
    """An opaque global id in GitHub's manner: a prefix for the type, then base64."""
    packed = base64.urlsafe_b64encode(f"{kind}:{number:08d}".encode()).decode().rstrip("=")
    return f"{kind}_kwDO{packed}"


@dataclass(eq=False)
class User:
    """An account. `kind` is User or Bot."""

    id: int
    login: str
    kind: str = "User"

    @property
    def node(self) -> str:
        """Global id."""
        return node_id("BOT" if self.kind == "Bot" else "U", self.id)


@dataclass(eq=False)
class Commit:
    """A commit: a whole tree (path to text) and its parents' hashes. `at` in seconds since the epoch."""

    sha: str
    parents: tuple[str, ...]
    tree: dict[str, str]
    message: str
    at: float
    repo: Repo | None = None

    @property
    def node(self) -> str:
        """Global id."""
        return f"C_kwDO{self.sha}"


@dataclass(eq=False)
class CheckRun:
    """A check run of a commit. `log` is what its Actions job printed, None for a third party's check (app ≠
    github-actions), which has `summary` and `text` instead."""

    id: int
    sha: str
    name: str
    status: str
    conclusion: str | None
    started_at: float
    completed_at: float | None = None
    app: str = "github-actions"
    log: str | None = ""
    title: str | None = None
    summary: str | None = None
    text: str | None = None
    details_url: str = ""

    @property
    def node(self) -> str:
        """Global id."""
        return node_id("CR", self.id)


@dataclass(eq=False)
class Status:
    """A commit status, the older kind of check. `state` is one of error, failure, pending, success."""

    id: int
    sha: str
    context: str
    state: str
    description: str | None
    target_url: str | None
    at: float
    creator: User

    @property
    def node(self) -> str:
        """Global id."""
        return node_id("SC", self.id)


@dataclass(eq=False)
class Remark:
    """A comment: on the whole pull request (`thread` None) or in a thread."""

    id: int
    pull: Pull
    author: User | None
    body: str
    at: float
    thread: Thread | None = None
    review: Review | None = None
    reply_to: Remark | None = None

    @property
    def node(self) -> str:
        """Global id."""
        return node_id("PRRC" if self.thread else "IC", self.id)

    @property
    def url(self) -> str:
        """Its page."""
        return f"{self.pull.url}#{'discussion_r' if self.thread else 'issuecomment-'}{self.id}"


@dataclass(eq=False)
class Thread:
    """A conversation on a line of a file; `line` None: on the file as a whole, or the line is gone."""

    id: int
    pull: Pull
    path: str
    line: int | None
    sha: str
    resolved_by: User | None = None
    outdated: bool = False
    remarks: list[Remark] = field(default_factory=list)

    @property
    def node(self) -> str:
        """Global id."""
        return node_id("PRRT", self.id)


@dataclass(eq=False)
class Review:
    """A submitted review. `state` is APPROVED, CHANGES_REQUESTED, COMMENTED or DISMISSED."""

    id: int
    pull: Pull
    author: User | None
    state: str
    body: str
    sha: str
    at: float

    @property
    def node(self) -> str:
        """Global id."""
        return node_id("PRR", self.id)

    @property
    def url(self) -> str:
        """Its page."""
        return f"{self.pull.url}#pullrequestreview-{self.id}"


@dataclass(eq=False)
class Pull:
    """A pull request. `head_repo` None: the fork is gone. `unsettled` reads answer UNKNOWN to whether it can be
    merged before the answer is there."""

    id: int
    repo: Repo
    number: int
    title: str
    body: str | None
    author: User | None
    head_repo: Repo | None
    head_branch: str
    base_branch: str
    head_sha: str
    base_sha: str
    created_at: float
    updated_at: float
    draft: bool = False
    state: str = "open"
    closed_at: float | None = None
    merged_at: float | None = None
    merged_by: User | None = None
    merge_sha: str | None = None
    unsettled: int = 0
    threads: list[Thread] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    reviews: list[Review] = field(default_factory=list)

    @property
    def node(self) -> str:
        """Global id."""
        return node_id("PR", self.id)

    @property
    def url(self) -> str:
        """Its page."""
        return f"{SITE}/{self.repo.full_name}/pull/{self.number}"


class Git(Protocol):
    """A real git repository behind one of the double's."""

    def commit(self, parents: tuple[str, ...], tree: dict[str, str], message: str) -> str:
        """Make a commit; its hash."""

    def point(self, branch: str, sha: str) -> None:
        """Move a branch."""


@dataclass(eq=False)
class Repo:
    """A repository. `required_reviews` and `required_checks` are the protection of its default branch; `roles` says
    who is MEMBER or COLLABORATOR of it."""

    id: int
    owner: User
    name: str
    parent: Repo | None = None
    default_branch: str = "main"
    branches: dict[str, str] = field(default_factory=dict)
    pulls: dict[int, Pull] = field(default_factory=dict)
    last_number: int = 0
    roles: dict[str, str] = field(default_factory=dict)
    required_reviews: int = 0
    required_checks: tuple[str, ...] = ()
    merge_methods: frozenset[str] = frozenset({"merge", "squash", "rebase"})
    runs: dict[str, list[CheckRun]] = field(default_factory=dict)
    statuses: dict[str, list[Status]] = field(default_factory=dict)
    git: Git | None = None

    @property
    def full_name(self) -> str:
        """OWNER/NAME."""
        return f"{self.owner.login}/{self.name}"

    @property
    def node(self) -> str:
        """Global id."""
        return node_id("R", self.id)
