"""Random bytes are given once, however they are asked for."""

from __future__ import annotations

import os

import pytest

from bailiwick.app.randomness import Randomness


def test_every_byte_is_the_system_s_and_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[bytes] = []

    def fetch(length: int) -> bytes:
        fetched.append(bytes([len(fetched) + 1]) * length)
        return fetched[-1]

    monkeypatch.setattr(os, "urandom", fetch)
    random = Randomness()
    given = [random(16) for _ in range(300)] + [random(length) for length in (0, 1, 4096, 5000)]

    assert [len(each) for each in given] == [16] * 300 + [0, 1, 4096, 5000]
    for number, page in enumerate(fetched, start=1):
        assert sum(each.count(number) for each in given) <= len(page)
    assert all(len(set(each)) <= 1 for each in given), "no piece is put together of two pages"


def test_pieces_do_not_repeat() -> None:
    random = Randomness()
    pieces = [random(16) for _ in range(2_000)]
    assert len(set(pieces)) == len(pieces)
