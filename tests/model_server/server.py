"""The HTTP side: answers by the scripts, keeps what was asked, and stops without leaving a thread or a socket."""

from __future__ import annotations

import json
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import ModuleType, TracebackType
from typing import Any, Self

import msgspec

from tests.model_server import messages, responses
from tests.model_server.conversation import Conversation, tool_call
from tests.model_server.script import Step, step_for

WIRES: Mapping[str, ModuleType] = {messages.PATH: messages, responses.PATH: responses}


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One request. `conversation` is None for a path that no wire of ours has."""

    path: str
    headers: Mapping[str, str]
    conversation: Conversation | None


class ModelServer:
    """A model provider on 127.0.0.1, running while its `with` block does. All methods may be called from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._asked: list[Asked] = []
        self._failed: Counter[tuple[str, int]] = Counter()
        self._released: set[str] = set()
        self._stopped = False
        self._http = _Http(("127.0.0.1", 0), type("Handler", (_Handler,), {"model": self}))
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._http.shutdown()
        self._http.hang_up()
        self._http.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """Where it listens, without a path."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def asked(self, path: str = "") -> list[Asked]:
        """The requests so far to `path` (all when ""), without side requests such as titles."""
        with self._changed:
            return [
                request
                for request in self._asked
                if request.path.startswith(path) and not (request.conversation and request.conversation.aside)
            ]

    def wait_for(self, wanted: Callable[[Asked], bool], *, timeout_s: float = 20.0) -> Asked:
        """The first request that `wanted` accepts, past or coming. Raises TimeoutError with what was asked instead."""
        with self._changed:
            if not self._changed.wait_for(lambda: any(map(wanted, self._asked)), timeout_s):
                said = [
                    request.conversation.prompt if request.conversation else request.path for request in self._asked
                ]
                raise TimeoutError(f"no such request within {timeout_s} s, only {said}")
            return next(filter(wanted, self._asked))

    def release(self, gate: str) -> None:
        """Let every step that holds at `gate` go on, now and later."""
        with self._changed:
            self._released.add(gate)
            self._changed.notify_all()

    def note(self, request: Asked) -> None:
        """Keep one request."""
        with self._changed:
            self._asked.append(request)
            self._changed.notify_all()

    def pass_gate(self, gate: str) -> bool:
        """Wait for `gate` ("" stands open); False when the server stops first."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or not gate or gate in self._released)
            return not self._stopped

    def fails(self, step: Step, conversation: Conversation) -> bool:
        """Whether this request of `step` is one of those that fail."""
        if not step.error:
            return False
        with self._changed:
            key = (conversation.prompt, conversation.results)
            self._failed[key] += 1
            return step.error_times is None or self._failed[key] <= step.error_times


class _Http(ThreadingHTTPServer):
    """A threaded server that can hang up on clients which keep their connections open."""

    daemon_threads = False
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End every open connection, so that its thread returns."""
        for connection in self._open.copy():
            _shut(connection)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    model: ModelServer

    def log_message(self, format: str, *args: object) -> None:
        """Silent: the requests are kept instead."""

    def do_GET(self) -> None:
        self._unknown()

    def do_HEAD(self) -> None:
        self._unknown()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        wire = WIRES.get(self.path.partition("?")[0])
        if wire is None:
            self._unknown()
            return
        request = json.loads(body)
        conversation: Conversation = wire.read(request)
        self._note(conversation)
        try:
            self._play(wire, request, conversation)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _note(self, conversation: Conversation | None) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.model.note(Asked(path=self.path, headers=headers, conversation=conversation))

    def _unknown(self) -> None:
        self._note(None)
        self._send_json(404, messages.failure(404, "no such endpoint"))

    def _play(self, wire: ModuleType, request: Mapping[str, Any], conversation: Conversation) -> None:
        step = Step(text=conversation.aside)
        if not conversation.aside:
            step = step_for(conversation.prompt, conversation.results)
        if not self.model.pass_gate(step.hold):
            self.close_connection = True
            return
        if self.model.fails(step, conversation):
            self._send_json(step.error, wire.failure(step.error, step.text or f"scripted {step.error}"))
            return
        try:
            call = tool_call(step, conversation)
        except LookupError as error:
            self._send_json(400, wire.failure(400, str(error)))
            return
        text = step.text or ("Working on it." if call else "Done.")
        if request.get("stream"):
            self._stream(step, wire.stream(request, text, call))
        else:
            self._send_json(200, wire.answer(request, text, call))

    def _stream(self, step: Step, events: Iterator[dict[str, Any]]) -> None:
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        deltas = 0
        for event in events:
            deltas += event["type"].endswith("delta")
            if deltas == 2 and step.cut:
                _shut(self.connection)
                return
            if deltas == 2 and not self.model.pass_gate(step.hold_between):
                return
            self.wfile.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
            self.wfile.flush()

    def _send_json(self, status: int, answer: object) -> None:
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if status in (429, 529):
            self.send_header("Retry-After", "0")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # The client was faster.
