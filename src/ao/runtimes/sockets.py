"""Where the private tmux servers listen.

A socket's path is limited to 107 bytes by the kernel, a data directory is not. The identity of a server is this path
and nothing else: no search by name ever finds, and no clean-up ever touches, a tmux server of somebody else.
"""

from __future__ import annotations

import hashlib
import os
from typing import Final

_LONGEST: Final = 100


def socket_path(data_dir: str, number: int, *, runtime_dir: str, uid: int) -> str:
    """`<dataDir>/tmux/<n>`; if that is longer than 100 bytes `<runtime dir>/ao-<hash>/tmux-<n>`, else in `/tmp`.

    `runtime_dir` is `$XDG_RUNTIME_DIR`, "" when there is none.
    """
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
    candidates = [os.path.join(data_dir, "tmux", str(number))]
    if runtime_dir:
        candidates.append(os.path.join(runtime_dir, f"ao-{digest}", f"tmux-{number}"))
    fitting = (path for path in candidates if len(os.fsencode(path)) <= _LONGEST)
    return next(fitting, f"/tmp/ao-{uid}-{digest}/tmux-{number}")  # noqa: S108 (its owner and mode are checked)
