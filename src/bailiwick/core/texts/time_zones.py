"""Time zones by their IANA names, from the `tzdata` package alone.

Not from the machine: two machines whose zone files differ would judge one moment differently. The
package is a table of constants that is pinned with the other dependencies, so reading it is no
effect in the sense of this room.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo

_TABLE = files("tzdata")


@lru_cache(1)
def zone_names() -> frozenset[str]:
    """Every name there is: `Europe/Zurich`, `UTC`, …"""
    return frozenset((_TABLE / "zones").read_text("ascii").split())


@lru_cache(1024)
def time_zone(name: str) -> ZoneInfo:
    """The zone of this exact name.

    Raises:
        ValueError: there is none; names are told apart by case.
    """
    if name not in zone_names():
        raise ValueError("is not the name of a time zone, such as `Europe/Zurich` or `UTC`")
    with (_TABLE / "zoneinfo").joinpath(*name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)
