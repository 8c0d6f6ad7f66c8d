"""A loopback double of the model providers, so that genuine agent programs run whole turns without a network.

It speaks the two wires the pinned programs use, streaming and not: Anthropic Messages (Claude Code) and OpenAI
Responses (Codex). What it answers is a script, chosen by a marker in the prompt; see `script`. It keeps no
conversation: the step to play is the number of tool results after the last human prompt, so retries, resumed
conversations and agents side by side all behave. Every request is kept with what it said, so a test can ask which
turns the program still knew.
"""

from __future__ import annotations

from tests.model_server.server import Asked, ModelServer

__all__ = ["Asked", "ModelServer"]
