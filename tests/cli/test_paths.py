"""Paths, the run file, and the text formats both sides share."""

from __future__ import annotations

import json
import math
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ao import paths
from ao.model import ids

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def test_defaults_lie_in_the_home_directory_not_under_a_temporary_one_w10() -> None:
    found = paths.resolve({"HOME": "/home/ada"})
    assert found.run_file == "/home/ada/.ao/running.json"
    assert found.data_dir == "/home/ada/.ao/data"
    assert found.config_file == "/home/ada/.ao/config.toml"
    assert found.log_file == "/home/ada/.ao/daemon.log"
    assert found.token_file == "/home/ada/.ao/data/token"
    assert found.explicit == ()


def test_relative_paths_become_absolute_and_empty_variables_count_as_unset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = paths.resolve(
        {"HOME": "/home/ada", "AO_RUN_FILE": "x/run.json", "AO_DATA_DIR": "", "AO_CONFIG": "~/c.toml"}
    )
    assert found.run_file == str(tmp_path / "x/run.json")
    assert found.log_file == str(tmp_path / "x/daemon.log")
    assert found.data_dir == "/home/ada/.ao/data"
    assert found.config_file == "/home/ada/c.toml"
    assert found.explicit == ("AO_RUN_FILE", "AO_CONFIG")


def test_config_lies_beside_the_run_file() -> None:
    assert paths.resolve({"AO_RUN_FILE": "/r/run.json", "AO_DATA_DIR": "/d"}).config_file == "/r/config.toml"


def test_run_file_survives_the_round_trip_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "new" / "running.json"
    paths.write_run_file(str(path), paths.RunFile(42, 3001, "2031-02-03T04:05:06.789Z", "1.2", "/d"))
    assert json.loads(path.read_text()) == {
        "pid": 42,
        "port": 3001,
        "startedAt": "2031-02-03T04:05:06.789Z",
        "version": "1.2",
        "dataDir": "/d",
    }
    run = paths.read_run_file(str(path))
    assert run is not None
    assert (run.pid, run.port, run.started_at, run.version, run.data_dir) == (
        42,
        3001,
        "2031-02-03T04:05:06.789Z",
        "1.2",
        "/d",
    )
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert os.listdir(path.parent) == ["running.json"]


def test_missing_run_file_reads_as_none(tmp_path: Path) -> None:
    assert paths.read_run_file(str(tmp_path / "running.json")) is None


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"pid": "7", "port": 1}',
     '{"pid": 7}', '{"pid": 7, "port": 70000}', '{"pid": -1, "port": 1}',
     '{"pid": true, "port": 1}', '{"pid": 99999999999, "port": 1}', "\xff\xfe"],
)  # fmt: skip
def test_malformed_run_file_reads_as_stale(tmp_path: Path, text: str) -> None:
    path = tmp_path / "running.json"
    path.write_bytes(text.encode("latin-1"))
    run = paths.read_run_file(str(path))
    assert run is not None
    assert (run.pid, run.port) == (0, 0)


def test_run_file_is_removed_only_by_its_owner(tmp_path: Path) -> None:
    path = str(tmp_path / "running.json")
    paths.write_run_file(path, paths.RunFile(42, 3001, ""))
    assert not paths.remove_run_file(path, 43)
    assert paths.remove_run_file(path, 42)
    assert not paths.remove_run_file(path, 42)


def test_failed_write_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    target = tmp_path / "running.json"
    target.mkdir()
    with pytest.raises(OSError, match="directory"):
        paths.write_private(str(target), "text")
    assert os.listdir(tmp_path) == ["running.json"]


def test_own_process_is_alive_and_an_ended_one_is_not() -> None:
    ended = subprocess.Popen([sys.executable, "-c", "pass"])
    ended.wait()
    assert paths.process_alive(os.getpid())
    assert paths.process_alive(1)
    assert not paths.process_alive(ended.pid)
    assert not paths.process_alive(0)
    assert not paths.process_alive(2**40)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10s", 10), ("1m30s", 90), ("500ms", 0.5), ("1.5h", 5400), ("0", 0), ("-2s", -2), ("+3s", 3), (".5s", 0.5),
     ("1h2m3s4ms", 3723.004), ("2us", 2e-6), ("2µs", 2e-6), ("7ns", 7e-9), ("1.s", 1)],
)  # fmt: skip
def test_duration_is_read_in_gos_syntax(text: str, seconds: float) -> None:
    assert math.isclose(paths.parse_duration(text), seconds)


@pytest.mark.parametrize("text", ["", "5", "s", "1x", "1..5s", "-", "1 s", "1s2", "1e3s", "s1", ".s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        paths.parse_duration(text)


@given(st.integers(min_value=0, max_value=10**7))
def test_formatted_duration_is_read_back(seconds: int) -> None:
    assert paths.parse_duration(paths.format_duration(seconds)) == seconds


def test_duration_is_written_as_go_does() -> None:
    assert [paths.format_duration(value) for value in (0, 0.4, 42.5, 362, 3723)] == [
        "0s",
        "0s",
        "43s",
        "6m2s",
        "1h2m3s",
    ]


@given(st.text(max_size=8) | st.from_regex(r"[A-Za-z0-9._-]{1,140}", fullmatch=True))
def test_both_sides_agree_on_what_an_id_is(text: str) -> None:
    assert paths.is_id(text) == ids.is_id(text)


def test_h3_id_grammar_admits_dots_as_project_ids_do() -> None:
    assert paths.is_id("my.app-3")
    assert not any(paths.is_id(text) for text in ("", "..", "a..b", "-a", ".a", "a/b", "a b", "é", "a" * 129, "a\n"))


@given(_JSON)
def test_json_is_written_and_read_as_the_json_module_does(value: Any) -> None:
    assert json.loads(paths.encode_json(value)) == value
    assert paths.encode_json(value, indent=2) == json.dumps(value, indent=2, ensure_ascii=False)
    assert paths.decode_json(json.dumps(value)) == value


@pytest.mark.parametrize("text", ["", " ", "{", '"x', '{"a"', "1 2", "nope", "[1,]", "[" * 100_000, "{}x"])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        paths.decode_json(text)


def test_json_has_no_infinities() -> None:
    assert paths.encode_json([math.inf, math.nan, 1.5]) == "[null,null,1.5]"
    with pytest.raises(TypeError):
        paths.encode_json({1, 2})
