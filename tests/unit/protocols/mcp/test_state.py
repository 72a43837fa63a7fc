"""A sealed state opens for the authority, the call and the time it was made for, and no other."""

from __future__ import annotations

import pytest

from bailiwick.core.errors import TheirError
from bailiwick.protocols.mcp.state import State, seal, unseal

KEY, NONCE = bytes(range(32)), bytes(12)
STATE = State("ada|work", "d" * 64, 2000, "the server's own é", "")


def test_what_was_sealed_comes_back_intact() -> None:
    token = seal(STATE, KEY, NONCE)
    assert unseal(token, KEY, "ada|work", "d" * 64, 1999) == STATE
    assert "server" not in token


@pytest.mark.requirement("2026-07-28/request-state")
@pytest.mark.parametrize(
    ("authority", "digest", "now_ms"),
    [("clerk|work", "d" * 64, 1), ("ada|work", "e" * 64, 1), ("ada|work", "d" * 64, 2000)],
)
def test_another_identity_call_or_time_does_not_open_it(
    authority: str, digest: str, now_ms: int
) -> None:
    with pytest.raises(TheirError) as refused:
        unseal(seal(STATE, KEY, NONCE), KEY, authority, digest, now_ms)
    assert refused.value.code == "request_state_invalid"


def test_every_changed_character_is_rejected() -> None:
    token = seal(STATE, KEY, NONCE)
    for index in range(len(token)):
        other = "A" if token[index] != "A" else "B"
        changed = token[:index] + other + token[index + 1 :]
        try:
            opened = unseal(changed, KEY, "ada|work", "d" * 64, 1)
        except TheirError:
            continue
        # The last character may hold bits that base64 does not use.
        assert index == len(token) - 1
        assert opened == STATE


@pytest.mark.parametrize(
    "token", ["", "bw1.", "bw1.AAAA", "bw1.\u00e9", "other", "bw1." + "A" * 99]
)
def test_what_was_never_sealed_is_rejected(token: str) -> None:
    with pytest.raises(TheirError):
        unseal(token, KEY, "ada|work", "d" * 64, 1)


def test_another_key_does_not_open_it() -> None:
    with pytest.raises(TheirError):
        unseal(seal(STATE, KEY, NONCE), bytes(32), "ada|work", "d" * 64, 1)
