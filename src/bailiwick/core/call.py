"""What an agent asks for, parsed once and never changed.

A `Call` is the only thing `judge` looks at and the only thing dispatch may send: promise 2, what
runs is what was judged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

import msgspec

from bailiwick.core.canonical import Digest, JsonObject, canonical
from bailiwick.core.errors import TheirError

NOTHING: JsonObject = MappingProxyType({})
NO_LEADS: Mapping[str, str] = MappingProxyType({})

_encode = msgspec.json.Encoder(order="sorted").encode


class CallKind(StrEnum):
    """What is asked for. The value is the word used in mandates and records."""

    TOOL = "tool"
    RESOURCE = "resource"
    PROMPT = "prompt"
    CLIENT = "client"
    """A server asks the agent's side for something: sampling, elicitation or roots."""
    MODEL = "model"
    COMMAND = "command"


class Target(msgspec.Struct, frozen=True):
    """One thing behind the gateway: which upstream, and its own name for it.

    Written `upstream/name` in mandates; the first slash separates, so `name` may hold slashes
    (resource URIs do) and `upstream` may not.
    """

    kind: CallKind
    upstream: str
    name: str

    def __str__(self) -> str:
        return f"{self.upstream}/{self.name}"


class ModelUse(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a model call may take, bounded from above before it is sent, and how it came about.

    Attributes:
        bounds: most it can take, by what is taken, in the steps of `limits`: `input_tokens`,
            `output_tokens`, `tokens` (both together), `cost:USD` and other currencies. What
            nothing bounds is missing: a limit on it has no room for such a call.
        asked_as: the name that the agent used: an alias, or the model's own.
        substitute: another model was to serve, and this one stands in for it.
        because: of a substitute, which model was to serve, and why it did not: a word of
            `gateway.llm.failures`.
        instead_of: id of the call of that model, if it was asked.
        max_output: most tokens of its answer, over all its choices; None if nothing bounds it.
        tools: names of the tools that it offers the model, each once; a tool that the model's
            server brings along goes by its type.
        hosted: those of `tools` that the model's server may run by itself.
        removed: names of the tools that the agent offered, and that were taken out before it was
            judged.
        unbounded: for what is missing in `bounds`, why, for people and agents: `input_tokens`,
            `output_tokens`, and `price` where no price is declared.
    """

    bounds: Mapping[str, int]
    asked_as: str
    substitute: bool = False
    unbounded: Mapping[str, str] = msgspec.field(default_factory=dict)
    because: str = ""
    instead_of: str = ""
    max_output: int | None = None
    tools: tuple[str, ...] = ()
    hosted: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


class Call(msgspec.Struct, frozen=True):
    """One thing an agent asks for, under one mandate, in one run.

    Attributes:
        id: ULID, 26 characters, made by the gateway when the call arrives.
        target: what is asked for.
        arguments: tool or prompt arguments; `{}` for a resource; the params of a CLIENT request.
        canonical: canonical JSON of kind, upstream, name, arguments and, if there is any,
            `beside`: what is committed to.
        judged: `arguments` as conditions are asked of them: the same, but that paths in them know
            where they lead, if that is not where they say (`core.links`).
        beside: what else the request carries to the server, such as answers to what the server
            asked. No rule is about it, and a stamp binds it all the same.
        use: of a model call what it may take; None of any other.
        leads: where these paths lead, and the folders they are held to; "" where that cannot be
            told. Empty where all lead where they say, and where nobody looked.
    """

    id: str
    target: Target
    arguments: JsonObject
    canonical: bytes
    judged: JsonObject
    beside: JsonObject = NOTHING
    use: ModelUse | None = None
    leads: Mapping[str, str] = NO_LEADS

    @classmethod
    def of(
        cls,
        call_id: str,
        target: Target,
        arguments: JsonObject,
        beside: JsonObject = NOTHING,
        use: ModelUse | None = None,
    ) -> Call:
        """Fix a call. Raises TheirError `no_canonical_form` when its arguments have none."""
        asked = canonical(arguments)
        if beside:
            asked = b'%b,"beside":%b' % (asked, canonical(beside))
        try:
            rest = _encode(target)  # kind, name, upstream: in their canonical order
        except UnicodeEncodeError as error:
            raise TheirError("no_canonical_form", "its name holds a lone surrogate") from error
        whole = b'{"arguments":%b,%b' % (asked, rest[1:])
        return cls(call_id, target, arguments, whole, arguments, beside, use)

    @property
    def digest(self) -> Digest:
        """SHA-256 of `canonical`. Two calls with the same digest ask for exactly the same thing.

        Worked out when asked for: only calls that wait are told apart by it. It is unsalted, so it
        is kept with the encrypted payloads and never put in a ledger leaf.
        """
        return Digest(hashlib.sha256(self.canonical).hexdigest())
