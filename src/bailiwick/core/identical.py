"""Whether two compiled things say the same: stricter than `==`, for which `1` is `True`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address, IPv6Address

_PLAIN = (bool, int, float, str, bytes, Decimal, Enum, date, IPv4Address, IPv6Address)


def identical(one: object, other: object) -> bool:
    """Whether `one` and `other` are of one type and say the same, all the way down.

    Of what is not known here, only a thing and itself are identical.
    """
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, _PLAIN):
        return one == other
    if isinstance(one, list | tuple):
        assert isinstance(other, list | tuple)
        return len(one) == len(other) and all(map(identical, one, other))
    if isinstance(one, Mapping):
        assert isinstance(other, Mapping)
        return one.keys() == other.keys() and all(identical(one[key], other[key]) for key in one)
    if isinstance(one, frozenset):
        assert isinstance(other, frozenset)
        return one == other and {type(item) for item in one} == {type(item) for item in other}
    if dataclasses.is_dataclass(one) and not isinstance(one, type):
        return all(
            identical(getattr(one, field.name), getattr(other, field.name))
            for field in dataclasses.fields(one)
            if field.compare
        )
    return False
