"""G8: `send`, from the request to the first byte at the agent's standard input, and to Enter.

The bench's agent reads its terminal raw and with echo, so a pasted text shows on the screen at once.
"""

from __future__ import annotations

import time

from bench.measure import ROUNDS, Row, absolute
from bench.place import Place

MESSAGES = 20


def main(place: Place) -> list[Row]:
    """Both times, over three rounds."""
    first: list[list[float]] = []
    entered: list[list[float]] = []
    with place.daemon() as daemon:
        pipe = daemon.pipe
        daemon.register("send", place.repository(100))
        (session,) = daemon.spawn("send", 1)
        client = daemon.client()
        for turn in range(ROUNDS):
            first.append([])
            entered.append([])
            for number in range(MESSAGES):
                mark = f"message {turn}.{number}."
                request = client.encode("POST", f"/api/v1/sessions/{session}/send", {"message": mark})
                pipe.skip()
                start = time.perf_counter()
                client.socket.sendall(request)
                first[-1].append(pipe.wait(mark[:1].encode()) - start)
                pipe.wait(mark[1:].encode())
                entered[-1].append(pipe.wait(b"\r") - start)
                client.answer()
                time.sleep(0.35)
    return [
        absolute("G8", "send → first byte at the agent", first, limit=3.0),
        absolute("G8", "send → Enter at the agent", entered, limit=20.0),
    ]
