"""The project and agent routes."""

from __future__ import annotations

import pytest

from ao.model.project import ProjectConfig
from tests.api.house import House


async def test_a_project_is_added_read_listed_and_removed(house: House) -> None:
    folder = house.repository("Other Repo")
    added = await house.call("POST", "/api/v1/projects", {"path": str(folder), "name": " Other "})
    assert added.status == 201
    project = added.body["project"]
    assert project == {
        "id": "other-repo",
        "name": "Other",
        "kind": "single_repo",
        "path": str(folder),
        "repo": "",
        "defaultBranch": "main",
    }
    read = await house.call("GET", "/api/v1/projects/other-repo")
    assert read.body == {"status": "ok", "project": project}
    listed = (await house.call("GET", "/api/v1/projects")).body["projects"]
    assert [item["id"] for item in listed] == ["other-repo", "shop"]
    assert listed[0] == {
        "id": "other-repo",
        "name": "Other",
        "path": str(folder),
        "kind": "single_repo",
        "sessionPrefix": "other-repo",
    }
    removed = await house.call("DELETE", "/api/v1/projects/other-repo")
    assert removed.body == {"projectId": "other-repo", "removedStorageDir": False, "killed": [], "preserved": []}
    assert (await house.call("DELETE", "/api/v1/projects/other-repo")).code == "PROJECT_NOT_FOUND"
    assert (await house.call("GET", "/api/v1/projects/other-repo")).status == 404


async def test_removing_a_project_ends_its_sessions_and_says_what_stays(house: House) -> None:
    clean, dirty = await house.spawn(), await house.spawn()
    house.workspaces.dirty.add(dirty.id)
    body = (await house.call("DELETE", "/api/v1/projects/shop")).body
    assert body["killed"] == [clean.id, dirty.id]
    assert [item["sessionId"] for item in body["preserved"]] == [dirty.id]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "PATH_REQUIRED"),
        ({"path": "  "}, 400, "PATH_REQUIRED"),
        ({"path": "relative"}, 400, "INVALID_PATH"),
        ({"path": "/proc"}, 400, "NOT_A_GIT_REPO"),
        ({"path": "{folder}", "projectId": "a/b"}, 400, "INVALID_PROJECT_ID"),
        ({"path": "{folder}", "projectId": "shop"}, 409, "ID_ALREADY_REGISTERED"),
        ({"path": "{shop}", "projectId": "x"}, 409, "PATH_ALREADY_REGISTERED"),
        ({"path": "{folder}", "asWorkspace": True}, 400, "INVALID_PATH"),
        ({"path": "{folder}", "config": {"worker": {"agent": "zzz"}}}, 400, "INVALID_PROJECT_CONFIG"),
        ({"path": "{folder}", "config": {"wrker": {}}}, 400, "INVALID_JSON"),
        ({"pth": "/x"}, 400, "INVALID_JSON"),
    ],
)
async def test_a_bad_registration_is_refused(house: House, body: dict[str, object], status: int, code: str) -> None:
    folder = house.repository("fresh")
    filled = {
        key: value.format(folder=folder, shop=house.path / "shop") if isinstance(value, str) else value
        for key, value in body.items()
    }
    answer = await house.call("POST", "/api/v1/projects", filled)
    assert (answer.status, answer.code) == (status, code)
    if status == 409:
        assert set(answer.body["details"]) == {"existingProjectId", "suggestedProjectId"}


async def test_configuration_is_replaced_or_patched(house: House) -> None:
    path = "/api/v1/projects/shop/config"
    whole = await house.call("PUT", path, {"config": {"worker": {"agent": "codex"}, "env": {"A": "1"}}})
    assert whole.body["project"]["config"] == {"worker": {"agent": "codex"}, "env": {"A": "1"}}
    patched = await house.call("PATCH", path, {"config": {"env": None, "defaultBranch": "dev"}})
    assert patched.body["project"]["config"] == {"worker": {"agent": "codex"}, "defaultBranch": "dev"}
    assert patched.body["project"]["defaultBranch"] == "dev"
    bad = await house.call("PUT", path, {"config": {"env": {"1A": "x"}}})
    assert (bad.code, bad.body["details"]["field"]) == ("INVALID_PROJECT_CONFIG", "env")
    assert (await house.call("PUT", "/api/v1/projects/nope/config", {"config": {}})).code == "PROJECT_NOT_FOUND"
    assert (await house.call("PUT", "/api/v1/projects/a..b/config", {"config": {}})).code == "INVALID_PROJECT_ID"


async def test_the_schema_names_every_key_of_the_configuration(house: House) -> None:
    schema = (await house.call("GET", "/api/v1/config-schema")).body
    assert set(schema["$defs"]["ProjectConfig"]["properties"]) == set(ProjectConfig.__struct_encode_fields__)


async def test_agents_are_known_installed_and_signed_in(house: House) -> None:
    for method, path in (("GET", "/api/v1/agents"), ("POST", "/api/v1/agents/refresh")):
        body = (await house.call(method, path)).body
        assert {item["id"] for item in body["supported"]} >= {"demo", "claude-code", "codex"}
        demo = next(item for item in body["installed"] if item["id"] == "demo")
        assert demo["label"]
        assert demo["authStatus"] in ("authorized", "unauthorized", "unknown")
        assert {item["id"] for item in body["authorized"]} <= {item["id"] for item in body["installed"]}
