"""When each of many things is due: a dictionary of times that can't lose a wake-up."""

from __future__ import annotations

from collections.abc import Iterable


class Schedule:
    """Times in milliseconds of one clock; what was never scheduled is due at once.

    A thing that is woken while it is being looked at stays due: what woke it may have come too late for that look.
    """

    def __init__(self) -> None:
        self._at: dict[str, int] = {}
        self._woken: set[str] = set()

    def at(self, name: str) -> int:
        """When it is due."""
        return self._at.get(name, 0)

    def wake(self, name: str, at: int = 0) -> None:
        """It is due at `at`, or earlier if it was anyway."""
        self._at[name] = min(self.at(name), at)
        self._woken.add(name)

    def begin(self, name: str) -> None:
        """A look at it begins."""
        self._woken.discard(name)

    def done(self, name: str, again: int) -> None:
        """The look has ended; it is due again at `again`, unless it was woken meanwhile."""
        self._at[name] = min(self.at(name), again) if name in self._woken else again

    def keep(self, names: Iterable[str]) -> None:
        """Forget all others."""
        kept = set(names)
        self._at = {name: at for name, at in self._at.items() if name in kept}
        self._woken &= kept
