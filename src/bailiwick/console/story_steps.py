"""One call of a run as a step of its story. Pure: a path in, a step out.

Whatever is in a payload comes from an agent, a model or a server: what is not of the form that was
recorded is left out, never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

import msgspec

from bailiwick.console.story_told import request_of
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.limits.limit import SUM_SCALE
from bailiwick.core.thinking.said_and_did import read_retold, read_thought, retold_payload
from bailiwick.ports import CallPath, HoldRow, HoldState
from bailiwick.ports.story import (
    ClippedText,
    ClippedValue,
    LeafShown,
    ModelSaid,
    ReasoningPiece,
    StampShown,
    Step,
    ToolAsked,
    Waited,
)
from bailiwick.protocols.llm.dialect import AskedTool, Reasoning, Said, Usage, Visibility
from bailiwick.protocols.llm.kept import said_of

MAX_TEXT_CHARS = 65_536
"""Longest text of a step that is told whole."""

MAX_REASONING_CHARS = 4 * MAX_TEXT_CHARS
"""Most of the reasoning of one step that is told, all its pieces together."""

MAX_VALUE_BYTES = 32 * 1024
"""Largest JSON value of a step that is told whole."""

MAX_ASKED = 256
"""Most tool calls asked for by one answer that are told."""

_HEAD_CHARS = 2_048
_COMMITMENTS = ("arguments", "result", "error", "said", "reasoning", "content", "instruction")
_COST = "cost:"
_OVER = (HoldState.USED, HoldState.APPROVED, HoldState.REFUSED)


def step_of(path: CallPath) -> Step:
    """The step that a call was. Never raises for what payloads hold."""
    call, leaf = path.call, _leaf(path, "call.intent")
    intent, outcome = _mapping(path.intent), _mapping(path.outcome)
    model = call.kind == "model"
    thought = read_thought(intent.get("thought"))
    answered = call.outcome_index is not None and any(
        name in _leaf(path, "call.outcome") for name in ("result", "error")
    )
    gone = [("asked", path.intent is None), ("answered", answered and path.outcome is None)]
    result, failed = (None, False) if model else _result(outcome)
    return Step(
        id=call.id,
        kind=call.kind,
        upstream=call.upstream,
        name=call.name,
        at_ms=call.at_ms,
        ended_ms=call.ended_ms,
        state=call.state.value,
        ended_as=call.ended_as,
        mandate=call.mandate,
        chain=_chain(leaf, call.mandate),
        decision=_word(leaf, "decision"),
        code=_word(leaf, "code"),
        rules=_words(leaf.get("rules")),
        because=_word(intent, "because") or call.because,
        edge=_word(leaf, "edge"),
        traceparent=_word(leaf, "traceparent"),
        hold=None if path.hold is None else _waited(path.hold),
        arguments=None if model else _arguments(intent),
        result=result,
        failed=failed,
        model=_model(path, intent, outcome) if model else None,
        # The public entry says this much also where the rest was erased.
        said_and_did=_word(leaf, "thought") if thought is None else thought.match.value,
        asked_by="" if thought is None else thought.model_call,
        tool_call="" if thought is None else thought.tool_call,
        differences=() if thought is None else thought.differences,
        erased=tuple(name for name, erased in gone if erased),
        leaves=tuple(leaf_shown(index, each) for index, each in path.leaves),
    )


def linked(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The same steps, each tool call asked for with the calls that were found to be it."""
    made: dict[tuple[str, str], list[str]] = {}
    for step in steps:
        if step.asked_by and step.tool_call:
            made.setdefault((step.asked_by, step.tool_call), []).append(step.id)
    return tuple(_with_calls(step, made) for step in steps)


def leaf_shown(index: int, leaf: JsonObject) -> LeafShown:
    """An entry of the ledger, with its commitments."""
    at_ms = leaf.get("at")
    found = {name: text for name in _COMMITMENTS if isinstance(text := leaf.get(name), str)}
    return LeafShown(index, _word(leaf, "type"), at_ms if isinstance(at_ms, int) else 0, found)


def clipped(text: str, most: int = MAX_TEXT_CHARS) -> ClippedText:
    """A text, or its beginning."""
    return ClippedText(text[:most], len(text))


# --- a model call --------------------------------------------------------------------------------


def _model(path: CallPath, intent: JsonObject, outcome: JsonObject) -> ModelSaid:
    facts = _mapping(_leaf(path, "call.outcome").get("facts"))
    use = _mapping(intent.get("use"))
    asked = _mapping(_mapping(intent.get("call")).get("arguments"))
    request = request_of(asked)
    said = said_of(outcome)
    status, counts = facts.get("http_status"), _mapping(facts.get("reasoning"))
    whole = said or Said()
    return ModelSaid(
        dialect=_word(facts, "dialect") or _edge(path).removeprefix("llm/"),
        asked_as=_word(use, "asked_as") or _word(asked, "model"),
        substitute=use.get("substitute") is True,
        in_place_of=_word(use, "because"),
        served=_word(facts, "served"),
        http_status=status if isinstance(status, int) else 0,
        parameters=request.parameters,
        messages=request.messages if asked else None,
        told=request.told,
        tools=request.tools,
        usage=_usage(whole.usage, facts),
        cost=_cost(_mapping(outcome.get("used"))),
        reasoning=None if said is None and counts else _reasoning(whole.reasoning),
        counts={name: count for name, count in counts.items() if isinstance(count, int)},
        text=clipped(whole.text) if whole.text else None,
        asked=tuple(_asked(each) for each in whole.tool_calls[:MAX_ASKED]),
        hosted=tuple(_asked(each) for each in whole.hosted_calls[:MAX_ASKED]),
        finish=whole.finish,
        error=whole.error or _error(outcome),
        cut=whole.cut or len(whole.tool_calls) > MAX_ASKED,
        retold=tuple(retold_payload(read_retold(intent.get("retold")))),
    )


