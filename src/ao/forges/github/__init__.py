"""GitHub as a forge: GraphQL for looking at many pull requests at once, REST for lists, logs and most actions.

`repository` knows where things are, `transport` and `client` ask, `limits` keeps the pace, `reading` and `stamps` make
sense of answers, `looking`, `listing`, `logs`, `actions` and `reviewing` are the forge's verbs, `forge` is its face.
"""

from __future__ import annotations

from ao.forges.github.forge import GitHub

__all__ = ["GitHub"]
