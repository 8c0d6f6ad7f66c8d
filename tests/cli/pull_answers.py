"""Pull requests as the daemon answers them."""

from __future__ import annotations

from typing import Any

HEAD = "0123456789abcdef0123456789abcdef01234567"


def listed(number: int, **fields: Any) -> dict[str, Any]:
    """A pull request of a list."""
    return {
        "url": f"ao://local/shop/pull/{number}",
        "number": number,
        "state": "open",
        "ci": "failing",
        "review": "none",
        "mergeability": "blocked",
        "reviewComments": False,
        "updatedAt": "2031-02-03T04:05:06.789Z",
        "sourceBranch": "topic",
        "targetBranch": "main",
        "headSha": HEAD,
        "title": "A shelf",
        "projectId": "shop",
        "reasons": [],
        **fields,
    }


def shown(number: int = 3, **fields: Any) -> dict[str, Any]:
    """A pull request shown whole."""
    return {
        **listed(number),
        "ci": {"state": "failing", "failingChecks": []},
        "review": {"decision": "changes_requested"},
        "mergeability": {"state": "blocked", "reasons": ["ci_failing"]},
        "additions": 2,
        "deletions": 1,
        "changedFiles": 1,
        "author": "ann",
        "sessionId": "shop-3",
        "nudges": {"sent": 2, "waiting": 1, "gaveUp": 0},
        "obstacles": ["checks fail: unit"],
        "checks": [{"name": "unit", "status": "failed", "conclusion": "timed_out", "url": "https://ci/1"}],
        "threads": [
            {
                "id": "t1",
                "path": "a.py",
                "line": 7,
                "resolved": False,
                "comments": [{"id": "c1", "author": "bob", "body": "Why?\nReally."}],
            }
        ],
        "comments": [{"id": "c2", "author": "ann", "body": "Well."}],
        "remarks": [{"id": "r1", "reviewerId": "bob", "state": "changes_requested", "commitSha": HEAD, "body": "No."}],
        **fields,
    }
