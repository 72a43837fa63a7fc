"""Host names and addresses, as they stand in URLs and email addresses.

A host has one meaning here only if its text already is what the URL standard makes of it, case of
ASCII letters aside. `0x7f.1`, `127.1`, `ex%61mple.com`, `ｅxample.com` and `example.com.` become
another host for some readers and not for others, so they have none:

1. empty, longer than 253 characters, or with labels that are empty or longer than 63 (so a trailing
   dot too);
2. anything but letters, digits, `-` and `_` in a name;
3. letters beyond ASCII, or a label in Punycode, whose forms in IDNA 2003, IDNA 2008 and UTS 46
   differ (`ß`, `ς`, joiners, capitals, compatibility forms), or that is not valid;
4. an IPv4 address in any notation but four plain decimal numbers, an IPv6 address with a zone.

Addresses and international names are read by the standard's own parser (ada) too, and have a
meaning only where it agrees.

Sources: WHATWG URL, section 3.5; UTS 46; RFC 3490; IANA's registries of special-purpose addresses
(RFC 6890 and later) and of special-use names (RFC 6761, 8375, 9476; ICANN's `internal`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import ada_url

from bailiwick.core.values import CANNOT_TELL, FAILS, HOLDS, Truth, show

MAX_HOST = 253
"""Longest host name, in characters (RFC 1035, section 2.3.4)."""

_LABEL = r"[a-z0-9_-]{1,63}"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_ENDS_IN_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")

_DEVIATIONS = frozenset("ßς\u200c\u200d")
"""UTS 46, section 2: valid as they are, and `ss`, `σ` and nothing in IDNA 2003."""

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Host:
    """A host that has one meaning.

    Attributes:
        name: in lower case and ASCII (Punycode); an IPv6 address in brackets.
        address: when the host is an address.
    """

    name: str
    address: Address | None = None

    @property
    def is_public(self) -> bool:
        """Whether it is neither a private or special address, nor a name of a local network.

        By its text: a public name may well lead to a private address.
        """
        if self.address is not None:
            return is_public_address(self.address)
        _, dot, _ = self.name.partition(".")
        return bool(dot) and not self.name.endswith(_LOCAL_NAMES)


@dataclass(frozen=True, slots=True)
class HostPattern:
    """A host as written in a mandate: `api.example.com`, `*.example.org`, `192.0.2.1`, `[::1]`.

    Attributes:
        text: as written.
        host: the host, or the one whose subdomains are meant.
        below: any subdomain, at any depth, and not the host itself.
    """

    text: str
    host: Host
    below: bool

    def of(self, host: Host) -> Truth:
        """Whether `host` fits.

        An address may be that of any name, and one of six may carry one of four in many ways: with
        those it is in doubt.
        """
        if host.address is not None and type(host.address) is not type(self.host.address):
            return CANNOT_TELL
        if self.below:
            return HOLDS if host.name.endswith("." + self.host.name) else FAILS
        return HOLDS if host.name == self.host.name else FAILS


def read_host_pattern(text: str) -> HostPattern:
    """Read a host as written in a mandate.

    Raises:
        ValueError: what is wrong with it, in words for people.
    """
    below = text.startswith("*.")
    host = read_host(text[2:] if below else text)
    if isinstance(host, str):
        raise ValueError(f"the host {show(text)} {host}{_host_alone(text)}")
    if below and host.address is not None:
        raise ValueError(f"the host {show(text)}: an address has no subdomains")
    return HostPattern(text, host, below)


def read_host(text: str) -> Host | str:
    """The host that `text` states, or in words why it is not plain (the numbers above)."""
    if not text:  # 1
        return "is empty"
    if len(text) > MAX_HOST:  # 1
        return f"is longer than {MAX_HOST} characters"
    if text[0] == "[":
        return _read_ipv6(text)
    if not text.isascii():  # 3
        return _read_international(text)
    name = text.lower()
    if not _NAME.fullmatch(name):  # 1, 2
        return _why_no_name(name)
    if ".xn--" in "." + name and not _is_plain_punycode(name):  # 3
        return "holds Punycode that not every reader reads alike"
    if _ENDS_IN_NUMBER.fullmatch(name):  # 4
        return _read_ipv4(name)
    return Host(name)  # the standard leaves such a name as it is


def is_public_address(address: Address) -> bool:
    """Whether packets to it may leave for the public internet: no special purpose of any kind."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _SPECIAL_V4)
    # An address that carries another (mapped, 6to4, Teredo, NAT64) is never taken for public.
    return address in _GLOBAL_V6 and not any(address in network for network in _SPECIAL_V6)


