"""From GitHub's JSON to facts: the tables, and what hostile or missing fields become."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ao.forges.github import reading, stamps
from ao.forges.github.refusals import forbidden
from ao.forges.github.reviewing import lines_of
from ao.model.pull import PullRef, Repo

REF = PullRef(repo=Repo(forge="github", host="github.com", path="octo/widgets"), number=7)
OPEN = {"state": "OPEN", "mergeable": "MERGEABLE", "mergeStateStatus": "CLEAN"}


def run(**words: Any) -> dict[str, Any]:
    """A check run."""
    return {"__typename": "CheckRun", "databaseId": 1, "name": "unit", "status": "COMPLETED", **words}


@pytest.mark.parametrize(
    ("node", "mergeability", "reasons"),
    [
        ({}, "mergeable", ()),
        ({"mergeStateStatus": "HAS_HOOKS"}, "mergeable", ()),
        ({"mergeable": "UNKNOWN", "mergeStateStatus": "UNKNOWN"}, "unknown", ()),
        ({"mergeStateStatus": "DIRTY", "mergeable": "CONFLICTING"}, "conflicting", ("conflicts",)),
        ({"mergeable": "CONFLICTING", "isDraft": True}, "conflicting", ("conflicts", "draft")),
        ({"mergeStateStatus": "BEHIND"}, "unknown", ("behind_base",)),
        ({"mergeStateStatus": "BLOCKED"}, "blocked", ("blocked_by_provider",)),
        ({"mergeStateStatus": "DRAFT", "isDraft": True}, "blocked", ("draft",)),
        ({"statusCheckRollup": {"state": "FAILURE"}, "mergeStateStatus": "UNSTABLE"}, "blocked", ("ci_failing",)),
        ({"statusCheckRollup": {"state": "PENDING"}, "mergeStateStatus": "UNSTABLE"}, "unstable", ()),
        ({"reviewDecision": "CHANGES_REQUESTED"}, "blocked", ("changes_requested",)),
        (
            {"reviewDecision": "REVIEW_REQUIRED", "mergeStateStatus": "BLOCKED"},
            "blocked",
            ("review_required", "blocked_by_provider"),
        ),
        ({"latestOpinionatedReviews": {"nodes": [{"state": "APPROVED"}]}}, "mergeable", ()),
        (
            {"latestOpinionatedReviews": {"nodes": [{"state": "APPROVED"}, {"state": "CHANGES_REQUESTED"}]}},
            "blocked",
            ("changes_requested",),
        ),
        ({"state": "MERGED"}, "unknown", ()),
    ],
)
def test_whether_it_can_be_merged_and_why_not(
    node: dict[str, Any], mergeability: str, reasons: tuple[str, ...]
) -> None:
    facts = reading.facts(REF, {**OPEN, **node})
    assert (facts.mergeability, facts.reasons) == (mergeability, reasons)


@pytest.mark.parametrize(
    ("rollup", "ci"),
    [("SUCCESS", "passing"), ("FAILURE", "failing"), ("ERROR", "failing"), ("PENDING", "pending"),
     ("EXPECTED", "pending"), (None, "unknown"), ("NEWS", "unknown")],
)  # fmt: skip
def test_the_summary_of_checks(rollup: str | None, ci: str) -> None:
    assert reading.facts(REF, {**OPEN, "statusCheckRollup": rollup and {"state": rollup}}).ci == ci


@pytest.mark.parametrize(
    ("status", "conclusion", "expected"),
    [
        ("COMPLETED", "SUCCESS", "passed"), ("COMPLETED", "NEUTRAL", "passed"), ("COMPLETED", "FAILURE", "failed"),
        ("COMPLETED", "TIMED_OUT", "failed"), ("COMPLETED", "ACTION_REQUIRED", "failed"),
        ("COMPLETED", "STARTUP_FAILURE", "failed"), ("COMPLETED", "CANCELLED", "cancelled"),
        ("COMPLETED", "SKIPPED", "skipped"), ("COMPLETED", "STALE", "skipped"), ("COMPLETED", None, "unknown"),
        ("QUEUED", None, "queued"), ("PENDING", None, "queued"), ("REQUESTED", None, "queued"),
        ("WAITING", None, "queued"), ("IN_PROGRESS", None, "in_progress"), ("SOMETHING", None, "unknown"),
    ],
)  # fmt: skip
def test_the_status_of_a_check_run(status: str, conclusion: str | None, expected: str) -> None:
    (check,) = reading.checks("abc", [run(status=status, conclusion=conclusion)])
    assert (check.status, check.commit_sha, check.provider_id) == (expected, "abc", "1")


@pytest.mark.parametrize(
    ("state", "expected"),
    [("SUCCESS", "passed"), ("FAILURE", "failed"), ("ERROR", "failed"), ("PENDING", "queued"), ("EXPECTED", "queued")],
)
def test_the_state_of_a_commit_status(state: str, expected: str) -> None:
    node = {"__typename": "StatusContext", "context": "ci/build", "state": state, "targetUrl": "https://ci.example/1"}
    (check,) = reading.checks("abc", [node])
    assert (check.name, check.status, check.url) == ("ci/build", expected, "https://ci.example/1")


def test_checks_of_one_name_are_told_apart_and_keep_their_names() -> None:
    nodes = [
        run(databaseId=n, startedAt=f"2026-01-01T00:00:0{n}Z", conclusion=c)
        for n, c in ((2, "FAILURE"), (1, "SUCCESS"))
    ]
    made = reading.checks("abc", nodes)
    assert [(check.name, check.status) for check in made] == [("unit", "passed"), ("unit (2)", "failed")]
    assert reading.checks("abc", reversed(nodes)) == made


def test_a_bot_is_one_by_its_type_and_by_its_name() -> None:
    def author(who: dict[str, str] | None) -> Any:
        return reading.line_comment({"id": "1", "author": who, "body": "x"}, "t").author

    assert author({"__typename": "Bot", "login": "renovate"}).login == "renovate[bot]"
    assert author({"__typename": "Bot", "login": "renovate"}).is_bot
    assert author({"__typename": "User", "login": "helper[bot]"}).is_bot
    assert not author({"__typename": "User", "login": "robot"}).is_bot
    assert (author(None).login, author(None).is_bot) == ("ghost", False)


def test_the_marker_of_a_session_counts_only_in_what_our_own_account_wrote() -> None:
    body = reading.marked("Done.", "demo-3")
    ours = reading.line_comment({"id": "1", "body": body, "viewerDidAuthor": True}, "t")
    assert (ours.body, ours.author.session) == ("Done.", "demo-3")
    strangers = reading.line_comment({"id": "1", "body": body, "viewerDidAuthor": False}, "t")
    assert (strangers.body, strangers.author.session) == ("Done.", "")
    assert reading.marked("Done.", "") == "Done."


def test_reviews_that_say_nothing_and_those_not_submitted_are_left_out() -> None:
    nodes = [
        {"id": "a", "state": "COMMENTED", "body": " "},
        {"id": "b", "state": "PENDING", "body": "draft"},
        {"id": "c", "state": "APPROVED", "body": ""},
        {"id": "d", "state": "DISMISSED", "body": "no"},
    ]
    assert [(r.review_id, r.state) for r in reading.reviews({"nodes": nodes})] == [
        ("c", "approved"),
        ("d", "dismissed"),
    ]


def test_a_thread_whose_comments_are_not_submitted_does_not_exist() -> None:
    pending = {"id": "t", "comments": {"nodes": [{"id": "1", "state": "PENDING", "body": "draft"}]}}
    mixed = {"id": "u", "line": None, "originalLine": 4, "comments": {"nodes": [{"id": "2", "state": "SUBMITTED"}]}}
    assert [(thread.thread_id, thread.line) for thread in reading.threads({"nodes": [pending, mixed, None]})] == [
        ("u", 4)
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = (
    "state", "isDraft", "title", "author", "updatedAt", "mergeCommit", "headRepository", "mergeable", "reviewDecision",
    "statusCheckRollup", "reviewThreads", "additions", "latestOpinionatedReviews", "number", "head", "base", "user",
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(FIELDS), st.none() | st.text(max_size=20) | st.integers(0, 9), max_size=8))
def test_s5_no_answer_of_another_form_breaks_the_reading(node: dict[str, Any]) -> None:
    text = {name: value for name, value in node.items() if name not in ("statusCheckRollup", "head", "base")}
    assert reading.facts(REF, text).number == 7
    assert msgspec.json.encode(reading.listed_facts(REF.repo, text))
    assert stamps.parse(str(stamps.of(text))) == stamps.of(text)


@given(st.text(max_size=300), st.sampled_from(["", "demo-1"]))
def test_s5_a_body_comes_back_as_it_was_written_without_what_is_not_seen(body: str, session: str) -> None:
    node = {"id": "1", "body": reading.marked(body, session), "viewerDidAuthor": True}
    read = reading.line_comment(node, "t")
    assert read.author.session == session
    assert not any(ch in read.body for ch in "\x1b\x07\x9b\x00")
    if session and body.isprintable():
        assert read.body == body.rstrip()


def test_a_forbidden_request_says_what_the_token_lacks() -> None:
    sso = {"X-GitHub-SSO": "required; url=https://github.com/orgs/octo/sso?x=1"}
    assert "https://github.com/orgs/octo/sso?x=1" in (forbidden("github.com", sso, "no").hint or "")
    scopes = {"X-Accepted-OAuth-Scopes": "repo, public_repo", "X-OAuth-Scopes": "gist"}
    assert "scope repo" in (forbidden("github.com", scopes, "no").hint or "")
    fine = {"X-Accepted-GitHub-Permissions": "pull_requests=write"}
    assert "pull_requests=write" in (forbidden("github.com", fine, "no").hint or "")
    assert "may write" in (forbidden("github.com", {}, "").hint or "")


def test_the_lines_of_a_diff_that_can_be_commented() -> None:
    diff = (
        "diff --git a/a.txt b/a.txt\n--- a/a.txt\n+++ b/a.txt\n@@ -1,2 +1,3 @@\n one\n+++ b/fake\n-two\n+three\n"
        "@@ -40 +41,1 @@\n-x\n+y\n"
        "diff --git a/b.txt b/b.txt\nnew file mode 100644\n--- /dev/null\n+++ b/b.txt\n@@ -0,0 +1 @@\n+b\n"
        "diff --git a/c.txt b/c.txt\ndeleted file mode 100644\n--- a/c.txt\n+++ /dev/null\n@@ -1 +0,0 @@\n-c\n"
    )
    assert lines_of(diff) == {"a.txt": {1, 2, 3, 41}, "b.txt": {1}}
