"""An agent's own spans beside the steps of a story, and in the API."""

from __future__ import annotations

from dataclasses import replace

from bailiwick.console.agent_spans import MAX_ATTRIBUTES, MAX_SHOWN, MAX_TEXT_CHARS
from bailiwick.console.story import Stories
from bailiwick.core.canonical import JsonObject
from bailiwick.ports import CallPath, RunSpans, SpanBatch
from tests.console.conftest import House

TRACE, SPAN = "a" * 32, "b" * 16


def span(**changed: object) -> JsonObject:
    whole: dict[str, object] = {
        "trace_id": TRACE,
        "span_id": SPAN,
        "name": "chat tiny",
        "begin_ns": "1795341600000000000",
        "end_ns": "1795341600250000000",
        "attributes": {"why": "x" * 1_000, "tries": 3},
        "resource": {},
    }
    return {**whole, **changed}  # type: ignore[dict-item]  # JSON


async def told(house: House, *spans: JsonObject) -> str:
    """Attach spans to the newest run; its id."""
    run = (await house.day.records.runs())[0].id
    batch = SpanBatch("01B", 7, "t1", 3, spans)
    house.day.control.shown_spans[run] = RunSpans(run, (batch,))
    return run


async def traced(house: House, call: str) -> None:
    """Let a call have come with the span as its parent."""
    path = await house.day.control.path(call)
    assert path is not None
    parent = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
    leaves = [(index, {**leaf, **parent}) for index, leaf in path.leaves]
    house.day.control.paths[call] = CallPath(
        path.call, path.hold, path.intent, path.outcome, leaves
    )


async def test_a_span_stands_with_the_call_that_names_it_as_its_parent(house: House) -> None:
    run = await told(house, span(), span(span_id="c" * 16, name="plan", status=2))
    stories = Stories(house.day.records, house.day.control)
    await traced(house, (await stories.page(run)).steps[0].id)
    story = await stories.page(run)
    (own,) = story.steps[0].spans
    (other,) = story.spans
    assert (own["name"], own["claimed_by"], own["error"]) == ("chat tiny", "agent", False)
    assert (own["at_ms"], own["ended_ms"]) == (1795341600000, 1795341600250)
    assert (other["name"], other["error"]) == ("plan", True)


async def test_what_is_shown_of_spans_is_bounded(house: House) -> None:
    many = {f"a{n}": {"deep": "y" * 1_000} for n in range(100)}
    run = await told(house, *[span(attributes=many)] * (MAX_SHOWN + 5))
    story = await Stories(house.day.records, house.day.control).page(run)
    assert len(story.spans) == MAX_SHOWN
    attributes = story.spans[0]["attributes"]
    assert isinstance(attributes, dict)
    assert len(attributes) == MAX_ATTRIBUTES
    assert all(len(str(value)) == MAX_TEXT_CHARS + 1 for value in attributes.values())


async def test_damaged_spans_are_shown_as_far_as_they_go(house: House) -> None:
    run = await told(house, {}, span(begin_ns=5, attributes=[1], name=None))
    story = await Stories(house.day.records, house.day.control).page(run)
    assert [(each["name"], each["at_ms"], each["attributes"]) for each in story.spans] == [
        ("", 0, {}),
        ("", 0, {}),
    ]


async def test_the_api_tells_whose_word_spans_are(house: House) -> None:
    run = await told(house, span())
    house.day.control.shown_spans[run] = replace(
        house.day.control.shown_spans[run], following="01B"
    )
    client = house.api("ben")
    answer = await client.get(f"/api/v1/runs/{run}/spans")
    assert answer.status == 200
    body = answer.json
    assert (body["run"], body["claimed_by"], body["next"]) == (run, "agent", "01B")
    (batch,) = body["batches"]
    assert (batch["id"], batch["token"], batch["entry"], batch["erased"]) == ("01B", "t1", 3, False)
    assert batch["spans"][0]["name"] == "chat tiny"
    assert (await client.get("/api/v1/runs/none/spans")).status == 404
