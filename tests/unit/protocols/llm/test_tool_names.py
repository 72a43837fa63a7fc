"""Which tool a model means by a name."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.core.values import CANNOT_TELL, FAILS, HOLDS
from bailiwick.protocols.llm.tool_names import means
from bailiwick.protocols.mcp.names import joined_for_model

PAY = ("bank", "pay")
TOOLS = [PAY, ("bank", "read"), ("mail", "send")]


@pytest.mark.parametrize(
    "name",
    [
        "bank/pay",
        "bank__pay",
        "bank_pay",
        "bank.pay",
        "pay",
        "bailiwick__bank__pay",
        "mcp__bailiwick__bank__pay",
        "bailiwick_bank__pay",
        "mcp__bank__pay",
        "mcp_bailiwick_bank__pay",
    ],
)
def test_agents_write_one_tool_in_many_ways(name: str) -> None:
    assert means(name, PAY, [name, "shell"], TOOLS) is HOLDS


@pytest.mark.parametrize(
    "name", ["payx", "xpay", "fakebank__pay", "bank__payee", "bank__PAY", "Pay", "", "bank"]
)
def test_another_name_is_another_tool(name: str) -> None:
    assert means(name, PAY, [name], TOOLS) is not HOLDS


def test_a_tool_without_its_server_is_in_doubt_where_two_servers_have_one() -> None:
    tools = [*TOOLS, ("shop", "pay")]
    assert means("pay", PAY, ["pay"], tools) is CANNOT_TELL
    assert means("bank__pay", PAY, ["bank__pay"], tools) is HOLDS


def test_the_agents_own_tool_of_that_name_is_not_the_gateways() -> None:
    offered = ["pay", "bailiwick__bank__pay"]
    assert means("pay", PAY, offered, TOOLS) is FAILS
    assert means("bailiwick__bank__pay", PAY, offered, TOOLS) is HOLDS


def test_another_servers_tool_of_that_name_is_in_doubt() -> None:
    assert means("mcp__other__pay", PAY, ["mcp__other__pay"], TOOLS) is CANNOT_TELL


def test_two_offered_names_that_say_it_as_well_are_in_doubt() -> None:
    offered = ["a__bank__pay", "b__bank__pay"]
    assert means("a__bank__pay", PAY, offered, TOOLS) is CANNOT_TELL


def test_a_server_whose_name_ends_like_another_is_told_apart() -> None:
    tools = [PAY, ("x_bank", "pay")]
    name = "bailiwick__x_bank__pay"
    assert means(name, ("x_bank", "pay"), [name], tools) is HOLDS
    assert means(name, PAY, [name], tools) is FAILS


def test_two_tools_with_one_spelling_are_in_doubt() -> None:
    tools = [("a", "b_c"), ("a_b", "c")]
    assert means("a_b_c", ("a", "b_c"), ["a_b_c"], tools) is CANNOT_TELL


def test_signs_that_models_cannot_write_are_understood() -> None:
    tool = ("bank", "pay.now")
    for name in ("mcp__x__bank__pay_now", joined_for_model(*tool)):
        assert means(name, tool, [name], [tool, PAY]) is HOLDS


def test_a_long_name_is_known_by_its_digest() -> None:
    tool = ("bank", "a" * 70)
    ours = joined_for_model(*tool)
    assert means(f"goose__{ours}", tool, [f"goose__{ours}"], [tool]) is HOLDS
    whole = f"mcp__bailiwick__{ours}"
    codex = whole[:24] + hashlib.sha1(whole.encode(), usedforsecurity=False).hexdigest()
    assert means(codex, tool, [codex], [tool]) is HOLDS
    wrong = codex[:-1] + ("0" if codex[-1] != "0" else "1")
    assert means(wrong, tool, [wrong], [tool]) is not HOLDS


@given(
    st.lists(st.tuples(*[st.text("ab_-", min_size=1, max_size=4)] * 2), min_size=1, max_size=6),
    st.text("ab_-/.", max_size=12),
)
def test_no_name_means_two_tools(tools: list[tuple[str, str]], name: str) -> None:
    tools = list(dict.fromkeys(tools))
    assert sum(means(name, tool, [name], tools) is HOLDS for tool in tools) <= 1
