"""Canonical form: our fast way and the reference implementation give the same bytes."""

from __future__ import annotations

import copy
import math

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from bailiwick.core.call import Call, CallKind, Target
from bailiwick.core.canonical import MAX_SAFE_INTEGER, Json, canonical, digest_of
from bailiwick.core.errors import TheirError

text = st.text(st.characters(exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: st.lists(inner) | st.dictionaries(text, inner),
)


@given(json_values)
def test_it_is_what_the_reference_implementation_writes(value: Json) -> None:
    assert canonical(value) == rfc8785.dumps(value)


def test_every_character_is_written_as_the_reference_does() -> None:
    for point in (*range(0xD800), *range(0xE000, 0x10000), 0x10000, 0x1F600, 0x10FFFF):
        char = chr(point)
        assert canonical(char) == rfc8785.dumps(char), hex(point)
        assert canonical({char: 1, "a": 2, "z": 3}) == rfc8785.dumps({char: 1, "a": 2, "z": 3})


@given(
    st.floats(allow_nan=False, allow_infinity=False)
    | st.floats(1e-5, 1e17)
    | st.decimals(-1_000_000, 1_000_000, places=4).map(float)
)
@example(1e-4)
@example(math.nextafter(1e-4, 0))
@example(math.nextafter(1e-4, 1))
@example(0.5)
@example(1e15 - 0.125)
@example(1e15)
@example(1e15 + 0.125)
@example(-0.0)
def test_a_number_is_spelt_as_the_reference_does(number: float) -> None:
    assert canonical({"n": number, "m": [-number]}) == rfc8785.dumps({"n": number, "m": [-number]})


@given(json_values)
def test_what_was_parsed_stays_as_it_is(value: Json) -> None:
    before = copy.deepcopy(value)
    canonical(value)
    assert repr(value) == repr(before)


@pytest.mark.parametrize("number", [-0.0, 1.0, 1e21, 1e-7, 1.5e300, 0.1, 123456789012345680.0])
def test_numbers_are_spelt_as_the_reference_does_wherever_they_stand(number: float) -> None:
    value: Json = {"b": [1, "x", number, {"é": number}], "a": number}
    assert canonical(value) == rfc8785.dumps(value)
    assert canonical({"b": [number, [number]], "a": 2}) == rfc8785.dumps(
        {"b": [number, [number]], "a": 2}
    )


@given(
    st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-(2**60), 2**60).map(float)
    | st.decimals(-1000, 1000, places=4).map(float)
    | st.integers(-30, 30).map(lambda exponent: 10.0**exponent)
)
def test_each_number_is_written_as_the_reference_does(number: float) -> None:
    assert canonical(number) == rfc8785.dumps(number)


@pytest.mark.parametrize("text", ["é", "\U0001f600", "\ue000"])
def test_a_name_that_is_not_ascii_is_noticed_among_texts_alone(text: str) -> None:
    value: Json = [{"a": "b", text: "c", "z": None}, {"\U0001f600": True, "\ue000": False}]
    assert canonical(value) == rfc8785.dumps(value)


def test_key_order_does_not_matter_and_number_kind_does_not_either() -> None:
    assert digest_of({"a": 1, "b": [1, 2]}) == digest_of({"b": [1, 2], "a": 1.0})
    assert digest_of({"a": 1}) != digest_of({"a": "1"})
    assert digest_of({"a": [1, 2]}) != digest_of({"a": [2, 1]})


@pytest.mark.parametrize(
    "value",
    [
        MAX_SAFE_INTEGER + 1,
        [-MAX_SAFE_INTEGER - 1],
        {"a": float("nan")},
        float("inf"),
        "\ud800",
        {"\udfff": 1},
        {"a": "\ud800", "f": 1.5},
    ],
)
def test_what_has_no_canonical_form_is_refused(value: Json) -> None:
    with pytest.raises(TheirError) as caught:
        canonical(value)
    assert caught.value.code == "no_canonical_form"


@given(json_values, st.sampled_from(CallKind), text, text)
def test_a_call_is_told_apart_by_the_digest_of_all_that_it_asks(
    value: Json, kind: CallKind, upstream: str, name: str
) -> None:
    asked: dict[str, Json] = {"kind": kind.value, "upstream": upstream, "name": name}
    asked["arguments"] = {"a": value}
    call = Call.of("01", Target(kind, upstream, name), {"a": value})
    assert call.canonical == rfc8785.dumps(asked)
    assert call.digest == digest_of(asked)
    beside = Call.of("01", call.target, call.arguments, {"state": value})
    assert beside.digest == digest_of({**asked, "beside": {"state": value}}) != call.digest


@pytest.mark.parametrize(
    ("name", "arguments", "beside"),
    [("\ud800", {}, {}), ("x", {"a": "\ud800"}, {}), ("x", {}, {"a": float("inf")})],
)
def test_a_call_with_a_part_that_has_no_canonical_form_is_refused(
    name: str, arguments: dict[str, Json], beside: dict[str, Json]
) -> None:
    with pytest.raises(TheirError) as caught:
        Call.of("01", Target(CallKind.RESOURCE, "files", name), arguments, beside)
    assert caught.value.code == "no_canonical_form"
