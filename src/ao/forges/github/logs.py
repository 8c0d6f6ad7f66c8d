"""What a check printed: the log of an Actions job, the words of a third party's check run, or of a commit status."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final

from ao.forges.github.client import Client
from ao.forges.github.refusals import RefusedError
from ao.forges.github.transport import Keep
from ao.model.ci_log import region
from ao.model.pull import Check, PullRef

READ_LIMIT: Final = 256 << 10
"""Bytes that are kept of a job's log while it is read: cleaning and masking take 0.13 ms a KB."""
LINES: Final = 1_000
LIMIT: Final = 64 << 10
"""Lines and characters that are returned: they are stored with the check."""
_ACTIONS: Final = re.compile(r"/actions/runs/(\d+)(?:/|$)")


def workflow_run(check: Check) -> str:
    """The id of the Actions run that a check belongs to, "" for a third party's."""
    found = _ACTIONS.search(check.url)
    return found[1] if found else ""


async def log_of(client: Client, ref: PullRef, check: Check) -> str:
    """The output of a check: around its first error and its end, cleaned, without secrets. "" when GitHub has
    none (any more)."""
    repo = f"/repos/{ref.repo.path}"
    try:
        if check.provider_id == "status":
            path = f"{repo}/commits/{check.commit_sha}/status"
            return _status_text((await client.get(ref.repo.host, path, query={"per_page": 100})).data, check)
        job = await _job(client, ref, check) if workflow_run(check) else None
        if job is not None:
            return job
        return _run_text((await client.get(ref.repo.host, f"{repo}/check-runs/{check.provider_id}")).data, check)
    except RefusedError:
        return ""


async def _job(client: Client, ref: PullRef, check: Check) -> str | None:
    """The log of an Actions job; None when it has expired, or an app made the check in a job's name."""
    path = f"/repos/{ref.repo.path}/actions/jobs/{check.provider_id}/logs"
    try:
        text = await client.text(ref.repo.host, path, keep=Keep(limit=READ_LIMIT, end=True))
    except RefusedError as refused:
        if refused.status in (404, 410):
            return None
        raise
    return await asyncio.to_thread(region, text, lines=LINES, limit=LIMIT)


def _run_text(data: Any, check: Check) -> str:
    output = data.get("output") if isinstance(data, dict) else None
    parts = [output.get(name) for name in ("title", "summary", "text")] if isinstance(output, dict) else []
    words = [part for part in parts if isinstance(part, str) and part.strip()]
    return region("\n\n".join([*words, *([check.url] if check.url else [])])[:LIMIT], lines=LINES, limit=LIMIT)


def _status_text(data: Any, check: Check) -> str:
    statuses = data.get("statuses") if isinstance(data, dict) else None
    found: dict[str, Any] = next((each for each in statuses or () if each.get("context") == check.name), {})
    words = [found.get("description"), found.get("target_url") or check.url]
    return region("\n".join(word for word in words if isinstance(word, str) and word), lines=LINES, limit=LIMIT)
