"""What fits a frame is read as the whole text is; and little fits."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bailiwick.core.errors import TheirError
from bailiwick.protocols.mcp.frame import MAX_AROUND_BYTES, MAX_FRAME_BYTES, Frame, frame_of
from bailiwick.protocols.mcp.jsonrpc import Message, Request, parse_message
from bailiwick.protocols.strict_json import encode

META = {"io.modelcontextprotocol/clientInfo": {"name": "x", "version": 1.5}, "é": True}


def compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def request(identity: Any = 7, arguments: Any = None, **params: Any) -> dict[str, Any]:
    arguments = {"to": "a"} if arguments is None else arguments
    return {
        "jsonrpc": "2.0",
        "id": identity,
        "method": "tools/call",
        "params": {"name": "pay", "arguments": arguments, "_meta": META, **params},
    }


def in_order(value: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value[name] for name in names}


WAYS = (
    lambda value: value,
    lambda value: in_order(value, "method", "params", "jsonrpc", "id"),
    lambda value: in_order(value, "params", "id", "method", "jsonrpc"),
    lambda value: in_order(value, "id", "params", "method", "jsonrpc"),
    lambda value: {
        **value,
        "params": in_order(value["params"], "_meta", "arguments", "name"),
    },
)


def read(body: bytes) -> Message | str:
    try:
        return parse_message(body)
    except TheirError as error:
        return error.code


def framed(value: object) -> Frame:
    frame = frame_of(compact(value))
    assert frame is not None
    return frame


PIECES = (
    *("{", "}", "[", "]", ",", ":", '"', "\\", "0", "1", "-", ".", "e", " ", "\n", "\x00", "\x01"),
    *('"a":1', '"A":1', '"id":8', ',"method":"tools/call"', "{}", '{"a":{"b":[]}}', "true"),
    *("9007199254740991", "9007199254740992", "12345678901234567", '"é"', "\\u0041", "}}"),
)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**54), 2**54) | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "A", "b", "id", "arguments"]), inner, max_size=3)
    ),
    max_leaves=10,
)


@settings(max_examples=400)
@given(
    st.sampled_from(WAYS),
    st.one_of(st.integers(-5, 2**54), st.sampled_from(["7", "-1", "07", "0", "7.0", "1e1", "x"])),
    st.one_of(values, st.lists(st.sampled_from(PIECES), max_size=6).map("".join)),
    st.booleans(),
)
def test_what_fits_is_what_the_whole_text_says(
    way: Any, identity: Any, arguments: Any, raw: bool
) -> None:
    frame = framed(way(request()))
    # Whatever is put into the two holes, as text: values, and what is none.
    text = arguments if raw and isinstance(arguments, str) else compact(arguments).decode()
    body = compact(way(request("ID", "ARGUMENTS"))).decode()
    body = body.replace('"ID"', str(identity)).replace('"ARGUMENTS"', text)
    found = frame.fill(body.encode())
    if found is not None:
        assert repr(found) == repr(read(body.encode()))


@settings(max_examples=400)
@given(
    st.sampled_from(WAYS),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 12), st.sampled_from(PIECES))),
)
def test_what_is_changed_anywhere_fits_only_as_what_it_says(way: Any, changes: Any) -> None:
    frame = framed(way(request()))
    body = compact(way(request(8, {"b": [1, {"c": None}]})))
    assert repr(frame.fill(body)) == repr(parse_message(body))
    for at, length, piece in changes:
        body = body[:at] + piece.encode() + body[at + length :]
    found = frame.fill(body)
    if found is not None:
        assert repr(found) == repr(read(body))


@pytest.mark.parametrize("way", WAYS)
def test_a_request_with_another_id_and_other_arguments_fits(way: Any) -> None:
    frame = framed(way(request()))
    for identity, arguments in ((1, {}), (999_999_999_999_999, {"to": "}}", "n": [1.5, {"x": 1}]})):
        found = frame.fill(compact(way(request(identity, arguments))))
        assert isinstance(found, Request)
        assert (found.id, found.id_json) == (identity, b"%d" % identity)
        assert found.params == {"name": "pay", "arguments": arguments, "_meta": META}
        assert list(found.params) == list(way(request())["params"])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "other",
    [
        request(0),
        request(-1),
        request("7"),
        request(None),
        request(10**15),
        request(arguments=[]),
        request(arguments={"to": "é"}),
        request(name="other"),
        request(_meta={**META, "é": 1}),
        {**request(), "method": "prompts/get"},
    ],
)
def test_what_differs_in_anything_else_does_not_fit(way: Any, other: Any) -> None:
    assert framed(way(request())).fill(compact(way(other))) is None


NUMBERS = (
    *("0", "-0", "0.0", "-0.0", "1", "1.0", "1e0", "1E0", "1E+5", "100000.0", "0.10", "01", "+1"),
    *("9007199254740991", "9007199254740992", "-9007199254740992", "18446744073709551616"),
    *("1e15", "1000000000000000.0", "1e400", "-1e400", "5e-324", "2e-324", "NaN", "1" + "0" * 400),
)
TEXTS = (
    *("\\n", "\\u000a", "\\u000A", "\\u001F", "\x7f", "\\u007f", "\\/", "\\u00e9", "\\u0000"),
    *("\\ud800", "\\ud83d\\ude00", "\\x41", "\\U0041", "\x01"),
)


@pytest.mark.parametrize("value", [*NUMBERS, *(f'"{text}"' for text in TEXTS)])
def test_a_value_means_in_a_frame_what_it_means_in_a_whole_text(value: str) -> None:
    frame = framed(request())
    name = value if value.startswith('"') else '"n"'
    for text in (f'{{"n":{value}}}', f'{{"n":[1,{{"n":{value}}}]}}', f'{{{name}:1,"\\n":2}}'):
        body = compact(request()).replace(b'{"to":"a"}', text.encode())
        found = frame.fill(body)
        if found is not None:
            assert repr(found) == repr(read(body))
            assert encode(found.params["arguments"]).lower() == text.lower().encode()


def test_twins_in_the_arguments_do_not_fit() -> None:
    frame = framed(request())
    for text in (b'{"a":1,"a":2}', b'{"a":1,"A":2}', b'{"x":{"to":1,"To":2}}', b'{},"Name":1'):
        body = compact(request()).replace(b'{"to":"a"}', text)
        assert frame.fill(body) is None
        assert isinstance(read(body), str)


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(request()).encode(),
        compact(request(-7)).replace(b"-7", b"-7 "),
        compact(request("7")),
        compact(request(arguments=[])),
        compact({"jsonrpc": "2.0", "id": 1, "method": "ping"}),
        compact({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}),
        compact({"jsonrpc": "2.0", "method": "tools/call", "params": {"arguments": {}}}),
        compact({**request(), "extra": 1}),
        compact(request(_meta={"long": "x" * MAX_AROUND_BYTES})),
        compact(request(arguments={"long": "x" * MAX_FRAME_BYTES})),
    ],
)
def test_few_texts_have_a_frame(body: bytes) -> None:
    assert isinstance(parse_message(body), Message)
    assert frame_of(body) is None


def test_a_frame_holds_nothing_of_the_arguments_it_was_made_with() -> None:
    """A frame is kept with each head of each connection: it must not hold a body for each."""
    frame = framed(request(arguments={"of": ["many"] * 2_000}))
    assert sum(len(part) for part in frame._parts if isinstance(part, bytes)) < MAX_AROUND_BYTES
    assert frame._params["arguments"] == {}
    filled = frame.fill(compact(request(8)))
    assert filled == read(compact(request(8)))
    assert isinstance(filled, Request)
    assert list(filled.params) == ["name", "arguments", "_meta"]
