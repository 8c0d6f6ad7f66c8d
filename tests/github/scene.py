"""A scene of the contract suite of forges (`tests/forges/contract.py`) over the double."""

from __future__ import annotations

from dataclasses import dataclass

from ao.model.pull import GITHUB, PullRef, Repo, Verdict
from ao.ports.forge import Forge
from tests.github.double import GitHubDouble
from tests.github.records import Pull

_STATES = {"approved": "APPROVED", "changes_requested": "CHANGES_REQUESTED", "commented": "COMMENTED"}


@dataclass
class DoubleScene:
    """The repository octo/widgets. `maintainer` is a member of it and isn't the account whose token the forge uses."""

    forge: Forge
    github: GitHubDouble
    maintainer: str = "maintainer"
    base: str = "main"

    def __post_init__(self) -> None:
        self.repo = Repo(forge=GITHUB, host="github.com", path=self.github.repo.full_name)
        self.github.repo.roles[self.maintainer] = "MEMBER"

    def pull(self, ref: PullRef) -> Pull:
        """The double's own record."""
        return self.github.repo.pulls[ref.number]

    async def branch(self, name: str) -> str:
        """Make a branch from the base with one commit that adds the lines 1 to 9 as `<name>.txt`; that commit."""
        lines = "".join(f"{number}\n" for number in range(1, 10))
        return self.github.state.push(self.github.repo, name, {f"{name}.txt": lines})

    async def push(self, name: str) -> str:
        """Add a commit to a branch; the new head."""
        old = self.github.repo.branches[name]
        return self.github.state.push(self.github.repo, name, {f"more-{old[:7]}.txt": "more\n"})

    async def collide(self, name: str) -> None:
        """Change the same lines of one file on this branch and on the base, so that they conflict."""
        for branch in (name, self.base):
            self.github.state.push(self.github.repo, branch, {"README.md": f"# {branch}\n"})

    async def check(self, ref: PullRef, *, passed: bool, output: str = "") -> str:
        """Make the check `unit` of a pull request come to this end, with this output; its head."""
        run = self.github.state.set_check(self.pull(ref), "unit", "success" if passed else "failure", log=output)
        return run.sha

    async def review(self, ref: PullRef, verdict: Verdict, body: str) -> None:
        """A review by the maintainer."""
        self.github.state.add_review(self.pull(ref), _STATES[verdict], author=self.maintainer, body=body)

    async def thread(self, ref: PullRef, path: str, line: int, body: str) -> None:
        """A conversation on a line of the head, begun by the maintainer."""
        self.github.state.add_thread(self.pull(ref), body, author=self.maintainer, path=path, line=line)

    async def merge(self, ref: PullRef) -> None:
        """The maintainer merges it."""
        self.github.state.merge(self.pull(ref), by=self.maintainer)

    async def forget(self, ref: PullRef) -> None:
        """The pull request vanishes as if it had never been."""
        self.github.state.delete_pull(self.pull(ref))
