"""The record of a run as spans, by OpenTelemetry's conventions for generative AI and for MCP.

    invoke_agent clerk                       the run, where the agent names no trace of its own
    ├── chat qwen3-8b                        a model call
    ├── execute_tool pay                     a tool call
    │   └── wait_for_stamp                   how long it waited, with an event for each stamp
    └── execute_tool pay                     denied: no length, `error.type` says why

What the agent's `traceparent` names is the parent of its calls. Names beginning with `gen_ai.` and
`mcp.` are the conventions' (`semantic-conventions-genai`, all in development); there is none for
approvals or verdicts, so those are under `bailiwick.`. docs/telemetry.md has the table.
"""

from __future__ import annotations

from collections.abc import Iterable

from bailiwick.protocols.otlp.spans import (
    Attributes,
    Span,
    SpanEvent,
    SpanKind,
    Value,
    parent_of,
    span_id_of,
    trace_id_of,
)
from bailiwick.protocols.otlp.steps import CallStep, HoldStep, ModelStep, RunStep

MAX_NAME_CHARS = 256

_METHODS = {"tool": "tools/call", "resource": "resources/read", "prompt": "prompts/get"}
_PROVIDERS = {"messages": "anthropic"}
"""By dialect: the conventions want the provider whose form it has, whoever really serves it."""

_USAGE = {
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cached_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_written_tokens": "gen_ai.usage.cache_creation.input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
}
_ENDED_WELL = ("done", "running", "held")


def spans_of(run: RunStep | None, calls: Iterable[CallStep]) -> list[Span]:
    """Every span of a run, in the order of its calls. Pure; the same record gives the same ids.

    Args:
        run: gets a span of its own if one of the calls belongs to no trace of the agent's.
    """
    found: list[Span] = []
    bare = False
    for call in calls:
        bare = bare or parent_of(call.traceparent) is None
        found += call_spans(call)
    return [run_span(run), *found] if run is not None and bare else found


def run_span(run: RunStep) -> Span:
    """The span of a whole run."""
    attributes: dict[str, Value] = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": run.agent,
        "gen_ai.conversation.id": run.conversation or run.id,
        "bailiwick.run.id": run.id,
        "bailiwick.mandate": run.mandate,
    }
    if run.started_by:
        attributes["bailiwick.run.started_by"] = run.started_by
    return Span(
        trace_id=trace_id_of(run.id),
        span_id=span_id_of("run", run.id),
        parent_id="",
        name=f"invoke_agent {run.agent}",
        kind=SpanKind.INTERNAL,
        begin_ms=run.begin_ms,
        end_ms=max(run.begin_ms, run.end_ms),
        attributes=attributes,
    )


def call_spans(call: CallStep) -> list[Span]:
    """The span of one call, and that of its wait for a stamp. One that goes on has none yet."""
    if call.end_ms is None:
        return []
    trace, parent = parent_of(call.traceparent) or (
        trace_id_of(call.run),
        span_id_of("run", call.run),
    )
    error = _error(call)
    attributes = {**_about(call), **_ours(call), **call.content}
    if error:
        attributes["error.type"] = error
    span = Span(
        trace_id=trace,
        span_id=span_id_of("call", call.id),
        parent_id=parent,
        name=_name(call),
        kind=SpanKind.CLIENT,
        begin_ms=call.begin_ms,
        end_ms=max(call.begin_ms, call.end_ms),
        attributes=attributes,
        events=(SpanEvent("bailiwick.verdict", call.begin_ms, _verdict(call)),),
        error=error,
    )
    return [span] if call.hold is None else [span, _wait(call, call.hold, span)]


def _wait(call: CallStep, hold: HoldStep, above: Span) -> Span:
    end_ms = max(hold.opened_ms, above.end_ms if hold.decided_ms is None else hold.decided_ms)
    stamps = tuple(
        SpanEvent(
            "bailiwick.stamp",
            stamp.at_ms,
            {
                "bailiwick.stamp.person": stamp.person,
                "bailiwick.stamp.decision": stamp.decision,
                "bailiwick.stamp.method": stamp.method,
            },
        )
        for stamp in hold.stamps
    )
    attributes: dict[str, Value] = {
        "bailiwick.hold.id": hold.id,
        "bailiwick.hold.state": hold.state,
        "bailiwick.hold.stamps_needed": hold.count,
        "bailiwick.hold.wait_ms": end_ms - hold.opened_ms,
        "bailiwick.call.id": call.id,
        "bailiwick.run.id": call.run,
    }
    if hold.role:
        attributes["bailiwick.hold.role"] = hold.role
    return Span(
        trace_id=above.trace_id,
        span_id=span_id_of("hold", hold.id),
        parent_id=above.span_id,
        name="wait_for_stamp",
        kind=SpanKind.INTERNAL,
        begin_ms=hold.opened_ms,
        end_ms=end_ms,
        attributes=attributes,
        events=stamps,
    )


