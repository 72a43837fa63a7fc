"""Paths by their text: what is under a folder, and which attacks have no plain meaning."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.core.conditions import Under
from bailiwick.core.texts.paths import PathText, is_tricky_uri, read_path
from bailiwick.core.values import CANNOT_TELL, FAILS, HOLDS

WORK = Under(("path",), ("/work",))


@pytest.mark.parametrize(
    "inside",
    ["/work", "/work/", "/work/a.txt", "/work//a", "/work/./a", "/work/a b/c", "/work/ä/é.txt",
     "/work/.hidden", "/work/a..b", "/work/%", "/work/100%"],
)  # fmt: skip
def test_a_path_in_the_folder_is_under_it(inside: str) -> None:
    assert WORK.of(inside) is HOLDS


@pytest.mark.parametrize("outside", ["/", "/workshop", "/workshop/a", "/etc/passwd", "/w", "//"])
def test_a_path_elsewhere_is_not_under_it(outside: str) -> None:
    assert WORK.of(outside) is not HOLDS


ATTACKS = {
    "parent": "/work/../etc/passwd",
    "parent with double slashes": "/work//..//etc",
    "parent at the end": "/work/..",
    "parent through a folder, which may be a link": "/work/a/../b",
    "percent-encoded dots": "/work/%2e%2e/etc",
    "percent-encoded dots, upper case": "/work/%2E%2E/etc",
    "percent-encoded slash": "/work/..%2fetc",
    "doubly encoded": "/work/%252e%252e/etc",
    "overlong UTF-8 as percent": "/work/%c0%ae%c0%ae/etc",
    "backslashes": "/work\\..\\etc",
    "backslash in the middle": "/work/..\\etc",
    "NUL": "/work/a\0/../../etc",
    "newline": "/work/\n../etc",
    "two-dot leader": "/work/\u2025/etc",
    "one-dot leaders": "/work/\u2024\u2024/etc",
    "full-width dots": "/work/\uff0e\uff0e/etc",
    "full-width slash": "/work/..\uff0fetc",
    "fraction slash": "/work/..\u2044etc",
    "division slash": "/work/..\u2215etc",
    "zero-width space between the dots": "/work/.\u200b./etc",
    "soft hyphen between the dots": "/work/.\u00ad./etc",
    "right-to-left override": "/work/\u202e../etc",
    "dots and a space": "/work/.. /etc",
    "three dots": "/work/.../etc",
    "trailing space": "/work/a ",
    "trailing dot": "/work/a.",
    "leading space": " /work/a",
    "network path": "//work/a",
    "home folder": "~/work",
    "somebody's home folder": "~root/work",
    "scheme": "file:///work/a",
    "drive": "C:/work/a",
    "relative": "work/a",
    "nothing": "",
    "combining form": "/work/a\u0308",
    "too long": "/work/" + "a" * 5_000,
    "lone surrogate": "/work/\ud800",
    "device": "/work/NUL",
    "device in small letters": "/work/con/x",
    "device with an ending": "/work/com1.txt",
    "device with a superscript": "/work/COM\u00b9",
    "device with a stream": "/work/aux:x",
    "device with a space": "/work/LPT1 .txt",
    "console": "/work/CONOUT$",
    "device path": "\\\\.\\work\\a",
    "verbatim path": "\\\\?\\C:\\work\\a",
    "verbatim path with slashes": "//?/C:/work/a",
    "share": "\\\\host\\work",
    "drive without a slash": "C:work",
    "file URL on a host": "file://host/work/a",
    "no-break space at the edge": "/work/..\u00a0/etc",
    "ideographic space at the edge": "/work/..\u3000/etc",
    "encoded twice over": "/work/%25252e/etc",
    "fraction slash, that looks like one": "/work/..\u2044..\u2044etc",
    "UTF-7 dots": "/work/+AC4ALg-/%2e",
    "line separator": "/work/a\u2028/etc",
    "NEL": "/work/a\u0085/etc",
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_a_path_that_can_be_read_in_two_ways_cannot_be_told(attack: str) -> None:
    assert WORK.of(attack) is CANNOT_TELL


@pytest.mark.parametrize(
    "inside",
    ["/work/console", "/work/auxiliary", "/work/nul_", "/work/com", "/work/com10", "/work/a.con",
     "/work/2026-11-22T10:00:00.log", "/work/x~1", "/work/a\u00a0b"],
)  # fmt: skip
def test_what_only_resembles_a_trick_is_a_path(inside: str) -> None:
    assert WORK.of(inside) is HOLDS


SECRET = Under(("path",), ("/work/Secret",))


@pytest.mark.parametrize(
    "alias",
    ["/work/secret/a", "/work/SECRET", "/work/Secret:x", "/work/secret::$INDEX_ALLOCATION/a",
     "/work/SECRET~1/a", "/WORK~1/Secret/a", "/work/\uff33ecret/a", "Secret/a"],
)  # fmt: skip
def test_a_folder_by_another_name_cannot_be_told(alias: str) -> None:
    assert SECRET.of(alias) is CANNOT_TELL


def test_a_folder_beside_it_is_plainly_another() -> None:
    assert SECRET.of("/work/public/secret") is FAILS
    assert SECRET.of("/work") is FAILS


def test_the_same_folder_in_other_letters_cannot_be_told_for_some_systems_ignore_case() -> None:
    assert WORK.of("/WORK/a") is CANNOT_TELL


@pytest.mark.parametrize("value", [["/work/a"], {"path": "/work/a"}, 1, True, None])
def test_what_is_not_text_cannot_be_told(value: object) -> None:
    assert WORK.of(value) is CANNOT_TELL  # type: ignore[arg-type]


def test_a_relative_root_takes_relative_paths_only() -> None:
    here = Under(("path",), (".",))
    assert here.of("a/b.txt") is HOLDS
    assert here.of(".") is HOLDS
    assert here.of("/a") is CANNOT_TELL
    assert here.of("a/../../b") is CANNOT_TELL
    assert Under(("path",), ("src",)).of("srcs/a") is FAILS


def test_several_roots_are_alternatives() -> None:
    both = Under(("path",), ("/work", "/data"))
    assert both.of("/data/a") is HOLDS
    assert both.of("/etc") is FAILS


@pytest.mark.parametrize("root", ["/work/..", "", "~/work", "/wo%2frk", "/work\\a"])
def test_a_root_must_be_plain_itself(root: str) -> None:
    with pytest.raises(ValueError, match="the folder"):
        Under(("path",), (root,))


@given(st.lists(st.sampled_from(["..", ".", "", "a", "work", "%2e", "\\", "~", " ", "é"])))
def test_whatever_holds_is_textually_below_the_root(steps: list[str]) -> None:
    text = "/work/" + "/".join(steps)
    if WORK.of(text) is HOLDS:
        assert ".." not in text.split("/")
        assert not set(text) & set("\\\0")


@given(st.text(max_size=40))
def test_reading_a_path_is_total(text: str) -> None:
    assert isinstance(read_path(text), PathText | str)


@pytest.mark.parametrize(
    "uri",
    ["file:///work/../etc", "file:///work/%2e%2e/etc", "file:///work/..;/etc", "a/..%2fetc",
     "file:///work\\..\\etc", "file:///w/.\t./etc", "x:/a?b=../c", "file:///w/\u2025/etc",
     "..", "file:///work/%252e%252e/etc", "file:///work/./a"],
)  # fmt: skip
def test_a_uri_that_may_lead_elsewhere_is_tricky(uri: str) -> None:
    assert is_tricky_uri(uri)


@pytest.mark.parametrize(
    "uri", ["file:///work/a.txt", "note://a/b", "https://a.example/x?y=1#z", "file:///w/{path}"]
)
def test_an_ordinary_uri_is_not_tricky(uri: str) -> None:
    assert not is_tricky_uri(uri)
