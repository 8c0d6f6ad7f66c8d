"""The document, the routes and the behaviour are one thing."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.result import Ok

from ao.api.inputs import HookInput, NoBody
from ao.api.openapi import document, document_json, refusals
from ao.api.routes import OPERATIONS
from ao.model.errors import CODES
from tests.api.house import House, opened

ROOT = Path(__file__).parent.parent.parent
ORIGINALS = {
    "streamEvents", "listProjects", "addProject", "getProject", "removeProject", "listSessions", "spawnSession",
    "cleanupSessions", "getSession", "renameSession", "listSessionPRs", "restoreSession", "killSession",
    "rollbackSession", "sendSessionMessage", "setSessionActivity", "listOrchestrators", "spawnOrchestrator",
    "getOrchestrator", "setProjectConfig",
}  # fmt: skip
# What fits the schema may still be refused (a folder that isn't a repository), and single calls have no history.
UNFIT = ["positive_data_acceptance", "use_after_free", "ensure_resource_availability"]


def test_the_document_in_the_tree_is_the_one_the_types_make() -> None:
    assert (ROOT / "docs" / "openapi.json").read_bytes() == document_json(), "run: make api"


def test_the_document_is_made_the_same_in_another_process() -> None:
    printed = subprocess.run([sys.executable, "-m", "ao.api.openapi"], capture_output=True, check=True).stdout
    assert printed == document_json()


def test_routes_and_document_match_one_to_one() -> None:
    described = {(path, method) for path, item in document()["paths"].items() for method in item}
    assert described == {(operation.path, operation.method.lower()) for operation in OPERATIONS}
    assert len(described) == len(OPERATIONS)


def test_operation_ids_are_unique_and_hold_the_originals() -> None:
    ids = [operation.id for operation in OPERATIONS]
    assert len(set(ids)) == len(ids)
    assert set(ids) >= ORIGINALS


def test_every_declared_refusal_is_a_code_and_every_reference_resolves() -> None:
    for operation in OPERATIONS:
        assert set(refusals(operation)) <= set(CODES), operation.id
    text = document_json().decode()
    names = set(document()["components"]["schemas"])
    assert set(re.findall(r"#/components/schemas/(\w+)", text)) <= names


async def test_the_document_is_served_as_json_and_as_yaml(house: House) -> None:
    for name, kind in (("json", "application/json"), ("yaml", "application/yaml")):
        answer = await house.call("GET", f"/api/v1/openapi.{name}")
        assert answer.headers["content-type"] == f"{kind}; charset=utf-8"
        assert answer.raw == document_json()
        assert json.loads(answer.raw)["openapi"] == "3.1.0"


@pytest.fixture
def live(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A served API in a thread of its own: its address and the user's token."""
    ready = threading.Event()
    found: list[str] = []
    loop = asyncio.new_event_loop()
    done = asyncio.Event()

    async def serve() -> None:
        async with opened(tmp_path) as house:
            await house.project()
            await house.spawn()
            found.extend([house.url, house.secrets.token])
            ready.set()
            await done.wait()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(20)
    yield found[0], found[1]
    loop.call_soon_threadsafe(done.set)
    thread.join(20)
    assert not thread.is_alive()


UNENDING = ("/api/v1/events", "/api/v1/notifications/stream", "/shutdown")


@pytest.mark.timeout(180)
def test_whatever_is_sent_is_answered_as_described(live: tuple[str, str]) -> None:
    url, token = live
    load_all_checks()
    excluded = CHECKS.get_by_names(UNFIT)
    bodies = {operation.id for operation in OPERATIONS if operation.body not in (NoBody, HookInput)}
    tried = 0
    for result in schemathesis.openapi.from_dict(document()).get_all_operations():
        assert isinstance(result, Ok), result
        operation = result.ok()
        if operation.path in UNENDING:
            continue
        _exercise(operation.as_strategy(), url=url, token=token, excluded=excluded)
        if operation.definition.raw["operationId"] in bodies:
            # Unknown parameters of a query are ignored by contract; only the body has to fit.
            unfit = operation.as_strategy(GenerationMode.NEGATIVE, query={}, headers={})
            _exercise(unfit, url=url, token=token, excluded=excluded)
        tried += 1
    assert tried == len(OPERATIONS) - len(UNENDING)


def _exercise(cases: SearchStrategy[schemathesis.Case[Any]], *, url: str, token: str, excluded: list[Any]) -> None:
    """Send some requests and compare the answers with the description."""

    @settings(
        max_examples=15,
        deadline=None,
        database=None,
        derandomize=True,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def exercise(case: schemathesis.Case[Any]) -> None:
        case.call_and_validate(
            base_url=url, headers={"Authorization": f"Bearer {token}"}, excluded_checks=excluded, timeout=20
        )

    exercise()
