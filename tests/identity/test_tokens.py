"""Tokens: what is accepted, and every way to be refused."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jwt
from joserfc.jwk import OctKey

from bailiwick.core.errors import TheirError
from bailiwick.identity.tokens import (
    AGENT_TYPE,
    PERSON_TYPE,
    Standing,
    TokenAuthenticator,
    TokenKey,
    unverified_id,
)
from bailiwick.ports import Caller, Person
from bailiwick.testing.clock import StoppedClock

PRIVATE = Ed25519PrivateKey.from_private_bytes(b"s" * 32)


@dataclass
class World:
    clock: StoppedClock = field(default_factory=StoppedClock)
    key: TokenKey = field(default_factory=lambda: TokenKey(PRIVATE, "bailiwick:one"))
    revoked: set[str] = field(default_factory=set)
    mandates: dict[str, str] = field(default_factory=lambda: {"payments": "clerk"})
    people: dict[str, frozenset[str]] = field(
        default_factory=lambda: {"ada": frozenset({"treasurer"})}
    )

    def __post_init__(self) -> None:
        standing = Standing(
            mandate_agent=self.mandates.get,
            person=lambda name, method: (
                Person(name, self.people[name], method) if name in self.people else None
            ),
            token_revoked=self.revoked.__contains__,
        )
        self.auth = TokenAuthenticator(self.key, standing, self.clock)

    def agent_token(self, ttl: int = 60) -> str:
        return self.key.issue_agent("clerk", "payments", "ada", ttl, self.clock.wall).token

    def no_longer(self, caller: Caller) -> str:
        with pytest.raises(TheirError) as caught:
            self.auth.renew(caller)
        return caught.value.code

    def refused(self, authorization: str | None) -> str:
        with pytest.raises(TheirError) as caught:
            self.auth.authenticate(authorization)
        return caught.value.code


@pytest.fixture
def world() -> World:
    return World()


def test_a_token_may_be_bound_to_one_run_and_its_state_is_kept_apart(world: World) -> None:
    run = "01KB0000000000000000000000"
    issued = world.key.issue_agent("clerk", "payments", "ada", 60, world.clock.wall, run)
    caller = world.auth.authenticate(f"Bearer {issued.token}")
    free = world.auth.authenticate(f"Bearer {world.agent_token()}")
    assert (caller.run, free.run) == (run, "")
    assert caller.key != free.key


@pytest.mark.parametrize("run", ["", None, 7, ["01KB0000000000000000000000"], True])
def test_a_token_that_was_meant_for_a_run_is_never_good_for_every_run(
    world: World, run: object
) -> None:
    claims: dict[str, object] = {"sub": "clerk", "mandate": "payments", "principal": "ada"}
    token = world.key._issue(
        AGENT_TYPE, "bailiwick:one/mcp", {**claims, "run": run}, 60, world.clock.wall
    )
    assert world.refused(f"Bearer {token.token}") == "token_invalid"


def test_an_agents_token_names_agent_mandate_and_principal(world: World) -> None:
    token = world.agent_token()
    caller = world.auth.authenticate(f"Bearer {token}")
    assert caller == Caller("clerk", "payments", "ada", unverified_id(token)[0], caller.expires_ms)
    assert caller.expires_ms - world.clock.wall <= 60_000
    assert world.auth.authenticate(f"bearer {token}") is caller


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "token_missing"),
        ("", "token_missing"),
        ("Basic YTpi", "token_invalid"),
        ("Bearer", "token_invalid"),
        ("Bearer x", "token_invalid"),
        ("Bearer a.b.c", "token_invalid"),
        ("Bearer " + "a" * 5000, "token_invalid"),
    ],
)
def test_what_is_no_token_is_refused(world: World, header: str | None, code: str) -> None:
    assert world.refused(header) == code


def test_a_token_ends(world: World) -> None:
    token = world.agent_token(60)
    caller = world.auth.authenticate(f"Bearer {token}")
    assert world.auth.renew(caller) is caller
    world.clock.advance(61)
    assert world.no_longer(caller) == "token_expired"
    assert world.refused(f"Bearer {token}") == "token_expired"


def test_a_token_from_the_future_is_refused_when_the_clock_jumps_back(world: World) -> None:
    token = world.agent_token(60)
    world.clock.wall -= 3_600_000
    assert world.refused(f"Bearer {token}") == "token_expired"


def test_revocation_counts_at_once_though_the_token_is_cached(world: World) -> None:
    token = world.agent_token()
    caller = world.auth.authenticate(f"Bearer {token}")
    world.revoked.add(unverified_id(token)[0])
    assert world.refused(f"Bearer {token}") == "token_revoked"
    assert world.no_longer(caller) == "token_revoked"


def test_a_mandate_given_to_another_agent_ends_the_token(world: World) -> None:
    token = world.agent_token()
    caller = world.auth.authenticate(f"Bearer {token}")
    world.mandates["payments"] = "somebody-else"
    assert world.refused(f"Bearer {token}") == "token_invalid"
    assert world.no_longer(caller) == "token_invalid"


def test_people_and_agents_cannot_use_each_others_tokens(world: World) -> None:
    person = world.key.issue_person("ada", 60, world.clock.wall).token
    assert world.refused(f"Bearer {person}") == "wrong_audience"
    with pytest.raises(TheirError) as caught:
        world.auth.person(f"Bearer {world.agent_token()}")
    assert caught.value.code == "wrong_audience"
    assert world.auth.person(f"Bearer {person}").roles == {"treasurer"}


def test_a_person_who_is_gone_is_refused(world: World) -> None:
    person = world.key.issue_person("ada", 60, world.clock.wall).token
    world.people.clear()
    with pytest.raises(TheirError):
        world.auth.person(f"Bearer {person}")


def test_every_changed_byte_of_a_token_is_refused(world: World) -> None:
    token = world.agent_token()
    for at in range(0, len(token), 7):
        for other in "Aa_":
            if token[at] == other:
                continue
            changed = token[:at] + other + token[at + 1 :]
            if _same_bytes(token, changed):  # the last letter's spare bits mean nothing
                continue
            with pytest.raises(TheirError):
                world.key.verify(changed, AGENT_TYPE, world.clock.wall)


def test_another_gateways_token_is_refused(world: World) -> None:
    other = TokenKey(Ed25519PrivateKey.generate(), "bailiwick:one")
    token = other.issue_agent("clerk", "payments", "ada", 60, world.clock.wall).token
    assert world.refused(f"Bearer {token}") == "token_invalid"
    namesake = TokenKey(PRIVATE, "bailiwick:two")
    token = namesake.issue_agent("clerk", "payments", "ada", 60, world.clock.wall).token
    assert world.refused(f"Bearer {token}") == "token_invalid"


def test_algorithm_confusion_is_refused(world: World) -> None:
    _, body, _ = world.agent_token().split(".")
    head = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": AGENT_TYPE}).encode())
    assert world.refused(f"Bearer {head.rstrip(b'=').decode()}.{body}.") == "token_invalid"
    public = PRIVATE.public_key().public_bytes_raw()
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    signed = jwt.encode(
        {"alg": "HS256", "typ": AGENT_TYPE}, claims, OctKey.import_key(public), ["HS256"]
    )
    assert world.refused(f"Bearer {signed}") == "token_invalid"


def test_a_lifetime_out_of_range_is_refused(world: World) -> None:
    for ttl in (0, -1, 31 * 24 * 3600):
        with pytest.raises(TheirError) as caught:
            world.agent_token(ttl)
        assert caught.value.code == "ttl_out_of_range"


def test_the_type_is_part_of_what_is_checked(world: World) -> None:
    token = world.key.issue_person("ada", 60, world.clock.wall).token
    assert world.key.verify(token, PERSON_TYPE, world.clock.wall)["sub"] == "ada"
    with pytest.raises(TheirError):
        world.key.verify(token, AGENT_TYPE, world.clock.wall)


def _same_bytes(one: str, other: str) -> bool:
    def decoded(token: str) -> list[bytes]:
        parts = token.split(".")
        return [base64.urlsafe_b64decode(p + "=" * (-len(p) % 4)) for p in parts]

    try:
        return decoded(one) == decoded(other)
    except ValueError:
        return False
