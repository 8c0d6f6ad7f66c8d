"""Every recorded exchange of the original, played against our daemon with `AO_COMPAT=1`.

Where ours answers otherwise on purpose, the exchange is listed with the reason: a number of the specification's "do
better" list (DB), a decision (D), or the issue that brings the route. Everything not listed must match.
"""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.contract.conftest import Played
from tests.contract.recording import differences, exchanges

# name: (reason, our status, our code or None, paths at which the recorded body doesn't hold)
Better = tuple[str, int, str | None, tuple[str, ...]]
REFUSED: Final = "demo-0"
_LOCAL: Final = "without a remote, pull requests live on the local forge"
_SPARSE: Final = (
    "project.config.agentConfig",
    "project.config.worker.agentConfig",
    "project.config.orchestrator.agentConfig",
)

_LIVES: Final = ("session.harness", "session.activity.state", "session.isTerminated", "session.status")
_LIVES_LISTED: Final = ("sessions[0].activity.state", "sessions[0].isTerminated", "sessions[0].status")
_ACTIVITY: Final = ("ok", "sessionId", "state")

COMMON: Final[dict[str, Better]] = {
    "kill unknown": ("an unknown session is 404", 404, "SESSION_NOT_FOUND", ("ok", "sessionId")),
    "rollback unknown": ("an unknown session is 404", 404, "SESSION_NOT_FOUND", ("ok", "sessionId")),
    "claim without scm": (_LOCAL, 422, "PR_PROJECT_MISMATCH", ("error", "code")),
    "merge": ("no stubs", 404, "PR_NOT_FOUND", ("error", "code", "spec")),
    "resolve": ("no stubs", 404, "PR_NOT_FOUND", ("error", "code", "spec")),
}
HEAD: Final[dict[str, Better]] = COMMON | {
    "project added": ("empty objects are left out", 201, None, _SPARSE),
    "project": ("empty objects are left out", 200, None, _SPARSE),
    "orchestrators with one": ("D-7: one rule for branches", 200, None, ("sessions[0].branch",)),
    "sessions active": ("D-7: one rule for branches", 200, None, ("sessions[0].branch",)),
    "sessions all": ("a refused spawn leaves no row", 200, None, ("sessions",)),
    "cleanup": ("what is gone is not cleaned again", 200, None, ("cleaned",)),
}
_ERROR: Final = ("error", "code", "message", "requestId")
_SPAWNS: Final = "a repository without a remote can spawn, so there is a living session"
P153: Final[dict[str, Better]] = COMMON | {
    "spawn missing binary": ("checked first", 400, "AGENT_BINARY_NOT_FOUND", ("code",)),
    "spawn unknown harness": ("400 before anything is made", 400, "UNKNOWN_HARNESS", ("error", "code")),
    "spawn invalid branch": ("as in HEAD: 400 before anything is made", 400, "INVALID_BRANCH", ("error", "code")),
    "spawn": (_SPAWNS, 201, None, _ERROR),
    "session": (_SPAWNS, 200, None, _LIVES),
    "session needing input": (_SPAWNS, 200, None, _LIVES),
    "killed session": (_SPAWNS, 200, None, ("session.harness",)),
    "activity unknown session": ("an unknown session is 404", 404, "SESSION_NOT_FOUND", _ACTIVITY),
    "send": (_SPAWNS, 200, None, ("error", "code", "requestId")),
    "claim bad ref": (_SPAWNS, 400, "INVALID_PR_REF", ("error", "code")),
    "claim without scm": (_LOCAL, 422, "PR_PROJECT_MISMATCH", ("error", "code")),
    "restore live": (_SPAWNS, 409, "SESSION_NOT_RESTORABLE", ("code",)),
    "orchestrator": (_SPAWNS, 201, None, _ERROR),
    "orchestrators with one": (_SPAWNS, 200, None, _LIVES_LISTED),
    "kill": (_SPAWNS, 200, None, _ERROR),
    "kill again": (_SPAWNS, 200, None, _ERROR),
    "restore": (_SPAWNS, 200, None, _ERROR),
    "rollback live": (_SPAWNS, 200, None, _ERROR),
    "sessions all": ("a refused spawn leaves no row", 200, None, ("sessions",)),
    "sessions active": (_SPAWNS, 200, None, ("sessions",)),
}
BETTER: Final = {"HEAD": HEAD, "P153": P153}


def _names(state: str) -> list[str]:
    return [item["name"] for item in exchanges(state) if "frames" not in item["response"]]


def _check(state: str, name: str, played: Played) -> None:
    recorded, ours = played[name]
    listed = BETTER[state].get(name)
    status = listed[1] if listed else recorded["status"]
    assert ours["status"] == status, ours
    assert ours["contentType"] == recorded["contentType"]
    found = {line.partition(":")[0]: line for line in differences(recorded["body"], ours["body"])}
    allowed = set(listed[3]) if listed else set()
    assert set(found) == allowed, "\n".join(found.values())
    if listed and listed[2]:
        assert ours["body"]["code"] == listed[2]


@pytest.mark.xdist_group("contract-head")
@pytest.mark.parametrize("played", ["HEAD"], indirect=True)
@pytest.mark.parametrize("name", _names("HEAD"))
def test_head_is_answered_as_recorded(name: str, played: Played) -> None:
    _check("HEAD", name, played)


@pytest.mark.xdist_group("contract-p153")
@pytest.mark.parametrize("played", ["P153"], indirect=True)
@pytest.mark.parametrize("name", _names("P153"))
def test_p153_is_answered_as_recorded(name: str, played: Played) -> None:
    _check("P153", name, played)


@pytest.mark.xdist_group("contract-head")
@pytest.mark.parametrize("played", ["HEAD"], indirect=True)
def test_the_stream_speaks_as_recorded(played: Played) -> None:
    recorded, ours = played["event stream from the start"]
    assert ours["status"] == recorded["status"]
    for line in recorded["headers"]:
        name, _, value = line.partition(": ")
        assert ours["headers"][name] == value
    assert [int(frame["id"]) for frame in ours["frames"]] == sorted(int(frame["id"]) for frame in ours["frames"])
    kept = [frame for frame in recorded["frames"] if frame["data"]["sessionId"] != REFUSED]
    assert len(kept) > 5
    for frame in kept:
        assert any(_fits(frame, other) for other in ours["frames"]), frame


def _fits(recorded: dict[str, Any], ours: dict[str, Any]) -> bool:
    """The same event about the same session in the same state; numbers of events differ (there are more)."""
    data = {key: value for key, value in recorded["data"].items() if key != "seq"}
    return ours["event"] == recorded["event"] and not list(differences(data, ours["data"]))


@pytest.mark.xdist_group("contract-head")
@pytest.mark.parametrize("played", ["HEAD"], indirect=True)
def test_all_sessions_but_the_refused_one_are_listed_as_recorded(played: Played) -> None:
    recorded, ours = played["sessions all"]
    kept = [item for item in recorded["body"]["sessions"] if item["id"] != REFUSED]
    found = list(differences(kept, ours["body"]["sessions"]))
    assert found == ["[1].branch: 'ao/demo-2/root' instead of 'ao/demo-orchestrator'"]


def test_every_exception_is_an_exchange() -> None:
    for state, listed in BETTER.items():
        assert set(listed) <= set(_names(state))
