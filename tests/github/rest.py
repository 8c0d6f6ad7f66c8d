"""GitHub's REST routes that a pull-request loop needs: a table, and a function for each route."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from tests.github import derived, rendering
from tests.github.records import CheckRun, Pull, Repo, Review
from tests.github.state import RefusedError, State

Json = dict[str, Any]
_EVENTS = {"APPROVE": "APPROVED", "REQUEST_CHANGES": "CHANGES_REQUESTED", "COMMENT": "COMMENTED"}


@dataclass
class Call:
    """A request that has been routed. `root` is the address that the client reached, `logs` where logs lie."""

    state: State
    root: str
    logs: str
    path: str
    query: dict[str, str]
    body: Json
    accept: str
    repo: Repo = field(init=False)
    key: str = ""


@dataclass
class Reply:
    """An answer: `body` is JSON unless `text` is given."""

    status: int = 200
    body: Any = None
    text: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


def _pull(call: Call) -> Pull:
    if not call.key.isdecimal() or (found := call.repo.pulls.get(int(call.key))) is None:
        raise RefusedError(404, "Not Found")
    return found


def _run(call: Call) -> CheckRun:
    runs = (run for runs in call.repo.runs.values() for run in runs)
    found = next((run for run in runs if str(run.id) == call.key), None)
    if found is None:
        raise RefusedError(404, "Not Found")
    return found


def _page(call: Call, items: Sequence[Any]) -> tuple[Sequence[Any], dict[str, str]]:
    """The page asked for, and the Link header that leads on."""
    size = min(100, max(1, int(call.query.get("per_page", 30))))
    page, last = max(1, int(call.query.get("page", 1))), max(1, -(-len(items) // size))
    targets = {"prev": page - 1, "next": page + 1, "first": 1, "last": last}
    shown = {"prev", "first"} if page > 1 else set()
    shown |= {"next", "last"} if page < last else set()
    tail = call.path.partition(f"/repos/{call.repo.full_name}")[2] or call.path.partition(f"/{call.repo.id}")[2]
    base = f"{call.root}/repositories/{call.repo.id}{tail}"
    links = [
        f'<{base}?{urlencode({**call.query, "page": str(number)})}>; rel="{name}"'
        for name, number in targets.items()
        if name in shown
    ]
    return items[(page - 1) * size : page * size], {"Link": ", ".join(links)} if links else {}


def list_pulls(call: Call) -> Reply:
    """`GET …/pulls`."""
    state, query = call.query.get("state", "open"), call.query
    found = [pull for pull in call.repo.pulls.values() if state in ("all", pull.state)]
    if head := query.get("head"):
        found = [p for p in found if p.head_repo and f"{p.head_repo.owner.login}:{p.head_branch}" == head]
    if base := query.get("base"):
        found = [pull for pull in found if pull.base_branch == base]
    by = "updated_at" if query.get("sort") == "updated" else "created_at"
    newest = query.get("direction", "asc" if "sort" in query and by != "created_at" else "desc") == "desc"
    found.sort(key=lambda pull: (getattr(pull, by), pull.number), reverse=newest)
    page, headers = _page(call, found)
    return Reply(body=[rendering.pull_simple(pull) for pull in page], headers=headers)


def get_pull(call: Call) -> Reply:
    """`GET …/pulls/N`, also as a diff."""
    pull = _pull(call)
    if "diff" in call.accept:
        text = call.state.graph.diff(pull.base_sha, pull.head_sha)
        return Reply(text=text, headers={"Content-Type": "application/vnd.github.diff; charset=utf-8"})
    return Reply(body=rendering.pull_full(call.state, pull))


def create_pull(call: Call) -> Reply:
    """`POST …/pulls`."""
    head, base = str(call.body.get("head", "")), str(call.body.get("base", ""))
    missing = [name for name in ("head", "base", "title") if not call.body.get(name)]
    if missing:
        errors: list[object] = [{"resource": "PullRequest", "field": f, "code": "missing_field"} for f in missing]
        raise RefusedError(422, "Validation Failed", errors)
    owner, _, branch = head.rpartition(":")
    source = call.repo if not owner else call.state.repo(f"{owner}/{call.repo.name}")
    if source is None:
        raise RefusedError(422, "Validation Failed", [{"resource": "PullRequest", "field": "head", "code": "invalid"}])
    pull = call.state.create(call.repo, source, branch, base, str(call.body["title"]))
    pull.body, pull.draft = call.body.get("body"), bool(call.body.get("draft"))
    return Reply(201, rendering.pull_full(call.state, pull), headers={"Location": f"{call.root}{call.path}"})


def update_pull(call: Call) -> Reply:
    """`PATCH …/pulls/N`."""
    pull = _pull(call)
    wanted = call.body.get("state", pull.state)
    if pull.merged_at is not None and wanted != pull.state:
        raise RefusedError(422, "Validation Failed", [{"resource": "PullRequest", "field": "state", "code": "invalid"}])
    pull.title, pull.body = call.body.get("title", pull.title), call.body.get("body", pull.body)
    if base := call.body.get("base"):
        pull.base_branch, pull.base_sha = base, call.repo.branches[base]
    if wanted != pull.state:
        (call.state.close if wanted == "closed" else call.state.reopen)(pull)
    call.state.touch(pull)
    return Reply(body=rendering.pull_full(call.state, pull))


def merge_pull(call: Call) -> Reply:
    """`PUT …/pulls/N/merge`."""
    pull, method = _pull(call), call.body.get("merge_method", "merge")
    if call.body.get("sha", pull.head_sha) != pull.head_sha:
        raise RefusedError(409, "Head branch was modified. Review and try the merge again.")
    if method not in pull.repo.merge_methods:
        name = {"merge": "Merge commits", "squash": "Squash merges", "rebase": "Rebase merges"}[method]
        raise RefusedError(405, f"{name} are not allowed on this repository.")
    if pull.state == "open" and pull.draft:
        raise RefusedError(405, "Pull Request is still a draft")
    if pull.state == "open" and (reason := derived.unmet(pull)):
        raise RefusedError(405, reason)
    words = (call.body.get("commit_title"), call.body.get("commit_message"))
    message = "\n\n".join(word for word in words if word)
    sha = call.state.merge(pull, method=method, message=message)
    return Reply(body={"sha": sha, "merged": True, "message": "Pull Request successfully merged"})


def list_reviews(call: Call) -> Reply:
    """`GET …/pulls/N/reviews`."""
    page, headers = _page(call, _pull(call).reviews)
    return Reply(body=[rendering.review(given) for given in page], headers=headers)


def create_review(call: Call) -> Reply:
    """`POST …/pulls/N/reviews`: all of it or nothing."""
    pull, body = _pull(call), call.body
    event, comments = body.get("event", ""), body.get("comments") or []
    if event not in _EVENTS:
        raise RefusedError(422, "Unprocessable Entity", ["Variable $event of type PullRequestReviewEvent is invalid"])
    if pull.author is call.state.viewer and event != "COMMENT":
        word = "approve" if event == "APPROVE" else "request changes on"
        raise RefusedError(422, "Unprocessable Entity", [f"Can not {word} your own pull request"])
    if event != "APPROVE" and not body.get("body") and not comments:
        raise RefusedError(422, "Unprocessable Entity", ["Body can't be blank"])
    for comment in comments:
        _check_place(call, pull, comment)
    if body.get("commit_id") and call.state.graph.get(body["commit_id"]) is None:
        raise RefusedError(422, "Unprocessable Entity", ["The given commit_id is not part of the pull request"])
    author = call.state.viewer.login
    review = call.state.add_review(pull, _EVENTS[event], author=author, body=body.get("body") or "")
    review.sha = body.get("commit_id") or pull.head_sha
    _start_threads(call, review, comments)
    return Reply(body=rendering.review(review))


def _start_threads(call: Call, review: Review, comments: list[Json]) -> None:
    for comment in comments:
        call.state.start_thread(review, comment["path"], comment.get("line"), comment["body"])


def _check_place(call: Call, pull: Pull, comment: Json) -> None:
    """Refuse a line comment that isn't on a line of the diff."""
    diff = call.state.graph.diff(pull.base_sha, pull.head_sha)
    places = lines_of(diff).get(comment.get("path", ""))
    if places is None:
        raise RefusedError(422, "Unprocessable Entity", ["Path could not be resolved"])
    if comment.get("line") not in places:
        errors: list[object] = [
            "Line could not be resolved",
            "Pull request review thread line must be part of the diff",
        ]
        raise RefusedError(422, "Unprocessable Entity", errors)


