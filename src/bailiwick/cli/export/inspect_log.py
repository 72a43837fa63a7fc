"""An exported run as a log of Inspect AI, one sample long, that its viewer opens.

    model call                     ModelEvent: reasoning, answer, tool calls, usage, raw request
    tool call, and all the rest    ToolEvent
    a denial, a hold               ApprovalEvent by the mandate: `reject`, `escalate`
    a stamp                        ApprovalEvent by the person

Each event's metadata has the call's entries of the ledger. Source: log version 2 of `inspect_ai`
0.3.285 (MIT), which reads it in tests/evals.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from bailiwick.cli.export.inspect_messages import (
    assistant_message,
    chat_messages,
    stop_reason,
)
from bailiwick.cli.export.view import (
    Exported,
    answer_of,
    arguments_of,
    asked,
    because_of,
    instruction_of,
    leaf_of,
    ledger_of,
    mapping,
    number,
    objects,
    said_of,
    thought_of,
    use_of,
    word,
)
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.protocols.llm.dialect import Said, Usage

LOG_VERSION = 2

_FLOATS = ("temperature", "top_p", "frequency_penalty", "presence_penalty")
_WHOLE = ("seed", "top_k")
_MOST_TOKENS = ("max_completion_tokens", "max_output_tokens", "max_tokens")
_ERRORS = {"denied": "permission", "refused": "approval", "cancelled": "cancelled"}
"""States → Inspect's words for why a tool gave no result."""

_UNENDED = ("running", "held")


def inspect_log(exported: Exported, version: str) -> JsonObject:
    """The log as JSON. Pure.

    Args:
        version: of this software.
    """
    run = exported.run
    events = [event for call in exported.calls for event in _events(call, number(run, "at_ms"))]
    ends = [number(call, "ended_ms") for call in exported.calls]
    ended = max([number(run, "at_ms"), number(run, "ended_ms"), *ends])
    open_calls = any(word(call, "state") in _UNENDED for call in exported.calls)
    times = {"started_at": _time(number(run, "at_ms")), "completed_at": _time(ended)}
    return {
        "version": LOG_VERSION,
        "status": "started" if open_calls else "success",
        "eval": _spec(exported, version),
        "plan": {"name": "plan", "steps": []},
        "stats": {**times, "model_usage": _total(exported)},
        "samples": [{**_sample(exported), **times, "events": events}],
    }


def _spec(exported: Exported, version: str) -> JsonObject:
    run = exported.run
    models = [_model_name(call) for call in exported.calls if word(call, "kind") == "model"]
    return {
        "created": _time(number(run, "at_ms")),
        "eval_id": word(run, "id"),
        "run_id": word(run, "id"),
        "task_id": word(run, "id"),
        "task": f"bailiwick/{word(run, 'mandate')}",
        "dataset": {"name": "run", "samples": 1, "sample_ids": [word(run, "id")]},
        "model": models[0] if models else "none/none",
        "config": {},
        # Models and servers wrote what is in it: it is shown as text, never rendered.
        "viewer": {"trust_content": False},
        "packages": {"bailiwick": version},
        "metadata": {
            name: run.get(name)
            for name in ("id", "agent", "mandate", "started_by", "person", "supplier", "states")
        },
    }


def _sample(exported: Exported) -> dict[str, Json]:
    """The run as one sample: its last conversation, and what the model said last."""
    messages: list[JsonObject] = []
    output: JsonObject = {"model": "", "choices": []}
    for call in reversed(exported.calls):
        said = said_of(call) if word(call, "kind") == "model" else None
        if said is not None:
            messages = [*chat_messages(arguments_of(call)), assistant_message(said)]
            output = _output(call, said)
            break
    return {
        "id": word(exported.run, "id"),
        "epoch": 1,
        "input": instruction_of(exported.run),
        "target": "",
        "messages": messages,
        "output": output,
        "model_usage": _total(exported),
        "metadata": {"entries": exported.run.get("entries")},
    }


def _events(call: JsonObject, began_ms: int) -> Iterator[JsonObject]:
    """The events of one call, in order."""
    verdict = _verdict(call)
    if verdict:
        yield {**verdict, **_when(number(call, "at_ms"), began_ms)}
    for stamp in objects(mapping(call.get("hold")).get("stamps")):
        approved = word(stamp, "decision") == "approve"
        yield {
            "event": "approval",
            **_when(number(stamp, "at_ms"), began_ms),
            "message": because_of(call),
            "call": _tool_call(call),
            "approver": word(stamp, "person"),
            "decision": "approve" if approved else "reject",
            "explanation": word(stamp, "reason"),
            "metadata": {"method": stamp.get("method"), "statement": stamp.get("statement")},
        }
    ended = number(call, "ended_ms")
    times: dict[str, Json] = dict(_when(number(call, "at_ms"), began_ms))
    if ended:
        times["completed"] = _time(ended)
        times["working_time"] = max(0, ended - number(call, "at_ms")) / 1000
    kind = _model if word(call, "kind") == "model" else _tool
    yield {**kind(call), **times}


