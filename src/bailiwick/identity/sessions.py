"""Signed-in browsers: one-time login links and server-side sessions, in memory.

Secrets are 256 random bits and are kept only as their SHA-256, so reading this process' memory
tables (a debug dump, a log of them) gives nobody a working link or cookie. A restart signs
everybody out, which is the safe direction.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from bailiwick.core.errors import TheirError
from bailiwick.ports import BrowserSession, Clock, LoginLink, Person

LINK_SECONDS = 10 * 60
IDLE_SECONDS = 60 * 60
ABSOLUTE_SECONDS = 12 * 60 * 60
KEY_SECONDS = 15 * 60
"""A session key is replaced when it is older than this."""
OLD_KEY_SECONDS = 30
"""The replaced key still works this long: requests of the same page may be under way."""
MAX_LINKS = 1_000
MAX_SESSIONS = 10_000

RolesOf = Callable[[str], frozenset[str] | None]
"""The roles a person has now; None when there is no such person (any more)."""


@dataclass(slots=True)
class _Link:
    person: str
    ends: float


@dataclass(slots=True)
class _Session:
    person: str
    csrf: str
    opened: float
    used: float
    key: bytes
    key_made: float
    old_key: bytes = b""
    old_key_ends: float = 0.0


class Sessions:
    """`SignIn` in memory.

    Lifetimes are measured on the monotonic clock: a wall clock that is set back must not bring a
    session back to life.
    """

    def __init__(self, clock: Clock, roles_of: RolesOf) -> None:
        self._clock = clock
        self._roles_of = roles_of
        self._links: dict[bytes, _Link] = {}
        self._sessions: dict[bytes, _Session] = {}

    def offer(self, person_name: str) -> LoginLink:
        """Make a link for a person. The oldest link gives way when there are `MAX_LINKS`."""
        if self._roles_of(person_name) is None:
            raise TheirError("person_unknown", f"no person `{person_name}`")
        self._sweep()
        if len(self._links) >= MAX_LINKS:
            del self._links[next(iter(self._links))]
        token = secrets.token_urlsafe(32)
        self._links[_hash(token)] = _Link(person_name, self._clock.monotonic() + LINK_SECONDS)
        return LoginLink(token, person_name, self._clock.wall_ms() + LINK_SECONDS * 1_000)

    def invited(self, unverified_token: str) -> str:
        """Whose working link this is, or ""."""
        link = self._links.get(_hash(unverified_token))
        if link is None or link.ends <= self._clock.monotonic():
            return ""
        return "" if self._roles_of(link.person) is None else link.person

    def redeem(self, unverified_token: str) -> str:
        """Use the link up and open a session; returns its key."""
        # INVARIANT: the link is gone before anything else is looked at: one use, whatever follows.
        link = self._links.pop(_hash(unverified_token), None)
        now = self._clock.monotonic()
        if link is None or link.ends <= now or self._roles_of(link.person) is None:
            raise TheirError("link_invalid", "this login link was used, has expired, or is wrong")
        return self._open(link.person, now)

    def session(self, unverified_key: str, *, touch: bool = True) -> BrowserSession | None:
        """The live session of this key, with the roles of now."""
        found = self._find(unverified_key)
        if found is None:
            return None
        roles = self._roles_of(found.person)
        if roles is None:
            self._drop(found)
            return None
        if touch:
            found.used = self._clock.monotonic()
        return BrowserSession(Person(found.person, roles, "link"), found.csrf)

    def renew(self, unverified_key: str) -> str:
        """A new key when this one has grown old, else ""."""
        found = self._find(unverified_key)
        now = self._clock.monotonic()
        if found is None or found.key != _hash(unverified_key):
            return ""
        if now - found.key_made < KEY_SECONDS:
            return ""
        key = secrets.token_urlsafe(32)
        self._sessions.pop(found.old_key, None)
        found.old_key, found.old_key_ends = found.key, now + OLD_KEY_SECONDS
        found.key, found.key_made = _hash(key), now
        self._sessions[found.key] = found
        return key

    def close(self, unverified_key: str) -> None:
        """Sign out."""
        found = self._sessions.get(_hash(unverified_key))
        if found is not None:
            self._drop(found)

    def _open(self, person: str, now: float) -> str:
        self._sweep()
        if len(self._sessions) >= MAX_SESSIONS:
            self._drop(min(self._sessions.values(), key=lambda session: session.used))
        key = secrets.token_urlsafe(32)
        session = _Session(person, secrets.token_urlsafe(32), now, now, _hash(key), now)
        self._sessions[session.key] = session
        return key

    def _find(self, unverified_key: str) -> _Session | None:
        hashed = _hash(unverified_key)
        found = self._sessions.get(hashed)
        if found is None:
            return None
        now = self._clock.monotonic()
        if _ended(found, now):
            self._drop(found)
            return None
        if hashed == found.old_key and found.old_key_ends <= now:
            del self._sessions[hashed]
            return None
        return found

    def _drop(self, session: _Session) -> None:
        self._sessions.pop(session.key, None)
        self._sessions.pop(session.old_key, None)

    def _sweep(self) -> None:
        now = self._clock.monotonic()
        for token in [token for token, link in self._links.items() if link.ends <= now]:
            del self._links[token]
        for session in [each for each in self._sessions.values() if _ended(each, now)]:
            self._drop(session)


def _ended(session: _Session, now: float) -> bool:
    return now - session.opened >= ABSOLUTE_SECONDS or now - session.used >= IDLE_SECONDS


def _hash(secret: str) -> bytes:
    # A lookup by hash also takes the comparison of secrets out of attackers' timing.
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
