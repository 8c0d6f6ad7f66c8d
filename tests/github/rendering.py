"""REST bodies as GitHub's OpenAPI description has them. Of the many addresses in them the required ones are there."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from tests.github import derived
from tests.github.fields import iso
from tests.github.records import SITE, CheckRun, Pull, Remark, Repo, Review, Status, User
from tests.github.state import State

API = "https://api.github.com"
Json = dict[str, Any]

_USER_ADDRESSES = {
    "events_url": "/events{/privacy}", "followers_url": "/followers", "following_url": "/following{/other_user}",
    "gists_url": "/gists{/gist_id}", "organizations_url": "/orgs", "received_events_url": "/received_events",
    "repos_url": "/repos", "starred_url": "/starred{/owner}{/repo}", "subscriptions_url": "/subscriptions",
}  # fmt: skip
_REPO_ADDRESSES = {
    "archive_url": "/{archive_format}{/ref}", "assignees_url": "/assignees{/user}", "blobs_url": "/git/blobs{/sha}",
    "branches_url": "/branches{/branch}", "collaborators_url": "/collaborators{/collaborator}",
    "comments_url": "/comments{/number}", "commits_url": "/commits{/sha}", "compare_url": "/compare/{base}...{head}",
    "contents_url": "/contents/{+path}", "contributors_url": "/contributors", "deployments_url": "/deployments",
    "downloads_url": "/downloads", "events_url": "/events", "forks_url": "/forks", "hooks_url": "/hooks",
    "git_commits_url": "/git/commits{/sha}", "git_refs_url": "/git/refs{/sha}", "git_tags_url": "/git/tags{/sha}",
    "issue_comment_url": "/issues/comments{/number}", "issue_events_url": "/issues/events{/number}",
    "issues_url": "/issues{/number}", "keys_url": "/keys{/key_id}", "labels_url": "/labels{/name}",
    "languages_url": "/languages", "merges_url": "/merges", "milestones_url": "/milestones{/number}",
    "notifications_url": "/notifications{?since,all,participating}", "pulls_url": "/pulls{/number}",
    "releases_url": "/releases{/id}", "stargazers_url": "/stargazers", "statuses_url": "/statuses/{sha}",
    "subscribers_url": "/subscribers", "subscription_url": "/subscription", "tags_url": "/tags",
    "teams_url": "/teams", "trees_url": "/git/trees{/sha}",
}  # fmt: skip


def user(account: User | None) -> Json | None:
    """A simple user; a bot's name ends in [bot] here, unlike in GraphQL."""
    if account is None:
        return None
    login = account.login + ("[bot]" if account.kind == "Bot" else "")
    url = f"{API}/users/{quote(login)}"
    return {
        "login": login, "id": account.id, "node_id": account.node, "type": account.kind, "site_admin": False,
        "gravatar_id": "", "avatar_url": f"{SITE}/{quote(login)}.png", "html_url": f"{SITE}/{quote(login)}", "url": url,
        **{key: url + tail for key, tail in _USER_ADDRESSES.items()},
    }  # fmt: skip


def viewer(account: User) -> Json:
    """`GET /user` as a token without the scope `user` sees it."""
    now = iso(0)
    return {
        **(user(account) or {}), "name": account.login, "company": None, "blog": "", "location": None, "email": None,
        "hireable": None, "bio": None, "public_repos": 1, "public_gists": 0, "followers": 0, "following": 0,
        "created_at": now, "updated_at": now,
    }  # fmt: skip


