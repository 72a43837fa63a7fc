"""A run as a story in the browser: folded, searchable, joined; two runs side by side."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from bailiwick.console.compared import side_by_side, totals
from bailiwick.console.finding import MAX_FOUND, find, holds, marked
from bailiwick.console.story import Stories
from bailiwick.testing.sample_day import RUN, ulid
from bailiwick.testing.sample_runs import INSTRUCTION, Thinking, add_thinking_run
from tests.console.conftest import House

FIRST, SECOND = 5_000, 6_000


def thinks(house: House, number: int = FIRST, how: Thinking | None = None) -> str:
    return add_thinking_run(house.day, number, how)


def repeat(house: House, times: int) -> None:
    """Pay the first run's rent so many times more."""
    row = house.day.records.call_rows[ulid(FIRST + 2)]
    path = house.day.control.paths[row.id]
    for number in range(10, 10 + times):
        more = replace(row, id=ulid(FIRST + number))
        house.day.records.call_rows[more.id] = more
        house.day.control.paths[more.id] = replace(path, call=more)


async def page(house: House, path: str) -> str:
    answer = await (await house.sign_in("ben")).get(path)
    assert answer.status == 200, answer.text[:400]
    return answer.text


async def test_a_run_tells_what_was_thought_asked_and_done_and_joins_them(house: House) -> None:
    run = thinks(house)
    text = await page(house, f"/runs/{run}")
    thought, paid = ulid(FIRST + 1), ulid(FIRST + 2)
    assert text.index(f'id="c-{thought}"') < text.index(f'id="c-{paid}"')
    assert "The rent is due today" in text
    assert '<span class="sight full">full</span>' in text
    assert "Only the model&#39;s maker can read it." in text
    assert f'href="#c-{paid}">what became of it' in text, "from what was asked for to the effect"
    assert f'href="#c-{thought}">the model asked for it' in text, "and back to the reasoning"
    assert 'href="#instruction"' in text
    assert "for <strong>ben</strong>, who approved: <q>it is due</q>" in text
    assert "0.125 USD" in text
    assert "asked for as <code>assistant</code>" in text


async def test_reasoning_is_folded_until_a_search_finds_something_in_it(house: House) -> None:
    run = thinks(house)
    fold = re.compile(r'<details class="thought"( open)?>')
    closed = fold.search(await page(house, f"/runs/{run}"))
    assert closed is not None
    assert closed[1] is None
    text = await page(house, f"/runs/{run}?q=DUE+today")
    opened = fold.search(text)
    assert opened is not None
    assert opened[1] == " open"
    assert "<mark>due today</mark>" in text
    assert "1 of 2 steps hold <q>DUE today</q>" in text
    assert f'id="c-{ulid(FIRST + 2)}"' not in text, "steps without the words are left out"
    assert "0 of 2 steps hold" in await page(house, f"/runs/{run}?q=mortgage")


async def test_what_was_not_asked_for_or_otherwise_stands_out(house: House) -> None:
    run = thinks(house, how=Thinking(paid="9000.00", unasked=True))
    text = await page(house, f"/runs/{run}")
    assert "Not as <a" in text
    assert "<code>amount</code> differ" in text
    assert "The model asked for no such call." in text


async def test_results_told_otherwise_stand_out(house: House) -> None:
    run = thinks(house)
    paths, thought = house.day.control.paths, ulid(FIRST + 1)
    intent = paths[thought].intent
    assert isinstance(intent, dict)
    told = [
        {"match": match, "tool_call": "c0", "call": ulid(FIRST + 2)}
        for match in ("matched", "altered", "unasked", "shortened")
    ]
    paths[thought] = replace(paths[thought], intent={**intent, "retold": told})
    text = await page(house, f"/runs/{run}")
    assert text.count("It was told something else than") == 1
    assert text.count("It was told a result of a call that did not come through here.") == 1
    assert text.count("It was told a part of what") == 1


async def test_what_agents_and_models_write_is_never_html_and_hides_nothing(house: House) -> None:
    evil = "<script>alert(1)</script>\u202e</q> & done" + "x" * 700
    run = thinks(house, how=Thinking(reasoning=evil))
    for path in (
        f"/runs/{run}",
        f"/runs/{run}?q=%3Cscript%3E",
        f"/runs/compare?left={run}&right={run}",
    ):
        text = await page(house, path)
        assert "<script>alert" not in text
        assert "&lt;script&gt;" in text
        assert "RIGHT-TO-LEFT OVERRIDE" in text
        assert "<b>Landlord" not in text


