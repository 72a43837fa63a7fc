"""Tokens: short-lived, audience-bound Ed25519 JWTs for agents and for people.

Access tokens follow RFC 9068 (`typ: at+jwt`). A person's token has its own type and audience, so
neither can ever be taken for the other. Revocation is online: the token's id and the mandate are
looked at on every call, whatever is cached.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import NewType

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from bailiwick.core.errors import TheirError
from bailiwick.ports import Caller, Clock, Person

VerifiedClaims = NewType("VerifiedClaims", dict[str, object])
"""Claims of a token whose signature, type, audience and lifetime were checked."""

AGENT_TYPE = "at+jwt"
PERSON_TYPE = "person+jwt"
MAX_TOKEN_BYTES = 4096
MAX_TTL_SECONDS = 30 * 24 * 3600
_CACHE_SIZE = 4096
_LEEWAY_MS = 5_000


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token as given to its holder, once."""

    token: str
    id: str
    expires_ms: int


class TokenKey:
    """Makes and verifies the tokens of one gateway.

    Args:
        issuer: the gateway's stable name, `bailiwick:INSTANCE`; audiences are derived from it.
    """

    def __init__(self, key: Ed25519PrivateKey, issuer: str) -> None:
        seed = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        self._jwk = OKPKey.import_key(
            {
                "kty": "OKP",
                "crv": "Ed25519",
                "d": _b64(seed),
                "x": _b64(key.public_key().public_bytes_raw()),
            }
        )
        self._issuer = issuer

    def issue_agent(
        self,
        agent: str,
        mandate: str,
        principal: str,
        ttl_seconds: int,
        now_ms: int,
        run: str = "",
    ) -> IssuedToken:
        """A token for `agent` under `mandate`, good for one `run` only if that is given."""
        claims: dict[str, object] = {
            "sub": agent,
            "client_id": agent,
            "mandate": mandate,
            "principal": principal,
        }
        if run:
            claims["run"] = run
        return self._issue(AGENT_TYPE, f"{self._issuer}/mcp", claims, ttl_seconds, now_ms)

    def issue_person(self, person: str, ttl_seconds: int, now_ms: int) -> IssuedToken:
        """A token for a person, for the people's API only."""
        return self._issue(PERSON_TYPE, f"{self._issuer}/api", {"sub": person}, ttl_seconds, now_ms)

    def verify(self, unverified_token: str, token_type: str, now_ms: int) -> VerifiedClaims:
        """Check, in this order:

        1. size and shape; 2. signature, with Ed25519 as the only algorithm (RFC 9864); 3. type;
        4. issuer; 5. audience; 6. lifetime; 7. presence of subject and id.

        Raises:
            TheirError: `token_invalid`, `wrong_audience`, `token_expired`.
        """
        if len(unverified_token) > MAX_TOKEN_BYTES or unverified_token.count(".") != 2:  # 1
            raise TheirError("token_invalid", "the token is not a JWT")
        try:
            token = jwt.decode(unverified_token, self._jwk, algorithms=["Ed25519"])  # 2
        except (JoseError, ValueError) as error:
            raise TheirError("token_invalid", "the token's signature does not verify") from error
        claims = token.claims
        if token.header.get("typ") != token_type:  # 3
            raise TheirError("wrong_audience", "the token is of another kind than is used here")
        if claims.get("iss") != self._issuer:  # 4
            raise TheirError("token_invalid", "the token was made by another gateway")
        edge = "mcp" if token_type == AGENT_TYPE else "api"
        if claims.get("aud") != f"{self._issuer}/{edge}":  # 5
            raise TheirError("wrong_audience", "the token is meant for another audience")
        expires, not_before = claims.get("exp"), claims.get("iat")
        if not isinstance(expires, int) or not isinstance(not_before, int):
            raise TheirError("token_invalid", "the token has no lifetime")
        if now_ms >= expires * 1000 or now_ms + _LEEWAY_MS < not_before * 1000:  # 6
            raise TheirError("token_expired", "the token has expired: ask for a new one")
        if not all(isinstance(claims.get(name), str) for name in ("sub", "jti")):  # 7
            raise TheirError("token_invalid", "the token lacks a subject or an id")
        return VerifiedClaims(claims)

    def _issue(
        self,
        token_type: str,
        audience: str,
        claims: dict[str, object],
        ttl_seconds: int,
        now_ms: int,
    ) -> IssuedToken:
        if not 1 <= ttl_seconds <= MAX_TTL_SECONDS:
            raise TheirError(
                "ttl_out_of_range",
                f"a token lives 1 second to {MAX_TTL_SECONDS // 86_400} days,"
                f" not `{ttl_seconds}` seconds",
            )
        token_id = os.urandom(16).hex()  # typed by people, so without a leading dash
        issued = now_ms // 1000
        body = {
            "iss": self._issuer,
            "aud": audience,
            "jti": token_id,
            "iat": issued,
            "exp": issued + ttl_seconds,
            **claims,
        }
        header = {"alg": "Ed25519", "typ": token_type}
        text = jwt.encode(header, body, self._jwk, algorithms=["Ed25519"])
        return IssuedToken(text, token_id, (issued + ttl_seconds) * 1000)


