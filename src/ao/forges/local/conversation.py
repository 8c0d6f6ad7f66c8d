"""What is said about local pull requests: comments, conversations on lines, reviews. Only this module writes them."""

from __future__ import annotations

import secrets

from ao.forges.local.history import History
from ao.forges.local.parts import LocalParts
from ao.forges.local.showing import Talk, shown_comment, shown_review
from ao.forges.local.wording import body_text
from ao.model.errors import AoError
from ao.model.local_pull import LocalComment, LocalPull, LocalReview, LocalThread
from ao.model.project import is_inside
from ao.model.pull import Comment, Review
from ao.ports.forge import ReviewPost


class Conversation:
    """Reads and writes what is said. `session` "" is the person at this machine."""

    def __init__(self, parts: LocalParts) -> None:
        self._parts = parts
        self._book = parts.book
        self._history = History(parts.host)

    def of(self, pull: LocalPull) -> Talk:
        """All that was said."""
        return Talk(
            threads=self._book.threads(pull.id),
            comments=self._book.comments(pull.id),
            reviews=self._book.reviews(pull.id),
        )

    async def comment(self, pull: LocalPull, body: str, *, thread_id: str, session: str) -> Comment:
        """Comment on the whole, or reply in a conversation. Raises `THREAD_NOT_FOUND`, `INVALID_REVIEW`."""
        thread = self._thread(pull, thread_id) if thread_id else None
        text = body_text(body, code="INVALID_REVIEW")
        if not text.strip():
            raise _invalid("the comment says nothing")
        now = self._parts.now()
        row = LocalComment(
            id=_fresh("c"),
            pull_id=pull.id,
            thread_id=thread_id,
            author=session or self._parts.person,
            author_session=session,
            body=text,
            created_at=now,
            updated_at=now,
        )
        await self._book.add_comment(row)
        return shown_comment(row, thread, reply=thread is not None)

    async def review(self, root: str, pull: LocalPull, post: ReviewPost) -> Review:
        """Submit a review with the conversations it opens. Raises `INVALID_REVIEW` for an author's verdict on their own
        work, for one that says nothing, for an unknown commit and for a comment on a file that neither side has."""
        if post.verdict != "commented" and self._is_author(pull, post.session):
            raise _invalid(f"{pull.author} opened #{pull.number} and can't give a verdict on it; comment instead")
        if post.verdict != "approved" and not post.body.strip() and not post.comments:
            raise _invalid("the review says nothing")
        commit = await self._parts.trees.commit(root, post.commit_sha or pull.head_sha)
        if commit is None:
            raise _invalid(f"no commit {post.commit_sha or pull.head_sha} in this repository")
        await self._check_places(root, pull, post, commit)
        now = self._parts.now()
        row = LocalReview(
            id=_fresh("r"),
            pull_id=pull.id,
            author=post.session or self._parts.person,
            author_session=post.session,
            state=post.verdict,
            body=body_text(post.body, code="INVALID_REVIEW"),
            commit_sha=commit,
            created_at=now,
            updated_at=now,
        )
        threads, comments = _opened(row, post)
        await self._book.add_review(row, threads, comments)
        return shown_review(row)

    async def resolve(self, pull: LocalPull, thread_id: str, *, resolved: bool) -> bool:
        """Set the mark of a conversation; whether it changed. Raises `THREAD_NOT_FOUND`."""
        if self._thread(pull, thread_id).resolved == resolved:
            return False
        return await self._book.resolve(thread_id, resolved=resolved, now=self._parts.now())

    def _thread(self, pull: LocalPull, thread_id: str) -> LocalThread:
        for thread in self._book.threads(pull.id):
            if thread.id == thread_id:
                return thread
        raise AoError("THREAD_NOT_FOUND", f"#{pull.number} has no conversation {thread_id[:80]!r}")

    async def _check_places(self, root: str, pull: LocalPull, post: ReviewPost, commit: str) -> None:
        for said in post.comments:
            if not said.body.strip():
                raise _invalid(f"the comment on {said.path!r} says nothing")
            if said.line < 0 or not is_inside(said.path):
                raise _invalid(f"{said.path!r} line {said.line} is no place in the repository")
        paths = {said.path for said in post.comments}
        found = await self._history.files_among(root, commit, paths)
        found |= await self._history.files_among(root, pull.base_sha, paths - found)
        if missing := sorted(paths - found):
            raise _invalid(f"neither side of #{pull.number} has a file {missing[0]!r}")

    def _is_author(self, pull: LocalPull, session: str) -> bool:
        return (session or self._parts.person, session) == (pull.author, pull.author_session)


def _opened(review: LocalReview, post: ReviewPost) -> tuple[list[LocalThread], list[LocalComment]]:
    """The conversations that a review opens, with their first comments."""
    now = review.created_at
    threads = [
        LocalThread(
            id=_fresh("t"),
            pull_id=review.pull_id,
            path=said.path,
            line=said.line,
            commit_sha=review.commit_sha,
            created_at=now,
            updated_at=now,
        )
        for said in post.comments
    ]
    comments = [
        LocalComment(
            id=_fresh("c"),
            pull_id=review.pull_id,
            thread_id=thread.id,
            review_id=review.id,
            author=review.author,
            author_session=review.author_session,
            body=body_text(said.body, code="INVALID_REVIEW"),
            created_at=now,
            updated_at=now,
        )
        for said, thread in zip(post.comments, threads, strict=True)
    ]
    return threads, comments


def _fresh(kind: str) -> str:
    return kind + secrets.token_hex(8)


def _invalid(why: str) -> AoError:
    return AoError("INVALID_REVIEW", why)
