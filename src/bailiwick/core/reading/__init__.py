"""A mandate as plain sentences, all of it: what a person reads before signing it.

Verdicts shorten what they quote, since they reach agents. Here nothing is shortened or left out:
two mandates that say different things read differently (tests/unit/core/test_reading.py), and no
text in a mandate can pass for a sentence of ours, since each is quoted (`quoting.py`).
"""

from bailiwick.core.reading.limits import read_limit
from bailiwick.core.reading.rules import read_allow, read_deny, read_stamp
from bailiwick.core.reading.whole import read

__all__ = ["read", "read_allow", "read_deny", "read_limit", "read_stamp"]
