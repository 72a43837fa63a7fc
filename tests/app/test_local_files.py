"""Where paths lead on this machine, held against the system's own answer."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bailiwick.app import local_files
from bailiwick.app.local_files import MAX_AT_ONCE, MAX_TEXTS, LocalFiles, real, where
from bailiwick.core.call import Call, CallKind, Target
from bailiwick.core.conditions import Under, permits, triggers
from bailiwick.core.links import led

NAMES = ("a", "b", "c")
names = st.sampled_from(NAMES)
places = st.lists(names, min_size=1, max_size=3).map("/".join)
targets = st.one_of(
    places,
    st.tuples(st.integers(1, 4), places).map(lambda up: "../" * up[0] + up[1]),
    places.map(lambda place: f"ROOT/{place}"),
    places.map(lambda place: f"OUTSIDE/{place}"),
    st.sampled_from(("ROOT", "OUTSIDE", ".", "..", "../..")),
)
trees = st.lists(
    st.tuples(places, st.one_of(st.none(), st.just("file"), targets.map(lambda to: f"->{to}"))),
    max_size=8,
)


def plant(base: Path, tree: Sequence[tuple[str, str | None]]) -> None:
    """Make folders, files and links, as far as nothing stands in their way."""
    for place, kind in tree:
        path = base / place
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if kind is None:
                path.mkdir()
            elif kind == "file":
                path.write_text("")
            else:
                to = kind[2:].replace("ROOT", f"{base}/root").replace("OUTSIDE", f"{base}/out")
                path.symlink_to(to)
        except OSError:
            continue


def is_within(value: str, root: str) -> bool:
    """What the system says: `root` itself or below, by where both lead."""
    try:
        os.stat(value)
    except FileNotFoundError:
        pass
    except NotADirectoryError:
        pass
    except OSError:  # a loop
        return False
    there, top = os.path.realpath(value), os.path.realpath(root)
    return os.path.commonpath([there, top]) == top


@settings(max_examples=200, deadline=None)
@given(trees, places, st.booleans(), st.booleans())
def test_under_agrees_with_realpath_on_trees_full_of_links(
    tree: Sequence[tuple[str, str | None]], place: str, by_link: bool, relative: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        base = Path(os.path.realpath(folder))
        (base / "root").mkdir()
        (base / "out").mkdir()
        plant(base / "root", tree)
        if by_link:
            (base / "alias").symlink_to("root")
        root = f"{base}/alias" if by_link else f"{base}/root"
        named, value = (".", place) if relative else (root, f"{root}/{place}")
        leads = where(root, (named, value))
        call = Call.of("c", Target(CallKind.TOOL, "s", "t"), {"path": value})
        judged = led(call, leads).judged
        within = is_within(f"{root}/{place}", root)
        condition = Under(("path",), (named,))
        assert permits(condition, judged) is within
        assert triggers(condition, judged)  # in doubt a deny rule applies
        assert not leads or set(leads) == {named, value}


@settings(max_examples=150, deadline=None)
@given(trees, places)
def test_a_path_leads_where_the_kernel_goes(
    tree: Sequence[tuple[str, str | None]], place: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        base = Path(os.path.realpath(folder))
        (base / "root").mkdir()
        plant(base / "root", tree)
        path = f"{base}/root/{place}"
        try:
            there = os.stat(path)
        except OSError:
            return
        assert os.path.samestat(there, os.lstat(real(path)))
        assert real(path) == os.path.realpath(path)


def test_what_may_not_be_read_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(path: str) -> str:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "readlink", forbidden)
    assert where("", ("/work", "/work/a")) == {"/work": "", "/work/a": ""}


def test_two_dots_of_a_link_beyond_what_is_missing_are_not_told(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("missing/../../etc")
    assert where("", (f"{tmp_path}/link",)) == {f"{tmp_path}/link": ""}


def test_a_link_whose_text_is_no_text_is_not_told(tmp_path: Path) -> None:
    os.symlink(b"\xff", os.fsencode(tmp_path) + b"/link")
    assert where("", (f"{tmp_path}/link",)) == {f"{tmp_path}/link": ""}


def test_a_relative_path_without_a_folder_is_not_told() -> None:
    assert where(None, ("a", "/")) == {"a": "", "/": "/"}


async def test_a_file_system_that_hangs_stops_nobody_and_leads_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hung, go_on = 0, Event()

    def hang(folder: str | None, texts: Sequence[str]) -> Mapping[str, str]:
        nonlocal hung
        if folder == "/slow":
            hung += 1
            go_on.wait(60)
        return {}

    monkeypatch.setattr(local_files, "where", hang)
    files = LocalFiles(seconds=0.2)
    try:
        looks = [files.leads("slow", "/slow", ("/a",)) for _ in range(2 * MAX_AT_ONCE)]
        assert await asyncio.gather(*looks) == [{"/a": ""}] * 2 * MAX_AT_ONCE
        assert hung == MAX_AT_ONCE  # no more than these ever wait
        assert await files.leads("other", "/quick", ("/a",)) == {}
    finally:
        go_on.set()
    patient = LocalFiles(seconds=30)
    assert await patient.leads("slow", "/slow", ("/a",)) == {}


async def test_more_paths_than_are_looked_at_are_not_told() -> None:
    texts = tuple(f"/{number}" for number in range(MAX_TEXTS + 1))
    assert await LocalFiles().leads("s", "", texts) == dict.fromkeys(texts, "")
    assert await LocalFiles().leads("s", "", texts[1:]) == {}
