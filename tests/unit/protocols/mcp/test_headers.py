"""Header values and the parameters they mirror."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.core.errors import TheirError
from bailiwick.protocols.mcp.headers import (
    decode_value,
    encode_value,
    param_headers_of,
    param_mismatch,
    param_values,
    read_headers,
)

SCHEMA: Any = {
    "type": "object",
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "deep": {"properties": {"n": {"type": "integer", "x-mcp-header": "N"}}},
        "dry": {"type": "boolean", "x-mcp-header": "Dry"},
        "other": {"type": "string"},
    },
}


@pytest.mark.parametrize(
    ("plain", "encoded"),
    [
        ("us-west1", "us-west1"),
        ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
        (" padded ", "=?base64?IHBhZGRlZCA=?="),
        ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
        ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
    ],
)
def test_the_encodings_of_the_specification(plain: str, encoded: str) -> None:
    assert encode_value(plain) == encoded
    assert decode_value(encoded) == plain


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_text_survives_a_header(text: str) -> None:
    encoded = encode_value(text)
    assert encoded.isascii()
    assert "\n" not in encoded
    assert decode_value(encoded.encode()) == text


@pytest.mark.parametrize("bad", ["=?base64?!?=", "=?base64?YR==?=", "=?base64?/w==?=", "a\tb", "é"])
def test_a_malformed_value_is_no_value(bad: str) -> None:
    assert decode_value(bad) is None


def test_a_header_that_decides_may_not_stand_twice() -> None:
    for name in (b"authorization", b"host", b"origin", b"content-length", b"mcp-session-id"):
        with pytest.raises(TheirError) as refused:
            read_headers([(name, b"a"), (name, b"a")])
        assert refused.value.code == "header_twice"


def test_headers_are_bounded_in_number_and_size() -> None:
    for many in ([(b"x", b"y")] * 101, [(b"x", b"y" * 40_000)]):
        with pytest.raises(TheirError) as refused:
            read_headers(many)
        assert refused.value.code == "headers_too_large"


def test_white_space_around_a_value_is_no_part_of_it() -> None:
    assert read_headers([(b"mcp-name", b"  pay\t ")]).name == b"pay"


def test_annotations_are_found_along_properties() -> None:
    found = param_headers_of(SCHEMA)
    assert {item.path: item.header for item in found} == {
        ("region",): "mcp-param-region",
        ("deep", "n"): "mcp-param-n",
        ("dry",): "mcp-param-dry",
    }


@pytest.mark.parametrize(
    "schema",
    [
        {"x-mcp-header": "Root", "type": "string"},
        {"properties": {"a": {"type": "number", "x-mcp-header": "A"}}},
        {"properties": {"a": {"type": "string", "x-mcp-header": "not a token"}}},
        {"properties": {"a": {"type": "string", "x-mcp-header": ""}}},
        {"properties": {"a": {"type": "string", "x-mcp-header": 3}}},
        {"properties": {"a": {"items": {"type": "string", "x-mcp-header": "A"}}}},
        {"anyOf": [{"properties": {"a": {"type": "string", "x-mcp-header": "A"}}}]},
        {
            "properties": {
                "a": {"type": "string", "x-mcp-header": "Same"},
                "b": {"type": "string", "x-mcp-header": "SAME"},
            }
        },
    ],
)
def test_one_invalid_annotation_makes_all_of_them_void(schema: object) -> None:
    assert param_headers_of(schema) == ()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "received", "agrees"),
    [
        ({"region": "eu"}, [("mcp-param-region", "eu")], True),
        ({"region": "世"}, [("mcp-param-region", "=?base64?5LiW?=")], True),
        ({"deep": {"n": 42}}, [("mcp-param-n", "42.0")], True),
        ({"dry": True}, [("mcp-param-dry", "true")], True),
        ({"region": None}, [], True),
        ({}, [], True),
        ({}, [("mcp-param-unknown", "x")], True),
        ({"region": "eu"}, [], False),
        ({"region": "eu"}, [("mcp-param-region", "us")], False),
        ({"region": "eu"}, [("mcp-param-region", "EU")], False),
        ({"region": "eu"}, [("mcp-param-region", "eu"), ("mcp-param-region", "eu")], False),
        ({"region": "eu"}, [("mcp-param-region", "=?base64?bad?=")], False),
        ({}, [("mcp-param-region", "eu")], False),
        ({"deep": {"n": 42}}, [("mcp-param-n", "42.5")], False),
        ({"deep": {"n": 1}}, [("mcp-param-n", "true")], False),
        ({"dry": True}, [("mcp-param-dry", "True")], False),
        ({"region": ["eu"]}, [("mcp-param-region", "eu")], False),
    ],
)
def test_a_header_and_its_argument_agree_or_the_request_is_refused(
    arguments: dict[str, object], received: list[tuple[str, str]], agrees: bool
) -> None:
    why = param_mismatch(param_headers_of(SCHEMA), arguments, received)  # type: ignore[arg-type]
    assert (why == "") is agrees


def test_headers_are_made_from_the_judged_arguments() -> None:
    made = param_values(param_headers_of(SCHEMA), {"region": "eu", "deep": {"n": 1}, "dry": None})
    assert made == {"Mcp-Param-Region": "eu", "Mcp-Param-N": "1"}
