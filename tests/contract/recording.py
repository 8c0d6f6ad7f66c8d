"""Playing a recording of the original against our daemon, and comparing answer with answer.

A recording is a list of exchanges in order; each builds on the ones before. Texts, ids, times and paths in it are
masked (`<text>`, `<time>`, …). An answer matches when status and media type are the same and everything recorded of
the body is there with the same name, type and (unless masked) value; more fields are welcome.
"""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

DATA: Final = Path(__file__).parent / "data"
_MASKS: Final[dict[str, Callable[[Any], object]]] = {
    "<n>": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "<time>": lambda value: isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", value),
    "<text>": lambda value: isinstance(value, str) and value,
    "<id>": lambda value: isinstance(value, str) and value,
    "<path>": lambda value: isinstance(value, str) and value.startswith("/"),
}
_REPEATED: Final = re.compile(r"(.)\1*…<(\d+) characters>")


def exchanges(state: str) -> list[dict[str, Any]]:
    """The recorded exchanges of a state of the original."""
    found: list[dict[str, Any]] = json.loads((DATA / f"{state}.json").read_text())["http"]
    return found


class Player:
    """Sends recorded requests to our daemon. `renamed` maps recorded words (ids, agents) to ours."""

    def __init__(self, port: int, home: str, renamed: Mapping[str, str]) -> None:
        self._port = port
        self._home = home
        self._renamed = renamed

    def play(self, exchange: Mapping[str, Any]) -> dict[str, Any]:
        """Our answer to a recorded request, in the recording's shape."""
        request = exchange["request"]
        body = request.get("raw")
        if "body" in request:
            body = json.dumps(self._ours(request["body"]))
        headers = {"Host": f"127.0.0.1:{self._port}", **request.get("headers", {})}
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request(request["method"], self._ours(request["path"]), body, headers)
            response = connection.getresponse()
            if "frames" in exchange["response"]:
                return {"status": response.status, "headers": dict(response.getheaders()), "frames": _frames(response)}
            text = response.read().decode()
        finally:
            connection.close()
        return {
            "status": response.status,
            "contentType": response.getheader("Content-Type"),
            "headers": dict(response.getheaders()),
            "body": json.loads(text) if text else None,
        }

    def expected(self, exchange: Mapping[str, Any]) -> dict[str, Any]:
        """The recorded answer in our words."""
        found: dict[str, Any] = self._ours(exchange["response"])
        return found

    def _ours(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._ours(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._ours(item) for item in value]
        if not isinstance(value, str):
            return value
        repeated = _REPEATED.fullmatch(value)
        if repeated:
            return repeated[1] * int(repeated[2])
        text = value.replace("$HOME", self._home)
        return re.sub(r"[\w-]+", lambda word: self._renamed.get(word[0], word[0]), text)


def _frames(response: http.client.HTTPResponse) -> list[dict[str, Any]]:
    """The frames of a stream up to the project's removal, the last thing recorded; else up to the next heartbeat."""
    found: list[dict[str, Any]] = []
    fields: dict[str, Any] = {}
    while line := response.readline().decode():
        if line.startswith(":") and found:
            break
        name, _, value = line.rstrip("\n").partition(": ")
        if name == "data":
            fields[name] = json.loads(value)
        elif name:
            fields[name] = value
        elif "event" in fields:
            found.append(fields)
            if fields["event"] == "project_removed":
                break
            fields = {}
        else:
            fields = {}
    return found


def differences(recorded: Any, ours: Any, where: str = "") -> Iterator[str]:
    """Where our answer lacks something recorded, by path."""
    if isinstance(recorded, str) and recorded in _MASKS:
        if not _MASKS[recorded](ours):
            yield f"{where}: {ours!r} doesn't look like {recorded}"
    elif isinstance(recorded, dict):
        if not isinstance(ours, dict):
            yield f"{where}: {ours!r} is not an object"
            return
        for key, item in recorded.items():
            if key in ours:
                yield from differences(item, ours[key], f"{where}.{key}".lstrip("."))
            else:
                yield f"{where}.{key}: missing".lstrip(".")
    elif isinstance(recorded, list):
        if not isinstance(ours, list) or len(ours) != len(recorded):
            yield f"{where}: {ours!r} is not a list of {len(recorded)}"
            return
        for number, (item, other) in enumerate(zip(recorded, ours, strict=True)):
            yield from differences(item, other, f"{where}[{number}]")
    elif recorded != ours or type(recorded) is not type(ours):
        yield f"{where}: {ours!r} instead of {recorded!r}"
