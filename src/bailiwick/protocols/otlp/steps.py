"""What is told of a run in spans: plain facts, taken from the record or from the call itself."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from bailiwick.protocols.otlp.spans import Attributes

_NOTHING: Attributes = {}


class StampStep(msgspec.Struct, frozen=True):
    """One person's stamp. `person` is a name or a pseudonym, as the operator chose."""

    person: str
    decision: str
    at_ms: int
    method: str = ""


class HoldStep(msgspec.Struct, frozen=True):
    """How long a call waited for people.

    Attributes:
        state: `waiting`, `approved`, `used`, `refused`, `expired` or `withdrawn`.
        decided_ms: when it was decided or ended; None while it waits.
    """

    id: str
    opened_ms: int
    decided_ms: int | None
    state: str
    role: str = ""
    count: int = 1
    stamps: tuple[StampStep, ...] = ()


class ModelStep(msgspec.Struct, frozen=True):
    """What only a model call has.

    Attributes:
        dialect: `chat`, `responses`, `messages` or `embeddings`.
        served: what the server says served it.
        http_status: of the answer; 0 if there was none.
        request: parameters of the request under their names of the conventions.
        usage: tokens under the names of the outcome's `facts`: `input_tokens`, `output_tokens`,
            `cached_tokens`, `reasoning_tokens`, …
        asked_as: the name that the agent used.
        counts_only: only tokens were to be counted.
        server: host and port of what was asked; ("", 0) where it is not known.
    """

    dialect: str
    served: str = ""
    http_status: int = 0
    request: Attributes = _NOTHING
    usage: Mapping[str, int] = msgspec.field(default_factory=dict)
    finish_reasons: tuple[str, ...] = ()
    asked_as: str = ""
    substitute: bool = False
    counts_only: bool = False
    server: tuple[str, int] = ("", 0)


class CallStep(msgspec.Struct, frozen=True, kw_only=True):
    """One governed call.

    Attributes:
        kind: `tool`, `resource`, `prompt`, `client`, `model` or `command`.
        decision: `allow`, `hold` or `deny`; `code` and `rules` are the verdict's.
        state: how it stands (`ports.CallState`); `ended_as` its reason, "" if it went well.
        begin_ms, end_ms: Unix milliseconds; `end_ms` None while it goes on.
        principal, owner: names or pseudonyms.
        traceparent: as the agent sent it, or "".
        conversation: the agent's own name of the session; "" for none.
        tool_call: the id under which a model asked for this tool call, where it is known.
        asked_by: the model call in whose answer it was asked for; "" for none.
        said_and_did: how it stands to what was asked for (`core.thinking.said_and_did`); "" where
            nothing is known of that.
        content: what was said, as JSON under the names of the conventions; empty unless the
            operator wants it to go out.
    """

    id: str
    run: str
    agent: str
    mandate: str
    kind: str
    upstream: str
    name: str
    decision: str
    code: str
    state: str
    begin_ms: int
    end_ms: int | None
    rules: tuple[str, ...] = ()
    ended_as: str = ""
    edge: str = ""
    traceparent: str = ""
    principal: str = ""
    owner: str = ""
    policies: str = ""
    conversation: str = ""
    tool_call: str = ""
    asked_by: str = ""
    said_and_did: str = ""
    model: ModelStep | None = None
    hold: HoldStep | None = None
    content: Mapping[str, str] = msgspec.field(default_factory=dict)


class RunStep(msgspec.Struct, frozen=True):
    """The run that calls belong to.

    Attributes:
        end_ms: when its last call ended, or when it was ended itself.
        started_by: `person` or `agent`; "" where that is not known.
    """

    id: str
    agent: str
    mandate: str
    begin_ms: int
    end_ms: int
    conversation: str = ""
    started_by: str = ""
