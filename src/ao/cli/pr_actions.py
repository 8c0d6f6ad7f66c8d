"""What is done to pull requests: `ao pr create`, `comment`, `reply`, `review`, `resolve`, `merge` and `close`."""

from __future__ import annotations

from ao.cli import output
from ao.cli.errors import UsageError
from ao.cli.grammar import Argument, Command, Option
from ao.cli.pr import JSON, PROJECT, REF, name_of, path_of, query_of
from ao.cli.spawn import find_project

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ao.cli.context import Context
    from ao.cli.grammar import Values

METHODS = ("squash", "merge", "rebase")
BODY = Option("--body", "the text; - reads it from stdin", "TEXT")
BODY_FILE = Option("--body-file -F", "read the text from a file; - is stdin", "PATH")


def body_text(context: Context, values: Values, words: str = "") -> str:
    """The text of a comment: the words, `--body`, or a file; `-` is stdin."""
    given = [bool(words), values.given("body"), values.given("body-file")]
    if sum(given) > 1:
        raise UsageError("give the text once: as words, by --body or by --body-file")
    if values.given("body-file"):
        return context.read_text(values.text("body-file"))
    text = words or values.text("body")
    return context.read_text("-") if text == "-" else text


def _act(context: Context, values: Values, rest: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    answer: dict[str, Any] = context.client.post(path_of(values.text("PR"), rest), body, query_of(context, values))
    return answer


def _tell(values: Values, answer: dict[str, Any], line: str) -> None:
    if values.on("json"):
        output.emit_json(answer)
    else:
        output.emit(output.clean(line))


def _create(context: Context, values: Values) -> None:
    session = values.text("session") or ("" if values.given("head") else context.environ.get("AO_SESSION_ID", ""))
    body = {
        "sessionId": session,
        "projectId": "" if session else find_project(context, values.text("project")),
        "sourceBranch": values.text("head") or ("" if session else _current_branch(context)),
        "targetBranch": values.text("base"),
        "title": values.text("title"),
        "body": body_text(context, values),
    }
    request: dict[str, Any] = {key: value for key, value in body.items() if value}
    if values.on("draft"):
        request["draft"] = True
    answer = context.client.post("/prs", request)
    pull = answer["pr"]
    if values.on("json"):
        output.emit_json(answer)
        return
    output.emit(output.clean(f"opened pull request #{pull['number']}: {pull['title']}"))
    output.emit(output.clean(f"  {pull['sourceBranch']} into {pull['targetBranch']}"))
    output.emit(output.clean(f"  {pull.get('htmlUrl') or pull['url']}"))
    output.emit(f"see it with: ao pr view {pull['number']}")


def _current_branch(context: Context) -> str:
    """The branch that is checked out where the command was given, "" when there is none."""
    import subprocess

    command = ["git", "-C", context.directory, "symbolic-ref", "--quiet", "--short", "HEAD"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _words(context: Context, values: Values) -> str:
    """What a comment says; `UsageError` when that is nothing."""
    text = body_text(context, values, " ".join(values.many("TEXT")))
    if not text.strip():
        raise UsageError("say something: as words, by --body or by --body-file")
    return text


def _comment(context: Context, values: Values) -> None:
    request = {"body": _words(context, values)}
    if values.text("thread"):
        request["threadId"] = values.text("thread")
    answer = _act(context, values, "/comments", request)
    _tell(values, answer, f"commented on {name_of(values.text('PR'))}")


def _reply(context: Context, values: Values) -> None:
    answer = _act(context, values, "/comments", {"body": _words(context, values), "threadId": values.text("thread")})
    _tell(values, answer, f"answered in thread {values.text('thread')} of {name_of(values.text('PR'))}")


def _review(context: Context, values: Values) -> None:
    wanted = [name for name in ("approve", "request-changes", "comment") if values.on(name)]
    if len(wanted) != 1:
        raise UsageError("say what it is: --approve, --request-changes or --comment")
    verdict = {"approve": "approved", "request-changes": "changes_requested", "comment": "commented"}[wanted[0]]
    request: dict[str, Any] = {"verdict": verdict, "comments": [line_comment(text) for text in values.many("line")]}
    text = body_text(context, values)
    if text:
        request["body"] = text
    if verdict != "approved" and not text and not request["comments"]:
        raise UsageError("a review without approval needs words: --body TEXT or --line PATH:LINE:TEXT")
    answer = _act(context, values, "/reviews", request)
    _tell(values, answer, f"reviewed {name_of(values.text('PR'))}: {verdict.replace('_', ' ')}")


def line_comment(text: str) -> dict[str, Any]:
    """`PATH:LINE:TEXT`, or `PATH::TEXT` for the whole file, as the API takes it."""
    path, first, rest = text.partition(":")
    line, second, body = rest.partition(":")
    if not (path and first and second and body.strip()) or not (line == "" or (line.isascii() and line.isdigit())):
        raise UsageError(f"--line takes PATH:LINE:TEXT, not {text!r}")
    return {"path": path, "line": int(line or "0"), "body": body.strip()}


def _resolve(context: Context, values: Values) -> None:
    threads = values.many("thread")
    if bool(threads) == values.on("all"):
        raise UsageError("name the threads with --thread ID, or resolve all that are open with --all")
    answer = _act(context, values, "/resolve-comments", {"commentIds": threads} if threads else {})
    count = answer.get("resolved", 0)
    _tell(values, answer, f"resolved {count} thread{'' if count == 1 else 's'} of {name_of(values.text('PR'))}")


def _merge(context: Context, values: Values) -> None:
    chosen = {"method": values.text("method"), "expectedHeadSha": values.text("expected-head")}
    answer = _act(context, values, "/merge", {key: value for key, value in chosen.items() if value})
    sha = str(answer.get("sha", ""))[:12]
    _tell(values, answer, f"merged pull request #{answer.get('prNumber')} ({answer.get('method')}) as {sha}")


def _close(context: Context, values: Values) -> None:
    answer = _act(context, values, "/close")
    _tell(values, answer, f"closed pull request #{answer.get('prNumber')} without merging it")


_TEXT = Argument("TEXT", "the comment; - reads it from stdin", required=False, many=True)
_COMMON = (BODY, BODY_FILE, PROJECT, JSON)

COMMANDS = {
    "pr create": Command(
        "pr create",
        _create,
        options=(
            Option("--title -t", "its title (default: the subject of the last commit)", "TEXT"),
            BODY,
            BODY_FILE,
            Option("--base -B", "the branch to merge into (default: the project's)", "NAME"),
            Option("--head -H", "the branch to merge (default: the session's, else the one checked out here)", "NAME"),
            Option("--session", "the session it belongs to (default: AO_SESSION_ID)", "ID", ids="session"),
            Option("--draft", "not ready for review yet"),
            Option(
                "--project -p",
                "the project (default: AO_PROJECT_ID, else the one this directory is in)",
                "ID",
                ids="project",
            ),
            JSON,
        ),
        details="On GitHub the branch is pushed first, never by force. The local forge needs commits only.",
        examples=(
            "ao pr create --title 'Count items' --body 'With a test.'",
            "ao pr create --session shop-3",
            "ao pr create -p shop --head fix/login --base main",
        ),
    ),
    "pr comment": Command(
        "pr comment",
        _comment,
        arguments=(REF, _TEXT),
        options=(Option("--thread", "answer in this thread", "ID"), *_COMMON),
        examples=("ao pr comment 3 'Please rebase.'",),
    ),
    "pr reply": Command(
        "pr reply",
        _reply,
        arguments=(REF, _TEXT),
        options=(Option("--thread", "the thread to answer in", "ID", required=True), *_COMMON),
        examples=("ao pr reply 3 --thread thr_1 'Done in the last commit.'",),
    ),
    "pr review": Command(
        "pr review",
        _review,
        arguments=(REF,),
        options=(
            Option("--approve -a", "approve it"),
            Option("--request-changes -r", "ask for changes"),
            Option("--comment -c", "comment only"),
            Option("--line -l", "a comment on a line", "PATH:LINE:TEXT", many=True),
            *_COMMON,
        ),
        examples=(
            "ao pr review 3 --approve",
            "ao pr review 3 --request-changes --body 'Almost.' --line 'src/shelf.py:7:What if it is empty?'",
        ),
    ),
    "pr resolve": Command(
        "pr resolve",
        _resolve,
        arguments=(REF,),
        options=(
            Option("--thread", "a thread to resolve", "ID", many=True),
            Option("--all -a", "all that are open"),
            PROJECT,
            JSON,
        ),
        examples=("ao pr resolve 3 --thread thr_1", "ao pr resolve 3 --all"),
    ),
    "pr merge": Command(
        "pr merge",
        _merge,
        arguments=(REF,),
        options=(
            Option(
                "--method -m",
                "squash, merge or rebase (default: the project's, else squash)",
                "METHOD",
                choices=METHODS,
            ),
            Option("--expected-head", "only while this is its head commit", "SHA"),
            PROJECT,
            JSON,
        ),
        details="Refused with the reasons while its checks, reviews or conflicts are in the way.",
        examples=("ao pr merge 3", "ao pr merge 3 --method rebase --expected-head $(git rev-parse fix/login)"),
    ),
    "pr close": Command("pr close", _close, arguments=(REF,), options=(PROJECT, JSON), examples=("ao pr close 3",)),
}
