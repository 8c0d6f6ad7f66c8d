"""What a callback means: the agent's event table and the few rules about payloads, as one pure function.

A sub-agent's callbacks say nothing about its session, with one exception: its permission dialog stands in the same
terminal, so it must hold back whatever would be typed there, and its tools must be known so that the end of the right
one lifts the block again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from ao.agents.spec import NO_STATE, AgentSpec, Choice
from ao.model.session import Activity
from ao.model.signal import TOOL_EVENTS, Signal

ID_LIMIT: Final = 256
"""Longer ids are dropped, not cut."""
SUBMITTED: Final = "user-prompt-submit"
_NATIVE_IDS: Final = ("session_id", "sessionId", "conversation_id", "conversationId")
_NATIVE_ID: Final = re.compile(r"[^\W_][!-~]*", re.ASCII)
_SUB_AGENT: Final = ("agent_id", "parent_session_id", "parent_thread_id", "parent_agent_id")
_WORD: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[_\s]+")


def event_name(text: str) -> str:
    """Our name of an event: `PreToolUse`, `pre_tool_use` and `pre-tool-use` are one."""
    return _WORD.sub("-", text.strip()).lower()


def interpret(
    spec: AgentSpec, event: str, payload: Mapping[str, object], *, seq: int = 0, boot_id: str = ""
) -> Signal | None:
    """The signal of one callback; None for an unknown event and for what only concerns a sub-agent."""
    name = event_name(event)
    rule = spec.states.get(name)
    if rule is None:
        return None
    state = _state(rule, payload)
    sub_agent = any(_text(payload, field) for field in _SUB_AGENT)
    if sub_agent and name not in TOOL_EVENTS and state is not Activity.BLOCKED:
        return None
    if sub_agent and name == "pre-tool-use":
        state = None
    # The last word of a conversation that `/clear` ended must not take the place of the new conversation's id.
    identified = not sub_agent and name != "session-end"
    return Signal(
        event="stop" if _ends_turn(rule, payload) else spec.aliases.get(name, name),
        state=state,
        native_id=_native_id(payload) if identified else "",
        tool_name=_text(payload, "tool_name"),
        tool_id=_text(payload, "tool_use_id"),
        seq=seq,
        boot_id=boot_id,
        submitted=name == SUBMITTED,
    )


def _state(rule: str | Choice, payload: Mapping[str, object]) -> Activity | None:
    if isinstance(rule, Choice):
        value = payload.get(rule.field)
        rule = rule.values.get(value, rule.otherwise) if isinstance(value, str) else rule.otherwise
    return None if rule == NO_STATE else Activity(rule)


def _ends_turn(rule: str | Choice, payload: Mapping[str, object]) -> bool:
    return isinstance(rule, Choice) and payload.get(rule.field) in rule.ends


def _native_id(payload: Mapping[str, object]) -> str:
    """The conversation's id. It will be a word of the command line that resumes it, so it must not look like a flag."""
    found = next((text for field in _NATIVE_IDS if (text := _text(payload, field))), "")
    return found if _NATIVE_ID.fullmatch(found) else ""


def _text(payload: Mapping[str, object], field: str) -> str:
    value = payload.get(field)
    text = value.strip() if isinstance(value, str) else ""
    return text if len(text) <= ID_LIMIT else ""
