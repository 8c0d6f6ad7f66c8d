"""The double itself, asked as the programs ask it."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.model_server import ModelServer, messages, responses

BASH = {"name": "Bash", "input_schema": {"properties": {"command": {}, "description": {}}}}
WRITE = {"name": "Write", "input_schema": {"properties": {"file_path": {}, "content": {}}}}
EXEC = {"type": "function", "name": "exec_command", "parameters": {"properties": {"cmd": {}}}}


@pytest.fixture
def model() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


def post(model: ModelServer, path: str, body: dict[str, Any]) -> tuple[int, str]:
    """Status and body; raises what `http.client` raises when the connection is cut."""
    connection = http.client.HTTPConnection(model.url.removeprefix("http://"), timeout=10)
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def claude(model: ModelServer, *said: dict[str, Any], **more: Any) -> dict[str, Any]:
    """An Anthropic answer to the messages `said`."""
    status, body = post(model, messages.PATH, {"messages": list(said), "tools": [BASH, WRITE], **more})
    return {"status": status, **json.loads(body)}


def codex(model: ModelServer, *said: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A Responses answer to the items `said`."""
    status, body = post(model, responses.PATH, {"input": list(said), "tools": [EXEC], **more})
    return {"status": status, **json.loads(body)}


def user(text: str) -> dict[str, Any]:
    """A prompt on the Anthropic wire."""
    return {"role": "user", "content": [{"type": "text", "text": text}]}


def item(text: str, role: str = "user") -> dict[str, Any]:
    """A prompt on the Responses wire."""
    return {"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]}


RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "ok"}]}


def events(stream: str) -> list[dict[str, Any]]:
    """The data of each server-sent event."""
    return [json.loads(line.removeprefix("data: ")) for line in stream.splitlines() if line.startswith("data: ")]


def test_a_script_is_played_one_step_per_tool_result(model: ModelServer) -> None:
    first = claude(model, user("do it [[script:commit]]"))
    second = claude(model, user("do it [[script:commit]]"), RESULT)
    assert first["stop_reason"] == "tool_use"
    assert "git commit" in first["content"][1]["input"]["command"]
    assert (second["stop_reason"], second["content"][0]["text"]) == ("end_turn", "Done. made.txt is committed.")


def test_a_new_prompt_starts_its_own_script_after_old_results(model: ModelServer) -> None:
    answer = claude(model, user("one [[script:commit]]"), RESULT, RESULT, user("two [[script:text]]"))
    assert answer["content"][0]["text"] == "Nothing to do."


def test_the_write_tool_gets_a_path_in_the_working_directory(model: ModelServer) -> None:
    told = {"role": "system", "content": [{"type": "text", "text": " - Primary working directory: /w/s-1\nmore"}]}
    answer = claude(model, user("[[script:write]]"), told)
    assert answer["content"][1]["input"]["file_path"] == "/w/s-1/hello.txt"


def test_without_a_write_tool_the_shell_writes(model: ModelServer) -> None:
    told = item("<environment_context><cwd>/w/s-2</cwd></environment_context>")
    call = codex(model, told, item("[[script:write]]"))["output"][-1]
    assert "> /w/s-2/hello.txt" in json.loads(call["arguments"])["cmd"]


def test_steps_in_the_prompt_are_played(model: ModelServer) -> None:
    answer = codex(model, item('go [[steps:[{"shell": "make"}, {"text": "Made."}]]]'))
    assert json.loads(answer["output"][-1]["arguments"]) == {"cmd": "make"}


@pytest.mark.parametrize("marker", ["[[script:nonsense]]", '[[steps:[{"nonsense": 1}]]]'])
def test_an_unreadable_marker_is_refused_aloud(model: ModelServer, marker: str) -> None:
    assert claude(model, user(marker))["status"] == 400


@pytest.mark.parametrize("path", [messages.PATH, responses.PATH])
def test_a_streamed_answer_says_the_same_as_a_whole_one(model: ModelServer, path: str) -> None:
    prompt = '[[steps:[{"text": "a long enough sentence to be cut in pieces"}]]]'
    said = {"messages": [user(prompt)], "input": [item(prompt)], "tools": [BASH if path == messages.PATH else EXEC]}
    _, stream = post(model, path, {**said, "stream": True})
    deltas = [event["delta"] for event in events(stream) if "delta" in event]
    text = "".join(delta if isinstance(delta, str) else delta.get("text", "") for delta in deltas)
    assert text == "a long enough sentence to be cut in pieces"
    assert len(deltas) > 1


def test_an_error_happens_as_often_as_told(model: ModelServer) -> None:
    prompt = user('[[steps:[{"text": "back", "error": 529, "error_times": 2}]]]')
    assert [claude(model, prompt)["status"] for _ in range(3)] == [529, 529, 200]


def test_a_cut_stream_ends_before_its_end(model: ModelServer) -> None:
    prompt = '[[steps:[{"text": "this sentence never comes to its end", "cut": true}]]]'
    _, stream = post(model, messages.PATH, {"messages": [user(prompt)], "tools": [BASH], "stream": True})
    assert not any(event["type"] == "message_stop" for event in events(stream))


def test_a_held_step_waits_for_its_gate(model: ModelServer) -> None:
    answers: list[dict[str, Any]] = []
    prompt = user('[[steps:[{"text": "now", "hold": "gate"}]]]')
    thread = threading.Thread(target=lambda: answers.append(claude(model, prompt)))
    thread.start()
    model.wait_for(lambda asked: asked.path == messages.PATH)
    claude(model, user("[[script:text]]"))  # another one is answered meanwhile
    assert not answers
    model.release("gate")
    thread.join(10)
    assert answers[0]["content"][0]["text"] == "now"


def test_stopping_ends_requests_that_are_held() -> None:
    failed = threading.Event()

    def ask(model: ModelServer) -> None:
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            claude(model, user('[[steps:[{"hold": "never"}]]]'))
        failed.set()

    with ModelServer() as model:
        thread = threading.Thread(target=ask, args=(model,))
        thread.start()
        model.wait_for(lambda asked: asked.path == messages.PATH)
    assert failed.wait(10)
    thread.join(10)


def test_side_requests_get_an_answer_of_their_own(model: ModelServer) -> None:
    title = codex(model, item("name this [[script:commit]]"), tools=[])
    shape = {"format": {"schema": {"properties": {"title": {"type": "string"}, "new": {"type": "boolean"}}}}}
    answer = claude(model, user("[[script:commit]]"), output_config=shape)
    assert title["output"][0]["content"][0]["text"] == "A title"
    assert json.loads(answer["content"][0]["text"]) == {"title": "A title", "new": False}
    assert model.asked() == []


def test_what_the_program_still_knew_can_be_asked(model: ModelServer) -> None:
    claude(model, user("<system-reminder>x</system-reminder>one [[script:text]]"), user("two"), RESULT)
    codex(model, item("be careful", role="developer"), item("<environment_context>x</environment_context>"), item("hi"))
    first, second = model.asked()
    assert first.conversation is not None
    assert second.conversation is not None
    assert first.conversation.prompts == ("one [[script:text]]", "two")
    assert (first.conversation.results, second.conversation.prompts) == (1, ("hi",))
    assert "be careful" in second.conversation.system


def test_a_path_of_no_wire_is_kept_and_answered_404(model: ModelServer) -> None:
    status, _ = post(model, "/v1/telemetry", {})
    assert (status, model.asked("/v1/telemetry")[0].conversation) == (404, None)
