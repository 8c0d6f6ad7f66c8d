"""The machine where commands run; the only place of the daemon that starts, watches and ends processes.

`LocalHost` is the machine itself. Everything it learns of processes it reads from Linux's /proc, pidfds and inotify, so
that waiting costs no wake-ups. The environment of the daemon reaches a command only through the few names in
`commands.INHERITED`.
"""

from __future__ import annotations

from ao.host.commands import Commands
from ao.host.files import Files
from ao.host.processes import Processes


class LocalHost(Commands, Files, Processes):
    """`ao.ports.Host` on this machine."""


__all__ = ["LocalHost"]