def _reasoning(pieces: Sequence[Reasoning]) -> tuple[ReasoningPiece, ...]:
    left = MAX_REASONING_CHARS
    found: list[ReasoningPiece] = []
    for piece in pieces:
        readable = piece.visibility is not Visibility.ENCRYPTED
        shown = piece.text[: min(left, MAX_TEXT_CHARS)] if readable else ""
        left -= len(shown)
        found.append(ReasoningPiece(piece.visibility.value, shown, len(piece.text)))
    return tuple(found)


def _asked(call: AskedTool) -> ToolAsked:
    return ToolAsked(call.id, call.name, clipped(call.arguments, MAX_VALUE_BYTES))


def _usage(usage: Usage | None, facts: JsonObject) -> dict[str, int]:
    """Tokens as the answer says; where it was erased, as the public leaf has them."""
    if usage is not None:
        told = msgspec.structs.asdict(usage)
        return {name: count for name, count in told.items() if count is not None}
    end = "_tokens"
    return {
        name.removesuffix(end): count
        for name, count in facts.items()
        if name.endswith(end) and isinstance(count, int)
    }


def _cost(used: JsonObject) -> dict[str, str]:
    return {
        name.removeprefix(_COST): format(Decimal(steps) / SUM_SCALE, "f")
        for name, steps in used.items()
        if name.startswith(_COST) and isinstance(steps, int)
    }


def _error(outcome: JsonObject) -> str:
    error = outcome.get("error")
    why = _word(error, "broke_off") if isinstance(error, Mapping) else ""
    if why or error is None:
        return why
    return clipped(msgspec.json.encode(error).decode(), _HEAD_CHARS).text


# --- everything else -----------------------------------------------------------------------------


def _arguments(intent: JsonObject) -> ClippedValue | None:
    asked = _mapping(intent.get("call"))
    return _value(asked["arguments"]) if "arguments" in asked else None


def _result(outcome: JsonObject) -> tuple[ClippedValue | None, bool]:
    """What came back, and whether that is an error."""
    if "error" in outcome:
        return _value(outcome["error"]), True
    if "result" in outcome:
        result = outcome["result"]
        return _value(result), isinstance(result, Mapping) and result.get("isError") is True
    head, size = outcome.get("head"), outcome.get("bytes")
    if isinstance(head, str) and isinstance(size, int):
        return ClippedValue(None, size, head[:_HEAD_CHARS]), outcome.get("kind") == "error"
    return None, False


def _value(value: Json) -> ClippedValue:
    text = msgspec.json.encode(value)
    if len(text) <= MAX_VALUE_BYTES:
        return ClippedValue(value, len(text))
    return ClippedValue(None, len(text), text.decode()[:_HEAD_CHARS])


def _waited(hold: HoldRow) -> Waited:
    stamps = tuple(
        StampShown(each.person, each.decision, each.reason, each.method, each.at_ms)
        for each in hold.stamps
    )
    decided = hold.decided_ms
    if decided is None and stamps and hold.state in _OVER:
        decided = stamps[-1].at_ms
    waited = None if decided is None else max(0, decided - hold.at_ms)
    return Waited(
        hold.id, hold.state.value, hold.role, hold.count, hold.at_ms, decided, waited, stamps
    )


def _with_calls(step: Step, made: Mapping[tuple[str, str], list[str]]) -> Step:
    model = step.model
    if model is None or not any((step.id, each.id) in made for each in model.asked):
        return step
    asked = tuple(
        replace(each, calls=tuple(made.get((step.id, each.id), ()))) for each in model.asked
    )
    return replace(step, model=replace(model, asked=asked))


def _chain(leaf: JsonObject, mandate: str) -> tuple[str, ...]:
    chain = leaf.get("chain")
    links = chain if isinstance(chain, list | tuple) else ()
    return tuple(_word(link, "mandate") for link in links if isinstance(link, Mapping)) or (
        mandate,
    )


def _leaf(path: CallPath, kind: str) -> JsonObject:
    return next((leaf for _, leaf in path.leaves if leaf.get("type") == kind), {})


def _edge(path: CallPath) -> str:
    return _word(_leaf(path, "call.intent"), "edge")


def _mapping(value: Json) -> JsonObject:
    return value if isinstance(value, Mapping) else {}


def _word(value: JsonObject, key: str) -> str:
    found = value.get(key)
    return found if isinstance(found, str) else ""


def _words(value: Json) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        return ()
    return tuple(each for each in value if isinstance(each, str))
