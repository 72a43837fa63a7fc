"""Who may act on a mandate: whoever gave it, answers for its agent, or runs the gateway."""

from __future__ import annotations

from bailiwick.core.errors import TheirError
from bailiwick.core.mandate import Mandate, MandateState
from bailiwick.gateway.authority import Authority
from bailiwick.ports import Person

OPERATOR = "operator"
"""The role that may declare objects and act for others."""


def need_standing(authority: Authority, person: Person, mandate: Mandate, code: str) -> None:
    """Let the principal pass, whoever answers for its agent or an agent above it, and operators.

    Raises:
        TheirError: `code`.
    """
    line = authority.chain(mandate.name) or (mandate,)
    answers = {mandate.principal, *(authority.owner(each.agent) for each in line)}
    if person.name not in answers and OPERATOR not in person.roles:
        raise TheirError(
            code,
            f"mandate `{mandate.name}` is not yours: this is for its principal, the owner of "
            f"its agent, or an `{OPERATOR}`",
        )


def need_giver(person: Person, mandate: Mandate, code: str) -> None:
    """Let the principal and operators pass: what gives authority back is not for agents' owners.

    Raises:
        TheirError: `code`.
    """
    if person.name != mandate.principal and OPERATOR not in person.roles:
        text = f"this is for the principal of mandate `{mandate.name}`, or an `{OPERATOR}`"
        raise TheirError(code, text)


def need_standing_chain(authority: Authority, name: str, now: int) -> tuple[Mandate, ...]:
    """The chain of a mandate that is in force, all the way up.

    Args:
        now: Unix milliseconds.

    Raises:
        TheirError: `mandate_unknown`, `mandate_not_active`.
    """
    chain = authority.chain(name)
    if not chain:
        raise TheirError("mandate_unknown", f"there is no mandate `{name}`")
    for each in chain:
        if each.state is not MandateState.ACTIVE:
            text = f"the mandate `{each.ref}` is {each.state.value}"
            raise TheirError("mandate_not_active", text)
        if each.not_after is not None and now >= each.not_after:
            raise TheirError("mandate_not_active", f"the mandate `{each.ref}` has expired")
    return chain


def is_live(mandate: Mandate, now: int) -> bool:
    """Whether it may still let something through, now or later."""
    ended = mandate.state in (MandateState.REVOKED, MandateState.EXPIRED)
    return not ended and (mandate.not_after is None or now < mandate.not_after)
