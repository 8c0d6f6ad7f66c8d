"""What reviewers said of a pull request that its agent should act on, and whose words may steer an agent. Pure.

Anybody can write on a public pull request. What reaches an agent comes from people who may write to the repository,
from logins that the project names, and from other sessions' agents; never from the agent itself, which would answer its
own words for ever. A bot is let in only under its exact login: that a name ends in `[bot]` or that a bot is a member of
the repository says nothing about who made it speak.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec.structs import replace

from ao.model.pull import Author, Comment, Picture, Review, Thread

WRITERS: Final = frozenset({"owner", "member", "collaborator"})
"""Associations that may write to the repository, as GitHub names them."""


class Steering(msgspec.Struct, frozen=True, kw_only=True):
    """Whose words reach the agent of session `session_id`."""

    session_id: str
    trusted_authors: tuple[str, ...] = ()
    trust_everyone: bool = False

    def admits(self, author: Author) -> bool:
        """Whether this author may steer the agent."""
        if author.session == self.session_id and author.session:
            return False
        # Only an account that may write can speak for a session: anybody could copy its mark.
        if self.trust_everyone or (author.session and (author.is_viewer or author.association in WRITERS)):
            return True
        if author.login and author.login.casefold() in {login.casefold() for login in self.trusted_authors}:
            return True
        return author.association in WRITERS and not is_bot(author)

    def is_own(self, comment: Comment) -> bool:
        """Whether the agent itself wrote it, or may have.

        Agents use the account whose token we hold. What that account says without a session's mark may be the agent's,
        by way of another program, or the person's. A thread it opens is feedback; a reply, or a remark on the whole, is
        not, or the agent would talk to itself.
        """
        author = comment.author
        if author.session:
            return author.session == self.session_id
        return author.is_viewer and (comment.reply or not comment.thread_id)


class Feedback(msgspec.Struct, frozen=True, kw_only=True):
    """What waits for the agent. The threads hold only the comments that are to be told."""

    threads: tuple[Thread, ...] = ()
    comments: tuple[Comment, ...] = ()
    reviews: tuple[Review, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """One for each thing said."""
        said = [f"comment:{comment.comment_id}" for thread in self.threads for comment in thread.comments]
        said += [f"comment:{comment.comment_id}" for comment in self.comments]
        return tuple(said + [f"review:{review.review_id}" for review in self.reviews])

    @property
    def authors(self) -> tuple[Author, ...]:
        """Who said it."""
        return tuple(
            item.author for item in (*(c for thread in self.threads for c in thread.comments), *self.comments)
        ) + tuple(review.author for review in self.reviews)

    def only(self, ids: Iterable[str]) -> Feedback:
        """Those of `ids`."""
        wanted = frozenset(ids)

        def kept(comments: tuple[Comment, ...]) -> tuple[Comment, ...]:
            return tuple(comment for comment in comments if f"comment:{comment.comment_id}" in wanted)

        threads = (replace(thread, comments=kept(thread.comments)) for thread in self.threads)
        return Feedback(
            threads=tuple(thread for thread in threads if thread.comments),
            comments=kept(self.comments),
            reviews=tuple(review for review in self.reviews if f"review:{review.review_id}" in wanted),
        )


def is_bot(author: Author) -> bool:
    """Whether a program writes under this login; the forge's word, or the suffix GitHub gives to apps."""
    return author.is_bot or author.login.endswith("[bot]")


def feedback(picture: Picture, steering: Steering) -> Feedback:
    """What is said and not settled: comments of unresolved threads that came after the agent's own last word there,
    remarks on the whole, and reviews that a later approval by the same reviewer hasn't overtaken."""
    threads = (_waiting(thread, steering) for thread in picture.threads if not thread.resolved)
    return Feedback(
        threads=tuple(thread for thread in threads if thread.comments),
        comments=tuple(comment for comment in picture.comments if _is_told(comment, steering)),
        reviews=_reviews(picture, steering),
    )


def _waiting(thread: Thread, steering: Steering) -> Thread:
    answered = max((n for n, comment in enumerate(thread.comments) if steering.is_own(comment)), default=-1)
    later = thread.comments[answered + 1 :]
    return replace(thread, comments=tuple(comment for comment in later if _is_told(comment, steering)))


def _is_told(comment: Comment, steering: Steering) -> bool:
    return bool(comment.body.strip()) and not steering.is_own(comment) and steering.admits(comment.author)


def _reviews(picture: Picture, steering: Steering) -> tuple[Review, ...]:
    """Reviews with words, and a demand for changes that comes without any: it is told as it is."""
    spoke = {
        (comment.author.session, comment.author.login) for thread in picture.threads for comment in thread.comments
    }
    found: dict[tuple[str, str], list[Review]] = {}
    for review in sorted(picture.reviews, key=lambda review: review.submitted_at):
        author = (review.author.session, review.author.login)
        if review.state == "approved":
            found.pop(author, None)
        elif review.state != "dismissed" and steering.admits(review.author):
            bare = review.state == "changes_requested" == picture.pull.review and author not in spoke
            if review.body.strip() or bare:
                found.setdefault(author, []).append(review)
    told = (review for reviews in found.values() for review in reviews)
    return tuple(sorted(told, key=lambda review: review.submitted_at))
