"""The Anthropic Messages wire, as Claude Code 2.1.330 uses it: https://docs.anthropic.com/en/api/messages-streaming."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from tests.model_server.conversation import Conversation, answer_in_shape, chunks, human
from tests.model_server.script import ToolCall

PATH = "/v1/messages"
_USAGE = {"input_tokens": 100, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}


def read(body: Mapping[str, Any]) -> Conversation:
    """What the request says."""
    prompts: list[str] = []
    told = [_text(_blocks(body.get("system")))]
    results = 0
    for message in body.get("messages", []):
        blocks = _blocks(message.get("content"))
        if message.get("role") == "system":
            told.append(_text(blocks))
        if message.get("role") != "user":
            continue
        finished = sum(block.get("type") == "tool_result" for block in blocks)
        text = human(_text(blocks))
        # After an interrupt, the results and the next prompt share one message.
        if finished and "[[" not in text:
            results += finished
        elif text:
            prompts.append(text)
            results = 0
    tools = {tool["name"]: tool.get("input_schema", {}) for tool in body.get("tools", []) if "name" in tool}
    schema = (body.get("output_config") or {}).get("format") or {}
    aside = answer_in_shape(schema.get("schema", {})) if schema else "" if tools else "A title"
    return Conversation(
        system="\n".join(told),
        prompts=tuple(prompts),
        results=results,
        tools=tools,
        aside=aside,
    )


def answer(body: Mapping[str, Any], text: str, call: ToolCall | None) -> dict[str, Any]:
    """The whole answer, for a request that doesn't stream."""
    content: list[dict[str, Any]] = [{"type": "text", "text": text}] if text else []
    if call:
        content.append({"type": "tool_use", "id": _id("toolu"), "name": call.name, "input": call.arguments})
    return {
        "id": _id("msg"),
        "type": "message",
        "role": "assistant",
        "model": body.get("model", ""),
        "content": content,
        "stop_reason": "tool_use" if call else "end_turn",
        "stop_sequence": None,
        "usage": {**_USAGE, "output_tokens": 20},
    }


def stream(body: Mapping[str, Any], text: str, call: ToolCall | None) -> Iterator[dict[str, Any]]:
    """The same answer as events; each one's `type` is its SSE name."""
    whole = answer(body, text, call)
    yield {"type": "message_start", "message": {**whole, "content": [], "stop_reason": None}}
    for index, block in enumerate(whole["content"]):
        empty: dict[str, Any]
        if block["type"] == "text":
            empty, deltas = {"type": "text", "text": ""}, [("text_delta", "text", part) for part in chunks(text)]
        else:
            parts = chunks(json.dumps(block["input"]))
            empty, deltas = {**block, "input": {}}, [("input_json_delta", "partial_json", part) for part in parts]
        yield {"type": "content_block_start", "index": index, "content_block": empty}
        for kind, key, part in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": {"type": kind, key: part}}
        yield {"type": "content_block_stop", "index": index}
    stop = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    yield {"type": "message_delta", "delta": stop, "usage": {"output_tokens": 20}}
    yield {"type": "message_stop"}


def failure(status: int, message: str) -> dict[str, Any]:
    """An error body."""
    kinds = {
        400: "invalid_request_error",
        401: "authentication_error",
        429: "rate_limit_error",
        529: "overloaded_error",
    }
    return {"type": "error", "error": {"type": kinds.get(status, "api_error"), "message": message}}


def _blocks(content: object) -> list[Mapping[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return content if isinstance(content, list) else []


def _text(blocks: list[Mapping[str, Any]]) -> str:
    return "\n".join(block.get("text", "") for block in blocks if block.get("type") == "text")


def _id(kind: str) -> str:
    return f"{kind}_{uuid.uuid4().hex[:24]}"
