"""The documents say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from bailiwick.cli import reference

ROOT = Path(__file__).resolve().parents[2]


def test_the_reference_is_what_the_code_says() -> None:
    page = (ROOT / "docs" / "reference" / "cli.md").read_text()
    assert page == reference.render(), (
        "write it anew: python -m bailiwick.cli.reference > docs/reference/cli.md"
    )


def test_every_command_in_the_documents_exists() -> None:
    known = set(re.findall(r"^## `bailiwick ?(.*)`$", reference.render(), re.M))
    used = set()
    for page in ("README.md", "docs/getting-started.md", "docs/how-it-works.md"):
        text = (ROOT / page).read_text()
        for words in re.findall(r"(?:^|`)bailiwick ([a-z]+(?: [a-z]+)?)", text, re.M):
            first, _, _ = words.partition(" ")
            used.add(words if words in known else first)
    assert len(used) > 8
    assert used <= known | {"schema"}


def test_every_test_the_readme_names_exists() -> None:
    named = re.findall(r"`(tests/[^`]+\.py)::(\w+)`", (ROOT / "README.md").read_text())
    assert len(named) >= 14
    for file, name in named:
        assert re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text(), re.M), name


def test_links_between_the_documents_lead_somewhere() -> None:
    for name in ("README.md", "docs/getting-started.md", "docs/how-it-works.md"):
        page = ROOT / name
        for link in re.findall(r"\]\(([^)#]+)", page.read_text()):
            if "://" not in link:
                assert (page.parent / link).exists(), f"{name}: {link}"