def repository(repo: Repo) -> Json:
    """A repository as it stands in a pull request."""
    url, page, now = f"{API}/repos/{repo.full_name}", f"{SITE}/{repo.full_name}", iso(0)
    counts = dict.fromkeys(
        ("forks", "forks_count", "open_issues", "open_issues_count", "size", "stargazers_count", "watchers",
         "watchers_count"), 0,
    )  # fmt: skip
    switches = dict.fromkeys(("has_downloads", "has_issues", "has_projects", "has_wiki", "has_discussions"), True)
    return {
        "id": repo.id, "node_id": repo.node, "name": repo.name, "full_name": repo.full_name,
        "owner": user(repo.owner), "private": False, "fork": repo.parent is not None, "description": None,
        "html_url": page, "url": url, "clone_url": f"{page}.git", "git_url": f"git:{page[6:]}.git", "svn_url": page,
        "ssh_url": f"git@github.com:{repo.full_name}.git", "mirror_url": None, "homepage": None, "language": None,
        "default_branch": repo.default_branch, "has_pages": False, "archived": False, "disabled": False,
        "license": None, "pushed_at": now, "created_at": now, "updated_at": now,
        **switches, **counts, **{key: url + tail for key, tail in _REPO_ADDRESSES.items()},
    }  # fmt: skip


def full_repository(repo: Repo) -> Json:
    """`GET /repos/O/R`."""
    parent = {"parent": repository(repo.parent), "source": repository(repo.parent)} if repo.parent else {}
    return {
        **repository(repo), "network_count": 0, "subscribers_count": 0,
        "allow_merge_commit": "merge" in repo.merge_methods, "allow_squash_merge": "squash" in repo.merge_methods,
        "allow_rebase_merge": "rebase" in repo.merge_methods, **parent,
        "permissions": {"admin": False, "maintain": False, "push": True, "triage": True, "pull": True},
    }  # fmt: skip


def pull_simple(pull: Pull) -> Json:
    """A pull request as it stands in a list."""
    url = f"{API}/repos/{pull.repo.full_name}/pulls/{pull.number}"
    issue = f"{API}/repos/{pull.repo.full_name}/issues/{pull.number}"
    statuses = f"{API}/repos/{pull.repo.full_name}/statuses/{pull.head_sha}"
    parts = {
        "self": url, "html": pull.url, "issue": issue, "comments": f"{issue}/comments", "statuses": statuses,
        "review_comments": f"{url}/comments", "review_comment": f"{url[: url.rindex('/')]}/comments{{/number}}",
        "commits": f"{url}/commits",
    }  # fmt: skip
    links = {name: {"href": address} for name, address in parts.items()}
    return {
        "id": pull.id, "node_id": pull.node, "number": pull.number, "state": pull.state, "draft": pull.draft,
        "locked": False, "title": pull.title, "body": pull.body, "user": user(pull.author), "labels": [],
        "assignee": None, "assignees": [], "requested_reviewers": [], "requested_teams": [], "milestone": None,
        "url": url, "html_url": pull.url, "diff_url": f"{pull.url}.diff", "patch_url": f"{pull.url}.patch",
        "issue_url": issue, "comments_url": parts["comments"], "commits_url": parts["commits"],
        "review_comments_url": parts["review_comments"], "review_comment_url": parts["review_comment"],
        "statuses_url": statuses, "created_at": iso(pull.created_at), "updated_at": iso(pull.updated_at),
        "closed_at": iso(pull.closed_at), "merged_at": iso(pull.merged_at), "merge_commit_sha": pull.merge_sha,
        "author_association": derived.association(pull.repo, pull.author), "auto_merge": None,
        "active_lock_reason": None, "_links": links,
        "head": _end(pull.head_repo, pull.head_branch, pull.head_sha),
        "base": _end(pull.repo, pull.base_branch, pull.base_sha),
    }  # fmt: skip


def _end(repo: Repo | None, branch: str, sha: str) -> Json:
    """`head` or `base`; of a fork that is gone only branch and commit are left."""
    owner = repo.owner if repo else None
    return {
        "label": f"{owner.login if owner else 'unknown'}:{branch}", "ref": branch, "sha": sha, "user": user(owner),
        "repo": repository(repo) if repo else None,
    }  # fmt: skip


