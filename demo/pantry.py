"""The scratch repository, and the three tasks with what the demo agent, which has no model, writes for each."""

from __future__ import annotations

from typing import NamedTuple

PROJECT = "pantry"
CHECKS = '[{"name":"tests","run":"python3 -B -m unittest"},{"name":"readme","run":"python3 -B check_readme.py"}]'
"""What every pull request must pass."""


class Task(NamedTuple):
    """A session's name, its task as a person reads it, and the script that comes with it."""

    name: str
    words: str
    script: str

    @property
    def prompt(self) -> str:
        """The task as the agent gets it."""
        return f"{self.words}\n{self.script}"


FILES = {
    ".gitignore": "__pycache__/\n",
    "pantry/__init__.py": '"""What is in the pantry."""\n',
    "pantry/shelf.py": '''"""A shelf of things, each with how many there are."""

from __future__ import annotations


class Shelf:
    """Keeps counts by name."""

    def __init__(self) -> None:
        self.items: dict[str, int] = {}

    def put(self, name: str, count: int = 1) -> None:
        """Put some of it on the shelf."""
        self.items[name] = self.items.get(name, 0) + count

    def take(self, name: str) -> None:
        """Take one off."""
        self.items[name] -= 1
''',
    "test_shelf.py": """import unittest

from pantry.shelf import Shelf


class ShelfTest(unittest.TestCase):
    def test_what_was_put_is_there(self) -> None:
        shelf = Shelf()
        shelf.put("jam", 2)
        shelf.take("jam")
        self.assertEqual(shelf.items, {"jam": 1})
""",
    "check_readme.py": '''"""Fails for every public function that the README doesn't name."""

import ast
import pathlib
import sys

readme = pathlib.Path("README.md").read_text()
missing = [
    f"{path}:{node.lineno}: README.md doesn't name `{node.name}`"
    for path in sorted(pathlib.Path("pantry").glob("*.py"))
    for node in ast.walk(ast.parse(path.read_text()))
    if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and f"`{node.name}`" not in readme
]
sys.exit("\\n".join(missing) or 0)
''',
    "README.md": """# Pantry

A shelf, and what can be done with it:

- `put` some of a thing on it
- `take` one off
""",
}

COUNT = Task(
    "count items",
    "Add a function that counts an item, with a test.",
    '''[[demo: on start Count an item]]
[[demo: write pantry/counting.py]]
"""How much there is."""

from __future__ import annotations

from pantry.shelf import Shelf


def count(shelf: Shelf, name: str) -> int:
    """How many of an item are on the shelf."""
    return shelf.items.get(name, 0)
[[demo: write test_counting.py]]
import unittest

from pantry.counting import count
from pantry.shelf import Shelf


class CountingTest(unittest.TestCase):
    def test_items_are_counted(self) -> None:
        shelf = Shelf()
        shelf.put("jam", 2)
        self.assertEqual((count(shelf, "jam"), count(shelf, "tea")), (2, 0))
[[demo: pull]]
`count` says how many of an item are there.
[[demo: on ci Name count in the README]]
[[demo: add README.md]]
- `count` an item
''',
)
"""Forgets the README, which only the project's checks look at."""

REFUSE = Task(
    "refuse missing items",
    "Refuse to take an item that is not on the shelf, with a test.",
    """[[demo: on start Refuse to take what is not there]]
[[demo: replace pantry/shelf.py]]
        self.items[name] -= 1
[[demo: with]]
        if not self.items.get(name):
            raise LookupError(name)
        self.items[name] -= 1
[[demo: write test_missing.py]]
import unittest

from pantry.shelf import Shelf


class MissingTest(unittest.TestCase):
    def test_what_is_not_there_is_refused(self) -> None:
        with self.assertRaisesRegex(LookupError, "tea"):
            Shelf().take("tea")
[[demo: pull]]
`take` raises LookupError instead of going below zero.
[[demo: on review Say what is missing]]
[[demo: replace pantry/shelf.py]]
            raise LookupError(name)
[[demo: with]]
            raise LookupError(f"there is no {name} on the shelf")
""",
)
REMARK_AT = ("pantry/shelf.py", "raise LookupError(name)")
REMARK = "A bare name helps nobody: say what is missing."
"""What the reviewer finds, and where."""

SHOP = Task(
    "list what to buy",
    "Add a function that lists what is not on the shelf, with a test, and name it in the README.",
    '''[[demo: on start List what to buy]]
[[demo: write pantry/shopping.py]]
"""What to buy."""

from __future__ import annotations

from collections.abc import Iterable

from pantry.shelf import Shelf


def to_buy(shelf: Shelf, wanted: Iterable[str]) -> list[str]:
    """What is wanted and not on the shelf."""
    return [name for name in wanted if not shelf.items.get(name)]
[[demo: write test_shopping.py]]
import unittest

from pantry.shelf import Shelf
from pantry.shopping import to_buy


class ShoppingTest(unittest.TestCase):
    def test_what_is_not_there_is_listed(self) -> None:
        shelf = Shelf()
        shelf.put("jam")
        self.assertEqual(to_buy(shelf, ["jam", "tea"]), ["tea"])
[[demo: add README.md]]
- `to_buy` lists what is wanted and not there
[[demo: pull]]
`to_buy` lists what is wanted and not there.
''',
)
"""Adds to the README where `COUNT` does, so the second of them to be merged conflicts."""

TASKS = (COUNT, REFUSE, SHOP)
