"""Taking offered tools out of requests: what is left, and what cannot be met any more."""

from __future__ import annotations

from typing import Any

import pytest

from bailiwick.protocols.llm.dialect import Dialect
from bailiwick.protocols.llm.offered import without
from bailiwick.protocols.llm.requests import read_request

CHAT, RESPONSES, MESSAGES = Dialect.CHAT, Dialect.RESPONSES, Dialect.MESSAGES


def function(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


def keeps(name: str, hosted: bool) -> bool:
    return name in (("web_search",) if hosted else ("read", "bank__read", "mcp", "apply_patch"))


CASES: list[tuple[Dialect, dict[str, Any], dict[str, Any], tuple[str, ...]]] = [
    (CHAT, {"tools": [function("read")]}, {"tools": [function("read")]}, ()),
    (
        CHAT,
        {"tools": [function("read"), function("pay")], "tool_choice": "auto", "x": 1},
        {"tools": [function("read")], "tool_choice": "auto", "x": 1},
        ("pay",),
    ),
    (
        CHAT,
        {"tools": [function("pay")], "tool_choice": "auto", "parallel_tool_calls": True, "x": 1},
        {"x": 1},
        ("pay",),
    ),
    (CHAT, {"functions": [{"name": "pay"}], "function_call": "auto"}, {}, ("pay",)),
    (CHAT, {"tools": [{"type": "mcp"}, {"type": "web_search"}]},
     {"tools": [{"type": "web_search"}]}, ("mcp",)),
    (CHAT, {"tools": [{"type": "custom", "custom": {"name": "pay"}}]}, {}, ("pay",)),
    (CHAT, {"web_search_options": {}}, {"web_search_options": {}}, ()),
    (
        RESPONSES,
        {"tools": [{"type": "function", "name": "pay"}, {"type": "mcp"}, {"type": "apply_patch"}]},
        {"tools": [{"type": "apply_patch"}]},
        ("pay", "mcp"),
    ),
    (
        RESPONSES,
        {"tools": [{"type": "namespace", "name": "bank", "tools": [{"name": "read"},
                                                                   {"name": "pay"}]}]},
        {"tools": [{"type": "namespace", "name": "bank", "tools": [{"name": "read"}]}]},
        ("bank__pay",),
    ),
    (
        RESPONSES,
        {"tools": [{"type": "namespace", "name": "bank", "tools": [{"name": "pay"}]}]},
        {},
        ("bank__pay",),
    ),
    (
        RESPONSES,
        {"input": [{"type": "additional_tools", "tools": [{"type": "function", "name": "pay"}]}]},
        {"input": [{"type": "additional_tools", "tools": []}]},
        ("pay",),
    ),
    (MESSAGES, {"tools": [{"name": "pay"}, {"name": "read"}]}, {"tools": [{"name": "read"}]},
     ("pay",)),
    (MESSAGES, {"tools": [{"type": "bash_20250124", "name": "bash"}]}, {}, ("bash",)),
    (MESSAGES, {"tools": [{"type": "code_execution_20250825", "name": "read"}]}, {},
     ("code_execution_20250825",)),
    (MESSAGES, {"mcp_servers": [{"url": "https://x.test"}]}, {}, ("mcp",)),
    (Dialect.EMBEDDINGS, {"tools": [function("pay")]}, {"tools": [function("pay")]}, ()),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "body", "left", "removed"), CASES)
def test_what_is_left_of_a_request(
    dialect: Dialect, body: dict[str, Any], left: dict[str, Any], removed: tuple[str, ...]
) -> None:
    kept = without(dialect, {"model": "m", **body}, keeps)
    assert kept.body == {"model": "m", **left}
    assert kept.removed == removed
    assert kept.unmet == ""


@pytest.mark.parametrize(("dialect", "body", "left", "removed"), CASES[:-1])
def test_nothing_is_offered_any_more_under_any_name(
    dialect: Dialect, body: dict[str, Any], left: dict[str, Any], removed: tuple[str, ...]
) -> None:
    nothing = without(dialect, {"model": "m", **body}, lambda name, hosted: False)
    assert read_request(dialect, nothing.body).tools == ()
    assert set(nothing.removed) == set(read_request(dialect, {"model": "m", **body}).tools)


@pytest.mark.parametrize(
    ("dialect", "tools", "choice"),
    [
        (CHAT, [function("pay"), function("read")], function("pay")),
        (CHAT, [function("pay")], "required"),
        (
            CHAT,
            [function("pay"), function("read")],
            {"type": "allowed_tools", "allowed_tools": {"tools": [function("pay")]}},
        ),
        (RESPONSES, [{"type": "function", "name": "pay"}], {"type": "function", "name": "pay"}),
        (RESPONSES, [{"type": "mcp"}, {"type": "apply_patch"}], {"type": "mcp"}),
        (
            RESPONSES,
            [{"type": "namespace", "name": "bank", "tools": [{"name": "pay"}]},
             {"type": "apply_patch"}],
            {"type": "function", "namespace": "bank", "name": "pay"},
        ),
        (MESSAGES, [{"name": "pay"}, {"name": "read"}], {"type": "tool", "name": "pay"}),
        (MESSAGES, [{"name": "pay"}], {"type": "any"}),
    ],
)  # fmt: skip
def test_a_choice_that_cannot_be_met_is_told(dialect: Dialect, tools: Any, choice: Any) -> None:
    assert without(dialect, {"tools": tools, "tool_choice": choice}, keeps).unmet


@pytest.mark.parametrize("choice", ["auto", "none", {"type": "auto"}])
def test_a_free_choice_is_met_by_no_tools(choice: Any) -> None:
    kept = without(CHAT, {"tools": [function("pay")], "tool_choice": choice}, keeps)
    assert (kept.body, kept.unmet) == ({}, "")


def test_a_request_that_keeps_all_its_tools_is_the_same_object() -> None:
    body = {"tools": [function("read")]}
    assert without(CHAT, body, keeps).body is body


@pytest.mark.parametrize("kind", [[], {}, 1])
def test_a_choice_of_a_type_that_is_no_text_is_not_free(kind: Any) -> None:
    body: dict[str, Any] = {"tools": [function("pay")], "tool_choice": {"type": kind}}
    assert without(CHAT, body, keeps).unmet == str(kind)
