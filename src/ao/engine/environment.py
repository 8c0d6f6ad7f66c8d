"""The environment an agent runs in: an allow-list of the daemon's own, the project's, then ours."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from ao.engine.world import Settings
from ao.model.session import Session

INHERITED: Final = frozenset(
    {
        "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "PATH", "COLORTERM",
        "SSH_AUTH_SOCK", "SSH_AGENT_PID", "GPG_TTY", "GNUPGHOME", "DISPLAY", "WAYLAND_DISPLAY",
        "DBUS_SESSION_BUS_ADDRESS",
        "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
        "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
        "EDITOR", "VISUAL", "PAGER", "NVM_DIR", "VOLTA_HOME", "FNM_DIR", "PYENV_ROOT", "VIRTUAL_ENV", "JAVA_HOME",
        "GOPATH", "GOROOT", "CARGO_HOME", "RUSTUP_HOME",
    }
)  # fmt: skip
"""Variables handed on as they are. Credentials of forges and clouds are not among them; a project's `env` may add
any, and an agent's specification names those its own provider needs."""
INHERITED_PREFIXES: Final = ("LC_", "XDG_")


def base_environment(environ: Mapping[str, str], *, ao_bin: str) -> dict[str, str]:
    """What every agent gets: the allowed part of `environ`, with the folder of `ao` first on PATH."""
    env = {key: value for key, value in environ.items() if key in INHERITED or key.startswith(INHERITED_PREFIXES)}
    folder = os.path.dirname(ao_bin)
    if folder:
        env["PATH"] = f"{folder}:{env.get('PATH') or os.defpath}"
    env.setdefault("LANG", "C.UTF-8")
    env["COLORTERM"] = "truecolor"
    return env


def session_environment(
    session: Session, *, base: Mapping[str, str], project: Mapping[str, str], settings: Settings
) -> dict[str, str]:
    """The environment of one session without its token; our variables win over the project's."""
    env = {**base, **project}
    if "PATH" in project:
        env["PATH"] = f"{os.path.dirname(settings.ao_bin)}:{project['PATH']}"
    env |= {
        "AO_SESSION_ID": session.id,
        "AO_PROJECT_ID": session.project_id,
        "AO_ISSUE_ID": session.issue_id,
        "AO_DATA_DIR": settings.data_dir,
        "AO_RUN_FILE": settings.run_file,
        "AO_BIN": settings.ao_bin,
    }
    return env
