"""Call ids: ULIDs that sort by time and never repeat."""

from __future__ import annotations

from bailiwick.gateway.ids import Ulids
from bailiwick.testing.clock import StoppedClock


def test_ids_only_grow_whatever_the_clock_does() -> None:
    clock = StoppedClock()
    new_id = Ulids(clock)
    made = []
    for step in (0, 1, 0, -3_600_000, 0, 5):
        clock.wall += step
        made += [new_id() for _ in range(500)]
    assert made == sorted(set(made))
    assert all(len(i) == 26 and set(i) <= set("0123456789ABCDEFGHJKMNPQRSTVWXYZ") for i in made)


def test_the_time_can_be_read_from_an_id() -> None:
    clock = StoppedClock(wall=0)
    assert Ulids(clock)().startswith("0000000000")
    clock.wall = 2**48 - 1
    assert Ulids(clock)().startswith("7ZZZZZZZZZ")


def test_ids_of_two_makers_differ_at_the_same_moment() -> None:
    clock = StoppedClock()
    assert Ulids(clock)() != Ulids(clock)()
