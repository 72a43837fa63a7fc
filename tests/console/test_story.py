"""A run as a story: what was thought, asked, decided and done, in order and in bounds."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bailiwick.console.story import Stories
from bailiwick.console.story_json import step_json
from bailiwick.console.story_steps import (
    MAX_REASONING_CHARS,
    MAX_TEXT_CHARS,
    MAX_VALUE_BYTES,
    linked,
    step_of,
)
from bailiwick.console.story_told import MAX_TOLD, request_of
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.errors import TheirError
from bailiwick.core.limits.limit import SUM_SCALE
from bailiwick.ports import CallPath, CallRow, CallState, HoldRow, HoldState, StampRow
from bailiwick.ports.story import Step
from tests.console.conftest import House

DOCS = Path(__file__).parents[2] / "docs/reference/api.md"

SAID: JsonObject = {
    "model": "tiny-0001",
    "id": "chatcmpl-1",
    "finish": "tool_calls",
    "text": "I pay it.",
    "error": "",
    "cut": False,
    "reasoning": [
        {"visibility": "full", "text": "Rent is due."},
        {"visibility": "encrypted", "text": "gAAA"},
        {"visibility": "omitted", "text": ""},
    ],
    "tool_calls": [{"id": "c1", "name": "bank__pay", "arguments": '{"amount": 5}'}],
    "hosted_calls": [{"id": "w1", "name": "web_search", "arguments": "rent"}],
    "usage": {"input": 7, "cached": None, "output": 2, "reasoning": 1, "cache_written": None},
}
ASKED: JsonObject = {
    "model": "assistant",
    "temperature": 0.5,
    "stream": True,
    "logit_bias": {str(n): 1 for n in range(200)},
    "messages": [
        {"role": "system", "content": "You pay."},
        {"role": "assistant", "content": "Yes?"},
        {"role": "user", "content": [{"type": "text", "text": "Pay."}, {"type": "image_url"}]},
        {"role": "tool", "tool_call_id": "c0", "content": "balance 3"},
    ],
    "tools": [
        {"type": "function", "function": {"name": "bank__pay"}},
        {"type": "web_search"},
        "odd",
    ],
}


def row(kind: str = "model", call: str = "01A", **more: Any) -> CallRow:
    return CallRow(
        **{
            "id": call,
            "at_ms": 1_000,
            "run": "01R",
            "agent": "clerk",
            "mandate": "pay@3",
            "principal": "ada",
            "kind": kind,
            "upstream": "local" if kind == "model" else "bank",
            "name": "tiny" if kind == "model" else "pay",
            "digest": "d",
            "state": CallState.DONE,
            "code": "",
            "because": "allowed by x",
            "hold": "",
            "ended_ms": 3_000,
            "intent_index": 4,
            "outcome_index": 5,
            **more,
        }
    )


def path(
    call: CallRow,
    intent: Json,
    outcome: Json,
    facts: Mapping[str, Json] | None = None,
    hold: HoldRow | None = None,
    **leaf: Json,
) -> CallPath:
    first: dict[str, Json] = {
        "type": "call.intent",
        "at": 1_000,
        "decision": "allow",
        "code": "allowed",
        "rules": ["pay@3/allow/1"],
        "edge": "llm/chat" if call.kind == "model" else "mcp/2026-07-28",
        "arguments": "aa",
        **leaf,
    }
    last: dict[str, Json] = {"type": "call.outcome", "at": 3_000, "result": "bb"}
    if facts is not None:
        last["facts"] = facts
    return CallPath(call, hold, intent, outcome, [(4, first), (5, last)])


FACTS: JsonObject = {
    "dialect": "chat",
    "http_status": 200,
    "served": "tiny-0001",
    "input_tokens": 7,
    "reasoning": {"full": 1, "encrypted": 1, "omitted": 1},
    "tool_calls": 1,
}


def thought() -> CallPath:
    return path(
        row(),
        {
            "call": {"arguments": ASKED},
            "because": "allowed by x",
            "use": {
                "asked_as": "assistant",
                "substitute": True,
                "because": "a/b busy",
                "bounds": {},
            },
            "retold": [{"match": "altered", "tool_call": "c0", "call": "019"}],
        },
        {"result": {}, "said": SAID, "used": {"cost:USD": SUM_SCALE // 4, "tokens": 9}},
        FACTS,
    )


def done(match: str = "matched", **more: Json) -> CallPath:
    told: dict[str, Json] = {"match": match, "model_call": "01A", "tool_call": "c1", **more}
    return path(
        row("tool", "01B"),
        {"call": {"arguments": {"amount": 5}}, "because": "allowed by y", "thought": told},
        {"result": {"content": [{"type": "text", "text": "paid"}]}},
    )


def test_a_model_call_tells_what_it_was_told_thought_said_and_asked_for() -> None:
    model = step_of(thought()).model
    assert model is not None
    assert (model.asked_as, model.substitute, model.served) == ("assistant", True, "tiny-0001")
    assert model.in_place_of == "a/b busy"
    assert model.parameters == {"temperature": 0.5, "stream": True}
    assert (model.messages, model.tools) == (4, ("bank__pay", "web_search"))
    assert [(each.role, each.text.text) for each in model.told] == [
        ("user", "Pay.\n[image_url]"),
        ("tool", "balance 3"),
    ]
    assert model.usage == {"input": 7, "output": 2, "reasoning": 1}
    assert model.cost == {"USD": "0.25"}
    assert model.reasoning is not None
    assert [(each.visibility, each.text, each.chars) for each in model.reasoning] == [
        ("full", "Rent is due.", 12),
        ("encrypted", "", 4),
        ("omitted", "", 0),
    ]
    assert model.text is not None
    assert (model.text.text, model.finish) == ("I pay it.", "tool_calls")
    assert [each.name for each in model.hosted] == ["web_search"]
    assert model.retold == ({"match": "altered", "tool_call": "c0", "call": "019"},)


def test_a_tool_call_leads_back_to_the_thought_and_the_thought_to_the_call() -> None:
    steps = linked([step_of(thought()), step_of(done())])
    assert steps[0].model is not None
    assert steps[0].model.asked[0].calls == ("01B",)
    assert (steps[1].said_and_did, steps[1].asked_by, steps[1].tool_call) == (
        "matched",
        "01A",
        "c1",
    )
    altered = step_of(done("altered", differences=["amount"]))
    assert (altered.said_and_did, altered.differences) == ("altered", ("amount",))
    assert linked([step_of(done())])[0].model is None


@pytest.mark.parametrize(("code", "ended"), [("allowed", ""), ("approved", ""), ("gone", "gone")])
def test_only_what_did_not_go_well_ended_as_something(code: str, ended: str) -> None:
    done_well = done()
    assert step_of(replace(done_well, call=replace(done_well.call, code=code))).ended_as == ended


def test_a_held_call_tells_who_stamped_and_how_long_it_waited() -> None:
    stamp = StampRow("01H", "ben", "approve", "fine", "passkey", 2_500, "…", 6)
    hold = HoldRow(
        *("01H", "01B", "d", "pay@3", "clerk", "01R", "tool", "bank", "pay", "large", ()),
        *("approver", (), 1, "…", "n", 1_000, 9_000, HoldState.USED, 2_500, (stamp,)),
    )
    found = step_of(path(row("tool", "01B", hold="01H"), {}, {}, hold=hold)).hold
    assert found is not None
    assert (found.waited_ms, found.stamps[0].person, found.stamps[0].reason) == (
        1_500,
        "ben",
        "fine",
    )
    waiting = replace(hold, state=HoldState.WAITING, decided_ms=None, stamps=())
    still = step_of(path(row("tool", "01B", hold="01H"), {}, {}, hold=waiting)).hold
    assert still is not None
    assert still.waited_ms is None


def test_what_was_erased_is_told_as_erased_and_counts_stay() -> None:
    step = step_of(path(row(), None, None, FACTS))
    assert step.erased == ("asked", "answered")
    assert step.model is not None
    assert (step.model.reasoning, step.model.messages) == (None, None)
    assert step.model.counts == {"full": 1, "encrypted": 1, "omitted": 1}
    assert step.model.usage == {"input": 7}
    tool = step_of(path(row("tool"), None, None, thought="altered"))
    assert (tool.said_and_did, tool.asked_by) == ("altered", "")
    assert (tool.arguments, tool.result, tool.because) == (None, None, "allowed by x")


def test_a_call_without_an_answer_is_not_told_as_erased() -> None:
    denied = row("tool", state=CallState.DENIED, code="not_in_mandate", outcome_index=None)
    whole = path(denied, {"call": {"arguments": {}}}, None, decision="deny")
    step = step_of(replace(whole, leaves=whole.leaves[:1]))
    assert (step.erased, step.decision, step.ended_as) == ((), "deny", "")


def test_long_texts_and_values_are_clipped_and_say_how_long_they_are() -> None:
    long = "x" * (MAX_TEXT_CHARS + 5)
    said = {
        **SAID,
        "text": long,
        "reasoning": [{"visibility": "full", "text": long}] * 6,
        "tool_calls": [{"id": "c", "name": "n", "arguments": long}] * 300,
    }
    model = step_of(path(row(), {}, {"said": said}, FACTS)).model
    assert model is not None
    assert model.text is not None
    assert model.reasoning is not None
    assert (len(model.text.text), model.text.chars) == (MAX_TEXT_CHARS, len(long))
    assert sum(len(each.text) for each in model.reasoning) == MAX_REASONING_CHARS
    assert [each.chars for each in model.reasoning] == [len(long)] * 6
    assert (len(model.asked), model.cut) == (256, True)
    big = {"a": "x" * MAX_VALUE_BYTES}
    tool = step_of(path(row("tool"), {"call": {"arguments": big}}, {"result": big}))
    assert tool.arguments is not None
    assert tool.arguments.value is None
    assert tool.arguments.head.startswith('{"a":"xxx')
    assert tool.arguments.bytes == MAX_VALUE_BYTES + 8


@pytest.mark.parametrize(
    ("outcome", "value", "failed"),
    [
        ({"result": {"isError": True}}, {"isError": True}, True),
        ({"error": {"code": 1}}, {"code": 1}, True),
        ({"kind": "result", "bytes": 9, "head": "{", "sha256": "x"}, None, False),
    ],
)
def test_what_came_back(outcome: JsonObject, value: Json, failed: bool) -> None:
    step = step_of(path(row("tool"), {}, outcome))
    assert step.result is not None
    assert (step.result.value, step.failed) == (value, failed)


@pytest.mark.parametrize(
    "odd",
    [
        None,
        "x",
        [],
        {"call": None, "said": {"reasoning": 5}, "use": [], "used": {"cost:USD": "x"}},
        {"call": {"arguments": {"messages": 7, "tools": 3, "input": None}}, "said": "x"},
        {"unreadable": "damaged", "thought": {"match": 3}, "retold": "x"},
        {"call": {"arguments": {"messages": [None, 3, [[]], {"content": {"content": {}}}]}}},
    ],
)
def test_no_payload_breaks_a_story(odd: Json) -> None:
    for kind in ("model", "tool"):
        step = step_of(path(row(kind), odd, odd, {"reasoning": "x", "http_status": "x"}))
        assert json.dumps(step_json(step))


def test_of_a_long_conversation_the_newest_messages_are_told() -> None:
    messages = [{"role": "user", "content": f"m{n}"} for n in range(MAX_TOLD + 4)]
    told = request_of({"messages": messages}).told
    assert [each.text.text for each in told] == [f"m{n}" for n in range(4, MAX_TOLD + 4)]
    items: Sequence[Json] = [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "go"}]},
        {"type": "reasoning", "summary": []},
        {"type": "function_call", "name": "pay"},
        {"type": "function_call_output", "call_id": "c", "output": "paid"},
    ]
    assert [(m.role, m.text.text) for m in request_of({"input": items}).told] == [
        ("function_call_output", "paid")
    ]
    assert [m.text.text for m in request_of({"input": "just words"}).told] == ["just words"]


def documented(heading: str) -> Any:
    block = re.search(rf"\*\*{heading}\*\*.*?\n\n```json\n(.*?)```", DOCS.read_text(), re.S)
    assert block is not None
    return json.loads(block[1])


def keys(value: Any) -> Any:
    """The names in a JSON value, levels deep; of lists their first item's."""
    if isinstance(value, dict):
        return {name: keys(each) for name, each in value.items()}
    return keys(value[0]) if isinstance(value, list | tuple) and value else None


