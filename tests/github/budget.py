"""Rate limits as GitHub keeps them: points an hour for each resource, told in headers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class Budget:
    """The budget of one resource: `core` (REST) or `graphql`. Times are GitHub's, in seconds since the epoch."""

    resource: str
    clock: Callable[[], float]
    limit: int = 5000
    used: int = 0
    started_at: float = 0.0

    def renew(self) -> None:
        """Start a new hour when the present one is over."""
        if self.clock() >= self.reset_at or not self.started_at:
            self.started_at, self.used = self.clock(), 0

    @property
    def reset_at(self) -> float:
        """When the hour is over."""
        return self.started_at + 3600

    @property
    def remaining(self) -> int:
        """Points left in this hour."""
        return max(0, self.limit - self.used)

    def take(self, points: int) -> bool:
        """Pay; False when it is used up, then nothing is taken."""
        self.renew()
        if self.remaining < 1:
            return False
        self.used += points
        return True

    def use_up(self) -> None:
        """Leave nothing until the hour is over."""
        self.renew()
        self.used = self.limit

    @property
    def headers(self) -> dict[str, str]:
        """`X-RateLimit-*`."""
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Used": str(self.used),
            "X-RateLimit-Reset": str(int(self.reset_at)),
            "X-RateLimit-Resource": self.resource,
        }

    @property
    def numbers(self) -> dict[str, int]:
        """As `GET /rate_limit` shows it."""
        return {"limit": self.limit, "used": self.used, "remaining": self.remaining, "reset": int(self.reset_at)}
