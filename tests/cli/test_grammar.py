"""How the words of a command line are read."""

from __future__ import annotations

import pytest

from ao.cli.errors import UsageError
from ao.cli.grammar import Argument, Command, HelpAsked, Option, Values, parse

COMMAND = Command(
    "try",
    lambda _, __: None,
    arguments=(Argument("ID", "id", ids="session"), Argument("MORE", "more", required=False, many=True)),
    options=(
        Option("--all -a", "switch"),
        Option("--yes -y", "switch"),
        Option("--name -n", "text", "NAME"),
        Option("--count", "number", "N", kind="integer"),
        Option("--wait", "duration", "D", kind="duration"),
        Option("--env", "many", "K=V", many=True),
        Option("--agent --harness", "two names", "ID", ids="agent"),
    ),
)


def read(line: str) -> Values:
    return parse(COMMAND, line.split(" "))


@pytest.mark.parametrize("line", ["x --name v", "--name v x", "x --name=v", "x -n v", "x -nv", "-n=v x"])
def test_flag_value_may_stand_in_any_of_these_ways(line: str) -> None:
    values = read(line)
    assert (values.text("name"), values.text("ID")) == ("v", "x")


@pytest.mark.parametrize("line", ["x -ay", "x -a -y", "-ya x", "x --all --yes=true", "x --all=1 -y"])
def test_switches_may_be_joined_and_given_a_value(line: str) -> None:
    assert (read(line).on("all"), read(line).on("yes")) == (True, True)


def test_joined_switches_may_end_in_a_flag_with_a_value() -> None:
    values = read("x -an v")
    assert (values.on("all"), values.text("name")) == (True, "v")


def test_switch_may_be_turned_off() -> None:
    assert not read("x --all --all=false").on("all")


def test_value_may_begin_with_a_dash_or_be_empty() -> None:
    assert read("x --name --all").text("name") == "--all"
    assert read("x --name=").text("name") == ""
    assert read("x --name=").given("name")


def test_two_dashes_end_the_flags_and_one_is_a_word() -> None:
    assert read("x -- --all -y").many("MORE") == ["--all", "-y"]
    assert read("x -").many("MORE") == ["-"]


def test_numbers_durations_and_repeated_flags() -> None:
    values = read("x --count 3 --wait 1m30s --env A=1 --env B=2=3")
    assert (values.number("count", 0), values.number("wait", 0)) == (3, 90)
    assert values.many("env") == ["A=1", "B=2=3"]
    assert read("x").number("count", 7) == 7


def test_the_last_of_two_names_for_one_flag_wins() -> None:
    assert read("x --agent a --harness b").text("agent") == "b"
    assert read("x --harness b --agent a").text("agent") == "a"


def test_ids_are_trimmed() -> None:
    values = parse(COMMAND, [" x ", "--agent", " codex "])
    assert (values.text("ID"), values.text("agent")) == ("x", "codex")


@pytest.mark.parametrize("line", ["--help", "x -h", "x --all -h", "-ah"])
def test_help_is_asked_for_anywhere(line: str) -> None:
    with pytest.raises(HelpAsked):
        read(line)


def test_help_after_two_dashes_is_a_word() -> None:
    assert read("x -- --help").many("MORE") == ["--help"]


@pytest.mark.parametrize("line", ["x -az", "x -z", "x --al", "x --count 1.5", "x --wait 3", "x --name", "--all"])
def test_misuse_is_refused(line: str) -> None:
    with pytest.raises(UsageError):
        read(line)