async def test_a_link_from_a_call_leads_to_its_place_in_a_long_run(house: House) -> None:
    text = await page(house, f"/calls/{ulid(12)}")
    assert f"/runs/{RUN}?at={ulid(12)}#c-{ulid(12)}" in text
    ids = sorted(row.id for row in house.day.records.call_rows.values() if row.run == RUN)
    assert f'id="c-{ids[0]}"' in await page(house, f"/runs/{RUN}?at={ids[3]}")
    run = thinks(house)
    repeat(house, 30)
    last = await page(house, f"/runs/{run}?at={ulid(FIRST + 39)}")
    assert f'id="c-{ulid(FIRST + 39)}"' in last
    assert f'id="c-{ulid(FIRST + 30)}"' in last, "with a few steps before it"
    assert f'id="c-{ulid(FIRST + 1)}"' not in last
    back = f'href="/runs/{run}?at={ulid(FIRST + 1)}#c-{ulid(FIRST + 1)}">the model asked for it'
    assert back in last, "what is on another page is a page away"


async def test_calls_of_other_runs_open_nothing(house: House) -> None:
    run = thinks(house)
    for query in (f"at={ulid(12)}", f"after={ulid(12)}", "at=nothing"):
        answer = await (await house.sign_in("ben")).get(f"/runs/{run}?{query}")
        assert answer.status == 404


async def test_two_runs_stand_side_by_side_with_what_differs(house: House) -> None:
    left = thinks(house)
    right = thinks(
        house, SECOND, Thinking(model="hosted/big", amount="90.00", paid="90.00", unasked=True)
    )
    text = await page(house, f"/runs/compare?left={left}&right={right}")
    assert "2 steps differ, 1 stands alone, of 3." in text
    (model,) = re.findall(r"Differ in (model, [^<]*)<", text)
    assert model == "model, what served, tool calls asked for"
    assert "Differ in arguments<" in text
    assert "nothing here" in text
    same = await page(house, f"/runs/compare?left={left}&right={left}")
    assert "No difference in 2 steps." in same
    assert "Two runs side by side" in await page(house, "/runs/compare")
    missing = await (await house.sign_in("ben")).get(f"/runs/compare?left={left}&right=01NONE")
    assert missing.status == 404


async def test_model_calls_stand_beside_each_other_whichever_model_served(house: House) -> None:
    stories = Stories(house.day.records, house.day.control)
    one = (await stories.page(thinks(house))).steps
    other = (await stories.page(thinks(house, SECOND, Thinking(model="hosted/big")))).steps
    pairs = side_by_side(one, other)
    assert [(pair.left is not None, pair.right is not None) for pair in pairs] == [(True, True)] * 2
    assert pairs[0].differences == ("model", "what served")
    assert [pair.right for pair in side_by_side(one, ())] == [None, None]
    assert [pair.left for pair in side_by_side((), other)] == [None, None]
    sums = totals(one)
    assert (sums.calls, sums.tokens, sums.cost) == (
        2,
        {"input": 120, "output": 30},
        {"USD": "0.125"},
    )
    assert (sums.waited_ms, sums.said_and_did) == (20, {"matched": 1})


@pytest.mark.parametrize(
    "words", ["assistant", "LANDLORD", "it is due", "0001", "bank__transfer", "paid", "judged"]
)
async def test_whatever_a_step_says_can_be_found(house: House, words: str) -> None:
    stories = Stories(house.day.records, house.day.control)
    steps = (await stories.page(thinks(house))).steps
    expected = words != "assistant"  # a parameter is no text of anybody's
    assert any(holds(step, words) for step in steps) is expected


async def test_a_search_goes_on_where_it_stopped(house: House) -> None:
    run = ulid(FIRST)
    thinks(house)
    repeat(house, 2 * MAX_FOUND)
    stories = Stories(house.day.records, house.day.control)

    async def read(after: str):  # type: ignore[no-untyped-def]
        return await stories.page(run, after, 60)

    seen: list[str] = []
    after = ""
    for _ in range(9):
        _, found = await find("landlord", read, after)
        seen += [step.id for step in found.steps]
        after = found.following
        if not after:
            break
    assert len(seen) == len(set(seen)) == 2 * MAX_FOUND + 1
    text = await page(house, f"/runs/{run}?q=landlord")
    assert "Look further" in text


def test_words_are_marked_whatever_their_case_and_nothing_else_is_html() -> None:
    assert marked("Rent & RENT", "rent") == "<mark>Rent</mark> &amp; <mark>RENT</mark>"
    assert marked("a.b", ".") == "a<mark>.</mark>b"
    assert marked("<i>", "i") == "&lt;<mark>i</mark>&gt;"
    assert INSTRUCTION in marked(INSTRUCTION, "")
