"""What callbacks mean: the event tables of the three agents and the rules about payloads."""

from __future__ import annotations

from typing import Any

import pytest

from ao.model.session import Activity
from ao.model.signal import Signal

ACTIVE, IDLE, WAITING, BLOCKED, EXITED = (
    Activity.ACTIVE,
    Activity.IDLE,
    Activity.WAITING_INPUT,
    Activity.BLOCKED,
    Activity.EXITED,
)
TABLE = [
    ("claude-code", "session-start", {"source": "startup"}, None),
    ("claude-code", "user-prompt-submit", {}, ACTIVE),
    ("claude-code", "pre-tool-use", {}, ACTIVE),
    ("claude-code", "post-tool-use", {}, ACTIVE),
    ("claude-code", "post-tool-use-failure", {}, ACTIVE),
    ("claude-code", "permission-request", {}, BLOCKED),
    ("claude-code", "stop", {}, IDLE),
    ("claude-code", "stop-failure", {}, WAITING),
    ("claude-code", "notification", {"notification_type": "permission_prompt"}, BLOCKED),
    ("claude-code", "notification", {"notification_type": "idle_prompt"}, IDLE),
    ("claude-code", "notification", {"notification_type": "agent_completed"}, IDLE),
    ("claude-code", "notification", {"notification_type": "agent_needs_input"}, WAITING),
    ("claude-code", "notification", {"notification_type": "auth_success"}, None),
    ("claude-code", "notification", {"notification_type": 7}, None),
    ("claude-code", "notification", {}, None),
    ("claude-code", "session-end", {"reason": "clear"}, None),
    ("claude-code", "session-end", {"reason": "resume"}, None),
    ("claude-code", "session-end", {"reason": "prompt_input_exit"}, EXITED),
    ("claude-code", "session-end", {}, EXITED),
    ("codex", "session-start", {}, None),
    ("codex", "user-prompt-submit", {}, ACTIVE),
    ("codex", "pre-tool-use", {}, ACTIVE),
    ("codex", "permission-request", {}, BLOCKED),
    ("codex", "post-tool-use", {}, ACTIVE),
    ("codex", "stop", {}, IDLE),
    ("codex", "interrupt", {}, IDLE),
    ("codex", "session-end", {"reason": "other"}, EXITED),
    ("demo", "permission-request", {}, BLOCKED),
    ("demo", "stop", {}, IDLE),
    ("demo", "session-end", {}, EXITED),
]


def signal(machine: Any, agent: str, event: str, payload: dict[str, object] | None = None) -> Signal | None:
    found: Signal | None = machine.catalog().signal(agent, event, payload or {}, seq=7, boot_id="b")
    return found


@pytest.mark.parametrize(("agent", "event", "payload", "state"), TABLE)
def test_each_event_has_its_state(
    machine: Any, agent: str, event: str, payload: dict[str, object], state: Activity | None
) -> None:
    found = signal(machine, agent, event, payload)
    assert found is not None
    assert (found.state, found.seq, found.boot_id) == (state, 7, "b")


@pytest.mark.parametrize("event", ["PreToolUse", "pre_tool_use", "pre-tool-use", " Pre-Tool-Use "])
def test_native_and_our_names_are_one(machine: Any, event: str) -> None:
    found = signal(machine, "claude-code", event, {"tool_name": "Bash", "tool_use_id": "t1"})
    assert found is not None
    assert (found.event, found.tool_name, found.tool_id) == ("pre-tool-use", "Bash", "t1")


@pytest.mark.parametrize(("agent", "event"), [("codex", "made-up"), ("codex", ""), ("nobody", "stop")])
def test_an_unknown_event_or_agent_says_nothing(machine: Any, agent: str, event: str) -> None:
    assert signal(machine, agent, event) is None


def test_only_a_submitted_prompt_confirms_a_prompt(machine: Any) -> None:
    found = (signal(machine, "codex", event) for event in ("session-start", "user-prompt-submit", "stop"))
    assert [one is not None and one.submitted for one in found] == [False, True, False]


@pytest.mark.parametrize(("agent", "event"), [("codex", "Interrupt"), ("claude-code", "StopFailure")])
def test_the_end_of_a_turn_that_did_not_end_well_is_the_end_of_a_turn(machine: Any, agent: str, event: str) -> None:
    found = signal(machine, agent, event)
    assert found is not None
    assert found.event == "stop"


@pytest.mark.parametrize("field", ["session_id", "sessionId", "conversation_id", "conversationId"])
def test_the_native_id_is_read_under_any_of_its_names(machine: Any, field: str) -> None:
    found = signal(machine, "codex", "session-start", {field: " n-1 "})
    assert found is not None
    assert found.native_id == "n-1"


def test_ids_too_long_to_be_ids_are_dropped_and_not_cut(machine: Any) -> None:
    payload: dict[str, object] = {"session_id": "x" * 257, "tool_use_id": "y" * 257, "tool_name": "z" * 256}
    found = signal(machine, "claude-code", "pre-tool-use", payload)
    assert found is not None
    assert (found.native_id, found.tool_id, len(found.tool_name)) == ("", "", 256)


def test_a_cleared_conversation_does_not_leave_its_id_behind(machine: Any) -> None:
    found = signal(machine, "claude-code", "session-end", {"reason": "clear", "session_id": "old"})
    assert found is not None
    assert found.native_id == ""


@pytest.mark.parametrize("field", ["agent_id", "parent_session_id", "parent_thread_id"])
@pytest.mark.parametrize("event", ["stop", "user-prompt-submit", "session-end", "session-start"])
def test_a_sub_agent_does_not_speak_for_its_session(machine: Any, event: str, field: str) -> None:
    assert signal(machine, "claude-code", event, {field: "a1", "session_id": "n"}) is None


def test_h7_a_sub_agents_permission_dialog_blocks_the_terminal_it_stands_in(machine: Any) -> None:
    payload: dict[str, object] = {"agent_id": "a1", "session_id": "n", "tool_name": "Bash", "tool_use_id": "t"}
    before = signal(machine, "claude-code", "pre-tool-use", payload)
    asked = signal(machine, "claude-code", "permission-request", payload)
    after = signal(machine, "claude-code", "post-tool-use", payload)
    assert before is not None
    assert asked is not None
    assert after is not None
    assert (before.state, before.tool_id, before.native_id) == (None, "t", "")
    assert asked.state is BLOCKED
    assert after.tool_id == "t"


def test_a_minute_at_the_prompt_ends_a_turn_that_ended_without_a_word(machine: Any) -> None:
    idle = signal(machine, "claude-code", "Notification", {"notification_type": "idle_prompt"})
    asked = signal(machine, "claude-code", "Notification", {"notification_type": "permission_prompt"})
    assert idle is not None
    assert asked is not None
    assert (idle.event, asked.event) == ("stop", "notification")


@pytest.mark.parametrize("text", ["--help", "-c", "_x", "a b", "a\nb", "a\x1b[2J", "\u00e9", "../x", "x" * 257])
def test_an_id_that_is_no_word_of_a_command_line_is_not_taken(machine: Any, text: str) -> None:
    found = signal(machine, "claude-code", "user-prompt-submit", {"session_id": text})
    assert found is not None
    assert (found.native_id, found.submitted) == ("", True)