def _verdict(call: JsonObject) -> JsonObject:
    """What the mandate decided, where it did not simply allow the call."""
    leaf = leaf_of(call, "call.intent")
    decision = {"deny": "reject", "hold": "escalate"}.get(word(leaf, "decision"))
    if decision is None:
        return {}
    return {
        "event": "approval",
        "message": because_of(call),
        "call": _tool_call(call),
        "approver": f"mandate {word(call, 'mandate')}",
        "decision": decision,
        "explanation": word(leaf, "code"),
        "metadata": {"rules": leaf.get("rules")},
    }


def _model(call: JsonObject) -> dict[str, Json]:
    body, said = arguments_of(call), said_of(call)
    answer, failed = answer_of(call)
    whole: dict[str, Json] = {
        "event": "model",
        "model": _model_name(call),
        "requested_model": word(use_of(call), "asked_as") or None,
        "input": chat_messages(body),
        "tools": list(_tools(body)),
        "tool_choice": "auto",
        "config": _config(body),
        "output": _output(call, said or Said()),
        "call": {
            "request": body,
            "response": answer if isinstance(answer, dict) else {"text": answer},
            "error": failed,
        },
        "metadata": ledger_of(call),
    }
    if failed or word(call, "state") in _ERRORS:
        whole["error"] = _why(call, answer)
    return whole


def _output(call: JsonObject, said: Said) -> JsonObject:
    facts = mapping(leaf_of(call, "call.outcome").get("facts"))
    output: dict[str, Json] = {
        "model": word(facts, "served") or _model_name(call),
        "choices": [{"message": assistant_message(said), "stop_reason": stop_reason(said.finish)}],
        "completion": said.text,
        "response_id": said.id or None,
    }
    if said.usage is not None:
        output["usage"] = _usage(said.usage)
    return output


def _tool(call: JsonObject) -> dict[str, Json]:
    answer, failed = answer_of(call)
    thought = thought_of(call)
    asked_for = None if thought is None else msgspec.to_builtins(thought)
    shape = _tool_call(call)
    whole: dict[str, Json] = {
        "event": "tool",
        "type": "function",
        "id": shape["id"],
        "function": shape["function"],
        "arguments": shape["arguments"],
        "result": _result(answer),
        "metadata": {**ledger_of(call), "said_and_did": asked_for},
    }
    refused = word(call, "state") in _ERRORS
    is_error = isinstance(answer, dict) and answer.get("isError") is True
    if failed or refused or is_error:
        kind = _ERRORS.get(word(call, "state"), "unknown")
        whole["error"] = {"type": kind, "message": _why(call, answer)}
        whole["failed"] = True
    return whole


def _tool_call(call: JsonObject) -> JsonObject:
    thought = thought_of(call)
    kind, name = word(call, "kind"), f"{word(call, 'upstream')}/{word(call, 'name')}"
    return {
        "id": (thought.tool_call if thought is not None else "") or word(call, "id"),
        "function": name if kind == "tool" else f"{kind} {name}",
        "arguments": arguments_of(call) if asked(call) else {},
        "type": "function",
    }


def _tools(body: JsonObject) -> Iterator[JsonObject]:
    """Names and descriptions; the schemas are in the raw request, in whatever form they have."""
    for tool in objects(body.get("tools")):
        named = mapping(tool.get("function")) or tool
        name = word(named, "name") or word(tool, "type")
        if name:
            yield {"name": name, "description": word(named, "description")}


def _config(body: JsonObject) -> JsonObject:
    found: dict[str, Json] = {
        name: value for name in _FLOATS if isinstance(value := body.get(name), int | float)
    }
    found.update({name: value for name in _WHOLE if type(value := body.get(name)) is int})
    most = [value for name in _MOST_TOKENS if type(value := body.get(name)) is int]
    return {**found, "max_tokens": max(most)} if most else found


def _total(exported: Exported) -> JsonObject:
    """Tokens of the whole run, by model."""
    totals: dict[str, dict[str, int]] = {}
    for call in exported.calls:
        said = said_of(call) if word(call, "kind") == "model" else None
        if said is None or said.usage is None:
            continue
        total = totals.setdefault(_model_name(call), {})
        for name, count in _usage(said.usage).items():
            if isinstance(count, int):
                total[name] = total.get(name, 0) + count
    return totals


def _usage(usage: Usage) -> JsonObject:
    taken, made = usage.input or 0, usage.output or 0
    return {
        "input_tokens": taken,
        "output_tokens": made,
        "total_tokens": taken + made,
        "input_tokens_cache_read": usage.cached,
        "input_tokens_cache_write": usage.cache_written,
        "reasoning_tokens": usage.reasoning,
    }


def _result(answer: Json) -> str:
    """A tool's result as text: its own texts, or else all of it as JSON."""
    content = objects(answer.get("content")) if isinstance(answer, dict) else []
    if content and all(part.get("type") == "text" for part in content):
        return "\n".join(word(part, "text") for part in content)
    if answer is None:
        return ""
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)


def _why(call: JsonObject, answer: Json) -> str:
    if answer is not None:
        return _result(answer)
    return word(call, "code") or word(call, "state")


def _model_name(call: JsonObject) -> str:
    return f"{word(call, 'upstream')}/{word(call, 'name')}"


def _when(at_ms: int, began_ms: int) -> JsonObject:
    return {"timestamp": _time(at_ms), "working_start": max(0, at_ms - began_ms) / 1000}


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
