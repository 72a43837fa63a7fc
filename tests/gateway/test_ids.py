"""Call ids: ULIDs that sort by time and never repeat."""

from __future__ import annotations

from bailiwick.gateway.ids import Ulids, first_id_at
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


def test_a_clock_before_1970_makes_ids_of_its_beginning() -> None:
    clock = StoppedClock(wall=-5)
    new_id = Ulids(clock)
    made = [new_id() for _ in range(2_000)]
    clock.wall = 0
    made.append(new_id())
    clock.wall = 10
    made.append(new_id())
    assert made == sorted(set(made))
    assert {len(each) for each in made} == {26}
    assert made[0].startswith("000000000000")


def test_ids_of_two_makers_differ_at_the_same_moment() -> None:
    clock = StoppedClock()
    assert Ulids(clock)() != Ulids(clock)()


def test_more_ids_than_a_millisecond_has_go_on_in_the_next_one() -> None:
    clock = StoppedClock()
    new_id = Ulids(clock)
    made = [new_id() for _ in range(3_000)]
    assert made == sorted(set(made))
    assert first_id_at(clock.wall) < made[0] < made[1023] < first_id_at(clock.wall + 1) < made[1024]
    assert made[-1] < first_id_at(clock.wall + 3)
    clock.wall += 1  # the clock follows, and the ids stand there already
    assert made[-1] < new_id() < first_id_at(clock.wall + 2)


def test_70_bits_of_each_id_are_drawn_for_it_alone() -> None:
    drawn = iter(range(256))

    def random(length: int) -> bytes:
        assert length == 14
        return bytes([next(drawn)]) * length

    new_id = Ulids(StoppedClock(wall=0), random)
    made = [new_id() for _ in range(256)]
    letters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    assert [each[12:] for each in made] == [letters[n % 32] * 14 for n in range(256)]
    assert [each[:12] for each in made[:2]] == ["0" * 12, "0" * 11 + "1"]
