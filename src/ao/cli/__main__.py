"""`python -m ao.cli`: the `ao` command without its console script."""

from __future__ import annotations

import sys

from ao.cli import main

if __name__ == "__main__":
    sys.exit(main())
