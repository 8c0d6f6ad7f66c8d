"""Whose words reach an agent, and which of them wait for it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from ao.model.feedback import Feedback, Steering, feedback
from ao.model.pull import Author, Picture
from tests.model.pull_scene import (
    ANN,
    BOB,
    BOT,
    OWN,
    REVIEWER,
    SESSION,
    STRANGER,
    VIEWER,
    comment,
    pull,
    review,
    thread,
)

STEERING = Steering(session_id=SESSION)
FORGED = replace(STRANGER, session="demo-2")


def heard(picture: Picture, steering: Steering = STEERING) -> list[str]:
    """The ids of what is told."""
    return [name.partition(":")[2] for name in feedback(picture, steering).ids]


@pytest.mark.parametrize("association", ["owner", "member", "collaborator"])
def test_s6_those_who_may_write_to_the_repository_may_steer(association: str) -> None:
    assert STEERING.admits(Author(login="x", association=association))


@pytest.mark.parametrize(
    "author",
    [
        *(Author(login="x", association=name) for name in ("none", "contributor", "first_timer", "mannequin", "")),
        Author(),
        BOT,
        replace(BOT, is_bot=False),
        replace(BOT, association="owner"),
        Author(login="ann[bot]", association="member"),
        FORGED,
        OWN,
    ],
)
def test_s6_nobody_else_may_and_no_name_or_mark_makes_up_for_it(author: Author) -> None:
    assert not STEERING.admits(author)


def test_s6_a_project_can_name_people_and_bots_by_their_exact_login() -> None:
    steering = Steering(session_id=SESSION, trusted_authors=("Mallory", "scanner[bot]"))
    assert steering.admits(STRANGER)
    assert steering.admits(BOT)
    assert not steering.admits(replace(STRANGER, login="mallory2"))
    assert not steering.admits(replace(BOT, login="scanner[bot][bot]"))
    assert not Steering(session_id=SESSION, trusted_authors=("",)).admits(Author())


def test_a_project_can_let_anybody_in_but_never_the_agent_itself() -> None:
    steering = Steering(session_id=SESSION, trust_everyone=True)
    assert steering.admits(STRANGER)
    assert steering.admits(BOT)
    assert not steering.admits(OWN)


def test_another_sessions_agent_may_steer() -> None:
    assert STEERING.admits(REVIEWER)


def test_s6_what_strangers_say_is_told_nowhere() -> None:
    picture = Picture(
        pull=pull(review="changes_requested"),
        threads=(thread("t1", comment("c1", STRANGER)), thread("t2", comment("c2"), comment("c3", STRANGER))),
        comments=(comment("c4", STRANGER), comment("c5", BOT)),
        reviews=(review("r1", STRANGER, state="changes_requested"),),
    )
    assert heard(picture) == ["c2"]


def test_the_agent_is_never_told_its_own_words() -> None:
    picture = Picture(
        pull=pull(),
        threads=(thread("t1", comment("c1", OWN)),),
        comments=(comment("c2", OWN),),
        reviews=(review("r1", OWN),),
    )
    assert heard(picture) == []


def test_what_our_account_says_without_a_mark_counts_only_where_it_opens_a_conversation() -> None:
    picture = Picture(
        pull=pull(),
        threads=(thread("t1", comment("c1", VIEWER)), thread("t2", comment("c2", BOB), comment("c3", VIEWER))),
        comments=(comment("c4", VIEWER),),
        reviews=(review("r1", VIEWER),),
    )
    assert heard(picture) == ["c1", "r1"]


def test_a_thread_waits_only_for_what_came_after_the_agents_own_answer() -> None:
    answered = thread("t1", comment("c1"), comment("c2", OWN))
    assert heard(Picture(pull=pull(), threads=(answered,))) == []
    assert heard(Picture(pull=pull(), threads=(thread("t1", *answered.comments, comment("c3", BOB)),))) == ["c3"]


def test_resolved_threads_and_blank_comments_drop_out() -> None:
    picture = Picture(
        pull=pull(),
        threads=(thread("t1", comment("c1"), resolved=True), thread("t2", comment("c2", body=" \n"))),
        comments=(comment("c3", body=""),),
    )
    assert heard(picture) == []


def test_a_review_counts_until_its_author_approves_or_it_is_dismissed() -> None:
    early = review("r1", state="changes_requested", submitted_at=1)
    other = review("r2", BOB, submitted_at=2)
    approved = review("r3", state="approved", submitted_at=3)
    assert heard(Picture(pull=pull(), reviews=(other, early))) == ["r1", "r2"]
    assert heard(Picture(pull=pull(), reviews=(approved, early, other))) == ["r2"]
    assert heard(Picture(pull=pull(), reviews=(replace(early, state="dismissed"),))) == []
    assert heard(Picture(pull=pull(), reviews=(approved, review("r4", submitted_at=4)))) == ["r4"]


def test_a_demand_for_changes_without_a_word_is_told_but_not_beside_its_line_comments() -> None:
    bare = review("r1", state="changes_requested", body="")
    asked = Picture(pull=pull(review="changes_requested"), reviews=(bare,))
    assert heard(asked) == ["r1"]
    assert heard(replace(asked, threads=(thread("t1", comment("c1")),))) == ["c1"]
    assert heard(replace(asked, threads=(thread("t1", comment("c1"), resolved=True),))) == []
    assert heard(replace(asked, pull=pull(review="approved"))) == []
    assert heard(replace(asked, reviews=(replace(bare, state="commented"),))) == []


def test_a_selection_keeps_only_what_was_asked_for() -> None:
    picture = Picture(
        pull=pull(),
        threads=(thread("t1", comment("c1"), comment("c2", BOB)), thread("t2", comment("c3"))),
        comments=(comment("c4"),),
        reviews=(review("r1"),),
    )
    everything = feedback(picture, STEERING)
    assert everything.only(everything.ids) == everything
    assert everything.only(["comment:c2"]).threads == (
        replace(everything.threads[0], comments=everything.threads[0].comments[1:]),
    )
    assert everything.only([]) == Feedback()
    assert everything.authors == (ANN, BOB, ANN, ANN, ANN)
