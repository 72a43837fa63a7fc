"""Whom an email address reaches, by its text alone.

Mail systems agree on few addresses. One has a meaning here only if it is the plain `local@domain`
that every one of them reads alike. None of these is:

1. longer than 254 characters, or a part before the `@` longer than 64 (RFC 5321, section 4.5.3.1);
2. a display name, angle brackets, a comment, quotes, several addresses, spaces, line breaks:
   anything that a mail header has around an address;
3. a part before the `@` with anything but ASCII letters, digits and `._+-'=`, or with a dot at its
   edge or two in a row, or starting with a `-` (an option to sendmail). Routes of old
   (`user%other.example@here`, `other!user@here`) are among what this leaves out;
4. a domain that is not plain (see `hosts.py`), an address in brackets among them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bailiwick.core.texts.hosts import read_host

MAX_EMAIL = 254
MAX_LOCAL = 64

_LOCAL = re.compile(r"(?!-)[A-Za-z0-9_+'=-]+(?:\.[A-Za-z0-9_+'=-]+)*")


@dataclass(frozen=True, slots=True)
class EmailAddress:
    """An address that has one meaning.

    Attributes:
        local: what stands before the `@`, as written.
        domain: in lower case and ASCII (Punycode).
    """

    local: str
    domain: str

    @property
    def mailbox(self) -> str:
        """The mailbox without what many providers ignore: case, `+tag`, dots."""
        return self.local.partition("+")[0].replace(".", "").lower() + "@" + self.domain


def read_email(text: str) -> EmailAddress | str:
    """The address that `text` states, or in words why it is not plain (the numbers above)."""
    if len(text) > MAX_EMAIL:  # 1
        return f"is longer than {MAX_EMAIL} characters"
    local, at, domain = text.partition("@")
    if not at:
        return "is not an email address"
    if len(local) > MAX_LOCAL:  # 1
        return f"has more than {MAX_LOCAL} characters before the `@`"
    if not _LOCAL.fullmatch(local):  # 2, 3
        return "is not just `local@domain`, with letters, digits and `._+-'=` before the `@`"
    host = read_host(domain)
    if isinstance(host, str):  # 2, 4
        return f"has a domain that {host}"
    if host.address is not None:  # 4
        return "has an address of a machine for a domain"
    return EmailAddress(local, host.name)
