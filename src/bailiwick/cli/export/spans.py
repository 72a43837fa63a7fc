"""An exported run as OTLP's JSON: the same spans that a live gateway sends."""

from __future__ import annotations

import json

from bailiwick.cli.export.view import (
    Exported,
    answer_of,
    arguments_of,
    asked,
    leaf_of,
    mapping,
    number,
    objects,
    said_of,
    thought_of,
    use_of,
    word,
)
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.ports import LET_RUN
from bailiwick.protocols.llm.kept import keep
from bailiwick.protocols.otlp.encode import to_json
from bailiwick.protocols.otlp.genai import spans_of
from bailiwick.protocols.otlp.messages import (
    input_messages,
    output_messages,
    system_instructions,
)
from bailiwick.protocols.otlp.requests import request_attributes
from bailiwick.protocols.otlp.steps import CallStep, HoldStep, ModelStep, RunStep, StampStep


def otlp_json(exported: Exported, version: str) -> JsonObject:
    """The run as one `ExportTraceServiceRequest`, with what was said in it.

    Args:
        version: of this software.
    """
    calls = [_call(each) for each in exported.calls]
    ends = [call.end_ms for call in calls if call.end_ms is not None]
    run = exported.run
    began = number(run, "at_ms")
    step = RunStep(
        id=word(run, "id"),
        agent=word(run, "agent"),
        mandate=word(run, "mandate"),
        begin_ms=began,
        end_ms=max([began, number(run, "ended_ms"), *ends]),
        started_by=word(run, "started_by"),
    )
    return to_json(spans_of(step, calls), {"service.name": "bailiwick"}, version)


def _call(call: JsonObject) -> CallStep:
    leaf = leaf_of(call, "call.intent")
    rules = leaf.get("rules")
    # A denial is over when it is made.
    ended = call.get("at_ms" if word(call, "state") == "denied" else "ended_ms")
    model = word(call, "kind") == "model"
    thought = thought_of(call)
    return CallStep(
        id=word(call, "id"),
        run=word(call, "run"),
        agent=word(call, "agent"),
        mandate=word(call, "mandate"),
        kind=word(call, "kind"),
        upstream=word(call, "upstream"),
        name=word(call, "name"),
        decision=word(leaf, "decision"),
        code=word(leaf, "code"),
        rules=tuple(str(each) for each in rules) if isinstance(rules, list) else (),
        state=word(call, "state"),
        ended_as=_ended_as(call),
        begin_ms=number(call, "at_ms"),
        end_ms=ended if isinstance(ended, int) else None,
        edge=word(leaf, "edge"),
        traceparent=word(leaf, "traceparent"),
        principal=word(leaf, "principal"),
        owner=word(leaf, "owner"),
        policies=word(leaf, "policies"),
        tool_call="" if thought is None else thought.tool_call,
        model=_model(call, leaf) if model else None,
        hold=_hold(mapping(call.get("hold"))),
        content=_said(call) if model else _done(call),
    )


def _ended_as(call: JsonObject) -> str:
    code = word(call, "code")
    return "" if call.get("outcome_index") is None or code in LET_RUN else code


def _model(call: JsonObject, leaf: JsonObject) -> ModelStep:
    facts = mapping(leaf_of(call, "call.outcome").get("facts"))
    said, use = said_of(call), use_of(call)
    path = mapping(asked(call).get("beside")).get("path")
    return ModelStep(
        dialect=word(leaf, "edge").partition("/")[2],
        served=word(facts, "served"),
        http_status=number(facts, "http_status"),
        request=request_attributes(arguments_of(call)),
        usage={
            name: count
            for name, count in facts.items()
            if name.endswith("_tokens") and isinstance(count, int)
        },
        finish_reasons=(said.finish,) if said is not None and said.finish else (),
        asked_as=word(use, "asked_as"),
        substitute=use.get("substitute") is True,
        counts_only=isinstance(path, str) and path.endswith("/count_tokens"),
    )


def _hold(hold: JsonObject) -> HoldStep | None:
    if not hold:
        return None
    decided = hold.get("decided_ms")
    return HoldStep(
        id=word(hold, "id"),
        opened_ms=number(hold, "at_ms"),
        decided_ms=decided if isinstance(decided, int) else None,
        state=word(hold, "state"),
        role=word(hold, "role"),
        count=number(hold, "count"),
        stamps=tuple(
            StampStep(
                word(each, "person"),
                word(each, "decision"),
                number(each, "at_ms"),
                word(each, "method"),
            )
            for each in objects(hold.get("stamps"))
        ),
    )


def _said(call: JsonObject) -> dict[str, str]:
    body, said = arguments_of(call), said_of(call)
    told: dict[str, Json] = {
        "gen_ai.input.messages": input_messages(body),
        "gen_ai.system_instructions": system_instructions(body),
        "gen_ai.output.messages": []
        if said is None
        else output_messages(json.loads(keep(said).said or b"{}")),
    }
    return {name: _text(value) for name, value in told.items() if value}


def _done(call: JsonObject) -> dict[str, str]:
    if not asked(call):
        return {}
    told = {"gen_ai.tool.call.arguments": _text(arguments_of(call))}
    answer, _ = answer_of(call)
    if answer is not None:
        told["gen_ai.tool.call.result"] = _text(answer)
    return told


def _text(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
