"""Where a repository is on GitHub, told from a remote's URL; and where its API is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ao.forges.github.repository import api_url, graphql_url, parse_pull_url, parse_remote, pull_url
from ao.model.pull import PullRef, Repo


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("https://github.com/octo/widgets", "github.com", "octo/widgets"),
        ("https://github.com/octo/widgets.git", "github.com", "octo/widgets"),
        ("https://www.github.com/octo/widgets/", "github.com", "octo/widgets"),
        ("HTTPS://GitHub.com/Octo/Widgets.git", "github.com", "Octo/Widgets"),
        ("https://person:secret@github.com/octo/widgets.git", "github.com", "octo/widgets"),
        ("https://github.com:443/octo/widgets.git", "github.com", "octo/widgets"),
        ("git@github.com:octo/widgets.git", "github.com", "octo/widgets"),
        ("github.com:octo/widgets", "github.com", "octo/widgets"),
        ("org-1234@github.com:octo/wid.gets.git", "github.com", "octo/wid.gets"),
        ("ssh://git@github.com/octo/widgets.git", "github.com", "octo/widgets"),
        ("ssh://git@ssh.github.com:443/octo/widgets.git", "github.com", "octo/widgets"),
        ("git://github.com/octo/widgets", "github.com", "octo/widgets"),
        ("https://acme.ghe.io/octo/widgets", "acme.ghe.io", "octo/widgets"),
        ("git@acme.ghe.com:octo/widgets.git", "acme.ghe.com", "octo/widgets"),
        ("https://github.com/emu_user/widgets", "github.com", "emu_user/widgets"),
    ],
)
def test_every_form_of_a_remote_names_its_repository(url: str, host: str, path: str) -> None:
    assert parse_remote(url, {}) == Repo(forge="github", host=host, path=path)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "octo/widgets",
        "/srv/git/widgets.git",
        "../widgets",
        "file:///srv/github.com/octo/widgets",
        "https://gitlab.com/octo/widgets",
        "https://github.com.evil.example/octo/widgets",
        "https://evil.example/github.com/octo/widgets",
        "https://github.com@evil.example/octo/widgets",
        "https://notgithub.com/octo/widgets",
        "https://ghe.io/octo/widgets",
        "https://github.com/octo",
        "https://github.com/octo/widgets/pull/1",
        "https://github.com/octo/..",
        "https://github.com/octo/wid gets",
        "https://github.com/-octo/widgets",
        "https://github.com/octo/wid%2fgets",
        "git@ghe.example:octo/widgets.git",
        "https://[github.com/octo/widgets",
        "ext::sh -c touch% pwned github.com/octo/widgets",
    ],
)
def test_c5_what_is_not_on_github_names_nothing(url: str) -> None:
    assert parse_remote(url, {}) is None


@pytest.mark.parametrize(
    "environ",
    [
        {"GH_HOST": "ghe.example"},
        {"AO_GITHUB_HOSTS": "other.example, GHE.example"},
        {"GITHUB_API_URL": "https://ghe.example/api/v3"},
    ],
)
def test_an_enterprise_server_is_known_once_it_is_named(environ: dict[str, str]) -> None:
    for url in (
        "https://ghe.example/octo/widgets",
        "git@ghe.example:octo/widgets.git",
        "ssh://git@ghe.example:22/octo/widgets",
    ):
        assert parse_remote(url, environ) == Repo(forge="github", host="ghe.example", path="octo/widgets")


def test_a_pull_requests_url_is_read_whatever_follows_it() -> None:
    repo = Repo(forge="github", host="github.com", path="octo/widgets")
    for url in (
        "https://github.com/octo/widgets/pull/142",
        "HTTPS://GITHUB.COM/octo/widgets/pull/142/",
        "https://github.com/octo/widgets/pull/142?x=1#discussion_r1",
    ):
        assert parse_pull_url(url, {}) == (repo, 142)
    assert pull_url(PullRef(repo=repo, number=142)) == "https://github.com/octo/widgets/pull/142"


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/octo/widgets/pull/142/files",
        "https://github.com/octo/widgets/issues/142",
        "https://github.com/octo/widgets/pull/0",
        "https://github.com/octo/widgets/pull/-1",
        "https://github.com/octo/widgets/pull/١",
        "http://github.com/octo/widgets/pull/1",
        "https://evil.example/octo/widgets/pull/1",
        "142",
        "",
    ],
)
def test_anything_else_is_no_pull_request(url: str) -> None:
    assert parse_pull_url(url, {}) is None


@given(st.text(max_size=80) | st.text(max_size=40).map(lambda text: f"https://github.com/{text}"))
def test_s5_no_text_breaks_the_parsers(text: str) -> None:
    found = parse_remote(text, {"AO_GITHUB_HOSTS": text})
    assert found is None or found.path.count("/") == 1
    assert parse_pull_url(text, {}) is None or text.strip().lower().startswith("https://")


@pytest.mark.parametrize(
    ("host", "environ", "rest", "graphql"),
    [
        ("github.com", {}, "https://api.github.com", "https://api.github.com/graphql"),
        ("acme.ghe.io", {}, "https://api.acme.ghe.io", "https://api.acme.ghe.io/graphql"),
        ("ghe.example", {}, "https://ghe.example/api/v3", "https://ghe.example/api/graphql"),
        ("github.com", {"GITHUB_API_URL": "http://127.0.0.1:9/"}, "http://127.0.0.1:9", "http://127.0.0.1:9/graphql"),
        (
            "ghe.example",
            {"GITHUB_API_URL": "https://ghe.example:8443/api/v3"},
            "https://ghe.example:8443/api/v3",
            "https://ghe.example:8443/api/graphql",
        ),
        # An Enterprise server's address is no reason to ask it for what lies on github.com, nor the other way about.
        (
            "github.com",
            {"GITHUB_API_URL": "https://ghe.example/api/v3"},
            "https://api.github.com",
            "https://api.github.com/graphql",
        ),
        (
            "ghe.example",
            {"GITHUB_API_URL": "https://api.github.com"},
            "https://ghe.example/api/v3",
            "https://ghe.example/api/graphql",
        ),
    ],
)
def test_each_host_is_asked_at_its_own_address(host: str, environ: dict[str, str], rest: str, graphql: str) -> None:
    assert (api_url(host, environ), graphql_url(host, environ)) == (rest, graphql)
