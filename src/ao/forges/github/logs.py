"""What a check printed: the log of an Actions job, the words of a third party's check run, or of a commit status."""

from __future__ import annotations

import re
from typing import Any, Final

from ao.forges.github.client import Client
from ao.forges.github.refusals import RefusedError
from ao.forges.github.transport import Keep
from ao.model.ci_log import masked
from ao.model.errors import AoError
from ao.model.fence import clean
from ao.model.pull import Check, PullRef

LOG_LIMIT: Final = 4 << 20
_ACTIONS: Final = re.compile(r"/actions/runs/(\d+)(?:/|$)")


def workflow_run(check: Check) -> str:
    """The id of the Actions run that a check belongs to, "" for a third party's."""
    found = _ACTIONS.search(check.url)
    return found[1] if found else ""


async def log_of(client: Client, ref: PullRef, check: Check) -> str:
    """The output of a check, its beginning and its end. Raises `PR_NOT_FOUND` when GitHub has none (any more)."""
    repo = f"/repos/{ref.repo.path}"
    try:
        if check.provider_id == "status":
            answer = await client.get(
                ref.repo.host, f"{repo}/commits/{check.commit_sha}/status", query={"per_page": 100}
            )
            return _status_text(answer.data, check)
        if workflow_run(check):
            try:
                path = f"{repo}/actions/jobs/{check.provider_id}/logs"
                return _plain(await client.text(ref.repo.host, path, keep=Keep(limit=LOG_LIMIT, end=True)))
            except RefusedError as refused:  # expired, or a check run that an app made in the job's name
                if refused.status not in (404, 410):
                    raise
        answer = await client.get(ref.repo.host, f"{repo}/check-runs/{check.provider_id}")
        return _run_text(answer.data, check)
    except RefusedError as refused:
        raise AoError(
            "PR_NOT_FOUND",
            f"{ref.repo.host} has no output of {check.name!r} ({refused.said or refused.status})",
            hint=f"see {check.url}" if check.url else None,
        ) from refused


def _plain(text: str) -> str:
    return masked(clean(text))


def _run_text(data: Any, check: Check) -> str:
    output = data.get("output") if isinstance(data, dict) else None
    parts = [output.get(name) for name in ("title", "summary", "text")] if isinstance(output, dict) else []
    words = [part for part in parts if isinstance(part, str) and part.strip()]
    return _plain("\n\n".join([*words, *([check.url] if check.url else [])]))


def _status_text(data: Any, check: Check) -> str:
    statuses = data.get("statuses") if isinstance(data, dict) else None
    found: dict[str, Any] = next((each for each in statuses or () if each.get("context") == check.name), {})
    words = [found.get("description"), found.get("target_url") or check.url]
    return _plain("\n".join(word for word in words if isinstance(word, str) and word))
