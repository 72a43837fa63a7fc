"""What a model said, as it is kept: one form, canonical, and read back as it was."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from bailiwick.core.canonical import canonical
from bailiwick.protocols.llm.dialect import AskedTool, Reasoning, Said, Usage, Visibility
from bailiwick.protocols.llm.kept import Kept, keep, read_kept

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
COUNT = st.none() | st.integers(0, 10**9)
CALLS = st.lists(st.builds(AskedTool, TEXT, TEXT, TEXT), max_size=2).map(tuple)
SAID = st.builds(
    Said,
    model=TEXT,
    text=TEXT,
    reasoning=st.lists(st.builds(Reasoning, st.sampled_from(Visibility), TEXT)).map(tuple),
    tool_calls=CALLS,
    usage=st.none() | st.builds(Usage, COUNT, COUNT, COUNT, COUNT, COUNT),
    finish=TEXT,
    id=TEXT,
    error=TEXT,
    cut=st.booleans(),
    hosted_calls=CALLS,
)


@given(SAID)
def test_it_is_canonical_and_reads_back(said: Said) -> None:
    kept = keep(said)
    if kept == Kept():
        assert not any((said.text, said.reasoning, said.tool_calls, said.hosted_calls))
        return
    assert read_kept(kept.said) == said
    assert canonical(json.loads(kept.said)) == kept.said
    assert (kept.reasoning in kept.said) is True
    assert json.loads(kept.reasoning or b"[]") == json.loads(kept.said)["reasoning"]


def test_these_are_its_names() -> None:
    assert list(json.loads(keep(Said(text="x")).said)) == [
        "cut", "error", "finish", "hosted_calls", "id", "model", "reasoning", "text",
        "tool_calls", "usage",
    ]  # fmt: skip
