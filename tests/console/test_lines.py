"""Lines of mandates on the pages: the tree, one place in it, the chain of a call."""

from __future__ import annotations

from dataclasses import replace

from bailiwick.console.lines import as_tree, place_of
from bailiwick.core.canonical import JsonObject, canonical
from bailiwick.ports import ObjectRow
from tests.console.conftest import House


def row(name: str, state: str = "active", **spec: object) -> ObjectRow:
    document: JsonObject = {"kind": "mandate", "name": name, "spec": {"to": "helper", **spec}}  # type: ignore[dict-item]  # of a test
    return ObjectRow("mandate", name, 1, "0" * 64, canonical(document).decode(), state, 1, "")


CHILD = row(
    "payables:reader",
    parent={"mandate": "payables@3", "digest": "0" * 64, "by": "agent clerk"},
    delegation={"to": ["helper-*", "other"], "depth": 2},
)


def test_a_tree_has_each_child_below_its_parent_and_loses_none() -> None:
    rows = [row("b:x"), row("a:c:d"), row("b"), row("a"), row("a:c"), row("gone:e")]
    assert [(depth, each.name) for depth, each in as_tree(rows)] == [
        (0, "a"),
        (1, "a:c"),
        (2, "a:c:d"),
        (0, "b"),
        (1, "b:x"),
        (0, "gone:e"),
    ]


def test_a_place_tells_what_stands_above_below_and_may_be_passed_on() -> None:
    top = row("payables", "suspended")
    below = row("payables:reader:end")
    place = place_of(CHILD, [top, CHILD, below, row("payables2:x")])
    assert (place.made_from, place.made_by) == ("payables@3", "agent clerk")
    assert place.leave == "to helper-*, other, 2 deep"
    assert [each.name for each in place.children] == ["payables:reader:end"]
    assert place.stopped_above == top
    assert place_of(below, [row("payables"), CHILD, below]).stopped_above is None


async def test_the_pages_show_the_line(house: House) -> None:
    house.day.records.object_rows.append(CHILD)
    ben = await house.sign_in("ben")
    page = (await ben.get("/mandates")).text
    assert page.index("payables<span") < page.index("payables:reader<span")
    page = (await ben.get("/mandates/payables%3Areader")).text
    assert "Part of" in page
    assert "passed on by agent clerk" in page
    assert "Passed on as" in (await ben.get("/mandates/payables")).text


async def test_a_call_shows_the_chain_it_was_judged_by(house: House) -> None:
    number, path = next(iter(house.day.control.paths.items()))
    index, leaf = path.leaves[0]
    chain = [{"mandate": name, "digest": "0" * 64} for name in ("payables@3", "payables:reader@1")]
    shown = replace(path, leaves=[(index, {**leaf, "chain": chain}), *path.leaves[1:]])
    house.day.control.paths[number] = shown
    page = (await (await house.sign_in("ben")).get(f"/calls/{number}")).text
    assert "Passed on in this line" in page
    assert page.index("payables@3</a> → ") < page.index("payables:reader@1</a>")


async def test_a_mandate_is_suspended_and_resumed_on_its_page(house: House) -> None:
    ada = await house.sign_in("ada")
    page = await ada.get("/mandates/payables")
    assert "Suspend this mandate" in page.text
    csrf = page.form["csrf"]
    answer = await ada.post("/mandates/payables/suspend", {"csrf": csrf, "reason": "odd"})
    assert answer.header("location") == "/mandates/payables?did=suspended"
    assert ("suspend", "ada", "payables", "odd") in house.day.control.acts
    page = await ada.get("/mandates/payables?did=suspended")
    assert "Nothing new is dispatched under it for now" in page.text
    assert "Resume this mandate" in page.text
    answer = await ada.post("/mandates/payables/resume", {"csrf": csrf, "reason": ""})
    assert answer.header("location") == "/mandates/payables?did=resumed"


async def test_suspending_without_the_forms_own_secret_does_nothing(house: House) -> None:
    ada = await house.sign_in("ada")
    for act in ("suspend", "resume"):
        assert (await ada.post(f"/mandates/payables/{act}", {"reason": ""})).status == 403
    assert not [act for act in house.day.control.acts if act[0] in ("suspend", "resume")]
