"""The nearest spelling of a mistyped word. Imported only once something was mistyped: difflib is not cheap."""

from __future__ import annotations

import difflib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word most like `word`, or an empty string when none is close."""
    lowered = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=0.6)
    if found:
        return lowered[found[0]]
    starts = [name for key, name in lowered.items() if len(word) > 1 and key.startswith(word.lower())]
    return starts[0] if len(starts) == 1 else ""
