"""What is written about a call and about the acts of people: leaves and their sealed payloads.

docs/ledger.md lists the fields. A leaf shows who, under which authority, what kind of thing, and
what was decided; arguments and results are committed to and lie sealed beside it. People stand in
leaves by pseudonym; their names lie in the payloads.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import starmap
from operator import attrgetter

import msgspec

from bailiwick.core.call import NOTHING, Call, CallKind
from bailiwick.core.canonical import Json, JsonObject, canonical
from bailiwick.core.errors import OurError
from bailiwick.core.flow.labels import Labels
from bailiwick.core.limits.limit import PERSON, Charge
from bailiwick.core.mandate import Mandate, authority
from bailiwick.core.thinking.asked_calls import OpenCall
from bailiwick.core.thinking.model_calls import recorded_use
from bailiwick.core.thinking.said_and_did import Retold, Thought, retold_payload, thought_payload
from bailiwick.core.verdict import Allow, Deny, Hold, Verdict
from bailiwick.gateway.run_facts import RunFacts
from bailiwick.ledger.call_leaf import IntentLeaf, OutcomeLeaf, encode_call_leaf, written
from bailiwick.ledger.commitment import SALT_BYTES, commit
from bailiwick.ledger.errors import LedgerError
from bailiwick.ledger.leaf import LeafType, LeafValue, encode_leaf
from bailiwick.ports import CallState, Entry, Settled, UpstreamReply, Vault

MAX_RECORDED_RESULT_BYTES = 256 * 1024

MAX_RECORDED_ANSWER_BYTES = 8 * 1024 * 1024
"""Of a model's answer, as JSON: whoever replays a run needs it whole."""

MAX_LEAF_NAME_CHARS = 256

MAX_KNOWN_CHAINS = 1_024
"""Chains whose place in a leaf is remembered as it is written."""

GATEWAY = "@gateway"
"""Whose key seals what the gateway did by itself. No person can have this name."""

_encode = msgspec.json.Encoder().encode

_DECISIONS = {kind: kind.__name__.lower() for kind in (Allow, Hold, Deny)}

_OF_PERSON = f"\n{PERSON}"


class CallContext(msgspec.Struct, frozen=True):
    """What stays the same over the life of one call.

    `subject` is the person whose key seals its payloads: the principal, for whom the agent acts.

    Attributes:
        chain: the mandates it was judged under, root first.
        labels: what its run has read; looked at anew whenever the call is judged.
        charges: what it takes of limits, as judged last.
        policies: version of the organisation's policies it was judged under; "" for none.
        asked_in: the run that asks, where the call was held for `run`, maybe another; else "".
        thought: of a tool call, how it stands to what the model asked for.
        retold: of a model call, how the results it repeats to the model stand to what came back.
        asked_for: what a tool call uses up of what its run's models asked for.
        offered: of a model call, the names of the tools that are offered to the model.
        address: where it came from, "" if that is not known or nothing depends on it.
    """

    call: Call
    run: str
    agent: str
    owner: str
    chain: tuple[Mandate, ...]
    edge: str
    traceparent: str
    token: str
    labels: Labels
    charges: tuple[Charge, ...] = ()
    policies: str = ""
    asked_in: str = ""
    thought: Thought | None = None
    retold: tuple[Retold, ...] = ()
    asked_for: OpenCall | None = None
    offered: tuple[str, ...] = ()
    address: str = ""

    @property
    def mandate(self) -> Mandate:
        """The one its agent acts under."""
        return self.chain[-1]

    @property
    def authority(self) -> str:
        """All of its chain, with versions: what a stamp is given for."""
        return authority(self.chain)

    @property
    def subject(self) -> str:
        """The principal."""
        return self.chain[-1].principal


