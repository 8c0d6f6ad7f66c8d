"""The local forge: pull requests between branches of one repository, without a network.

Its rows are kept by the store (`PullBook`), its branches by git, its checks are commands that run here. A look compares
the two: the branches are where they are, whatever the rows say of them.
"""

from __future__ import annotations

from ao.forges.local.forge import LocalForge
from ao.forges.local.parts import LocalParts

__all__ = ["LocalForge", "LocalParts"]
