"""Names and encodings of tiles and bundles: one spelling each."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.ledger.errors import LedgerError
from bailiwick.ledger.tile import (
    BUNDLE,
    TILE_WIDTH,
    Resource,
    decode_bundle,
    decode_tile,
    encode_bundle,
    parse_path,
    resources,
)

places = st.builds(Resource, st.integers(-1, 63), st.integers(0, 2**50), st.integers(1, TILE_WIDTH))


@pytest.mark.parametrize(
    ("resource", "path"),
    [
        (Resource(0, 0, 256), "tile/0/000"),
        (Resource(0, 1234067, 256), "tile/0/x001/x234/067"),
        (Resource(1, 1, 17), "tile/1/001.p/17"),
        (Resource(63, 999, 255), "tile/63/999.p/255"),
        (Resource(BUNDLE, 1000, 1), "tile/entries/x001/000.p/1"),
    ],
)
def test_paths_are_those_of_the_specification(resource: Resource, path: str) -> None:
    assert resource.path == path
    assert parse_path(path) == resource


@given(places)
def test_every_path_reads_back(resource: Resource) -> None:
    assert parse_path(resource.path) == resource


@pytest.mark.parametrize(
    "untrusted_path",
    [
        "",
        "checkpoint",
        "tile/0/0",
        "tile/00/000",
        "tile/64/000",
        "tile/0/x000/001",
        "tile/0/001.p/0",
        "tile/0/001.p/256",
        "tile/0/001.p/01",
        "tile/0/001.p/257",
        "tile/0/001.p",
        "tile/0/001/002",
        "tile/0/../../../etc/passwd",
        "/tile/0/000",
        "tile/0/000\n",
        "tile/0/\u0660\u0660\u0660",
        "tile/data/000",
        "tile/8/0/000/",
        "tile/entries/-01",
        "tile/0/" + "x000/" * 5_000 + "000",
    ],
)
def test_no_other_spelling_is_read(untrusted_path: str) -> None:
    with pytest.raises(LedgerError) as caught:
        parse_path(untrusted_path)
    assert caught.value.code == "path_malformed"


@given(st.text(st.sampled_from("tile/entries0123456789x.p\n"), max_size=30))
def test_what_parses_is_spelt_as_it_would_be_written(untrusted_path: str) -> None:
    try:
        resource = parse_path(untrusted_path)
    except LedgerError:
        return
    assert resource.path == untrusted_path


def test_a_tree_of_70000_has_the_files_the_specification_lists() -> None:
    files = list(resources(70_000))
    partial = [resource.path for resource in files if resource.width < TILE_WIDTH]
    assert len(files) == 274 + 274 + 2 + 1
    assert partial == [
        "tile/entries/273.p/112",
        "tile/0/273.p/112",
        "tile/1/001.p/17",
        "tile/2/000.p/1",
    ]
    assert list(resources(0)) == []
    assert [item.path for item in resources(256)] == [
        "tile/entries/000",
        "tile/0/000",
        "tile/1/000.p/1",
    ]


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_a_bundle_reads_back(entries: list[bytes]) -> None:
    assert decode_bundle(encode_bundle(entries), len(entries)) == entries


@given(st.binary(max_size=200), st.integers(0, 20))
def test_what_reads_as_a_bundle_is_written_alike(untrusted: bytes, width: int) -> None:
    try:
        entries = decode_bundle(untrusted, width)
    except LedgerError:
        return
    assert len(entries) == width
    assert encode_bundle(entries) == untrusted


def test_a_bundle_with_missing_or_extra_bytes_is_refused() -> None:
    data = encode_bundle([b"one", b"", b"three"])
    for end in range(len(data)):
        with pytest.raises(LedgerError):
            decode_bundle(data[:end], 3)
    for wrong in (data + b"\x00", data + b"\x00\x00"):
        with pytest.raises(LedgerError, match="follow the last entry"):
            decode_bundle(wrong, 3)
    with pytest.raises(LedgerError, match="within entry 3"):
        decode_bundle(data, 4)


def test_an_entry_may_have_65535_bytes_and_not_one_more() -> None:
    longest = bytes(65_535)
    assert decode_bundle(encode_bundle([longest]), 1) == [longest]
    with pytest.raises(LedgerError) as caught:
        encode_bundle([longest + b"x"])
    assert caught.value.code == "leaf_too_long"


@pytest.mark.parametrize("length", [0, 31, 33, 63, 65, 96])
def test_a_tile_has_exactly_its_width_in_hashes(length: int) -> None:
    with pytest.raises(LedgerError) as caught:
        decode_tile(bytes(length), 2)
    assert caught.value.code == "tile_malformed"
    assert decode_tile(b"a" * 32 + b"b" * 32, 2) == [b"a" * 32, b"b" * 32]