def test_steps_have_the_shape_of_the_documentation() -> None:
    stamp = StampRow("01H", "ben", "approve", "fine", "passkey", 2_500, "…", 6)
    hold = HoldRow(
        *("01H", "01B", "d", "pay@3", "clerk", "01R", "tool", "bank", "pay", "large", ()),
        *("approver", (), 1, "…", "n", 1_000, 9_000, HoldState.USED, 2_500, (stamp,)),
    )
    tool, model = step_json(step_of(replace(done(), hold=hold))), step_json(step_of(thought()))
    expected = documented("Step")
    assert set(tool) == set(expected)
    for name in ("hold", "arguments", "leaves"):
        shown, wanted = keys(tool[name]), keys(expected[name])
        if name == "arguments":  # what is in it is the tool's own
            shown, wanted = set(shown), set(wanted)
        assert shown == wanted, name
    assert set(model) == {*expected, "model"} - {"arguments", "result", "failed"}
    shown, wanted = keys(model["model"]), keys(documented("Thought"))
    for own in ("parameters", "usage", "cost", "counts", "told", "hosted"):
        del shown[own], wanted[own]
    assert shown == wanted


async def test_a_story_is_told_page_by_page(house: House) -> None:
    api = house.api("ben")
    run = (await api.get("/api/v1/runs?limit=1")).json["runs"][0]["id"]
    rows = (await api.get(f"/api/v1/calls?run={run}&limit=500")).json["calls"]
    assert len(rows) > 2
    told, after = [], ""
    while True:
        page = (await api.get(f"/api/v1/runs/{run}/story?limit=2&after={after}")).json
        assert page["run"]["id"] == run
        told += [step["id"] for step in page["steps"]]
        if page["next"] is None:
            break
        assert page["next"] == told[-1]
        after = page["next"]
    assert told == [each["id"] for each in reversed(rows)]