# --- attributes ----------------------------------------------------------------------------------


def _about(call: CallStep) -> dict[str, Value]:
    """What the conventions ask of a call of its kind."""
    found: dict[str, Value] = {
        "gen_ai.agent.name": call.agent,
        "gen_ai.conversation.id": call.conversation or call.run,
    }
    name = call.name[:MAX_NAME_CHARS]
    if call.kind == "model":
        return {**found, **_of_model(call, call.model or ModelStep("chat"))}
    if call.kind in ("tool", "command"):
        found["gen_ai.operation.name"] = "execute_tool"
        found["gen_ai.tool.name"] = name
        found["gen_ai.tool.type"] = "extension"
        if call.tool_call:
            found["gen_ai.tool.call.id"] = call.tool_call[:MAX_NAME_CHARS]
    elif call.kind == "prompt":
        found["gen_ai.prompt.name"] = name
    method = _METHODS.get(call.kind, name if call.kind == "client" else "")
    if method:
        found["mcp.method.name"] = method
        if call.edge.startswith("mcp/"):
            found["mcp.protocol.version"] = call.edge.removeprefix("mcp/")
    return found


def _of_model(call: CallStep, model: ModelStep) -> dict[str, Value]:
    found: dict[str, Value] = {
        "gen_ai.operation.name": _operation(model),
        "gen_ai.provider.name": _PROVIDERS.get(model.dialect, "openai"),
        "gen_ai.request.model": call.name[:MAX_NAME_CHARS],
        "bailiwick.dialect": model.dialect,
        **model.request,
    }
    host, port = model.server
    if host:
        found["server.address"], found["server.port"] = host, port
    if model.served:
        found["gen_ai.response.model"] = model.served
    if model.finish_reasons:
        found["gen_ai.response.finish_reasons"] = model.finish_reasons
    if model.asked_as:
        found["bailiwick.model.asked_as"] = model.asked_as[:MAX_NAME_CHARS]
    if model.substitute:
        found["bailiwick.model.substitute"] = True
    if model.http_status:
        found["http.response.status_code"] = model.http_status
    for name, count in model.usage.items():
        found[_USAGE.get(name, f"bailiwick.usage.{name}")] = count
    return found


def _ours(call: CallStep) -> dict[str, Value]:
    found: dict[str, Value] = {
        "bailiwick.call.id": call.id,
        "bailiwick.run.id": call.run,
        "bailiwick.kind": call.kind,
        "bailiwick.mandate": call.mandate,
        "bailiwick.upstream": call.upstream,
        "bailiwick.state": call.state,
        **_verdict(call),
    }
    optional = {
        "bailiwick.edge": call.edge,
        "bailiwick.principal": call.principal,
        "bailiwick.owner": call.owner,
        "bailiwick.policies": call.policies,
        "bailiwick.said_and_did": call.said_and_did,
        "bailiwick.asked_by": call.asked_by,
    }
    found.update((name, value) for name, value in optional.items() if value)
    if call.hold is not None:
        found["bailiwick.hold.id"] = call.hold.id
    return found


def _verdict(call: CallStep) -> Attributes:
    return {
        "bailiwick.verdict": call.decision,
        "bailiwick.verdict.code": call.code,
        "bailiwick.rules": call.rules,
    }


def _operation(model: ModelStep) -> str:
    if model.counts_only:
        return "count_tokens"
    return "embeddings" if model.dialect == "embeddings" else "chat"


def _name(call: CallStep) -> str:
    """The span's name: of few kinds, so nothing an agent made up, and no URI."""
    if call.kind == "model":
        operation = _operation(call.model or ModelStep("chat"))
    else:
        operation = {"tool": "execute_tool", "command": "execute_tool"}.get(
            call.kind, _METHODS.get(call.kind, "")
        )
    if not operation:  # a server asks the client: its name is that of the method
        return call.name[:MAX_NAME_CHARS]
    if call.kind == "resource" or call.decision == "deny":
        return operation
    return f"{operation} {call.name[:MAX_NAME_CHARS]}"


def _error(call: CallStep) -> str:
    """`error.type`: the refusal's code, the server's status, or that the tool said so."""
    if call.state in _ENDED_WELL:
        return ""
    if call.ended_as:
        return call.ended_as
    if call.state == "denied":
        return call.code
    if call.kind == "model" and call.model is not None and call.model.http_status >= 400:
        return str(call.model.http_status)
    return "tool_error" if call.kind == "tool" and call.state == "failed" else call.state
