"""docs/policy.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from bailiwick.declared import compile_policy, load_text
from bailiwick.declared.policies import POLICY
from bailiwick.policy import OrganisationPolicy, check, read_statements, schema_text
from bailiwick.policy.circumstances import CIRCUMSTANCES
from bailiwick.policy.expressing import MAX_CHARS, MAX_VALUES
from bailiwick.policy.tokens import (
    MAX_DEPTH,
    MAX_LINKS,
    MAX_PATTERN_CHARS,
    MAX_STATEMENTS,
    MAX_TEXT_CHARS,
    MAX_TOKENS,
)
from bailiwick.policy.types import RecordOf
from tests.unit.policy.office import DEFINITIONS, house

PAGE = (Path(__file__).parents[3] / "docs" / "policy.md").read_text()


def test_the_example_of_the_page_fits_a_bank() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    declared = load_text(example).of("policy")
    found = [
        OrganisationPolicy(f"{name}@1", each.digest, compile_policy(each).cedar)
        for name, each in declared.items()
    ]
    assert check(found, house()) == []
    weekend, large = read_statements(found[0])
    assert weekend.id == "policy/payments@1/weekend"
    assert large.advice == "Pay at most 100,000 at once."


def test_everything_a_policy_may_look_at_is_on_the_page() -> None:
    words = set(re.findall(r"`(?:context\.)?(\w+)`", PAGE))
    for name, attribute in CIRCUMSTANCES.items():
        assert f"`context.{name}`" in PAGE
        if isinstance(attribute.type, RecordOf):
            assert set(attribute.type.attributes) - words == set()


def test_every_key_of_a_policy_is_on_the_page() -> None:
    for key in POLICY.fields:
        assert f"| `{key}` |" in PAGE


def test_the_bounds_of_the_page_are_those_of_the_code() -> None:
    for bound in (MAX_TEXT_CHARS, MAX_TOKENS, MAX_VALUES, MAX_CHARS):
        assert f"{bound:,} " in PAGE
    assert f"{MAX_STATEMENTS} statements" in PAGE
    assert f"{MAX_LINKS}\noperators" in PAGE
    assert f"{MAX_DEPTH} levels" in PAGE
    assert f"{MAX_PATTERN_CHARS} characters" in PAGE


def test_the_kinds_of_calls_on_the_page_are_actions() -> None:
    schema = schema_text(DEFINITIONS)
    for kind in ("tool", "resource", "prompt", "client", "model", "command"):
        assert f'"{kind}"' in PAGE
        assert f'action "{kind}"' in schema