class Recorder:
    """Builds entries. Pure but for randomness; the journal writes them."""

    def __init__(self, vault: Vault, random: Callable[[int], bytes] = os.urandom) -> None:
        self._vault = vault
        self._random = random
        self._chains: dict[str, tuple[tuple[Mandate, ...], msgspec.Raw]] = {}

    def intent(
        self,
        context: CallContext,
        verdict: Verdict,
        code: str,
        at_ms: int,
        hold: str = "",
        reserved: Sequence[Charge] = (),
        seen: JsonObject = NOTHING,
    ) -> Entry:
        """The entry written before a call can have any effect.

        Args:
            seen: what it was judged by besides itself (`core.seen`), to explain it later.
            reserved: what the same commit reserves; it is in the payload, so that an auditor can
                work every balance out again.
        """
        call, mandate = context.call, context.chain[-1]
        target, use, principal = call.target, call.use, mandate.principal
        kind = target.kind
        salt = self._random(SALT_BYTES)
        try:
            leaf: IntentLeaf = {
                "agent": context.agent,
                "arguments": commit(salt, call.canonical),
                "at": at_ms,
                "code": code,
                "decision": _DECISIONS[type(verdict)],
                "edge": context.edge,
                "id": call.id,
                "kind": kind._value_,  # `.value` costs a Python call
                "mandate": mandate.ref,
                "mandate_digest": mandate.digest,
                "owner": self._vault.pseudonym(context.owner),
                "principal": self._vault.pseudonym(principal),
                "rules": self._rules(verdict.rules),
                "run": context.run,
                "token": context.token,
                "type": "call.intent",
                "upstream": target.upstream,
                "v": 1,
            }
            if kind is not CallKind.RESOURCE and type(verdict) is not Deny:
                # Not of a resource: a URI may hold personal data. Not of what is denied: an agent
                # can make up any name, and a leaf can be read by anybody and is never erased.
                # Whole, it is part of what `arguments` commits to; a leaf has room for so much.
                leaf["name"] = target.name[:MAX_LEAF_NAME_CHARS]
            if context.traceparent:
                leaf["traceparent"] = context.traceparent
            if context.policies:
                leaf["policies"] = context.policies
            if context.thought is not None:
                leaf["thought"] = context.thought.match._value_
            if context.retold:
                leaf["retold"] = written(_counted(context.retold))
            if hold:
                leaf["hold"] = hold
            if use is not None and use.substitute:
                leaf["asked_as"], leaf["instead_of"] = use.asked_as, use.instead_of
            if len(context.chain) > 1:
                leaf["chain"] = self._links(context.chain)
            text = encode_call_leaf(leaf)
        except LedgerError as error:
            raise _not_recordable(error) from error
        payload: dict[str, object] = {
            "salt": salt.hex(),
            "call": _as_asked(call),
            "because": verdict.because,
            "principal": principal,
            "owner": context.owner,
        }
        if reserved:
            payload["reserved"] = list(starmap(_Charged, map(_of_charge, reserved)))
        if seen:
            payload["seen"] = seen
        _add_circumstances(context, payload)
        return Entry(text, self._vault.seal(principal, text, _encode(payload)))

    def _links(self, chain: tuple[Mandate, ...]) -> msgspec.Raw:
        """The mandates of a chain as they stand in leaves, written once: a mandate never changes,
        and a chain with another one in it is another chain."""
        known = self._chains.get(chain[-1].digest)
        if known is not None and known[0] is chain:
            return known[1]
        links = written([{"mandate": each.ref, "digest": each.digest} for each in chain])
        if len(self._chains) >= MAX_KNOWN_CHAINS:
            self._chains.clear()
        self._chains[chain[-1].digest] = chain, links
        return links

    def _rules(self, rules: tuple[str, ...]) -> tuple[str, ...]:
        """Ids of rules for a public leaf: a limit of a person's names her by pseudonym."""
        if _OF_PERSON not in "\n".join(("", *rules)):  # all at once: nearly always so
            return rules
        named: list[str] = []
        for rule in rules:
            if rule.startswith(PERSON):
                person, _, rest = rule[len(PERSON) :].partition("/")
                rule = f"{PERSON}{self._vault.pseudonym(person)}/{rest}"
            named.append(rule)
        return tuple(named)

    def outcome(
        self,
        context: CallContext,
        state: CallState,
        code: str,
        at_ms: int,
        reply: UpstreamReply | None = None,
        settled: Sequence[Settled] = (),
    ) -> Entry:
        """The entry written when a call ended, or when nothing is known of its end.

        Args:
            settled: how the same commit settles what the call has reserved.
        """
        if reply is None:
            return self.bare_outcome(context.call.id, context.run, state, code, at_ms)
        salt = self._random(SALT_BYTES)
        leaf = _ending(context.call.id, context.run, state, code, at_ms)
        if reply.result is not None:
            kind, body = "result", reply.result
            leaf["result"] = commit(salt, body)
        else:
            kind, body = "error", reply.error or b"null"
            leaf["error"] = commit(salt, body)
        model = context.call.target.kind is CallKind.MODEL
        bound = MAX_RECORDED_ANSWER_BYTES if model else MAX_RECORDED_RESULT_BYTES
        payload = {"salt": salt.hex(), **_recorded(kind, body, bound)}
        if reply.said:
            self._add_said(reply, leaf, payload)
        if reply.used:
            payload["used"] = reply.used
        if settled:
            payload["settled"] = [_settled(each) for each in settled]
        try:
            if reply.facts:
                leaf["facts"] = written(reply.facts)
            text = encode_call_leaf(leaf)
        except LedgerError as error:
            raise _not_recordable(error) from error
        principal = context.chain[-1].principal
        return Entry(text, self._vault.seal(principal, text, _encode(payload)))

    def _add_said(
        self, reply: UpstreamReply, leaf: OutcomeLeaf, payload: dict[str, object]
    ) -> None:
        """What a model said, whole. Its reasoning has a commitment of its own, so that it can be
        shown to somebody without the rest."""
        salt = self._random(SALT_BYTES)
        leaf["said"] = commit(salt, reply.said)
        payload["said"], payload["said_salt"] = msgspec.Raw(reply.said), salt.hex()
        if reply.reasoning:
            salt = self._random(SALT_BYTES)
            leaf["reasoning"] = commit(salt, reply.reasoning)
            payload["reasoning_salt"] = salt.hex()

    def bare_outcome(self, call_id: str, run: str, state: CallState, code: str, at: int) -> Entry:
        """An outcome of which nothing more is known (found after a restart, say)."""
        try:
            return Entry(encode_call_leaf(_ending(call_id, run, state, code, at)))
        except LedgerError as error:
            raise _not_recordable(error) from error

    def act(
        self,
        kind: LeafType,
        ident: str,
        at_ms: int,
        person: str,
        fields: Mapping[str, LeafValue],
        payload: JsonObject,
    ) -> Entry:
        """An act of a person (or of the gateway, `person` ""): stamp, apply, revoke, pin, token.

        `payload` is committed to as a whole in the leaf's `content` and sealed for the person.
        """
        fields = {**fields, "by": self._vault.pseudonym(person) if person else "gateway"}
        return self._act(kind, ident, at_ms, person or GATEWAY, fields, payload, {})

    def run(self, told: RunFacts, payload: JsonObject, subject: str, at_ms: int) -> Entry:
        """The entry of a run that begins. Its instruction has a commitment of its own, so that it
        can be shown to somebody without the rest.

        Args:
            payload: all it was told; sealed for `subject`.
        """
        fields: dict[str, LeafValue] = {
            "agent": told.agent,
            "mandate": told.mandate,
            "started_by": told.started_by,
            "by": self._vault.pseudonym(told.person) if told.person else "gateway",
        }
        opening: dict[str, object] = {}
        if told.instruction:
            salt = self._random(SALT_BYTES)
            fields["supplier"] = told.supplier
            fields["instruction"] = commit(salt, told.instruction.encode())
            opening["instruction_salt"] = salt.hex()
        return self._act(LeafType.RUN, told.run, at_ms, subject, fields, payload, opening)

    def _act(
        self,
        kind: LeafType,
        ident: str,
        at_ms: int,
        subject: str,
        fields: Mapping[str, LeafValue],
        payload: JsonObject,
        beside: Mapping[str, object],
    ) -> Entry:
        salt = self._random(SALT_BYTES)
        content = canonical(payload)
        leaf = _leaf(kind, ident, at_ms, {**fields, "content": commit(salt, content)})
        sealed = _encode({"salt": salt.hex(), "content": msgspec.Raw(content), **beside})
        return Entry(leaf, self._vault.seal(subject, leaf, sealed))

    async def prepare(self, people: Sequence[str], now_ms: int) -> None:
        """Make sure that payloads can be sealed for these people ("" is the gateway itself).

        Raises:
            StoreError: a key could not be made durable.
        """
        for person in people:
            if not self._vault.knows(person or GATEWAY):
                await self._vault.ensure(person or GATEWAY, now_ms)

    def ready(self, person: str) -> bool:
        """Whether `prepare` has nothing to do for this person."""
        return self._vault.knows(person)

    def open(self, leaf: bytes, sealed: bytes) -> Json:
        """A payload in clear. Raises VerificationError when damaged or erased."""
        value: Json = msgspec.json.decode(self._vault.open(leaf, sealed))
        return value

    def text(self, leaf: bytes, sealed: bytes) -> bytes:
        """A payload in clear, byte for byte. Raises as `open`."""
        return self._vault.open(leaf, sealed)


