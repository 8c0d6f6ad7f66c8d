"""Pull-request facts as a session's status needs them."""

from __future__ import annotations

import msgspec


class PullFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One pull request. Words are those of the wire: `ci` unknown|pending|passing|failing, `review`
    none|approved|changes_requested|review_required, `mergeability` unknown|mergeable|conflicting|blocked|unstable."""

    url: str
    number: int
    state: str = "open"
    """draft, open, merged or closed."""
    ci: str = "unknown"
    review: str = "none"
    mergeability: str = "unknown"
    unresolved_human_comments: bool = False
    source_branch: str = ""
    target_branch: str = ""
    updated_at: int = 0

    @property
    def is_open(self) -> bool:
        """Neither merged nor closed."""
        return self.state in ("open", "draft")
