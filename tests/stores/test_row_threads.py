"""Rows are read by several threads: what msgspec needs to know of them is made beforehand."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bailiwick.stores.sqlite_reads import _as

# In a process of its own, since a race that is lost ends the process; and many times over, with
# threads that change places as often as they can.
RACE = """
import sys, threading
import msgspec
from bailiwick.ports import RunRow
from bailiwick.stores import sqlite_reads

sys.setswitchinterval(0.000001)
row = dict(id="R", key="k", at_ms=1, agent="a", mandate="m", calls=1, states={"done": 1})
for kind in sqlite_reads._ROWS:
    assert "__msgspec_cache__" in vars(kind), kind
together = threading.Barrier(4)

def convert():
    together.wait()
    assert sqlite_reads._as(RunRow, row).id == "R"

threads = [threading.Thread(target=convert) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("alive")
"""


def test_the_first_rows_may_be_read_by_several_threads_at_once() -> None:
    done = subprocess.run(
        [sys.executable, "-c", RACE], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "alive\n", done.stderr


def test_a_row_that_was_not_made_known_beforehand_is_refused() -> None:
    class Unknown:
        pass

    with pytest.raises(AssertionError, match="Unknown"):
        _as(Unknown, {})