async def test_what_is_no_run_or_no_call_of_it_is_refused(house: House) -> None:
    api = house.api("ben")
    answer = await api.get("/api/v1/runs/nothing/story")
    assert (answer.status, answer.json["error"]["code"]) == (404, "run_unknown")
    runs = (await api.get("/api/v1/runs?limit=9")).json["runs"]
    rows, other = house.day.records.call_rows, "7ZZZZZZZZZZZZZZZZZZZZZZZZZ"
    rows[other] = replace(next(iter(rows.values())), id=other, run="another")
    answer = await api.get(f"/api/v1/runs/{runs[0]['id']}/story?after={other}")
    assert (answer.status, answer.json["error"]["code"]) == (404, "call_unknown")
    for limit in ("0", "501", "x"):
        answer = await api.get(f"/api/v1/runs/{runs[0]['id']}/story?limit={limit}")
        assert answer.status == 400


async def test_a_story_needs_a_person(house: House) -> None:
    client = house.api("mallory")
    assert (await client.get("/api/v1/runs/x/story")).status == 401


async def test_a_page_ends_where_much_was_opened(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bailiwick.console.story.MAX_PAGE_BYTES", 1)
    real = house.day.control.path

    async def heavy(call_id: str) -> CallPath | None:
        found = await real(call_id)
        return None if found is None else replace(found, opened_bytes=2)

    monkeypatch.setattr(house.day.control, "path", heavy)
    run = (await house.day.records.runs())[0]
    story = await Stories(house.day.records, house.day.control).page(run.id)
    assert len(story.steps) == 1
    assert story.following == story.steps[0].id


async def test_what_an_agent_s_telemetry_tells_stands_with_its_call(house: House) -> None:
    run = (await house.day.records.runs())[0]
    first = (await Stories(house.day.records, house.day.control).page(run.id)).steps[0].id

    async def spans(run_id: str, _steps: Sequence[Step]) -> Mapping[str, Sequence[JsonObject]]:
        assert run_id == run.id
        return {first: [{"name": "plan"}], "": [{"name": "invoke_agent"}]}

    story = await Stories(house.day.records, house.day.control, spans).page(run.id)
    assert story.steps[0].spans == ({"name": "plan"},)
    assert story.spans == ({"name": "invoke_agent"},)
    with pytest.raises(TheirError, match="no run"):
        await Stories(house.day.records, house.day.control).page("x")