@dataclass(frozen=True, slots=True)
class Standing:
    """What the authenticator asks of the current declarations, answered without waiting."""

    mandate_agent: Callable[[str], str | None]
    """The agent a mandate is for, or None when there is no such mandate."""
    person: Callable[[str, str], Person | None]
    """The person of this name, authenticated by this method."""
    token_revoked: Callable[[str], bool]


class TokenAuthenticator:
    """The `Authenticator` over `TokenKey`. Signatures are checked once per token and remembered;
    expiry, revocation and standing are looked at every time."""

    def __init__(self, key: TokenKey, standing: Standing, clock: Clock) -> None:
        self._key = key
        self._standing = standing
        self._clock = clock
        self._agents: dict[bytes, Caller] = {}

    def authenticate(self, authorization: str | None) -> Caller:
        """See `ports.Authenticator.authenticate`."""
        unverified_token = _bearer(authorization)
        name = hashlib.sha256(unverified_token.encode()).digest()
        caller = self._agents.get(name)
        if caller is None:
            caller = _caller(self._key.verify(unverified_token, AGENT_TYPE, self._clock.wall_ms()))
            if len(self._agents) >= _CACHE_SIZE:
                self._agents.pop(next(iter(self._agents)))
            self._agents[name] = caller
        return self.renew(caller)

    def renew(self, caller: Caller) -> Caller:
        """See `ports.Authenticator.renew`."""
        if self._clock.wall_ms() >= caller.expires_ms:
            raise TheirError("token_expired", "the token has expired: ask for a new one")
        if self._standing.token_revoked(caller.token):
            raise TheirError("token_revoked", "the token was revoked")
        if self._standing.mandate_agent(caller.mandate) != caller.agent:
            raise TheirError(
                "token_invalid", f"mandate `{caller.mandate}` is not for agent `{caller.agent}`"
            )
        return caller

    def person(self, authorization: str | None) -> Person:
        """See `ports.Authenticator.person`."""
        claims = self._key.verify(_bearer(authorization), PERSON_TYPE, self._clock.wall_ms())
        if self._standing.token_revoked(str(claims["jti"])):
            raise TheirError("token_revoked", "the token was revoked")
        person = self._standing.person(str(claims["sub"]), "token")
        if person is None:
            raise TheirError("token_invalid", f"there is no person `{claims['sub']}`")
        return person


def unverified_id(unverified_token: str) -> tuple[str, int]:
    """The id and expiry (Unix ms) a token claims, for revoking a token one holds."""
    try:
        body = unverified_token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return str(claims["jti"]), int(claims["exp"]) * 1000
    except (IndexError, ValueError, KeyError, TypeError) as error:
        raise TheirError("token_invalid", "that is not a token") from error


def _caller(claims: VerifiedClaims) -> Caller:
    mandate, principal = claims.get("mandate"), claims.get("principal")
    if not isinstance(mandate, str) or not isinstance(principal, str):
        raise TheirError("token_invalid", "the token names no mandate")
    run = claims.get("run", "")
    if not isinstance(run, str) or ("run" in claims and not run):
        # A token that was meant for one run must never be good for every run.
        raise TheirError("token_invalid", "the token names a run in an unknown way")
    expires = claims["exp"]
    assert isinstance(expires, int)
    return Caller(str(claims["sub"]), mandate, principal, str(claims["jti"]), expires * 1000, run)


def _bearer(authorization: str | None) -> str:
    if not authorization:
        raise TheirError("token_missing", "this needs an access token")
    scheme, _, unverified_token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not unverified_token.strip():
        raise TheirError("token_invalid", "the Authorization header is not `Bearer TOKEN`")
    return unverified_token.strip()


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