def _host_alone(text: str) -> str:
    """What to write for a URL, or an address with its `@`, in the place of a host."""
    found = re.fullmatch(r"(?:[a-z]+://|[^@/]*@)([^@/:]+)(?:[:/].*)?", text.lower())
    if found is None or not _NAME.fullmatch(found[1].removeprefix("*.")):
        return ""
    return f"; write the host alone: {show(found[1])}"


def _why_no_name(name: str) -> str:
    if name.endswith("."):
        return "ends with a dot"
    labels = name.split(".")
    if "" in labels:
        return "holds an empty label"
    if any(len(label) > 63 for label in labels):
        return "holds a label longer than 63 characters"
    return "holds something else than letters, digits, `-`, `_` and dots"


def _read_ipv4(name: str) -> Host | str:
    try:
        address = IPv4Address(name)
    except ValueError:
        return "ends in a number and is not an IPv4 address of four plain decimal numbers"
    return Host(name, address) if _by_the_standard(name) == name else "is not an IPv4 address"


def _read_ipv6(text: str) -> Host | str:
    inner = text[1:-1]
    if text[-1] != "]" or "%" in inner:
        return "is not an IPv6 address without a zone, in brackets"
    try:
        address = IPv6Address(inner)
    except ValueError:
        return "is not an IPv6 address in brackets"
    name = _by_the_standard(text)
    if name is None or IPv6Address(name[1:-1]) != address:
        return "is not an IPv6 address in brackets"
    return Host(name, address)


def _read_international(text: str) -> Host | str:
    """A name with letters beyond ASCII: told only where all generations of IDNA agree."""
    differs = "holds letters that not every reader turns into the same name"
    name = _by_the_standard(text)
    if name is None or "xn--" not in name or not _NAME.fullmatch(name):
        return differs
    if _ENDS_IN_NUMBER.fullmatch(name) or _decoded(name) != text:
        return differs
    # What UTS 46 leaves as it is, IDNA 2003 does too, or refuses; but for these, and for capitals
    # (Cherokee has some that UTS 46 folds small letters to). Tried on every character there is.
    plain = _DEVIATIONS.isdisjoint(text) and text == text.lower()
    return Host(name) if plain else differs


def _is_plain_punycode(name: str) -> bool:
    unicode = _decoded(name)
    if not unicode:
        return False
    labels = zip(unicode.split("."), name.split("."), strict=False)
    if any(label.isascii() for label, stated in labels if stated.startswith("xn--")):
        return False  # no need for Punycode, or none that can be decoded
    return _read_international(unicode) == Host(name)


def _decoded(name: str) -> str:
    try:
        return ada_url.idna.decode(name)
    except ValueError:
        return ""


def _by_the_standard(text: str) -> str | None:
    """The host that the URL standard reads, in its own spelling."""
    try:
        return ada_url.URL(f"https://{text}/").hostname
    except ValueError:
        return None


_LOCAL_NAMES = (
    ".localhost",
    ".localdomain",
    ".local",
    ".internal",
    ".intranet",
    ".private",
    ".corp",
    ".home",
    ".lan",
    ".home.arpa",
    ".in-addr.arpa",
    ".ip6.arpa",
    ".onion",
)

_SPECIAL_V4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
    )
)
# Reached over the public range, and special all the same: the address that a cloud's machines ask
# for their own credentials.
_SPECIAL_V4 += (IPv4Network("168.63.129.16/32"),)

_GLOBAL_V6 = IPv6Network("2000::/3")
_SPECIAL_V6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # IETF protocol assignments, Teredo among them
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: carries an IPv4 address
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)
