"""Network zones: which declared networks an address lies in, and whose word a proxy may pass on.

An address has one spelling here: an IPv4 address inside an IPv6 one (`::ffff:10.0.0.1`) is the
IPv4 address, and a scope (`fe80::1%eth0`) is no part of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Network = IPv4Network | IPv6Network

MAX_FORWARDED_CHARS = 2_048
MAX_HOPS = 16
_MAX_ADDRESS_CHARS = 64
_MAX_REMEMBERED = 4_096


def read_network(text: str) -> Network:
    """A network such as `10.0.0.0/8` or `2001:db8::/32`; a single address is one of its own.

    Raises:
        ValueError: it is none, or has bits beyond its length, which would say two things at once.
    """
    try:
        network = ip_network(text)
    except ValueError as error:
        beyond = "host bits" in str(error)
        raise ValueError(
            "has bits set beyond its length: write the network's first address"
            if beyond
            else "is not a network such as `10.0.0.0/8` or `2001:db8::/32`"
        ) from error
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped is not None:
        raise ValueError("is an IPv4 network inside an IPv6 one: write it as IPv4")
    return network


@lru_cache(_MAX_REMEMBERED)
def read_address(text: str) -> IPv4Address | IPv6Address | None:
    """An address in its one spelling; None when it is none."""
    if len(text) > _MAX_ADDRESS_CHARS:
        return None
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def within(address: IPv4Address | IPv6Address, networks: Sequence[Network]) -> bool:
    """Whether an address lies in one of these networks; those of the other version never do."""
    return any(address in network for network in networks)


def caller_address(peer: str, forwarded: Sequence[str], proxies: Sequence[Network]) -> str:
    """The address a request came from, "" when it cannot be known.

    Only what a trusted proxy wrote is believed: from the last entry of `X-Forwarded-For` back to
    the first that is no trusted proxy. Whatever stands before it, the caller may have written.

    Args:
        peer: of the socket.
        forwarded: values of `X-Forwarded-For`, in the order received.
        proxies: networks of the declared proxies.
    """
    address = read_address(peer)
    if address is None:
        return ""
    if not proxies or not within(address, proxies):
        return str(address)
    told = ",".join(forwarded)
    if len(told) > MAX_FORWARDED_CHARS:
        return ""
    for hop in told.split(",")[: -MAX_HOPS - 1 : -1]:
        address = read_address(hop.strip(" \t"))
        if address is None:
            return ""
        if not within(address, proxies):
            return str(address)
    # Proxies all the way: one of them did not say for whom it asks.
    return ""


@dataclass(frozen=True, slots=True)
class Networks:
    """The declared zones and proxies.

    Attributes:
        zones: networks by name of the zone.
        proxies: from which `X-Forwarded-For` is believed.
    """

    zones: Mapping[str, tuple[Network, ...]] = field(default_factory=dict)
    proxies: tuple[Network, ...] = ()
    _known: dict[str, frozenset[str]] = field(
        init=False, repr=False, compare=False, hash=False, default_factory=dict
    )

    def around(self, address: str) -> frozenset[str] | None:
        """Names of the zones an address lies in; None for an address that is not known."""
        if not address:
            return None
        found = self._known.get(address)
        if found is None:
            there = read_address(address)
            if there is None:
                return None
            found = frozenset(name for name, each in self.zones.items() if within(there, each))
            if len(self._known) >= _MAX_REMEMBERED:
                self._known.clear()
            self._known[address] = found
        return found


NO_NETWORKS = Networks()
