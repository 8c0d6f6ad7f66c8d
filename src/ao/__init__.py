"""Agent Orchestrator: supervise many coding agents at once."""

__version__ = "0.1.0"