def _add_circumstances(context: CallContext, payload: dict[str, object]) -> None:
    """What is sealed with an intent of how its call came about."""
    if context.call.use is not None:
        payload["use"] = recorded_use(context.call.use)
    if context.thought is not None:
        payload["thought"] = thought_payload(context.thought)
    if context.retold:
        payload["retold"] = retold_payload(context.retold)
    facts = context.labels.facts
    if facts.end_user:
        payload["end_user"], payload["end_user_by"] = facts.end_user, facts.end_user_by
    if facts.zones is not None:
        payload["zones"] = sorted(facts.zones)


def _ending(call_id: str, run: str, state: CallState, code: str, at_ms: int) -> OutcomeLeaf:
    leaf: OutcomeLeaf = {
        "at": at_ms,
        "id": call_id,
        "run": run,
        "state": state._value_,
        "type": "call.outcome",
        "v": 1,
    }
    if code:
        leaf["code"] = code
    return leaf


def _leaf(kind: LeafType, ident: str, at_ms: int, fields: Mapping[str, LeafValue]) -> bytes:
    try:
        return encode_leaf(kind, ident, at_ms, fields)
    except LedgerError as error:
        raise _not_recordable(error) from error


def _not_recordable(error: LedgerError) -> OurError:
    return OurError("not_recordable", f"this cannot be recorded: {error.message}")


