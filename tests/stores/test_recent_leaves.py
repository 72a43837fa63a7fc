"""What was just made durable is published from memory; everything else from the store."""

from __future__ import annotations

from collections.abc import Sequence

from bailiwick.stores.recent_leaves import RecentLeaves


class Counted:
    """A store that counts what is read from it."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.all = leaves
        self.read = 0

    async def leaves(self, start: int, stop: int) -> Sequence[bytes]:
        self.read += 1
        return self.all[start:stop]

    async def entry_count(self) -> int:
        self.read += 1
        return len(self.all)


def leaves(start: int, stop: int) -> list[bytes]:
    return [b"%d" % number for number in range(start, stop)]


async def test_recent_leaves_are_handed_out_without_the_store() -> None:
    store = Counted(leaves(0, 30))
    recent = RecentLeaves(store)
    recent.append(10, leaves(10, 20))
    recent.append(20, leaves(20, 30))
    assert await recent.entry_count() == 30
    assert await recent.leaves(10, 25) == leaves(10, 25)
    assert await recent.leaves(25, 30) == leaves(25, 30)
    assert store.read == 0


async def test_what_is_not_recent_comes_from_the_store() -> None:
    store = Counted(leaves(0, 30))
    recent = RecentLeaves(store)
    recent.append(20, leaves(20, 30))
    assert await recent.leaves(0, 10) == leaves(0, 10)
    assert await recent.leaves(15, 25) == leaves(15, 25)
    assert await recent.leaves(20, 30) == leaves(20, 30)
    assert await recent.leaves(20, 30) == leaves(20, 30), "read again after a failure"
    assert await recent.entry_count() == 30
    assert store.read == 4


async def test_a_gap_and_a_burst_fall_back_to_the_store() -> None:
    store = Counted(leaves(0, 100))
    recent = RecentLeaves(store, max_bytes=10)
    recent.append(0, leaves(0, 5))
    recent.append(8, leaves(8, 10))  # 5 to 7 were written though their commit reported failure
    assert await recent.leaves(0, 10) == leaves(0, 10)
    recent.append(10, leaves(10, 40))
    recent.append(40, leaves(40, 50))  # beyond the bound: what was not read yet is dropped
    assert await recent.leaves(10, 50) == leaves(10, 50)
    assert store.read == 2
    assert await recent.leaves(40, 50) == leaves(40, 50)
    assert store.read == 2


async def test_it_says_when_half_of_its_room_is_taken() -> None:
    recent = RecentLeaves(Counted([]), max_bytes=10)
    assert not recent.append(0, [b"12345"])
    assert recent.append(1, [b"6"])
    await recent.leaves(0, 2)
    assert not recent.append(2, [b"12345"])