def lines_of(diff: str) -> dict[str, set[int]]:
    """The lines of the new side that each file of a diff shows."""
    shown: dict[str, set[int]] = {}
    path, line = "", 0
    for text in diff.splitlines():
        if text.startswith("diff --git "):
            path = text.rpartition(" b/")[2]
            shown[path] = set()
        elif hunk := re.match(r"@@ -\S+ \+(\d+)", text):
            line = int(hunk.group(1))
        elif line and text[:1] in ("+", " ") and not text.startswith("+++"):
            shown[path].add(line)
            line += 1
    return shown


def list_comments(call: Call) -> Reply:
    """`GET …/issues/N/comments`."""
    page, headers = _page(call, _pull(call).remarks)
    return Reply(body=[rendering.issue_comment(remark) for remark in page], headers=headers)


def create_comment(call: Call) -> Reply:
    """`POST …/issues/N/comments`."""
    pull, text = _pull(call), call.body.get("body")
    if not text:
        raise RefusedError(
            422, "Validation Failed", [{"resource": "IssueComment", "field": "body", "code": "missing_field"}]
        )
    if len(text) > 65536:
        too_long = "Body is too long (maximum is 65536 characters)"
        error = {"resource": "IssueComment", "field": "body", "code": "custom", "message": too_long}
        raise RefusedError(422, "Validation Failed", [error])
    remark = call.state.add_comment(pull, text)
    return Reply(201, rendering.issue_comment(remark), headers={"Location": rendering.issue_comment(remark)["url"]})


