"""Email addresses that reach somebody else than they seem to: each known trick by its name."""

from __future__ import annotations

import pytest

from bailiwick.core.conditions import permits, triggers
from bailiwick.core.conditions.email import Email
from bailiwick.core.texts.hosts import read_host_pattern
from bailiwick.core.values import CANNOT_TELL, FAILS, HOLDS

WANTED = Email(
    ("to",),
    addresses=("ada@partner.example",),
    domains=(read_host_pattern("example.com"), read_host_pattern("*.example.org")),
)

IN_TWO_WAYS = {
    "display name": "Ada <ada@evil.test>",
    "display name with the right domain": '"ada@example.com" <ada@evil.test>',
    "angle brackets": "<ada@example.com>",
    "two addresses": "ada@example.com, mallory@evil.test",
    "two addresses by semicolon": "ada@example.com;mallory@evil.test",
    "two addresses by space": "ada@example.com mallory@evil.test",
    "a group": "friends: ada@example.com, mallory@evil.test;",
    "comment after": "ada@example.com(@evil.test)",
    "comment before": "(x)ada@example.com",
    "comment in the domain": "ada@evil.test(.example.com",
    "quoted part": '"ada@evil.test"@example.com',
    "quoted space": '"ada "@example.com',
    "two @": "ada@evil.test@example.com",
    "percent route": "mallory%evil.test@example.com",
    "bang route": "evil.test!mallory@example.com",
    "source route": "@evil.test:ada@example.com",
    "line break": "ada@example.com\nBcc: mallory@evil.test",
    "carriage return": "ada@example.com\r\nBcc: mallory@evil.test",
    "encoded line break": "ada%0aBcc:mallory@example.com",
    "NUL": "ada@example.com\0.evil.test",
    "space before": " ada@example.com",
    "space after": "ada@example.com ",
    "no-break space": "ada@example.com\u00a0",
    "trailing dot": "ada@example.com.",
    "leading dot": ".ada@example.com",
    "two dots": "a..da@example.com",
    "dot at the end": "ada.@example.com",
    "option to sendmail": "-oQ/tmp@example.com",
    "command": "`id`@example.com",
    "pipe": "|id@example.com",
    "address for a domain": "ada@[192.0.2.1]",
    "bare address for a domain": "ada@192.0.2.1",
    "general address": "ada@[IPv6:2001:db8::1]",
    "full-width letters": "ada@\uff45xample.com",
    "ideographic full stop": "ada@example\u3002com",
    "full-width @": "ada\uff20example.com",
    "letters beyond ASCII before the @": "ad\u00e4@example.com",
    "Cyrillic letter before the @": "\u0430da@example.com",
    "encoded word": "=?utf-8?q?ada=40evil.test=3e=00?=@example.com",
    "UTF-7": "+AHg-@evil.test@example.com",
    "mailto": "mailto:ada@example.com",
    "no domain": "ada",
    "empty domain": "ada@",
    "empty part": "@example.com",
    "too long": "a" * 65 + "@example.com",
    "far too long": "a@" + "b." * 200 + "example.com",
    "the same mailbox in capitals": "Ada@partner.example",
    "the same mailbox with a tag": "ada+evil@partner.example",
    "the same mailbox with a dot": "a.da@partner.example",
    "nothing": "",
}


@pytest.mark.parametrize("text", IN_TWO_WAYS.values(), ids=IN_TWO_WAYS.keys())
def test_an_address_that_can_be_read_in_two_ways_cannot_be_told(text: str) -> None:
    assert WANTED.of(text) is CANNOT_TELL
    assert not permits(WANTED, {"to": text})
    assert triggers(WANTED, {"to": text})


@pytest.mark.parametrize(
    "text",
    [
        "mallory@evil.test",
        "ada@example.com.evil.test",
        "ada@notexample.com",
        "ada@example.org",
        "ada@sub.example.com",
        "bob@partner.example",
        "ada@ex\u0430mple.com",
    ],
)
def test_an_address_elsewhere_does_not_hold(text: str) -> None:
    assert WANTED.of(text) is FAILS


@pytest.mark.parametrize(
    "text",
    [
        "ada@example.com", "ADA@Example.COM", "a.da+tag@example.com", "o'brien@example.com",
        "ada@mail.example.org", "ada@partner.example", "ada@Partner.example",
        "ada@b\u00fccher.example.org",
    ],
)  # fmt: skip
def test_a_plain_address_holds(text: str) -> None:
    assert WANTED.of(text) is HOLDS


@pytest.mark.parametrize(
    "text", ["mallory@evil.test", "Mallory@evil.test", "mal.lory+x@EVIL.test", "mallory@evil.test."]
)
def test_a_denied_mailbox_cannot_be_reached_in_another_spelling(text: str) -> None:
    denied = Email(("to",), addresses=("mallory@evil.test",))
    assert triggers(denied, {"to": text})
    assert not triggers(denied, {"to": "ada@evil.test"})
