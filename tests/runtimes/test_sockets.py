"""Socket paths: short enough for the kernel, and different for different data directories."""

from __future__ import annotations

from ao.runtimes.sockets import socket_path


def test_a_socket_lies_in_the_data_directory() -> None:
    assert socket_path("/home/a/.ao/data", 3, runtime_dir="/run/user/7", uid=7) == "/home/a/.ao/data/tmux/3"


def test_a_long_data_directory_has_its_sockets_in_the_runtime_directory_else_in_tmp() -> None:
    long = "/" + "d" * 100
    path = socket_path(long, 3, runtime_dir="/run/user/7", uid=7)
    assert path.startswith("/run/user/7/ao-")
    assert path.endswith("/tmux-3")
    for without in ("", "/" + "r" * 100):
        path = socket_path(long, 3, runtime_dir=without, uid=7)
        assert path.startswith("/tmp/ao-7-")
        assert path.endswith("/tmux-3")


def test_two_long_data_directories_share_no_socket() -> None:
    paths = {socket_path("/" + "d" * 100 + end, 0, runtime_dir="", uid=7) for end in ("", "e", "f")}
    assert len(paths) == 3


def test_the_limit_is_counted_in_bytes() -> None:
    assert socket_path("/" + "é" * 46, 0, runtime_dir="", uid=7).startswith("/" + "é" * 46)
    assert socket_path("/" + "é" * 47, 0, runtime_dir="", uid=7).startswith("/tmp/")
