"""What every forge promises, as tests that each forge's module runs over its own scene.

`TestMine(ForgeContract)` in a test module, with a fixture `scene` that yields a `Scene`, runs them all.
"""

from __future__ import annotations

import pytest

from ao.model.errors import AoError
from ao.model.pull import FAILED, PullRef
from ao.model.review import LineComment
from ao.ports.forge import MergeOrder, NewPull, ReviewPost, Sighting, Watched
from tests.forges.scene import HOSTILE, UNKNOWN, listed, look, opened, ref_of, seen, threads
from tests.forges.scene import Scene as Scene


class ForgeContract:
    """The promises. A subclass may add tests, never take one away."""

    async def test_a_repository_that_can_be_asked_has_no_trouble(self, scene: Scene) -> None:
        assert await scene.forge.trouble(scene.repo) is None

    async def test_what_was_opened_is_shown_as_it_was_opened(self, scene: Scene) -> None:
        head = await scene.branch("feature")
        made = await scene.forge.create(
            scene.repo, NewPull(source_branch="feature", target_branch=scene.base, title="A feature", body="Why")
        )
        facts = made.facts
        assert (facts.title, facts.source_branch, facts.target_branch) == ("A feature", "feature", scene.base)
        assert (facts.state, facts.head_sha, facts.review) == ("open", head, "none")
        assert facts.repo == scene.repo.key
        assert facts.head_repo == scene.repo.key
        assert facts.number > 0
        assert facts.url
        again = (await scene.forge.fetch(ref_of(scene, made))).facts
        assert (again.url, again.number, again.head_sha) == (facts.url, facts.number, head)
        assert (again.additions, again.changed_files) == (9, 1)

    async def test_a_second_one_of_the_same_branches_is_refused_with_the_number_of_the_first(
        self, scene: Scene
    ) -> None:
        ref = await opened(scene)
        with pytest.raises(AoError) as refused:
            await scene.forge.create(
                scene.repo, NewPull(source_branch="feature", target_branch=scene.base, title="Again")
            )
        assert refused.value.code == "PR_EXISTS"
        assert refused.value.details["number"] == ref.number

    async def test_a_branch_that_is_not_there_cannot_be_opened(self, scene: Scene) -> None:
        with pytest.raises(AoError) as refused:
            await scene.forge.create(scene.repo, NewPull(source_branch="nowhere", target_branch=scene.base, title="x"))
        assert refused.value.code == "INVALID_BRANCH"

    async def test_a_draft_is_a_draft_and_cannot_be_merged(self, scene: Scene) -> None:
        ref = await opened(scene, draft=True)
        facts = (await seen(scene, ref)).facts
        assert facts.state == "draft"
        with pytest.raises(AoError) as refused:
            await scene.forge.merge(ref, MergeOrder(expected_head=facts.head_sha))
        assert refused.value.code == "PR_NOT_MERGEABLE"
        assert (await seen(scene, ref)).facts.state == "draft"

    async def test_looking_again_with_the_mark_shows_nothing_new(self, scene: Scene) -> None:
        ref = await opened(scene)
        first = await seen(scene, ref)
        assert first.stamp
        assert await look(scene, ref, first.stamp) == Sighting(ref=ref)

    async def test_sightings_come_one_for_each_in_the_order_they_were_asked_for(self, scene: Scene) -> None:
        one, two = await opened(scene, "one"), await opened(scene, "two")
        missing = PullRef(repo=scene.repo, number=UNKNOWN)
        sightings = await scene.forge.observe([Watched(ref=two), Watched(ref=missing), Watched(ref=one)])
        assert [sighting.ref for sighting in sightings] == [two, missing, one]
        assert [sighting.observation is not None for sighting in sightings] == [True, False, True]
        assert sightings[1].gone
        assert await scene.forge.observe([]) == []

    async def test_a_push_is_seen(self, scene: Scene) -> None:
        ref = await opened(scene)
        before = await seen(scene, ref)
        head = await scene.push("feature")
        after = await seen(scene, ref, before.stamp)
        assert after.facts.head_sha == head != before.facts.head_sha
        assert after.stamp != before.stamp

    async def test_a_failing_check_is_seen_with_its_output(self, scene: Scene) -> None:
        ref = await opened(scene)
        before = await seen(scene, ref)
        head = await scene.check(ref, passed=False, output="assert 1 == 2 in test_sums")
        after = await seen(scene, ref, before.stamp)
        assert (after.facts.ci, after.facts.head_sha) == ("failing", head)
        assert "ci_failing" in after.facts.reasons
        failed = [check for check in after.checks or () if check.status in FAILED]
        assert [(check.name, check.commit_sha) for check in failed] == [("unit", head)]
        assert "assert 1 == 2 in test_sums" in await scene.forge.log(ref, failed[0])

    async def test_a_check_that_passes_after_all_is_seen(self, scene: Scene) -> None:
        ref = await opened(scene)
        await scene.check(ref, passed=False)
        before = await seen(scene, ref)
        head = await scene.check(ref, passed=True)
        after = await seen(scene, ref, before.stamp)
        assert (after.facts.ci, after.facts.head_sha) == ("passing", head)
        assert "ci_failing" not in after.facts.reasons
        assert [(check.name, check.status) for check in after.checks or ()] == [("unit", "passed")]

    async def test_a_review_that_only_comments_is_seen_and_decides_nothing(self, scene: Scene) -> None:
        ref = await opened(scene)
        before = await seen(scene, ref)
        await scene.review(ref, "commented", "Have you thought of the second case?")
        after = await seen(scene, ref, before.stamp)
        assert after.facts.review == "none"
        assert after.reviews is not None
        assert [(review.state, review.body) for review in after.reviews] == [
            ("commented", "Have you thought of the second case?")
        ]

    async def test_the_newest_verdict_of_a_reviewer_counts(self, scene: Scene) -> None:
        ref = await opened(scene)
        await scene.review(ref, "changes_requested", "not like this")
        asked = await seen(scene, ref)
        assert asked.facts.review == "changes_requested"
        assert asked.facts.mergeability == "blocked"
        assert "changes_requested" in asked.facts.reasons
        await scene.review(ref, "approved", "better")
        approved = await seen(scene, ref, asked.stamp)
        assert approved.facts.review == "approved"
        assert "changes_requested" not in approved.facts.reasons

    async def test_a_conversation_is_seen_with_its_place_and_its_author(self, scene: Scene) -> None:
        ref = await opened(scene)
        before = await seen(scene, ref)
        await scene.thread(ref, "feature.txt", 3, "Why three?")
        after = await seen(scene, ref, before.stamp)
        assert after.whole_threads
        assert after.threads is not None
        (thread,) = after.threads
        assert (thread.path, thread.line, thread.resolved, thread.is_bot) == ("feature.txt", 3, False, False)
        (comment,) = thread.comments
        assert (comment.body, comment.thread_id, comment.reply) == ("Why three?", thread.thread_id, False)
        assert comment.author.login
        assert comment.author.association in ("owner", "member", "collaborator")
        assert comment.author.session == ""

    async def test_resolving_and_opening_again_change_one_conversation_only(self, scene: Scene) -> None:
        ref = await opened(scene)
        await scene.thread(ref, "feature.txt", 3, "Why three?")
        await scene.thread(ref, "feature.txt", 5, "Why five?")
        three, five = sorted(await threads(scene, ref), key=lambda thread: thread.line)
        await scene.forge.resolve(ref, three.thread_id)
        await scene.forge.resolve(ref, three.thread_id)
        assert {t.thread_id: t.resolved for t in await threads(scene, ref)} == {
            three.thread_id: True,
            five.thread_id: False,
        }
        await scene.forge.resolve(ref, three.thread_id, resolved=False)
        assert not any(thread.resolved for thread in await threads(scene, ref))

    async def test_a_reply_joins_its_conversation_and_a_comment_stands_alone(self, scene: Scene) -> None:
        ref = await opened(scene)
        await scene.thread(ref, "feature.txt", 3, "Why three?")
        (thread,) = await threads(scene, ref)
        reply = await scene.forge.comment(ref, "Because.", thread_id=thread.thread_id, session="demo-1")
        assert (reply.body, reply.thread_id, reply.author.session) == ("Because.", thread.thread_id, "demo-1")
        alone = await scene.forge.comment(ref, "All done.", session="demo-1")
        assert (alone.body, alone.thread_id, alone.author.session) == ("All done.", "", "demo-1")
        now = await scene.forge.fetch(ref)
        assert now.threads is not None
        assert [[c.body for c in t.comments] for t in now.threads] == [["Why three?", "Because."]]
        assert now.threads[0].comments[1].reply
        assert now.threads[0].comments[1].author.session == "demo-1"
        assert [(c.body, c.author.session) for c in now.comments or ()] == [("All done.", "demo-1")]

    async def test_a_conversation_that_is_not_there_cannot_be_answered_or_resolved(self, scene: Scene) -> None:
        ref = await opened(scene)
        with pytest.raises(AoError) as refused:
            await scene.forge.comment(ref, "Hello?", thread_id="nothing")
        assert refused.value.code == "THREAD_NOT_FOUND"
        with pytest.raises(AoError) as refused:
            await scene.forge.resolve(ref, "nothing")
        assert refused.value.code == "THREAD_NOT_FOUND"

    async def test_a_review_is_posted_with_its_line_comments(self, scene: Scene) -> None:
        ref = await opened(scene)
        head = (await seen(scene, ref)).facts.head_sha
        posted = await scene.forge.review(
            ref,
            ReviewPost(
                verdict="commented",
                body="Two remarks",
                comments=(
                    LineComment(path="feature.txt", line=2, body="odd"),
                    LineComment(path="feature.txt", line=4, body="even"),
                ),
                commit_sha=head,
                session="demo-9",
            ),
        )
        assert (posted.state, posted.body, posted.commit_sha) == ("commented", "Two remarks", head)
        assert posted.author.session == "demo-9"
        now = await scene.forge.fetch(ref)
        assert [review.review_id for review in now.reviews or ()] == [posted.review_id]
        assert {(t.path, t.line, t.comments[0].body, t.comments[0].author.session) for t in now.threads or ()} == {
            ("feature.txt", 2, "odd", "demo-9"),
            ("feature.txt", 4, "even", "demo-9"),
        }

    async def test_a_conflict_is_seen_and_stops_a_merge(self, scene: Scene) -> None:
        ref = await opened(scene)
        before = await seen(scene, ref)
        await scene.collide("feature")
        after = await seen(scene, ref, before.stamp)
        assert after.facts.mergeability == "conflicting"
        assert "conflicts" in after.facts.reasons
        with pytest.raises(AoError) as refused:
            await scene.forge.merge(ref, MergeOrder(expected_head=after.facts.head_sha))
        assert refused.value.code == "PR_NOT_MERGEABLE"
        assert (await seen(scene, ref)).facts.state == "open"

    async def test_a_head_that_moved_stops_a_merge(self, scene: Scene) -> None:
        ref = await opened(scene)
        old = (await seen(scene, ref)).facts.head_sha
        new = await scene.push("feature")
        with pytest.raises(AoError) as refused:
            await scene.forge.merge(ref, MergeOrder(expected_head=old))
        assert refused.value.code == "PR_HEAD_CHANGED"
        facts = (await seen(scene, ref)).facts
        assert (facts.state, facts.head_sha) == ("open", new)

    @pytest.mark.parametrize("method", ["merge", "squash", "rebase"])
    async def test_a_merge_takes_place_once_and_is_seen(self, scene: Scene, method: str) -> None:
        ref = await opened(scene)
        await scene.push("feature")
        before = await seen(scene, ref)
        assert before.facts.mergeability == "mergeable"
        order = MergeOrder(
            method="merge" if method == "merge" else "squash" if method == "squash" else "rebase",
            expected_head=before.facts.head_sha,
        )
        made = await scene.forge.merge(ref, order)
        after = await seen(scene, ref, before.stamp)
        assert (after.facts.state, after.facts.merge_sha) == ("merged", made)
        assert after.facts.head_sha == before.facts.head_sha
        assert after.facts.merged_at is not None
        with pytest.raises(AoError) as refused:
            await scene.forge.merge(ref, order)
        assert refused.value.code in ("PR_NOT_OPEN", "PR_NOT_MERGEABLE")
        with pytest.raises(AoError) as refused:
            await scene.forge.close(ref)
        assert refused.value.code == "PR_NOT_OPEN"

    async def test_a_merge_by_somebody_else_is_seen(self, scene: Scene) -> None:
        ref = await opened(scene)
        before = await seen(scene, ref)
        await scene.merge(ref)
        after = await seen(scene, ref, before.stamp)
        assert after.facts.state == "merged"
        assert after.facts.merge_sha
        assert await look(scene, ref, after.stamp) == Sighting(ref=ref)

    async def test_closing_is_seen_and_may_be_repeated(self, scene: Scene) -> None:
        ref = await opened(scene)
        before = await seen(scene, ref)
        await scene.forge.close(ref)
        await scene.forge.close(ref)
        after = await seen(scene, ref, before.stamp)
        assert after.facts.state == "closed"
        assert after.facts.closed_at is not None
        assert after.facts.merged_at is None
        with pytest.raises(AoError) as refused:
            await scene.forge.merge(ref, MergeOrder(expected_head=before.facts.head_sha))
        assert refused.value.code in ("PR_NOT_OPEN", "PR_NOT_MERGEABLE")

    async def test_one_that_is_unknown_is_not_found(self, scene: Scene) -> None:
        ref = PullRef(repo=scene.repo, number=UNKNOWN)
        forge = scene.forge
        for call in (
            forge.fetch(ref),
            forge.comment(ref, "Hello?"),
            forge.review(ref, ReviewPost(verdict="commented", body="Hello?")),
            forge.merge(ref, MergeOrder(expected_head="0" * 40)),
            forge.close(ref),
            forge.diff(ref, limit=1000),
        ):
            with pytest.raises(AoError) as refused:
                await call
            assert refused.value.code == "PR_NOT_FOUND"

    async def test_one_that_vanished_is_gone_and_the_others_are_still_seen(self, scene: Scene) -> None:
        vanished, kept = await opened(scene, "one"), await opened(scene, "two")
        await scene.forget(vanished)
        sightings = await scene.forge.observe([Watched(ref=vanished), Watched(ref=kept)])
        assert sightings[0] == Sighting(ref=vanished, gone=True)
        assert sightings[1].observation is not None

    async def test_a_listing_shows_what_changed_since_the_last_and_says_when_nothing_did(self, scene: Scene) -> None:
        forge = scene.forge
        early = await opened(scene, "early")
        first = await forge.listing(scene.repo, "", since=0)
        assert listed(first) == {early.number: "open"}
        assert first.complete
        assert first.cursor
        again = await forge.listing(scene.repo, first.cursor, since=0)
        assert again.unchanged
        assert again.pulls == ()
        brief = await opened(scene, "brief")
        await scene.merge(brief)
        second = await forge.listing(scene.repo, again.cursor, since=0)
        assert not second.unchanged
        assert listed(second)[brief.number] == "merged"
        facts = next(facts for facts in second.pulls if facts.number == brief.number)
        assert (facts.source_branch, facts.target_branch) == ("brief", scene.base)
        assert facts.head_repo == scene.repo.key
        assert facts.head_sha
        third = await forge.listing(scene.repo, second.cursor, since=0)
        assert third.unchanged

    async def test_the_change_is_shown_as_a_diff_and_cut_to_its_limit(self, scene: Scene) -> None:
        ref = await opened(scene)
        diff = await scene.forge.diff(ref, limit=10_000)
        assert "feature.txt" in diff
        assert "\n+9" in diff
        assert len((await scene.forge.diff(ref, limit=40)).encode()) <= 40

    @pytest.mark.parametrize("text", HOSTILE)
    async def test_s5_hostile_titles_and_bodies_stay_text(self, scene: Scene, text: str) -> None:
        ref = await opened(scene, title=text)
        assert (await scene.forge.fetch(ref)).facts.title == text
        comment = await scene.forge.comment(ref, text)
        assert comment.body == text
        made = await scene.forge.merge(ref, MergeOrder(method="squash", title=text, message=text))
        after = (await scene.forge.fetch(ref)).facts
        assert (after.state, after.merge_sha, after.title) == ("merged", made, text)

    async def test_control_characters_do_not_pass(self, scene: Scene) -> None:
        ref = await opened(scene, title="red \x1b[31m\x07 alert")
        comment = await scene.forge.comment(ref, "bell \x07\x1b[2J\x9b31m end")
        now = await scene.forge.fetch(ref)
        shown = now.facts.title + comment.body + "".join(c.body for c in now.comments or ())
        assert not any(ch in shown for ch in "\x1b\x07\x9b")

    async def test_letting_go_twice_is_harmless(self, scene: Scene) -> None:
        scene.forge.forget(scene.repo)
        await scene.forge.shut()
        await scene.forge.shut()
