"""docs/runs.md says what the agent's side may say, and how much of it."""

from __future__ import annotations

import re
from pathlib import Path

from bailiwick.core.run_words import (
    MAX_END_USER_CHARS,
    MAX_INSTRUCTION_CHARS,
    MAX_LABELS,
    MAX_PURPOSE_CHARS,
)
from bailiwick.gateway.gate import NOTHING_SAID
from bailiwick.gateway.mcp import said
from bailiwick.protocols.mcp.headers import read_headers

PAGE = (Path(__file__).parents[3] / "docs" / "runs.md").read_text()
ROWS = re.findall(r"^\| `(Bailiwick-[^`]+)` \| `(bailiwick/[^`]+)` \| (.*) \|$", PAGE, re.M)


def test_every_header_and_key_is_on_the_page_and_no_other() -> None:
    assert {key for _, key, _ in ROWS} == set(said._META.values())
    for header, key, _ in ROWS:
        headers = read_headers([(header.lower().encode(), b"x")])
        in_header = said.read_said(headers, {})
        value: object = ["x"] if key == "bailiwick/run-labels" else "x"
        none = read_headers([])
        assert said.read_said(none, {"_meta": {key: value}}) == in_header  # type: ignore[dict-item]  # text or a list of it
        assert in_header != NOTHING_SAID


def test_the_bounds_on_the_page_are_those_of_the_code() -> None:
    words = " ".join(about for _, _, about in ROWS).replace(",", "")
    for bound in (MAX_INSTRUCTION_CHARS, MAX_PURPOSE_CHARS, MAX_LABELS, MAX_END_USER_CHARS):
        assert f"at most {bound}" in words
