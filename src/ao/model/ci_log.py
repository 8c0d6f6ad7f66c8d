"""The part of a check's output that says why it failed, without secrets. Pure."""

from __future__ import annotations

import re
from typing import Final

from ao.model.fence import clean

LINE_LIMIT: Final = 400
"""Characters of one line; the rest of a longer one is left out."""
HIDDEN: Final = "***"
_BEFORE: Final = 0.15
_TAIL: Final = 0.3
"""Shares of the lines: those before the first error, and the last ones."""
_SCANNED: Final = 2_000_000
"""Characters of a log that are looked at: half from its beginning, half from its end."""

_STAMP: Final = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z ?", re.MULTILINE)
"""What GitHub Actions puts before each line of a job's log."""
_ERROR: Final = re.compile(
    r"^##\[error\](?!Process completed with exit code|The operation was cancell?ed)"
    r"|^\s*(?:error|fatal|fatal error)\b *(?:\[\w+\])?:"
    r"|\berror(?: [A-Z]{1,4}\d+|\[\w+\])?: \S|\b[A-Z]\w*(?:Error|Exception)\b(?::|$)"
    r"|\bFAILED\b|^\s*(?:---\s)?FAIL\b|\bFAILURES?\b(?=[ =!]*$)"
    r"|Traceback \(most recent call last\)|\bpanic:|\bpanicked at\b|^E {3}|^npm (?:ERR!|error)|^not ok \d|^\s*[✕✗✖●] "
    r"|\*\*\* .*\bError \d|Segmentation fault|: command not found|undefined reference to|Assertion .*failed|core dumped"
)

_PEM: Final = re.compile(
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----(?:[^-]{0,20000}-----END [A-Z ]{0,40}-----|[A-Za-z0-9+/=\s]{0,20000})"
)
_PEM_ROW: Final = re.compile(r"[A-Za-z0-9+/=]{40,}")
_PEM_END: Final = re.compile(r"-----END [A-Z ]{0,40}PRIVATE KEY-----")
_TOKENS: Final = re.compile(
    r"\b(?:gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{16,}|glpat-[A-Za-z0-9_-]{16,}|npm_[A-Za-z0-9]{30,}"
    r"|pypi-[A-Za-z0-9_-]{30,}|(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[A-Za-z0-9_-]{30,}|xox[abeoprs]-[A-Za-z0-9-]{10,}"
    r"|sk-[A-Za-z0-9_-]{16,}|aos_[A-Za-z0-9._-]{8,}|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?)"
)
_BEARER: Final = re.compile(r"\b(Bearer|Basic|token)( +)[A-Za-z0-9._~+/=-]{16,}", re.IGNORECASE)
_USERINFO: Final = re.compile(r"(\b[a-z][a-z0-9+.-]{1,20}://)[^\s/@:'\"]{0,200}:[^\s/@'\"]{1,400}@", re.IGNORECASE)
_ASSIGNED: Final = re.compile(
    r"(?<![A-Za-z0-9_.-])(?P<name>[A-Za-z0-9_.-]{0,60}"
    r"(?:TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|KEY|COOKIE|AUTH)[A-Za-z0-9_.-]{0,60})"
    r"(?P<mark>[\"']?(?P<sign> ?[=:] ?)[\"']?)(?P<value>[^\s\"',;&]{6,4000})",
    re.IGNORECASE,
)
_SURE: Final = re.compile(r"TOKEN|SECRET|PASS|CREDENTIAL|API_?KEY|PRIVATE_?KEY|ACCESS_?KEY", re.IGNORECASE)
_SHORTEST: Final = 8
_SHORTEST_UNSURE: Final = 16
"""Characters, letters and digits among them, of a value that is taken for a secret: "token: abc" is often prose, and
not every key opens something."""


def region(log: str, *, lines: int = 60, limit: int = 6_000) -> str:
    """At most `lines` lines and `limit` characters of `log`: those around its first error, and its last ones.

    Escape sequences, time stamps and secrets are gone; what is left out is said in brackets, on lines of their own.
    """
    rows = [_short(row) for row in _readable(log).split("\n")]
    if len(rows) <= lines and sum(len(row) + 1 for row in rows) <= limit:
        return "\n".join(rows)
    found = next((number for number, row in enumerate(rows) if _ERROR.search(row)), None)
    tail = lines if found is None else max(int(lines * _TAIL), 1)
    first = len(rows) if found is None else max(found - int(lines * _BEFORE), 0)
    room = limit - 3 * len(_gap(len(rows)))
    head = _fit(rows[first : first + lines - tail], room * 2 // 3)
    rest = rows[max(first + len(head), len(rows) - tail) if head else -tail :]
    end = _fit(rest, room - sum(len(row) + 1 for row in head), from_end=True)
    above = first if head else 0
    between = len(rows) - above - len(head) - len(end)
    parts = [*([_gap(above)] if above else []), *head, *([_gap(between)] if between else []), *end]
    return "\n".join(parts)[: max(limit, 0)]


def masked(text: str) -> str:
    """`text` with what looks like a secret replaced by `HIDDEN`: keys, tokens of known shapes, passwords in URLs, and
    the values of variables whose names say that they are secret."""
    text = _without_ends_of_keys(_PEM.sub(HIDDEN, text))
    text = _TOKENS.sub(HIDDEN, text)
    text = _BEARER.sub(rf"\1\2{HIDDEN}", text)
    text = _USERINFO.sub(rf"\1{HIDDEN}@", text)
    return _ASSIGNED.sub(_hide, text)


def _without_ends_of_keys(text: str) -> str:
    """`text` without private keys whose beginning was cut off."""
    if "-----END" not in text:
        return text
    rows: list[str] = []
    block = 0
    for row in text.split("\n"):
        if _PEM_END.search(row):
            rows[len(rows) - block :] = [HIDDEN]
            block = 0
            continue
        rows.append(row)
        block = block + 1 if _PEM_ROW.fullmatch(row.strip()) else 0
    return "\n".join(rows)


def _hide(found: re.Match[str]) -> str:
    value = found["value"]
    mixed = any(ch.isdigit() for ch in value) and any(ch.isalpha() for ch in value)
    if _SURE.search(found["name"]):
        is_secret = "=" in found["sign"] or (mixed and len(value) >= _SHORTEST)
    else:
        is_secret = mixed and len(value) >= _SHORTEST_UNSURE
    return f"{found['name']}{found['mark']}{HIDDEN}" if is_secret else found[0]


def _readable(log: str) -> str:
    if len(log) > _SCANNED:
        half = _SCANNED // 2
        log = f"{log[:half]}\n{_gap_of_characters(len(log) - _SCANNED)}\n{log[-half:]}"
    return masked(_STAMP.sub("", clean(log))).strip("\n")


def _short(row: str) -> str:
    row = row.rstrip()
    return row if len(row) <= LINE_LIMIT else row[:LINE_LIMIT] + f" {_gap_of_characters(len(row) - LINE_LIMIT)}"


def _gap(lines: int) -> str:
    return f"[… {lines:,} lines left out …]"


def _gap_of_characters(count: int) -> str:
    return f"[… {count:,} characters left out …]"


def _fit(rows: list[str], limit: int, *, from_end: bool = False) -> list[str]:
    """As many of the rows, from their beginning or their end, as `limit` characters hold; one at least, cut."""
    kept: list[str] = []
    room = limit
    for row in reversed(rows) if from_end else rows:
        if kept and len(row) + 1 > room:
            break
        kept.append(row[: max(limit, 0)])
        room -= len(row) + 1
    return kept[::-1] if from_end else kept
