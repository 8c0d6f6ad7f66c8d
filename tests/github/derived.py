"""What GitHub works out of a pull request's state: the rollup of its checks, the decision on it, whether it can be
merged. One place for GraphQL and REST, so the two never disagree."""

from __future__ import annotations

from dataclasses import dataclass

from tests.github.records import CheckRun, Pull, Repo, Status, User
from tests.github.state import State

_BAD = {"failure", "timed_out", "cancelled", "action_required", "startup_failure", "stale"}


@dataclass(frozen=True)
class Rollup:
    """All checks of one commit, check runs before statuses."""

    repo: Repo
    sha: str
    contexts: tuple[CheckRun | Status, ...]

    @property
    def state(self) -> str:
        """SUCCESS, FAILURE, ERROR or PENDING, the worst of all; a failure counts before anything that still runs."""
        states = [_state_of(context) for context in self.contexts]
        return next((word for word in ("FAILURE", "ERROR", "PENDING") if word in states), "SUCCESS")


def _state_of(context: CheckRun | Status) -> str:
    if isinstance(context, Status):
        return context.state.upper()
    if context.conclusion is None:
        return "PENDING"
    return "FAILURE" if context.conclusion in _BAD else "SUCCESS"


def rollup(repo: Repo, sha: str) -> Rollup | None:
    """The checks of a commit, None when it has none."""
    contexts = (*repo.runs.get(sha, ()), *repo.statuses.get(sha, ()))
    return Rollup(repo, sha, contexts) if contexts else None


def association(repo: Repo, user: User | None) -> str:
    """How an account relates to a repository, as `authorAssociation`."""
    if user is None:
        return "NONE"
    return "OWNER" if user is repo.owner else repo.roles.get(user.login, "NONE")


def decision(pull: Pull) -> str | None:
    """`reviewDecision`: None wherever no review is required, whatever people have submitted."""
    if not pull.repo.required_reviews:
        return None
    opinions = opinions_of(pull)
    if "CHANGES_REQUESTED" in opinions.values():
        return "CHANGES_REQUESTED"
    enough = sum(state == "APPROVED" for state in opinions.values()) >= pull.repo.required_reviews
    return "APPROVED" if enough else "REVIEW_REQUIRED"


def opinions_of(pull: Pull) -> dict[str, str]:
    """The last opinion of each reviewer: APPROVED, CHANGES_REQUESTED or DISMISSED; a mere comment leaves it."""
    return {
        review.author.login: review.state for review in pull.reviews if review.author and review.state != "COMMENTED"
    }


def mergeable(state: State, pull: Pull, *, ask: bool = True) -> str:
    """MERGEABLE, CONFLICTING or UNKNOWN; asking is what makes GitHub work it out."""
    if pull.state != "open":
        return "UNKNOWN"
    if pull.unsettled > 0:
        pull.unsettled -= ask
        return "UNKNOWN"
    return "CONFLICTING" if state.graph.conflicts(pull.base_sha, pull.head_sha) else "MERGEABLE"


def merge_status(state: State, pull: Pull) -> str:
    """`mergeStateStatus`."""
    known = mergeable(state, pull, ask=False)
    if known == "UNKNOWN":
        return "UNKNOWN"
    if known == "CONFLICTING":
        return "DIRTY"
    if pull.draft:
        return "DRAFT"
    if unmet(pull):
        return "BLOCKED"
    checks = rollup(pull.repo, pull.head_sha)
    return "CLEAN" if checks is None or checks.state == "SUCCESS" else "UNSTABLE"


def unmet(pull: Pull) -> str:
    """What the protection of its base branch still asks for, "" when nothing."""
    repo = pull.repo
    if pull.base_branch != repo.default_branch:
        return ""
    if decision(pull) == "REVIEW_REQUIRED":
        count = repo.required_reviews
        return f"At least {count} approving review is required by reviewers with write access."
    if decision(pull) == "CHANGES_REQUESTED":
        return "Changes have been requested."
    checks = rollup(repo, pull.head_sha)
    passed = {
        context.context if isinstance(context, Status) else context.name
        for context in (checks.contexts if checks else ())
        if _state_of(context) == "SUCCESS"
    }
    missing = [name for name in repo.required_checks if name not in passed]
    return f'Required status check "{missing[0]}" is expected.' if missing else ""
