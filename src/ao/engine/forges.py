"""Which forge a project's pull requests live on, and where a reference to one leads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from ao.forges.github.repository import parse_pull_url, parse_remote
from ao.model.errors import AoError
from ao.model.project import Project, ProjectConfig
from ao.model.pull import GITHUB, LOCAL, PullRef, Repo
from ao.ports.forge import Forge
from ao.store import projects
from ao.store.database import Database


class Forges:
    """The forges this daemon knows, by name. `environ` may name further GitHub hosts."""

    def __init__(self, forges: Mapping[str, Forge], environ: Mapping[str, str]) -> None:
        self._forges = forges
        self._environ = environ

    def of(self, repo: Repo) -> Forge:
        """The forge of a repository. Raises `SCM_UNAVAILABLE` for one that isn't known any more."""
        forge = self._forges.get(repo.forge)
        if forge is None:
            raise AoError("SCM_UNAVAILABLE", f"this daemon knows no forge {repo.forge!r}")
        return forge

    def repo_of(self, project: Project) -> Repo:
        """The repository in which a project's pull requests are opened: GitHub's when `origin` is there, else the
        local one; the project's configuration has the last word.

        Raises `SCM_UNAVAILABLE` when GitHub is demanded and `origin` isn't there.
        """
        choice = project.settings.forge
        if choice == LOCAL:
            return self._local(project)
        remote = self.remote(project.repo, root=project.path)
        if remote is not None:
            return remote
        if choice == GITHUB:
            raise AoError(
                "SCM_UNAVAILABLE",
                f"project {project.id!r} is set to GitHub, but its origin {project.repo or '(none)'!r} isn't there",
                hint="add the remote and register the project again, or set forge to local; "
                "AO_GITHUB_HOSTS names GitHub Enterprise hosts",
            )
        return self._local(project)

    def repo_or_none(self, project: Project) -> Repo | None:
        """The same, None when it can't be told."""
        try:
            return self.repo_of(project)
        except AoError:
            return None

    def remote(self, url: str, *, root: str = "") -> Repo | None:
        """The repository that a remote's URL names, None when no known forge has it."""
        found = parse_remote(url, self._environ) if url else None
        return Repo(forge=found.forge, host=found.host, path=found.path, root=root) if found is not None else None

    def named(self, url: str) -> PullRef | None:
        """The pull request that a URL names, None when it names none of a known forge."""
        parts = urlsplit(url)
        if parts.scheme == "ao" and parts.netloc == LOCAL:
            project, kind, number = ([*parts.path.strip("/").split("/"), "", ""])[:3]
            if kind == "pull" and number.isascii() and number.isdigit():
                return PullRef(repo=Repo(forge=LOCAL, path=project), number=int(number))
            return None
        found = parse_pull_url(url, self._environ)
        return PullRef(repo=found[0], number=found[1]) if found is not None else None

    async def resume(self, found: Sequence[Project]) -> None:
        """After a start: let each forge finish or undo what was under way."""
        repos = [repo for project in found if (repo := self.repo_or_none(project)) is not None]
        for name, forge in self._forges.items():
            await forge.resume([repo for repo in repos if repo.forge == name])

    async def shut(self) -> None:
        """Let go of all forges."""
        for forge in self._forges.values():
            await forge.shut()

    def _local(self, project: Project) -> Repo:
        return Repo(forge=LOCAL, path=project.id, root=project.path)


def project_settings(db: Database, project_id: str) -> ProjectConfig:
    """A project's configuration as it is now; the empty one for a project that is gone."""
    project = projects.get(db.read, project_id, archived=True)
    return project.settings if project is not None else ProjectConfig()
