"""Names of many servers on one endpoint: reversible, and never another server's."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from bailiwick.protocols.mcp.names import (
    find_cleaned,
    joined,
    joined_for_model,
    joined_uri,
    needs_model_names,
    split,
    split_uri,
)

SERVERS = {"bank": 1, "fs": 1, "fs-2": 1}
NAMES = st.text(min_size=1, max_size=80)


@given(st.sampled_from(sorted(SERVERS)), NAMES)
def test_a_joined_name_comes_apart_into_what_it_was_made_of(server: str, name: str) -> None:
    assert split(joined(server, name), SERVERS) == (server, name)
    assert split_uri(joined_uri(server, name), SERVERS) == (server, name)


@given(st.sampled_from(sorted(SERVERS)), NAMES)
def test_a_model_name_is_one_and_leads_back_to_the_tool(server: str, name: str) -> None:
    spelled = joined_for_model(server, name)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", spelled)
    apart = split(spelled, SERVERS)
    assert apart is not None
    assert apart[0] == server
    assert apart[1] == name or find_cleaned(spelled, server, [name, "other"]) == name


def test_a_server_cannot_speak_under_another_ones_name() -> None:
    assert split("bank/fs/read", SERVERS) == ("bank", "fs/read")
    assert split("bank__fs/read", SERVERS) == ("bank", "fs/read")
    assert split_uri("bank+fs+file:///x", SERVERS) == ("bank", "fs+file:///x")


def test_what_names_no_server_or_two_is_not_taken_apart() -> None:
    assert split("nobody/pay", SERVERS) is None
    assert split("pay", SERVERS) is None
    assert split("bank/", SERVERS) is None
    assert split("bank__", SERVERS) is None
    assert split("a___b", {"a": 1, "a_": 1}) is None
    assert split_uri("file:///x", SERVERS) is None


def test_clients_that_pass_names_to_a_model_are_known() -> None:
    assert needs_model_names("goose")
    assert needs_model_names("Codex-MCP-Client")
    assert not needs_model_names("mcp")
    assert not needs_model_names("")
