"""The scene of the contract that every forge keeps: a repository, and what others do there behind the forge's back."""

from __future__ import annotations

from typing import Protocol

from ao.model.pull import Observation, PullRef, Repo, Thread, Verdict
from ao.ports.forge import Forge, Listing, NewPull, Sighting, Watched

HOSTILE = (
    "$(touch pwned); `id` | tee x",
    "--upload-pack=touch pwned",
    "x' OR 1=1; DROP TABLE pr; --",
    '</text> "quoted" \\n {{template}} %s ${HOME}',
    "\u202egnp.exe \u2066hidden\u2069 \U0001f600",
)
UNKNOWN = 999_999


class Scene(Protocol):
    """A repository on the forge under test, and what other people and machines do there behind the forge's back.

    What a method does is visible to the forge when it returns. Branch `base` exists; it holds `README.md`.
    """

    forge: Forge
    repo: Repo
    base: str

    async def branch(self, name: str) -> str:
        """Make a branch from the base with one commit that adds the lines 1 to 9 as `<name>.txt`; that commit."""

    async def push(self, name: str) -> str:
        """Add a commit to a branch; the new head."""

    async def collide(self, name: str) -> None:
        """Change the same lines of one file on this branch and on the base, so that they conflict."""

    async def check(self, ref: PullRef, *, passed: bool, output: str = "") -> str:
        """Make the check `unit` of a pull request come to this end, with this output; its head then, which may be a new
        one."""

    async def review(self, ref: PullRef, verdict: Verdict, body: str) -> None:
        """A review by somebody who may write to the repository and isn't the author."""

    async def thread(self, ref: PullRef, path: str, line: int, body: str) -> None:
        """A conversation on a line of the head, begun by that same person."""

    async def merge(self, ref: PullRef) -> None:
        """Somebody merges it, and not through this forge object."""

    async def forget(self, ref: PullRef) -> None:
        """The pull request vanishes as if it had never been."""


async def opened(scene: Scene, name: str = "feature", *, title: str = "A feature", draft: bool = False) -> PullRef:
    """A pull request of a new branch, opened through the forge."""
    await scene.branch(name)
    seen = await scene.forge.create(
        scene.repo, NewPull(source_branch=name, target_branch=scene.base, title=title, body="Why", draft=draft)
    )
    return ref_of(scene, seen)


def ref_of(scene: Scene, seen: Observation) -> PullRef:
    """The reference of what was seen."""
    return PullRef(repo=scene.repo, number=seen.facts.number, node=seen.facts.node)


async def look(scene: Scene, ref: PullRef, stamp: str = "") -> Sighting:
    """One look at one pull request."""
    sightings = await scene.forge.observe([Watched(ref=ref, stamp=stamp)])
    assert len(sightings) == 1
    assert sightings[0].ref == ref
    return sightings[0]


async def seen(scene: Scene, ref: PullRef, stamp: str = "") -> Observation:
    """What a look shows, when it must show something."""
    sighting = await look(scene, ref, stamp)
    assert sighting.trouble is None
    assert not sighting.gone
    assert sighting.observation is not None
    return sighting.observation


async def threads(scene: Scene, ref: PullRef) -> tuple[Thread, ...]:
    """Its conversations as they are now."""
    found = (await scene.forge.fetch(ref)).threads
    assert found is not None
    return found


def listed(listing: Listing) -> dict[int, str]:
    """State by number."""
    return {facts.number: facts.state for facts in listing.pulls}
