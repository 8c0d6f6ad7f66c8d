"""The house style that can be counted: sizes, names, docstrings, and where a broad `except` may stand."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = sorted((ROOT / "src").rglob("*.py"))
EVERY = sorted(path for room in ("src", "tests", "bench", "demo") for path in (ROOT / room).rglob("*.py"))
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"}
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b")
STARTS_PROCESS = re.compile(
    r"asyncio\.create_subprocess_\w+|os\.(fork|forkpty|system|popen|posix_spawnp?|(exec|spawn)\w+)"
)
BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.Match)
STARTS_TASK = {"asyncio.create_task", "asyncio.ensure_future"}
AWAITS_TASK = {"asyncio.wait", "asyncio.gather", "asyncio.wait_for"}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
# The boundaries: module and function, with what goes on after the error.
BROAD_EXCEPT = {
    ("ao/api/dispatch.py", "handle"): "a request: the error becomes the envelope of a 500, the daemon serves on",
    ("ao/api/streams.py", "_run"): "an iteration of a loop: the other streams go on",
    ("ao/channels/apprise.py", "_outcome"): "a library that carries letters: its error becomes a typed one",
    ("ao/cli/dispatch.py", "run"): "main of the command line: the error becomes a message and an exit code",
    ("ao/cli/hook.py", "report"): "a hook's callback: the agent must not notice",
    ("ao/engine/channels.py", "run"): "an iteration of a loop: deliveries go on",
    ("ao/engine/messaging.py", "_drain"): "an iteration of a loop: the other sessions' messages go on",
    ("ao/engine/notifications.py", "_work"): "an iteration of a loop: the other sessions are looked at",
    ("ao/engine/nudging.py", "_run"): "an iteration of a loop: it is decided again after a pause",
    ("ao/engine/observer.py", "run"): "an iteration of a loop: the forges are looked at again",
    ("ao/engine/review_posting.py", "_run"): "an iteration of a loop: it is posted again after a pause",
    ("ao/engine/reviewers.py", "_round"): "an iteration of a loop: the other runs are looked at",
    ("ao/engine/recovery.py", "run"): "an iteration of a loop: the other sessions are settled",
    ("ao/store/database.py", "_attempt"): "a job's error is handed to the caller that waits for it",
}

Function = ast.FunctionDef | ast.AsyncFunctionDef
Rule = Callable[[Path, ast.Module], Iterator[str]]


def _functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, FUNCTIONS))


def _nesting(node: ast.AST, depth: int = 0) -> int:
    """The deepest level of blocks; `elif` is the level of its `if`, a nested function starts anew."""
    deepest = depth
    for name, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(child, FUNCTIONS):
                continue
            elif_branch = isinstance(node, ast.If) and name == "orelse" and isinstance(child, ast.If)
            deeper = isinstance(child, BLOCKS) and not elif_branch
            deepest = max(deepest, _nesting(child, depth + deeper))
    return deepest


def sizes(path: Path, tree: ast.Module) -> Iterator[str]:
    """Module ≤ 400 lines, function ≤ 50 lines, ≤ 6 parameters, ≤ 3 levels of blocks."""
    if (lines := len(path.read_text().splitlines())) > 400:
        yield f"{lines} lines, at most 400"
    for function in _functions(tree):
        where = f"{function.name} (line {function.lineno})"
        if (lines := (function.end_lineno or 0) - function.lineno + 1) > 50:
            yield f"{where}: {lines} lines, at most 50"
        named = function.args.posonlyargs + function.args.args + function.args.kwonlyargs
        if (count := sum(argument.arg not in ("self", "cls") for argument in named)) > 6:
            yield f"{where}: {count} parameters, at most 6"
        if (depth := _nesting(function)) > 3:
            yield f"{where}: {depth} levels of blocks, at most 3"


def words(path: Path, _tree: ast.Module) -> Iterator[str]:
    """No catch-all module name, nothing unfinished."""
    for part in (path.stem, path.parent.name):
        if part in FORBIDDEN_NAMES:
            yield f"the name {part!r} says nothing"
    if path != Path(__file__):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if UNFINISHED.search(line):
                yield f"line {number}: unfinished: {line.strip()}"


def tasks_processes_and_errors(path: Path, tree: ast.Module) -> Iterator[str]:
    """Tasks have a parent, processes start in host or cli, a broad `except` stands at a named boundary only."""
    module = path.relative_to(ROOT / "src").as_posix()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if STARTS_PROCESS.fullmatch(called) and module.split("/")[1] not in ("host", "host.py", "cli", "doctor.py"):
            yield f"line {node.lineno}: {called} outside host and cli"
    for function in _functions(tree):
        own = [node for child in function.body for node in _same_function(child)]
        called_here = {ast.unparse(node.func) for node in own if isinstance(node, ast.Call)}
        if called_here & STARTS_TASK and not called_here & AWAITS_TASK:
            yield f"{function.name} (line {function.lineno}): starts a task and doesn't wait for it"
        for node in own:
            if isinstance(node, ast.ExceptHandler) and _is_broad(node) and (module, function.name) not in BROAD_EXCEPT:
                yield f"{function.name} (line {node.lineno}): a broad except outside the boundaries"


def _same_function(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, FUNCTIONS):
            yield from _same_function(child)


def _is_broad(handler: ast.ExceptHandler) -> bool:
    """Catches everything, and doesn't only clean up and raise again."""
    caught = {ast.unparse(handler.type)} if handler.type else {"BaseException"}
    if isinstance(handler.type, ast.Tuple):
        caught = {ast.unparse(element) for element in handler.type.elts}
    raises = isinstance(handler.body[-1], ast.Raise) and handler.body[-1].exc is None
    return bool(caught & {"Exception", "BaseException"}) and not raises


def docstrings(_path: Path, tree: ast.Module) -> Iterator[str]:
    """Every public module, class and function says what it promises."""
    if not ast.get_docstring(tree):
        yield "no module docstring"
    scopes: list[ast.Module | ast.ClassDef] = [tree]
    while scopes:
        for node in scopes.pop().body:
            if not isinstance(node, (ast.ClassDef, *FUNCTIONS)) or node.name.startswith("_"):
                continue
            if not ast.get_docstring(node) and not _inherits_promise(node):
                yield f"{node.name} (line {node.lineno}): no docstring"
            if isinstance(node, ast.ClassDef):
                scopes.append(node)


def _inherits_promise(node: ast.AST) -> bool:
    return isinstance(node, FUNCTIONS) and any(ast.unparse(mark).endswith("override") for mark in node.decorator_list)


def _violations(paths: list[Path], rule: Rule) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}: {line}"
        for path in paths
        for line in rule(path, ast.parse(path.read_text(), filename=str(path)))
    ]


@pytest.mark.parametrize(
    ("paths", "rule"),
    [(EVERY, sizes), (EVERY, words), (SOURCE, tasks_processes_and_errors), (SOURCE, docstrings)],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_every_module_keeps_the_house_style(paths: list[Path], rule: Rule) -> None:
    assert paths
    broken = _violations(paths, rule)
    assert not broken, "\n".join(broken)


def test_the_list_of_boundaries_names_only_functions_that_exist() -> None:
    for module, name in BROAD_EXCEPT:
        tree = ast.parse((ROOT / "src" / module).read_text())
        assert name in {function.name for function in _functions(tree)}, (module, name)
