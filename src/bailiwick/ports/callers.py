"""Who is calling: agents and people, authenticated."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated agent acting under one mandate. Only an `Authenticator` makes one.

    Attributes:
        agent: the agent's name.
        mandate: name of the mandate the token is for (its newest version is judged).
        principal: who gave the mandate.
        token: the token's id (`jti`).
        expires_ms: when the token ends, Unix milliseconds.
        run: id of the run the token is bound to, "" for none.
        key: names this authority: state bound to an identity (sessions, event ids) is keyed by it.
    """

    agent: str
    mandate: str
    principal: str
    token: str
    expires_ms: int
    run: str = ""
    key: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Once for each token, not at each of the places of a call that are keyed by it.
        key = f"{self.agent}|{self.mandate}"
        object.__setattr__(self, "key", f"{key}|{self.run}" if self.run else key)


@dataclass(frozen=True, slots=True)
class Person:
    """An authenticated person. `method` says how: `token`, `link`, later `passkey`."""

    name: str
    roles: frozenset[str]
    method: str


class Authenticator(Protocol):
    """Turns an `Authorization` header into a Caller. Synchronous and cached."""

    def authenticate(self, authorization: str | None) -> Caller:
        """Check the token: signature, audience, lifetime, revocation, and that agent and mandate
        still belong together.

        Raises:
            TheirError: `token_missing`, `token_invalid`, `token_expired`, `token_revoked`,
                `wrong_audience`.
        """
        ...

    def renew(self, caller: Caller) -> Caller:
        """`authenticate` again for whom it has returned, without reading the token again.

        What may have changed since is looked at: lifetime, revocation, and that agent and mandate
        still belong together. Raises as `authenticate` does.
        """
        ...

    def person(self, authorization: str | None) -> Person:
        """The same for a person's token (the CLI's API)."""
        ...


@dataclass(frozen=True, slots=True)
class LoginLink:
    """A one-time link's secret. `token` goes into `/login/TOKEN` and is kept nowhere in clear."""

    token: str
    person: str
    expires_ms: int


@dataclass(frozen=True, slots=True)
class BrowserSession:
    """A signed-in browser. `csrf` belongs to this session alone and goes into its forms."""

    person: Person
    csrf: str


class SignIn(Protocol):
    """Browser sessions. One-time links today; passkeys come in as another way to `open`.

    Nothing here waits or fails; state is in memory, and a restart signs everybody out.
    """

    def offer(self, person_name: str) -> LoginLink:
        """Make a link that signs this person in once, within ten minutes.

        Raises:
            TheirError: `person_unknown`.
        """
        ...

    def invited(self, unverified_token: str) -> str:
        """Whose working link this is, or "". Does not use it up: previewers follow links."""
        ...

    def redeem(self, unverified_token: str) -> str:
        """Use the link up and open a session; returns the session's key, a fresh secret.

        Raises:
            TheirError: `link_invalid`: unknown, used, expired, or its person is gone.
        """
        ...

    def session(self, unverified_key: str, *, touch: bool = True) -> BrowserSession | None:
        """The live session of this key, or None. Roles are those of now.

        `touch` says that the person is there; a page that refreshes itself passes False, so
        that an open tab does not keep an absent person signed in.
        """
        ...

    def renew(self, unverified_key: str) -> str:
        """A new key for the session when its key has grown old, else ""."""
        ...

    def close(self, unverified_key: str) -> None:
        """Sign out."""
        ...