def list_runs(call: Call) -> Reply:
    """`GET …/commits/REF/check-runs`."""
    sha = call.repo.branches.get(call.key, call.key)
    runs = call.repo.runs.get(sha, [])
    page, headers = _page(call, runs)
    shown = [rendering.check_run(call.repo, run) for run in page]
    return Reply(body={"total_count": len(runs), "check_runs": shown}, headers=headers)


def get_run(call: Call) -> Reply:
    """`GET …/check-runs/ID`."""
    return Reply(body=rendering.check_run(call.repo, _run(call)))


def get_log(call: Call) -> Reply:
    """`GET …/actions/jobs/ID/logs`: elsewhere, at an address that needs no credentials."""
    run = _run(call)
    if run.log is None:
        raise RefusedError(404, "Not Found")
    return Reply(302, headers={"Location": f"{call.logs}/{run.id}?sig=signed"})


def rerun(call: Call) -> Reply:
    """`POST …/actions/jobs/ID/rerun` and `…/check-runs/ID/rerequest`: queued again."""
    run = _run(call)
    run.status, run.conclusion, run.completed_at = "queued", None, None
    return Reply(201, {})


def rerun_workflow(call: Call) -> Reply:
    """`POST …/actions/runs/ID/rerun` and `…/rerun-failed-jobs`. A workflow run of the double has one job."""
    call.key = str(int(call.key) - 1)
    return rerun(call)


def get_status(call: Call) -> Reply:
    """`GET …/commits/REF/status`."""
    return Reply(body=rendering.combined_status(call.repo, call.repo.branches.get(call.key, call.key)))


def get_repo(call: Call) -> Reply:
    """`GET /repos/O/R`."""
    return Reply(body=rendering.full_repository(call.repo))


Handler = Callable[[Call], Reply]
ROUTES: tuple[tuple[str, re.Pattern[str], Handler], ...] = tuple(
    (method, re.compile(pattern), handler)
    for method, pattern, handler in (
        ("GET", r"", get_repo),
        ("GET", r"/pulls", list_pulls),
        ("POST", r"/pulls", create_pull),
        ("GET", r"/pulls/(\d+)", get_pull),
        ("PATCH", r"/pulls/(\d+)", update_pull),
        ("PUT", r"/pulls/(\d+)/merge", merge_pull),
        ("GET", r"/pulls/(\d+)/reviews", list_reviews),
        ("POST", r"/pulls/(\d+)/reviews", create_review),
        ("GET", r"/issues/(\d+)/comments", list_comments),
        ("POST", r"/issues/(\d+)/comments", create_comment),
        ("GET", r"/commits/(.+)/check-runs", list_runs),
        ("GET", r"/commits/(.+)/status", get_status),
        ("GET", r"/check-runs/(\d+)", get_run),
        ("POST", r"/check-runs/(\d+)/rerequest", rerun),
        ("GET", r"/actions/jobs/(\d+)/logs", get_log),
        ("POST", r"/actions/jobs/(\d+)/rerun", rerun),
        ("POST", r"/actions/runs/(\d+)/rerun(?:-failed-jobs)?", rerun_workflow),
    )
)


def answer(call: Call, method: str) -> Reply:
    """Route below a repository and answer. Raises RefusedError."""
    by_name = re.fullmatch(r"/repos/([^/]+/[^/]+)(/.*)?", call.path)
    by_id = re.fullmatch(r"/repositories/(\d+)(/.*)?", call.path)
    found = call.state.repo(by_name[1]) if by_name else call.state.repos.get(int(by_id[1])) if by_id else None
    tail = ((by_name or by_id or [None, None, None])[2]) or ""
    if found is None and by_name and (moved := call.state.renamed.get(by_name[1].lower())):
        target = f"{call.root}/repositories/{moved}{tail}" + (f"?{urlencode(call.query)}" if call.query else "")
        return Reply(301 if method == "GET" else 307, {"message": "Moved Permanently", "url": target,
                     "documentation_url": "https://docs.github.com/rest"}, headers={"Location": target})  # fmt: skip
    if found is None:
        raise RefusedError(404, "Not Found")
    call.repo = found
    for verb, pattern, handler in ROUTES:
        if verb == method and (match := pattern.fullmatch(tail)):
            call.key = match[1] if pattern.groups else ""
            return handler(call)
    raise RefusedError(404, "Not Found")