def _as_asked(call: Call) -> object:
    """The call, with the digest of its canonical form whatever the order of its names.

    A model's server sees names in the agent's order (in the schemas of offered tools, say), so that
    is kept: whoever replays a run needs it.
    """
    if call.target.kind is not CallKind.MODEL:
        return msgspec.Raw(call.canonical)
    asked: dict[str, object] = {
        "arguments": call.arguments,
        "kind": call.target.kind._value_,
        "name": call.target.name,
        "upstream": call.target.upstream,
    }
    if call.beside:
        asked["beside"] = call.beside
    return asked


class _Charged(msgspec.Struct, omit_defaults=True):
    """A charge as it is recorded, in this order: what is as usual is left out."""

    rule: str
    account: str
    amount: int
    ceiling: int
    unit: str = ""
    scale: int = 1
    key: str = ""
    member: str = ""
    since: int = 0


_of_charge = attrgetter(
    "rule", "account", "amount", "ceiling", "unit", "scale", "key", "member", "since_ms"
)


def _counted(retold: Sequence[Retold]) -> dict[str, LeafValue]:
    """How many results were told in which way."""
    return {match._value_: count for match, count in Counter(each.match for each in retold).items()}


def _settled(settled: Settled) -> dict[str, object]:
    whole: dict[str, object] = {"how": settled.how._value_}
    if settled.actual:
        whole["actual"] = settled.actual
    if settled.only:
        whole["only"] = settled.only
    return whole


def _recorded(kind: str, body: bytes, bound: int) -> dict[str, object]:
    if len(body) <= bound:
        return {kind: msgspec.Raw(body)}
    return {
        "kind": kind,
        "bytes": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
        "head": body[:bound].decode(errors="replace"),
    }
