"""Making a fresh worktree ready: links into it, then the project's own commands, bounded and logged."""

from __future__ import annotations

import asyncio
import os
from typing import Final

from ao.engine.environment import base_environment, session_environment
from ao.engine.world import World, checkout_of
from ao.model.errors import AoError
from ao.model.project import Project
from ao.model.session import Session, with_warnings
from ao.ports import CommandTimeoutError

TAIL: Final = 16_000
"""Characters kept of the commands' output."""


async def provision(world: World, session: Session, project: Project) -> Session:
    """Link what the project asks for and run its post-create commands.

    Raises `POST_CREATE_FAILED` with the command and the tail of its output. While the session lives a longer tail is
    in its run folder as `post-create.log`; of a failure the row keeps the last lines.
    """
    config = project.settings
    if config.symlinks:
        notes = await world.workspaces.provision(checkout_of(session), config.symlinks)
        if notes:
            session = await world.change(session.id, lambda row: with_warnings(row, notes))
    if any(command.strip() for command in config.post_create):
        await _run_commands(world, session, project)
    return session


async def _run_commands(world: World, session: Session, project: Project) -> None:
    config = project.settings
    settings = world.settings
    env = session_environment(
        session,
        base=base_environment(settings.environ, ao_bin=settings.ao_bin),
        project=config.env,
        settings=settings,
    )
    log = os.path.join(settings.run_folder(session.id), "post-create.log")
    text = ""
    clock = asyncio.get_running_loop().time  # not the wall clock, which may be set meanwhile
    deadline = clock() + config.post_create_timeout
    for command in (line for line in config.post_create if line.strip()):
        left_s = max(0.1, deadline - clock())
        try:
            done = await world.host.run(
                ["/bin/sh", "-c", command], cwd=session.workspace_path, env=env, timeout_s=left_s, limit=1 << 20
            )
            code: int | None = done.code
            text = f"{text}$ {command}\n{done.out}{done.err}"[-TAIL:]
        except CommandTimeoutError:
            code = None
            text = f"{text}$ {command}\n(ended after {config.post_create_timeout} s)\n"[-TAIL:]
        await world.host.write_private(log, text.encode(), durable=False)
        if code != 0:
            how = f"exit code {code}" if code is not None else f"not done after {config.post_create_timeout} s"
            raise AoError(
                "POST_CREATE_FAILED",
                f"post-create command {command!r} failed: {how}",
                hint="the end of its output is in details.output; correct it with `ao project set-config`",
                details={"command": command, "exitCode": code, "output": text[-4000:]},
            )
