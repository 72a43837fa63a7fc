"""What a call reserves is recorded by its form as it is without."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.core.canonical import Json
from bailiwick.core.limits.forms import Forms, forms_of
from bailiwick.core.limits.limit import Charges, Measure, Window
from bailiwick.core.verdict import Deny
from bailiwick.gateway.call_context import charged
from tests.unit.core.mandates import call
from tests.unit.core.test_limits import NOW, RUN, limit

HOUR_MS = 3_600_000


def forms() -> Forms:
    """Of a sum, a value, a sliding sum, a moment by itself, and calls of which none differs."""
    hour = Window("sliding", seconds=3_600)
    found = forms_of(
        (
            limit(per=("to",), name="100%d"),
            limit(Measure.DISTINCT, of="to", name="faces", ceilings={"values": 1}),
            limit(window=hour, name="rolling"),
            limit(Measure.COUNT, name="pace", window=hour),
            limit(Measure.CONCURRENT, name="once", window=Window("lifetime")),
        )
    )
    assert found is not None
    return found


CALLS = st.tuples(
    st.sampled_from([0, 1, 7.5, "12.50", 10**6]),
    st.sampled_from(["bo", "%d", "100 %", "%%s%(x)d", 'a "\\ \x00 \n\u2028é😀', '"amount":5']),
    st.integers(NOW, NOW + 3) | st.integers(0, 2 * HOUR_MS),
)


@given(st.lists(CALLS, min_size=6, max_size=30))
def test_what_is_recorded_by_a_form_is_what_is_recorded_without(
    asked: list[tuple[Json, str, int]],
) -> None:
    known = forms()
    for amount, to, now in (*asked, *asked, *asked):
        taken = known.taken(call("bank/transfer", {"amount": amount, "to": to}), RUN, now)
        assert not isinstance(taken, Deny), taken
        plainly = msgspec.json.encode(charged(tuple(taken)))
        assert msgspec.json.encode(charged(taken)) == plainly
        assert len(msgspec.json.decode(plainly)) == 5


def test_a_form_is_written_down_once() -> None:
    known = forms()
    taken = [
        known.taken(call("bank/transfer", {"amount": amount, "to": "bo"}), RUN, NOW)
        for amount in (1, 2, 3, 4)
    ]
    first, second = taken[2:]
    assert isinstance(first, Charges)
    assert isinstance(second, Charges)
    assert isinstance(charged(first), msgspec.Raw)
    text = first.form.text
    assert text.replace(b"%%", b"").count(b"%d") == 4, "two amounts and two moments"
    charged(second)
    assert second.form.text is text
