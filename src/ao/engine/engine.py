"""The engine put together: one object with the use cases, built from a world."""

from __future__ import annotations

from ao.engine.budgets import Budgets
from ao.engine.channels import Channels
from ao.engine.completion import Completion
from ao.engine.forges import Forges
from ao.engine.launching import Launcher
from ao.engine.lifecycle import Lifecycle
from ao.engine.locks import SessionLocks
from ao.engine.messaging import Messaging
from ao.engine.notifications import Notifications
from ao.engine.nudging import Nudging
from ao.engine.observer import Observer
from ao.engine.orchestrators import Orchestrators
from ao.engine.projects import Projects
from ao.engine.pull_actions import PullActions
from ao.engine.pulls import Pulls
from ao.engine.recovery import Recovery
from ao.engine.reviews import Reviews
from ao.engine.sessions import Sessions
from ao.engine.teardown import Teardown
from ao.engine.views import Views
from ao.engine.watching import Watches
from ao.engine.world import World
from ao.model.change import Change


class Engine:
    """Use cases by room; nothing happens before `recover`."""

    def __init__(self, world: World, forges: Forges, channels: Channels) -> None:
        locks = SessionLocks()
        watches = Watches(world)
        launcher = Launcher(world, watches)
        teardown = Teardown(world, watches, launcher)
        self.world = world
        self.agents = world.agents
        self.sessions = Sessions(world, locks, launcher, teardown)
        self.orchestrators = Orchestrators(world, locks, self.sessions, teardown=teardown, watches=watches)
        self.messaging = Messaging(world, watches)
        self.lifecycle = Lifecycle(world, watches, self.messaging)
        self.projects = Projects(world, self.sessions)
        self.views = Views(world)
        self.pulls = Pulls(world, forges)
        self.pull_actions = PullActions(world, self.pulls)
        self.observer = Observer(world, self.pulls)
        self.nudging = Nudging(world, self.pulls, self.messaging)
        self.completion = Completion(world, self.sessions, self.pulls)
        self.notifications = Notifications(world, channels)
        self.observer.report_limit_to(Budgets(world, self.notifications).changed)
        self.pulls.report_to(lambda pull: self.nudging.wake(pull.url))
        self.pulls.report_to(self.completion.pull_changed)
        self.reviews = Reviews(world, self.sessions, self.pulls, actions=self.pull_actions, messaging=self.messaging)
        self.reviews.report_gave_up_to(self.nudging.reviewed_enough)
        self.pulls.report_to(self.reviews.pull_changed)
        self.lifecycle.report_to(self.reviews.heard)
        self._recovery = Recovery(
            world,
            locks,
            watches,
            teardown=teardown,
            lifecycle=self.lifecycle,
            orchestrators=self.orchestrators,
        )
        watches.report_to(self.lifecycle.apply)

    async def recover(self) -> None:
        """Make rows and world agree, then deliver what waits. Call once, before anything is served."""
        await self._recovery.run()
        await self.messaging.resume()
        await self.pulls.forges.resume(self.projects.list())
        self.nudging.resume()
        self.completion.resume()
        self.notifications.resume()
        await self.reviews.resume()

    async def observe(self) -> None:
        """Watch the forges for ever."""
        await self.observer.run()

    def committed(self, changes: list[Change]) -> None:
        """Called on the loop after each commit with the changes it made durable."""
        for change in changes:
            if change.type == "project_updated":
                self.observer.committed(change)
                self.nudging.reconsider(change.project_id)
            if change.session_id is None:
                continue
            for listener in (self.observer, self.nudging, self.completion, self.notifications, self.reviews):
                listener.committed(change)
            if change.type == "session_deleted":
                self.lifecycle.forget(change.session_id)
            elif change.type == "session_updated":
                self.messaging.wake(change.session_id)
