"""A run as a story: who told it what, and step by step what was thought, asked, decided and done.

Texts and values are clipped, so that a page of a story has a bounded size; `chars` and `bytes` say
how long they are, and the call's own path has them whole. What was erased with its person's key is
None, and named in `Step.erased`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.ports.control import RunShown

MAX_STEPS = 500
"""Most steps of one page."""


@dataclass(frozen=True, slots=True)
class ClippedText:
    """A text, or its beginning; `chars` is the length of all of it."""

    text: str
    chars: int


@dataclass(frozen=True, slots=True)
class ClippedValue:
    """A JSON value; None where it is too long, and then `head` is the beginning of its text."""

    value: Json
    bytes: int
    head: str = ""


@dataclass(frozen=True, slots=True)
class ReasoningPiece:
    """One piece of reasoning; `visibility` as in `protocols.llm.dialect.Visibility`.

    What is `encrypted` can be read by the model's maker only, so its text is not shown.
    """

    visibility: str
    text: str
    chars: int


@dataclass(frozen=True, slots=True)
class ToolAsked:
    """One tool call that the model asked for.

    Attributes:
        id: the model's own id of it; may be "".
        calls: ids of the calls on this page that were found to be it.
    """

    id: str
    name: str
    arguments: ClippedText
    calls: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """One thing that the model was told; `role` is the dialect's word."""

    role: str
    text: ClippedText


@dataclass(frozen=True, slots=True)
class ModelSaid:
    """What only a model call has.

    Attributes:
        asked_as: the name that the agent used; "" where that is not known.
        substitute: another model was to serve, and this one stood in for it.
        in_place_of: which one, and why: `local/qwen3-8b overloaded`; "" where it was erased.
        served: what the server says served it.
        parameters: of the request, without messages, tools and whatever else is long.
        messages: how many the request has; None where it was erased.
        told: the newest of them: all that follow what the model said last.
        tools: names of the tools offered.
        usage: tokens by the server's count: `input`, `cached`, `output`, `reasoning`, …
        cost: money by currency, in decimal text.
        reasoning: in the order in which it came; None where it was erased.
        counts: pieces of reasoning by visibility, also where they were erased.
        finish: why it ended, in the dialect's word; "" where that is not known.
        cut: more was said than was kept.
        hosted: what the model's server did with tools of its own; no gateway saw it.
        retold: how results that the request repeats stand to what came back
            (`core.thinking.said_and_did`).
    """

    dialect: str
    asked_as: str = ""
    substitute: bool = False
    in_place_of: str = ""
    served: str = ""
    http_status: int = 0
    parameters: JsonObject = field(default_factory=dict)
    messages: int | None = None
    told: Sequence[Message] = ()
    tools: Sequence[str] = ()
    usage: Mapping[str, int] = field(default_factory=dict)
    cost: Mapping[str, str] = field(default_factory=dict)
    reasoning: Sequence[ReasoningPiece] | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    text: ClippedText | None = None
    asked: Sequence[ToolAsked] = ()
    hosted: Sequence[ToolAsked] = ()
    finish: str = ""
    error: str = ""
    cut: bool = False
    retold: Sequence[JsonObject] = ()


@dataclass(frozen=True, slots=True)
class StampShown:
    """One person's stamp on a hold."""

    person: str
    decision: str
    reason: str
    method: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Waited:
    """How long a call waited for people; `waited_ms` None while it waits."""

    id: str
    state: str
    role: str
    count: int
    at_ms: int
    decided_ms: int | None
    waited_ms: int | None
    stamps: Sequence[StampShown]


@dataclass(frozen=True, slots=True)
class LeafShown:
    """One entry of the ledger about a step, with its commitments as they stand there."""

    index: int
    type: str
    at_ms: int
    commitments: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Step:
    """One call of a run.

    Attributes:
        chain: every mandate it was judged under, as `NAME@VERSION`, root first.
        decision, code, rules, because: the verdict, and why.
        ended_as: why it ended as it did; "" if it went well.
        arguments: of anything but a model call; None where they were erased.
        result: what came back, of anything but a model call; `failed` when that was an error.
        model: of a model call.
        said_and_did: how it stands to what the model asked for (`core.thinking.said_and_did`);
            "" where nothing is recorded of that.
        asked_by: the model call that asked for it, "" for none; `tool_call` is the model's id.
        differences: where its arguments differ from what was asked for, as argument paths.
        erased: of `asked` and `answered`, what was destroyed with its person's key.
        spans: what the agent's own telemetry tells of it.
    """

    id: str
    kind: str
    upstream: str
    name: str
    at_ms: int
    ended_ms: int | None
    state: str
    ended_as: str
    mandate: str
    chain: Sequence[str]
    decision: str
    code: str
    rules: Sequence[str]
    because: str
    edge: str
    traceparent: str
    hold: Waited | None
    arguments: ClippedValue | None
    result: ClippedValue | None
    failed: bool
    model: ModelSaid | None
    said_and_did: str
    asked_by: str
    tool_call: str
    differences: Sequence[str]
    erased: Sequence[str]
    leaves: Sequence[LeafShown]
    spans: Sequence[JsonObject] = ()


@dataclass(frozen=True, slots=True)
class Story:
    """A page of a run's story.

    Attributes:
        chain: every mandate that the run's first call on this page was judged under.
        steps: oldest first.
        following: id of the last step, where more follow: what `after` takes; else "".
        entry: the entry in which the run began.
        spans: what the agent's own telemetry tells of the run, and of no call in particular.
    """

    run: RunShown
    chain: Sequence[str]
    steps: Sequence[Step]
    following: str
    entry: LeafShown | None = None
    spans: Sequence[JsonObject] = ()