def pull_full(state: State, pull: Pull) -> Json:
    """One pull request."""
    added, deleted, files = state.graph.changes(pull.base_sha, pull.head_sha)
    known = derived.mergeable(state, pull)
    return {
        **pull_simple(pull), "merged": pull.merged_at is not None, "merged_by": user(pull.merged_by),
        "mergeable": None if known == "UNKNOWN" else known == "MERGEABLE",
        "rebaseable": None if known == "UNKNOWN" else known == "MERGEABLE",
        "mergeable_state": derived.merge_status(state, pull).lower(), "maintainer_can_modify": False,
        "comments": len(pull.remarks), "review_comments": sum(len(thread.remarks) for thread in pull.threads),
        "commits": len(state.graph.only_in(pull.head_sha, pull.base_sha)), "additions": added, "deletions": deleted,
        "changed_files": files,
    }  # fmt: skip


def issue_comment(remark: Remark) -> Json:
    """A comment on the whole."""
    base = f"{API}/repos/{remark.pull.repo.full_name}/issues"
    return {
        "id": remark.id, "node_id": remark.node, "url": f"{base}/comments/{remark.id}", "html_url": remark.url,
        "issue_url": f"{base}/{remark.pull.number}", "user": user(remark.author), "body": remark.body,
        "created_at": iso(remark.at), "updated_at": iso(remark.at), "performed_via_github_app": None,
        "author_association": derived.association(remark.pull.repo, remark.author),
    }  # fmt: skip


def review(given: Review) -> Json:
    """A review."""
    url = f"{API}/repos/{given.pull.repo.full_name}/pulls/{given.pull.number}"
    return {
        "id": given.id, "node_id": given.node, "user": user(given.author), "body": given.body, "state": given.state,
        "commit_id": given.sha, "html_url": given.url, "pull_request_url": url, "submitted_at": iso(given.at),
        "author_association": derived.association(given.pull.repo, given.author),
        "_links": {"html": {"href": given.url}, "pull_request": {"href": url}},
    }  # fmt: skip


def check_run(repo: Repo, run: CheckRun) -> Json:
    """A check run."""
    url = f"{API}/repos/{repo.full_name}/check-runs/{run.id}"
    output = {
        "title": run.title, "summary": run.summary, "text": run.text, "annotations_count": 0,
        "annotations_url": f"{url}/annotations",
    }  # fmt: skip
    return {
        "id": run.id, "node_id": run.node, "head_sha": run.sha, "name": run.name, "url": url, "external_id": "",
        "html_url": f"{SITE}/{repo.full_name}/runs/{run.id}", "details_url": run.details_url, "status": run.status,
        "conclusion": run.conclusion, "started_at": iso(run.started_at), "completed_at": iso(run.completed_at),
        "output": output, "check_suite": {"id": run.id + 2}, "app": _app(run.app), "pull_requests": [],
    }  # fmt: skip


def _app(slug: str) -> Json:
    owner = user(User(1, "github"))
    return {
        "id": 15368, "node_id": "A_1", "slug": slug, "name": slug, "owner": owner, "description": "",
        "external_url": f"{SITE}/apps/{slug}", "html_url": f"{SITE}/apps/{slug}", "created_at": iso(0),
        "updated_at": iso(0), "permissions": {"checks": "write"}, "events": [],
    }  # fmt: skip


def combined_status(repo: Repo, sha: str) -> Json:
    """All commit statuses of a commit; without any its state is pending."""
    found = repo.statuses.get(sha, [])
    states = {"failure" if status.state == "error" else status.state for status in found} or {"pending"}
    url = f"{API}/repos/{repo.full_name}/commits/{sha}"
    return {
        "state": next(word for word in ("failure", "pending", "success") if word in states), "sha": sha,
        "total_count": len(found), "statuses": [_status(repo, status) for status in found],
        "repository": repository(repo), "commit_url": url, "url": f"{url}/status",
    }  # fmt: skip


def _status(repo: Repo, status: Status) -> Json:
    return {
        "id": status.id, "node_id": status.node, "state": status.state, "context": status.context,
        "description": status.description, "target_url": status.target_url, "avatar_url": None,
        "url": f"{API}/repos/{repo.full_name}/statuses/{status.sha}", "created_at": iso(status.at),
        "updated_at": iso(status.at),
    }  # fmt: skip
