"""Reading email addresses: total, and equal to what the standard library makes of them."""

from __future__ import annotations

from email.headerregistry import Address
from email.utils import getaddresses, parseaddr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.core.conditions.email import Email
from bailiwick.core.texts.email import EmailAddress, read_email
from bailiwick.core.texts.hosts import read_host_pattern
from bailiwick.core.values import CANNOT_TELL, HOLDS, Truth

PIECES = st.sampled_from(
    [
        *("a", "Ada", "example.com", "evil.test", "@", "@", ".", "..", "+", "-", "'", '"', "<"),
        *(">", "(", ")", ",", ";", ":", "\\", "%", "!", " ", "\n", "\t", "\0", "[", "]", "=", "é"),
        *("ü", "\u200d", "．", "。", "127.0.0.1", "IPv6:::1", "xn--bcher-kva", "=?utf-8?q?a?="),
    ]
)
TEXTS = st.one_of(st.text(max_size=40), st.lists(PIECES, max_size=9).map("".join), st.emails())


@given(TEXTS)
def test_reading_an_address_is_total(text: str) -> None:
    assert isinstance(read_email(text), EmailAddress | str)
    assert isinstance(Email(("to",), addresses=("a@b.example",)).of(text), Truth)


@given(TEXTS)
def test_what_is_read_is_what_the_standard_library_reads(text: str) -> None:
    ours = read_email(text)
    if isinstance(ours, str):
        return
    assert parseaddr(text) == ("", text)
    assert getaddresses([text]) == [("", text)]
    if text.isascii():
        theirs = Address(addr_spec=text)
        assert theirs.username == ours.local
        assert theirs.domain.lower() == ours.domain


def test_with_neither_addresses_nor_domains_any_plain_address_will_do() -> None:
    anyone = Email(("to",))
    assert anyone.of("x@y.example") is HOLDS
    assert anyone.of("x@y.example, z@y.example") is CANNOT_TELL
    assert anyone.sentence() == "`to` is one plain email address"


@pytest.mark.parametrize("text", ["ada", "Ada <ada@example.com>", "ada@example.com."])
def test_an_address_of_a_mandate_must_be_plain(text: str) -> None:
    with pytest.raises(ValueError, match="the address"):
        Email(("to",), addresses=(text,))


def test_sentence_and_standing_are_for_people() -> None:
    wanted = Email(("to",), ("ada@example.com",), (read_host_pattern("*.example.org"),))
    assert wanted.sentence() == (
        "`to` is one of `ada@example.com` or an email address at `*.example.org`"
    )
    assert wanted.stands("ada@example.com.") == (
        "is `ada@example.com.` which has a domain that ends with a dot"
    )
    assert wanted.stands(["x"]) == "is a list and not text"
