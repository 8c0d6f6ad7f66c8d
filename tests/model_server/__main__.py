"""`python -m tests.model_server`: run it by hand, to drive an agent in a terminal."""

from __future__ import annotations

import signal

from tests.model_server import ModelServer

with ModelServer() as server:
    print(server.url, flush=True)
    signal.sigwait([signal.SIGINT, signal.SIGTERM])
