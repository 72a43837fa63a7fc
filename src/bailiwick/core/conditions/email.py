"""Conditions on email addresses (see `core/texts/email.py`)."""

from __future__ import annotations

from dataclasses import dataclass, field

from bailiwick.core.argument_path import ArgumentPath
from bailiwick.core.canonical import Json
from bailiwick.core.conditions.base import Condition, listed, not_text
from bailiwick.core.texts.email import EmailAddress, read_email
from bailiwick.core.texts.hosts import Host, HostPattern
from bailiwick.core.values import CANNOT_TELL, FAILS, HOLDS, Truth, show, some


@dataclass(frozen=True, slots=True)
class Email(Condition):
    """The value is one plain email address: one of `addresses`, or at one of `domains`.

    With neither, any plain address will do.

    Attributes:
        addresses: as written in the mandate. The part before the `@` is compared letter by letter;
            where only case, a `+tag` or dots differ it cannot be told, since many providers deliver
            to the same mailbox.
    """

    path: ArgumentPath
    addresses: tuple[str, ...] = ()
    domains: tuple[HostPattern, ...] = ()
    optional: bool = False
    _addresses: tuple[EmailAddress, ...] = field(init=False, repr=False, compare=False)
    _mailboxes: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Read the addresses once. Raises ValueError when one is not plain."""
        addresses = tuple(_read_own(text) for text in self.addresses)
        object.__setattr__(self, "_addresses", addresses)
        object.__setattr__(self, "_mailboxes", frozenset(own.mailbox for own in addresses))

    def of(self, value: Json) -> Truth:
        """Whether it holds for this value."""
        if not isinstance(value, str):
            return CANNOT_TELL
        address = read_email(value)
        if isinstance(address, str):
            return CANNOT_TELL
        if address in self._addresses or not (self.addresses or self.domains):
            return HOLDS
        at_domain = some(pattern.of(Host(address.domain)) for pattern in self.domains)
        near = at_domain is FAILS and address.mailbox in self._mailboxes
        return CANNOT_TELL if near else at_domain

    def stands(self, value: Json) -> str:
        """How this value stands."""
        if not isinstance(value, str):
            return not_text(value)
        why = read_email(value)
        return f"is {show(value)} which {why}" if isinstance(why, str) else f"is {show(value)}"

    @property
    def phrase(self) -> str:
        """What must be so, to follow the argument's name."""
        parts = []
        if self.addresses:
            parts.append(f"one of {listed(show(text) for text in self.addresses)}")
        if self.domains:
            at = listed(show(pattern.text) for pattern in self.domains)
            parts.append(f"an email address at {at}")
        return " or ".join(parts) or "one plain email address"


def _read_own(text: str) -> EmailAddress:
    address = read_email(text)
    if isinstance(address, str):
        raise ValueError(f"the address {show(text)} {address}")
    return address
