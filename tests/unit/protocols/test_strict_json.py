"""One meaning only: what two readers could take in two ways is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bailiwick.core.errors import TheirError
from bailiwick.protocols import strict_json
from bailiwick.protocols.strict_json import MAX_DEPTH, encode, parse


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"a":1,"a":2}', "name_twice"),
        (b'{"a":1,"A":2}', "name_twice"),
        (b'{"amount":1,"x":{"To":1,"to":2}}', "name_twice"),
        ('{"\u017fend":1,"send":2}'.encode(), "name_twice"),
        ('{"\u212aey":1,"key":2}'.encode(), "name_twice"),
        (b'{"\\u0061":1,"a":2}', "name_twice"),
        (b"NaN", "body_not_json"),
        (b"[Infinity]", "body_not_json"),
        (b"-Infinity", "body_not_json"),
        (b"1e400", "number_not_exact"),
        (b"[-1e999]", "number_not_exact"),
        (b"9007199254740992", "number_not_exact"),
        (b"-9007199254740992", "number_not_exact"),
        (b"1" * 5000, "number_not_exact"),
        (b"\xff", "body_not_utf8"),
        (b'"\xed\xa0\x80"', "body_not_utf8"),
        (b'"\xc0\xaf"', "body_not_utf8"),
        (b'\xef\xbb\xbf{"a":1}', "body_not_json"),
        ('{"a":1}'.encode("utf-16"), "body_not_utf8"),
        (b"{} {}", "body_not_json"),
        (b"{}\x00", "body_not_json"),
        (b'{"a":1,}', "body_not_json"),
        (b"{'a':1}", "body_not_json"),
        (b"// hi\n{}", "body_not_json"),
        (b'"a\nb"', "body_not_json"),
        (b"01", "body_not_json"),
        (b"+1", "body_not_json"),
        ("\u0661".encode(), "body_not_json"),
        (b"", "body_not_json"),
        (b'"\\ud800"', "text_not_unicode"),
        (b'{"\\udfff":1}', "text_not_unicode"),
        (b'["\\ud83d\\ud83d"]', "text_not_unicode"),
        (b"[" * 65 + b"]" * 65, "nested_too_deep"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "nested_too_deep"),
        (b"[" * 200_000, "nested_too_deep"),
        (b'{"a":' * 100_000, "nested_too_deep"),
    ],
)
def test_what_could_mean_two_things_is_refused(body: bytes, code: str) -> None:
    with pytest.raises(TheirError) as refused:
        parse(body)
    assert refused.value.code == code


def test_a_shape_once_seen_as_good_does_not_let_its_bad_cousin_through() -> None:
    assert parse(b'{"to":1,"amount":2}') == {"to": 1, "amount": 2}
    assert parse(b'{"to":1,"amount":2}') == {"to": 1, "amount": 2}
    with pytest.raises(TheirError):
        parse(b'{"to":1,"amount":2,"Amount":3}')
    with pytest.raises(TheirError):
        parse(b'{"to":1,"amount":2,"amount":3}')


def test_whoever_makes_up_names_does_not_fill_the_memory_of_shapes() -> None:
    for number in range(5_000):
        assert parse(b'{"made_up_%d": 1,"to": 2}' % number)
    assert len(strict_json._distinct) <= 2048
    assert parse(b'{"last_of_all": 1,"to": 2}')
    assert ("last_of_all", "to") in strict_json._distinct
    many = {f"n{number}": number for number in range(65)}
    assert parse(json.dumps(many).encode()) == many
    assert tuple(many) not in strict_json._distinct


def outcome(read: Callable[[], object]) -> object:
    """What came of it, told apart more finely than `==` does."""
    try:
        return repr(read())
    except TheirError as error:
        return error.code, error.message
    except (json.JSONDecodeError, RecursionError) as error:
        return type(error), str(error)


PIECES = (
    *'{}[]:,"\\0123456789.-+eE \t\n\r\x0b\x0c\xa0\u2028/*',
    *(
        '"a"',
        '"A"',
        '"\\u0061"',
        '"\\ud800"',
        "\\",
        "true",
        "null",
        "NaN",
        "1e999",
        "-0",
        "{}",
        "[]",
    ),
    *(
        '{"a":1,',
        '"a":',
        '"A":',
        "9007199254740992",
        "12345678901234567890",
        '"DE893704004405320130"',
    ),
)
json_alike = st.lists(st.sampled_from(PIECES), max_size=14).map("".join)
texts = st.one_of(
    json_alike,
    st.builds(
        lambda before, value, after: before + json.dumps(value) + after,
        st.sampled_from(["", " ", "\n\t", "\ufeff", "\xa0", "{}"]),
        st.recursive(
            st.none() | st.integers() | st.floats() | st.text(max_size=3),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["a", "A", "b", "\u017f", "s"]), inner, max_size=3
                )
            ),
            max_leaves=8,
        ),
        st.sampled_from(["", " ", "\r\n", "\x00", "\xa0", "{}", ",", "]"]),
    ),
)


@settings(max_examples=1_000)
@given(texts)
def test_the_quick_way_reads_as_the_decoder_itself_does(text: str) -> None:
    assert outcome(lambda: strict_json._read(text)) == outcome(
        lambda: strict_json._decoder.decode(text)
    )


@settings(max_examples=1_000)
@given(texts)
def test_what_is_read_has_no_name_twice_and_is_what_a_plain_reader_reads(text: str) -> None:
    def plain(pairs: list[tuple[str, object]]) -> dict[str, object]:
        assert len({name.casefold() for name, _ in pairs}) == len(pairs)
        return dict(pairs)

    try:
        found = parse(text.encode())
    except TheirError:
        return
    assert repr(found) == repr(json.loads(text, object_pairs_hook=plain))


class Members(list[tuple[str, object]]):
    """An object whose names may stand twice."""


def written(value: object) -> str:
    if isinstance(value, Members):
        inside = [f"{json.dumps(name)}:{written(item)}" for name, item in value]
        return "{" + ",".join(inside) + "}"
    if isinstance(value, dict):
        return written(Members(value.items()))
    if isinstance(value, list):
        return "[" + ",".join(map(written, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


compact_alike = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=8).map(lambda pieces: f'{{"a":{"".join(pieces)}}}'),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**54), 2**54)
        | st.integers()
        | st.floats()
        | st.text(max_size=3)
        | st.sampled_from(["\\N", "\x1f", "\x7f", '":', "DE893704004405320130"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.lists(
                st.tuples(st.sampled_from(["a", "A", "b", "\\N", "\\n", "\u212a", "k"]), inner),
                max_size=3,
            ).map(Members)
        ),
        max_leaves=12,
    ).map(lambda value: written({"in": value})),
)


@settings(max_examples=2_000)
@given(compact_alike, st.booleans())
def test_what_is_read_by_writing_it_again_is_what_is_read_slowly(text: str, upper: bool) -> None:
    text = text.upper() if upper else text
    try:
        body = text.encode()
    except UnicodeEncodeError:
        return
    assert outcome(lambda: parse(body)) == outcome(lambda: strict_json._parse_slowly(text))


@pytest.mark.parametrize(
    "body",
    [
        b'{"id":1,"method":"tools/call","params":{"name":"Pay","arguments":{"to":[1.5,-0.0]}}}',
        b'{"a":[9007199254740991,-9007199254740991,1e22,true,null,"DE89370400440532013000"]}',
        b'{"a":"\\u001f\\n\\\\N\\"","b":{"A":{"a":{}}}}',
    ],
)
def test_compact_texts_are_read_without_looking_at_each_name(
    body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    slowly = strict_json._parse_slowly(body.decode())
    monkeypatch.setattr(strict_json, "_parse_slowly", None)
    assert repr(parse(body)) == repr(slowly)


def test_the_deepest_allowed_nesting_passes() -> None:
    assert parse(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH) is not None
    wide = b"[" + b",".join([b'{"a":[1]}'] * 200) + b"]"
    assert len(parse(wide)) == 200  # type: ignore[arg-type]


def test_the_largest_exact_integers_and_a_full_surrogate_pair_pass() -> None:
    assert parse(b"[9007199254740991,-9007199254740991]") == [2**53 - 1, -(2**53) + 1]
    assert parse(b'"\\ud83d\\ude00"') == "\U0001f600"


def test_a_message_quotes_only_a_bounded_piece_of_the_input() -> None:
    name = "n" * 10_000
    with pytest.raises(TheirError) as refused:
        parse(f'{{"{name}":1,"{name}":2}}'.encode())
    assert len(refused.value.message) < 200


def _without_twins(value: object) -> bool:
    if isinstance(value, dict):
        folded = {name.casefold() for name in value}
        return len(folded) == len(value) and all(map(_without_twins, value.values()))
    if isinstance(value, list):
        return all(map(_without_twins, value))
    return not (isinstance(value, float) and not math.isfinite(value))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=20,
).filter(_without_twins)


@given(JSON, st.booleans())
def test_everything_strict_parses_as_what_it_is_and_encodes_back_in_order(
    value: object, ascii_only: bool
) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only).encode()
    parsed = parse(body)
    assert parsed == value
    assert json.dumps(json.loads(encode(parsed))) == json.dumps(value)


@given(st.binary(max_size=200))
def test_any_bytes_are_either_read_as_json_reads_them_or_refused(body: bytes) -> None:
    try:
        parsed = parse(body)
    except TheirError:
        return
    assert parsed == json.loads(body)
