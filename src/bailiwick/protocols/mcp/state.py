"""Sealing `requestState`: what an upstream gave comes back intact, and only where it belongs.

The client carries the state between rounds, so it is attacker-controlled input. AES-256-GCM
binds it to the authority it was given to, to the call it belongs to, and to a time.

Source: 2026-07-28 `basic/patterns/mrtr`, server requirements 4 and 5.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bailiwick.core.errors import TheirError

KEY_BYTES = 32
NONCE_BYTES = 12
_PREFIX = "bw1."
_CONTEXT = b"bailiwick/mcp/request-state/1"


@dataclass(frozen=True, slots=True)
class State:
    """What a sealed state holds.

    Attributes:
        authority: `Caller.key` it was given to.
        digest: of the call it belongs to.
        expires_ms: Unix milliseconds; refused from then on.
        upstream: the upstream's own state, or None when it gave none.
        parked: the upstream request that waits for the answers, or "".
    """

    authority: str
    digest: str
    expires_ms: int
    upstream: str | None
    parked: str = ""


def seal(state: State, key: bytes, nonce: bytes) -> str:
    """Seal `state` under a 32-byte key and a fresh 12-byte nonce."""
    fields = [state.authority, state.digest, state.expires_ms, state.upstream, state.parked]
    sealed = AESGCM(key).encrypt(nonce, json.dumps(fields).encode(), _CONTEXT)
    return _PREFIX + base64.urlsafe_b64encode(nonce + sealed).decode().rstrip("=")


def unseal(token: str, key: bytes, authority: str, digest: str, now_ms: int) -> State:
    """Open a sealed state that was given to `authority` for the call `digest`.

    Raises:
        TheirError: `request_state_invalid`. One code and one text for every cause: which check
            failed is of use to an attacker only.
    """
    refused = TheirError("request_state_invalid", "`requestState` is not valid for this request")
    if not token.startswith(_PREFIX):
        raise refused
    body = token[len(_PREFIX) :]
    try:
        raw = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
        plain = AESGCM(key).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], _CONTEXT)
    except (binascii.Error, ValueError, InvalidTag):
        raise refused from None
    state = State(*json.loads(plain))
    if state.authority != authority or state.digest != digest or state.expires_ms <= now_ms:
        raise refused
    return state
