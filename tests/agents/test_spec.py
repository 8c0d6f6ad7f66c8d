"""A user's own agents: what their files may say, and what is said about a file that can't be used."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from ao.agents.catalog import BUILT_IN
from ao.agents.spec import check
from ao.model.errors import AoError
from ao.model.session import Kind

AIDER = """
name = "Aider"
args = ["{permissions}", ["--model", "{model}"], "{system}", {args = ["--message", "{prompt}"], on = "launch"}]
[binary]
names = ["aider"]
install = "pipx install aider-chat"
[system]
file = ["--read", "{system_file}"]
[permissions.auto]
args = ["--yes-always"]
env = {MODE = "auto"}
[states]
user-prompt-submit = "active"
stop = "idle"
[states.note]
field = "kind"
values = {question = "waiting_input"}
[[dialogs]]
name = "permission"
patterns = ["Allow this\\\\?"]
[env]
AIDER_NOTIFY = "{hook:stop}"
AIDER_MODEL = "{model}"
"""
MINIMAL = 'name = "X"\nargs = ["{prompt}"]\n[binary]\nnames = ["x"]\n'


def add(machine: Any, text: str, name: str = "aider") -> None:
    (machine.users / f"{name}.toml").write_text(text)


def test_the_built_in_descriptions_are_sound() -> None:
    assert [check(spec).id for spec in BUILT_IN] == ["claude-code", "codex", "demo"]


async def test_a_users_agent_works_without_code(machine: Any) -> None:
    add(machine, AIDER)
    machine.program("aider")
    catalog = machine.catalog()
    assert catalog.ids() == ("claude-code", "codex", "demo", "aider")
    info = catalog.get("aider")
    assert (info.label, info.reports, info.confirms, info.pins_native_id) == ("Aider", True, True, False)
    context = machine.context(prompt="-go", system_prompt="rules", permissions="auto", ao_bin="/my ao")
    launch = await catalog.launch("aider", context)
    path = f"{context.folder}/instructions.md"
    assert list(launch.argv) == [
        *(str(machine.bin / "aider"), "--yes-always", "--read", path, "--message", "-go"),
    ]
    assert launch.files == ((path, "rules"),)
    assert launch.env == {"MODE": "auto", "AIDER_NOTIFY": f"{shlex.quote('/my ao')} hooks aider stop"}
    assert await catalog.resume("aider", machine.context(native_id="n")) is None
    found = catalog.signal("aider", "note", {"kind": "question"}, seq=1, boot_id="")
    assert found is not None
    assert found.state == "waiting_input"
    assert catalog.dialog("aider", "Allow this?") == "permission"


async def test_a_mode_the_agent_does_not_have_is_told(machine: Any) -> None:
    add(machine, AIDER)
    machine.program("aider")
    launch = await machine.catalog().launch("aider", machine.context(permissions="accept-edits"))
    assert "accept-edits" in launch.warnings[0]
    assert (await machine.catalog().launch("aider", machine.context())).warnings == ()


async def test_an_agent_without_a_place_for_instructions_gets_them_with_its_task(machine: Any) -> None:
    add(machine, MINIMAL, "x")
    machine.program("x")
    launch = await machine.catalog().launch("x", machine.context(prompt="task", system_prompt="rules"))
    assert launch.argv[1:] == ("rules\n\ntask",)
    assert (await machine.catalog().launch("x", machine.context(system_prompt="rules"))).argv[1:] == ()


async def test_a_prompt_that_neither_fits_nor_can_be_pasted_is_in_a_file(machine: Any) -> None:
    add(machine, MINIMAL, "x")
    machine.program("x")
    context = machine.context(prompt="ä" * 65_536)
    launch = await machine.catalog().launch("x", context)
    assert launch.files == ((f"{context.folder}/prompt.md", context.prompt),)
    assert f"{context.folder}/prompt.md" in launch.argv[1]


async def test_an_agent_that_takes_its_prompt_in_the_terminal_gets_it_there(machine: Any) -> None:
    add(machine, 'name = "X"\nargs = []\nprompt = {paste = true, ready = ["go>"]}\nbinary = {names = ["x"]}', "x")
    machine.program("x")
    launch = await machine.catalog().launch("x", machine.context(prompt="task"))
    assert (launch.argv[1:], launch.paste, launch.ready) == ((), "task", ("go>",))


async def test_what_the_project_sets_wins_over_the_agents_own_environment(machine: Any) -> None:
    add(machine, MINIMAL + '[env]\nCOLOR = "1"\n', "x")
    machine.program("x")
    env = {**machine.environ, "COLOR": "0"}
    assert "COLOR" not in (await machine.catalog().launch("x", machine.context(env=env))).env


async def test_only_an_agent_with_arguments_for_it_reviews(machine: Any) -> None:
    text = MINIMAL.replace('["{prompt}"]', '["{permissions}", "{prompt}"]')
    reviewer = '[reviewer]\nargs = ["--only", "{ao} review submit"]\nenv = {MODE = "r"}\n'
    add(machine, text + '[permissions.default]\nargs = ["--write"]\n' + reviewer, "x")
    machine.program("x")
    catalog = machine.catalog()
    able = {name: catalog.get(name).reviews for name in catalog.ids()}
    assert able == {"claude-code": True, "codex": False, "demo": True, "x": True}
    read = await catalog.launch("x", machine.context(kind=Kind.REVIEWER, prompt="p"))
    assert (read.argv[1:], read.env["MODE"]) == (("--only", "/opt/ao/bin/ao review submit", "p"), "r")
    work = await catalog.launch("x", machine.context(prompt="p"))
    assert work.argv[1:] == ("--write", "p")
    assert "MODE" not in work.env


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("name = \nx = 1\n", "line 1"),
        (MINIMAL.replace("name", "nam", 1), "nam"),
        (MINIMAL + "extra = 1\n", "extra"),
        (MINIMAL.replace('["x"]', '"x"'), "binary.names"),
        (MINIMAL.replace('["x"]', "[]"), "binary.names"),
        (MINIMAL.replace("{prompt}", "{promt}"), "{promt}"),
        (MINIMAL.replace("{prompt}", "{hook}"), "{hook}"),
        (MINIMAL + '[permissions.yolo]\nargs = ["-y"]\n', "permissions.yolo"),
        (MINIMAL + '[states]\nstop = "resting"\n', "states.stop"),
        (MINIMAL + '[[dialogs]]\nname = "d"\npatterns = ["("]\n', "dialogs.d"),
        (MINIMAL + '[reviewer]\nargs = ["{nobody}"]\n', "reviewer"),
        (MINIMAL + "[reviewer]\n", "reviewer"),
        (MINIMAL + '[auth]\nauthorized = "["\n', "auth.authorized"),
        ('id = "y"\n' + MINIMAL, "id"),
    ],
)
def test_a_broken_file_disables_its_agent_alone_and_is_named(machine: Any, text: str, field: str) -> None:
    add(machine, text, "mine")
    add(machine, MINIMAL, "other")
    catalog = machine.catalog()
    assert catalog.ids() == ("claude-code", "codex", "demo", "other")
    assert f"{machine.users}/mine.toml" in catalog.problems["mine"]
    assert field in catalog.problems["mine"]
    with pytest.raises(AoError) as failure:
        catalog.get("mine")
    assert failure.value.code == "UNKNOWN_HARNESS"
    assert catalog.problems["mine"] in failure.value.message


def test_a_built_in_agent_is_not_replaced(machine: Any) -> None:
    add(machine, MINIMAL, "codex")
    catalog = machine.catalog()
    assert catalog.get("codex").label == "Codex"
    assert "built in" in catalog.problems["codex"]


@pytest.mark.parametrize("name", ["not valid", "..x", "-x"])
def test_a_file_name_that_is_no_id_is_refused(machine: Any, name: str) -> None:
    add(machine, MINIMAL, name)
    assert machine.catalog().ids() == ("claude-code", "codex", "demo")


def test_a_misspelt_agent_gets_a_suggestion(machine: Any) -> None:
    with pytest.raises(AoError) as failure:
        machine.catalog().get("claude")
    assert failure.value.code == "UNKNOWN_HARNESS"
    assert "claude-code" in (failure.value.hint or "")
    assert failure.value.details["known"] == ["claude-code", "codex", "demo"]
