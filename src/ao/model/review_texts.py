"""What reviewers, and the agents they review, are told. Pure.

Commands name `ao` by its path: the permission rules of agents match the words of a command, not what a variable in it
stands for.
"""

from __future__ import annotations

import shlex
from typing import Final

from ao.model.fence import fence, plain
from ao.model.pull import Pull
from ao.model.review import ReviewRun
from ao.model.review_plan import comments_of, place

BODY_LIMIT: Final = 8_000

_TASK: Final = """Review pull request #{number} "{title}" of project {project}.
It proposes to merge branch `{source}` into `{target}`. Your worktree is at its head commit.

- Base commit: {base}
- Head commit: {head}
- The change: `git diff {base}...{head}` (add `-- PATH` for one file, `--stat` for an overview).
  `git log {base}..{head}` has its commits; the files around you are as they would be after it.

Look for what would hurt: wrong behaviour, broken or missing cases, data loss, races, unsafe input, interfaces broken
for their callers, tests that are missing or can't fail. Read the code around the change, not the change alone. Leave
out matters of taste, and what you didn't verify in the code.

End with exactly one command, and run nothing after it:

{command}
What is wrong, or why it is good, in a few sentences.
END

- VERDICT is `approved` or `changes_requested`. Ask for changes only for what must change before the merge.
- Add `--line 'PATH:LINE:TEXT'` for each remark about a line of the head commit, as often as you need it.
- Change nothing. Your verdict reaches the author by itself."""

_REMINDER: Final = """You have not given a verdict on pull request #{number} yet. End your review with this command:

{command}
What is wrong, or why it is good, in a few sentences.
END

VERDICT is `approved` or `changes_requested`; add `--line 'PATH:LINE:TEXT'` for each remark about a line."""

_VERDICT: Final = """A review of your pull request #{number} ({url}) at {head} asks for changes. It was written by
{agent} for this project; the forge refused to show it, so you get it here.

{text}

Settle what it says that is right, run the checks, commit, and say what you left as it is and why."""


def command(run_id: str, ao_bin: str) -> str:
    """The line that begins the submission of a run; its body follows on stdin."""
    return f"{shlex.quote(ao_bin)} review submit --run {run_id} --verdict VERDICT --body-file - <<'END'"


def task(pull: Pull, run: ReviewRun, *, ao_bin: str) -> str:
    """The prompt of a reviewer."""
    return _TASK.format(
        number=pull.number,
        title=plain(pull.title, 120),
        project=pull.project_id,
        source=plain(pull.source_branch, 200),
        target=plain(pull.target_branch, 200),
        base=pull.base_sha or plain(pull.target_branch, 200),
        head=run.target_sha,
        command=command(run.id, ao_bin),
    )


def reminder(pull: Pull, run: ReviewRun, *, ao_bin: str) -> str:
    """What a reviewer is told that rests without a verdict."""
    return _REMINDER.format(number=pull.number, command=command(run.id, ao_bin))


def verdict(pull: Pull, run: ReviewRun, *, nonce: str) -> str:
    """What a worker is told when the forge doesn't take the review."""
    lines = [f"{place(said)}: {said.body}" for said in comments_of(run)]
    text = "\n\n".join(filter(None, [run.body, "\n".join(lines)]))
    return _VERDICT.format(
        number=pull.number,
        url=plain(pull.html_url or pull.url, 300),
        head=run.target_sha[:12],
        agent=run.agent,
        text=fence(text, label=f"review {run.id}", nonce=nonce, limit=BODY_LIMIT),
    )
