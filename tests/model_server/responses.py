"""The OpenAI Responses wire, as Codex 0.169.0 uses it: https://platform.openai.com/docs/api-reference/responses-streaming."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tests.model_server.conversation import Conversation, answer_in_shape, chunks, human
from tests.model_server.script import ToolCall

PATH = "/v1/responses"
_USAGE = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 20,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 120,
}


def read(body: Mapping[str, Any]) -> Conversation:
    """What the request says."""
    prompts: list[str] = []
    told = [str(body.get("instructions") or "")]
    results = 0
    for item in body.get("input", []):
        kind = item.get("type", "message")
        if kind.endswith("_output"):
            results += 1
        elif kind == "message":
            text = "\n".join(part.get("text", "") for part in item.get("content", []))
            said = human(text) if item.get("role") == "user" else ""
            if said:
                prompts.append(said)
                results = 0
            elif item.get("role") != "assistant":
                told.append(text)
    tools = dict(_functions(body.get("tools") or []))
    shape = (body.get("text") or {}).get("format") or {}
    schema = shape.get("schema", {}) if shape.get("type") == "json_schema" else None
    aside = answer_in_shape(schema) if schema is not None else "" if tools else "A title"
    return Conversation(system="\n".join(told), prompts=tuple(prompts), results=results, tools=tools, aside=aside)


def answer(body: Mapping[str, Any], text: str, call: ToolCall | None) -> dict[str, Any]:
    """The whole answer, for a request that doesn't stream."""
    output: list[dict[str, Any]] = []
    if text:
        part = {"type": "output_text", "text": text, "annotations": []}
        output.append({"type": "message", "id": _id("msg"), "role": "assistant", "content": [part]})
    if call:
        names = {"id": _id("fc"), "call_id": _id("call"), "name": call.name}
        output.append({"type": "function_call", **names, "arguments": json.dumps(call.arguments)})
    return {
        "id": _id("resp"),
        "object": "response",
        "created_at": 0,
        "model": body.get("model", ""),
        "status": "completed",
        "output": [{**item, "status": "completed"} for item in output],
        "usage": _USAGE,
        "error": None,
        "incomplete_details": None,
    }


def stream(body: Mapping[str, Any], text: str, call: ToolCall | None) -> Iterator[dict[str, Any]]:
    """The same answer as events; each one's `type` is its SSE name."""
    for number, event in enumerate(_events(answer(body, text, call))):
        yield {**event, "sequence_number": number}


def _events(whole: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"type": "response.created", "response": {**whole, "status": "in_progress", "output": [], "usage": None}}
    for index, item in enumerate(whole["output"]):
        at = {"output_index": index, "item_id": item["id"]}
        is_text = item["type"] == "message"
        empty = {**item, "status": "in_progress", **({"content": []} if is_text else {"arguments": ""})}
        yield {"type": "response.output_item.added", "output_index": index, "item": empty}
        yield from _text_events(item["content"][0], at) if is_text else _call_events(item["arguments"], at)
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    yield {"type": "response.completed", "response": whole}


def _text_events(part: Mapping[str, Any], at: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    at = {**at, "content_index": 0}
    yield {"type": "response.content_part.added", **at, "part": {**part, "text": ""}}
    for delta in chunks(part["text"]):
        yield {"type": "response.output_text.delta", **at, "delta": delta}
    yield {"type": "response.output_text.done", **at, "text": part["text"]}
    yield {"type": "response.content_part.done", **at, "part": part}


def _call_events(arguments: str, at: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for delta in chunks(arguments):
        yield {"type": "response.function_call_arguments.delta", **at, "delta": delta}
    yield {"type": "response.function_call_arguments.done", **at, "arguments": arguments}


def failure(status: int, message: str) -> dict[str, Any]:
    """An error body."""
    return {"error": {"type": "invalid_request_error" if status < 429 else "server_error", "message": message}}


def _functions(tools: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for tool in tools:
        if tool.get("type") == "function":
            yield tool["name"], tool.get("parameters") or {}
        elif tool.get("type") == "namespace":
            yield from _functions(tool.get("tools", []))


def _id(kind: str) -> str:
    return f"{kind}_{uuid.uuid4().hex[:24]}"
