"""What the pages say to `make`, the Makefile makes."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = frozenset(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE))
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))


def test_every_target_that_a_page_names_is_there() -> None:
    told = {
        (page.name, target)
        for page in PAGES
        for target in re.findall(r"(?:`|^)make ([a-z][a-z-]*)", page.read_text(), re.MULTILINE)
        # A line of prose may begin with the verb.
        if target in TARGETS or f"`make {target}" in page.read_text()
    }
    assert len({target for _, target in told}) > 8
    assert {each for each in told if each[1] not in TARGETS} == set()


def test_every_phony_target_is_one_and_every_target_is_phony() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert phony is not None
    assert frozenset(phony[1].split()) == TARGETS
