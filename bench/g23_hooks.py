"""G23: durable hook callbacks a second over eight connections, and their p99.

Each callback changes its session's activity, so each is one committed change; one client process drives all eight
connections, each with one request in flight.
"""

from __future__ import annotations

import select
import statistics
import time

from bench.client import Client
from bench.measure import ROUNDS, Row, percentile
from bench.place import Place

CONNECTIONS = 8
CALLBACKS = 5000
STATES = ("active", "idle")


def main(place: Place) -> list[Row]:
    """Rate and p99 as medians of three rounds."""
    with place.daemon() as daemon:
        daemon.register("hooks", place.repository(10))
        sessions = daemon.spawn("hooks", CONNECTIONS)
        clients = [daemon.client() for _ in sessions]
        requests = [
            [client.encode("POST", f"/api/v1/sessions/{session}/activity", {"state": state}) for state in STATES]
            for client, session in zip(clients, sessions, strict=True)
        ]
        rounds = [_round(clients, requests) for _ in range(ROUNDS)]
    rate = statistics.median(CALLBACKS / seconds for seconds, _ in rounds)
    late = statistics.median(percentile(took, 99) for _, took in rounds) * 1e3
    return [
        Row("G23", "hook callbacks a second, 8 connections", rate, "/s", 5000, at_least=True),
        Row("G23", "hook callback, p99", late, "ms", 10.0, f"{ROUNDS} rounds of {CALLBACKS:,}"),
    ]


def _round(clients: list[Client], requests: list[list[bytes]]) -> tuple[float, list[float]]:
    by_file = {client.socket.fileno(): number for number, client in enumerate(clients)}
    sent = [0.0] * len(clients)
    turns = [0] * len(clients)
    took: list[float] = []
    poll = select.poll()
    began = time.perf_counter()
    for number, client in enumerate(clients):
        poll.register(client.socket, select.POLLIN)
        sent[number] = time.perf_counter()
        client.socket.sendall(requests[number][0])
    while len(took) < CALLBACKS:
        arrived = poll.poll(20_000)
        if not arrived:
            raise TimeoutError("the daemon doesn't answer")
        for file, _ in arrived:
            number = by_file[file]
            clients[number].answer()
            took.append(time.perf_counter() - sent[number])
            turns[number] += 1
            sent[number] = time.perf_counter()
            clients[number].socket.sendall(requests[number][turns[number] % 2])
    seconds = time.perf_counter() - began
    for client in clients:
        client.answer()
    return seconds, took
