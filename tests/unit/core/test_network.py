"""Addresses, zones, and the ways in which somebody pretends to be elsewhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.core.network import (
    MAX_FORWARDED_CHARS,
    Networks,
    caller_address,
    read_address,
    read_network,
)

PROXIES = (read_network("127.0.0.1"), read_network("10.9.0.0/24"))
OFFICE = Networks({"office": (read_network("10.0.0.0/8"), read_network("2001:db8::/32"))})


@pytest.mark.parametrize(
    ("text", "zones"),
    [
        ("10.1.2.3", {"office"}),
        ("11.1.2.3", set()),
        ("::ffff:10.1.2.3", {"office"}),
        ("::ffff:0a01:0203", {"office"}),
        ("2001:db8::1", {"office"}),
        ("2001:DB8:0::1", {"office"}),
        ("2001:db9::1", set()),
        ("::10.1.2.3", set()),  # not the mapped form: another network altogether
        ("::1", set()),
    ],
)
def test_an_address_is_in_the_zones_whose_networks_hold_it(text: str, zones: set[str]) -> None:
    assert OFFICE.around(text) == frozenset(zones)
    assert OFFICE.around(text) == frozenset(zones)  # and again, from memory


@pytest.mark.parametrize("text", ["", "office", "10.1.2", "10.1.2.3:80", "010.1.2.3", "1" * 65])
def test_what_is_no_address_is_in_no_known_place(text: str) -> None:
    assert OFFICE.around(text) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("10.0.0.1/8", "has bits set beyond its length"),
        ("10.0.0.0/33", "is not a network"),
        ("office", "is not a network"),
        ("::ffff:10.0.0.0/104", "write it as IPv4"),
    ],
)
def test_a_network_says_one_thing(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_network(text)


def test_without_a_trusted_proxy_the_socket_alone_is_believed() -> None:
    assert caller_address("203.0.113.9", ["10.1.2.3"], ()) == "203.0.113.9"
    assert caller_address("203.0.113.9", ["10.1.2.3"], PROXIES) == "203.0.113.9"
    assert caller_address("::ffff:203.0.113.9", [], PROXIES) == "203.0.113.9"


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        (["203.0.113.9"], "203.0.113.9"),
        (["10.1.2.3, 203.0.113.9"], "203.0.113.9"),  # the caller wrote the first one itself
        (["10.1.2.3", "203.0.113.9"], "203.0.113.9"),  # in a header of its own
        (["203.0.113.9, 10.9.0.7"], "203.0.113.9"),  # two proxies in a row
        (["10.1.2.3, 203.0.113.9, 10.9.0.7"], "203.0.113.9"),
        (["::ffff:203.0.113.9"], "203.0.113.9"),
        ([], ""),  # a proxy that does not say for whom it asks
        (["10.9.0.7"], ""),
        (["unknown"], ""),
        (["203.0.113.9, unknown"], ""),
        (["203.0.113.9:443"], ""),
        (["203.0.113.9,"], ""),
        (["10.1.2.3, " + "10.9.0.7, " * 40 + "10.9.0.7"], ""),
        (["1" * (MAX_FORWARDED_CHARS + 1)], ""),
    ],
)
def test_behind_a_proxy_only_what_proxies_wrote_is_believed(
    forwarded: list[str], address: str
) -> None:
    assert caller_address("127.0.0.1", forwarded, PROXIES) == address


def test_a_socket_without_an_address_is_nowhere() -> None:
    assert caller_address("", ["10.1.2.3"], PROXIES) == ""
    assert caller_address("/run/gateway.sock", ["10.1.2.3"], PROXIES) == ""


@given(st.lists(st.text(max_size=40), max_size=6))
def test_no_header_makes_an_outsider_one_of_the_office(forwarded: list[str]) -> None:
    told = caller_address("127.0.0.1", [*forwarded, "203.0.113.9"], PROXIES)
    assert told == "203.0.113.9"


@given(st.text(max_size=80))
def test_reading_an_address_never_fails_in_another_way(text: str) -> None:
    address = read_address(text)
    assert address is None or read_address(str(address)) == address
