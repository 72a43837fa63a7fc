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

import msgspec

from bailiwick.core.asked_calls import OpenCall
from bailiwick.core.call import NOTHING, Call, CallKind
from bailiwick.core.canonical import Json, JsonObject, canonical
from bailiwick.core.errors import OurError
from bailiwick.core.flow import Labels
from bailiwick.core.limits import PERSON, Charge
from bailiwick.core.mandate import Mandate, authority
from bailiwick.core.model_calls import recorded_use
from bailiwick.core.said_and_did import Retold, Thought, retold_payload, thought_payload
from bailiwick.core.verdict import Deny, Verdict
from bailiwick.gateway.run_facts import RunFacts
from bailiwick.ledger.commitment import SALT_BYTES, commit
from bailiwick.ledger.errors import LedgerError
from bailiwick.ledger.leaf import LeafType, LeafValue, encode_leaf
from bailiwick.ports import CallState, Entry, Settled, UpstreamReply, Vault

MAX_RECORDED_RESULT_BYTES = 256 * 1024

MAX_RECORDED_ANSWER_BYTES = 8 * 1024 * 1024
"""Of a model's answer, as JSON: whoever replays a run needs it whole."""

MAX_LEAF_NAME_CHARS = 256

GATEWAY = "@gateway"
"""Whose key seals what the gateway did by itself. No person can have this name."""

_encode = msgspec.json.Encoder().encode


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
        call = context.call
        salt = self._random(SALT_BYTES)
        decision = type(verdict).__name__.lower()
        fields: dict[str, LeafValue] = {
            "agent": context.agent,
            "arguments": commit(salt, call.canonical),
            "decision": decision,
            "code": code,
            "edge": context.edge,
            "kind": call.target.kind._value_,  # `.value` costs a Python call
            "mandate": context.mandate.ref,
            "mandate_digest": context.mandate.digest,
            "owner": self._vault.pseudonym(context.owner),
            "principal": self._vault.pseudonym(context.subject),
            "rules": self._rules(verdict.rules),
            "run": context.run,
            "token": context.token,
            "upstream": call.target.upstream,
        }
        if call.target.kind is not CallKind.RESOURCE and not isinstance(verdict, Deny):
            # Not of a resource: a URI may hold personal data. Not of what is denied: an agent can
            # make up any name, and a leaf can be read by anybody and is never erased.
            # Whole, it is part of what `arguments` commits to; a leaf has room for so much only.
            fields["name"] = call.target.name[:MAX_LEAF_NAME_CHARS]
        if context.traceparent:
            fields["traceparent"] = context.traceparent
        if context.policies:
            fields["policies"] = context.policies
        if context.thought is not None:
            fields["thought"] = context.thought.match.value
        if context.retold:
            fields["retold"] = _counted(context.retold)
        if hold:
            fields["hold"] = hold
        use = call.use
        if use is not None and use.substitute:
            fields["asked_as"], fields["instead_of"] = use.asked_as, use.instead_of
        if len(context.chain) > 1:
            fields["chain"] = [
                {"mandate": mandate.ref, "digest": mandate.digest} for mandate in context.chain
            ]
        leaf = _leaf(LeafType.CALL_INTENT, call.id, at_ms, fields)
        payload: dict[str, object] = {
            "salt": salt.hex(),
            "call": _as_asked(call),
            "because": verdict.because,
            "principal": context.subject,
            "owner": context.owner,
        }
        if reserved:
            payload["reserved"] = [_charge(charge) for charge in reserved]
        if seen:
            payload["seen"] = seen
        payload |= _circumstances(context)
        return Entry(leaf, self._vault.seal(context.subject, leaf, _encode(payload)))

    def _rules(self, rules: Sequence[str]) -> LeafValue:
        """Ids of rules for a public leaf: a limit of a person's names her by pseudonym."""
        if not any(rule.startswith(PERSON) for rule in rules):
            return tuple(rules)
        named: list[LeafValue] = []
        for rule in rules:
            if rule.startswith(PERSON):
                person, _, rest = rule[len(PERSON) :].partition("/")
                rule = f"{PERSON}{self._vault.pseudonym(person)}/{rest}"
            named.append(rule)
        return named

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
        fields: dict[str, LeafValue] = {"state": state._value_, "run": context.run}
        if code:
            fields["code"] = code
        payload: dict[str, object] = {}
        if reply is not None:
            salt = self._random(SALT_BYTES)
            kind = "result" if reply.result is not None else "error"
            body = reply.result if reply.result is not None else reply.error or b"null"
            fields[kind] = commit(salt, body)
            if reply.facts:
                fields["facts"] = reply.facts
            model = context.call.target.kind is CallKind.MODEL
            bound = MAX_RECORDED_ANSWER_BYTES if model else MAX_RECORDED_RESULT_BYTES
            payload = {"salt": salt.hex(), **_recorded(kind, body, bound)}
            if reply.said:
                self._add_said(reply, fields, payload)
            if reply.used:
                payload["used"] = reply.used
            if settled:
                payload["settled"] = [_settled(each) for each in settled]
        leaf = _leaf(LeafType.CALL_OUTCOME, context.call.id, at_ms, fields)
        if not payload:
            return Entry(leaf)
        return Entry(leaf, self._vault.seal(context.subject, leaf, _encode(payload)))

    def _add_said(
        self, reply: UpstreamReply, fields: dict[str, LeafValue], payload: dict[str, object]
    ) -> None:
        """What a model said, whole. Its reasoning has a commitment of its own, so that it can be
        shown to somebody without the rest."""
        salt = self._random(SALT_BYTES)
        fields["said"] = commit(salt, reply.said)
        payload["said"], payload["said_salt"] = msgspec.Raw(reply.said), salt.hex()
        if reply.reasoning:
            salt = self._random(SALT_BYTES)
            fields["reasoning"] = commit(salt, reply.reasoning)
            payload["reasoning_salt"] = salt.hex()

    def bare_outcome(self, call_id: str, run: str, state: CallState, code: str, at: int) -> Entry:
        """An outcome found after a restart, when nothing but the record is left of the call."""
        fields = {"state": state.value, "run": run, "code": code}
        return Entry(_leaf(LeafType.CALL_OUTCOME, call_id, at, fields))

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


def _circumstances(context: CallContext) -> dict[str, object]:
    """What is sealed with an intent of how its call came about."""
    found: dict[str, object] = {}
    if context.call.use is not None:
        found["use"] = recorded_use(context.call.use)
    if context.thought is not None:
        found["thought"] = thought_payload(context.thought)
    if context.retold:
        found["retold"] = retold_payload(context.retold)
    facts = context.labels.facts
    if facts.end_user:
        found["end_user"], found["end_user_by"] = facts.end_user, facts.end_user_by
    if facts.zones is not None:
        found["zones"] = sorted(facts.zones)
    return found


def _leaf(kind: LeafType, ident: str, at_ms: int, fields: Mapping[str, LeafValue]) -> bytes:
    try:
        return encode_leaf(kind, ident, at_ms, fields)
    except LedgerError as error:
        raise OurError("not_recordable", f"this cannot be recorded: {error.message}") from error


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


def _charge(charge: Charge) -> dict[str, object]:
    whole: dict[str, object] = {
        "rule": charge.rule,
        "account": charge.account,
        "amount": charge.amount,
        "ceiling": charge.ceiling,
    }
    if charge.unit:
        whole["unit"] = charge.unit
    if charge.scale != 1:
        whole["scale"] = charge.scale
    if charge.key:
        whole["key"] = charge.key
    if charge.member:
        whole["member"] = charge.member
    if charge.since_ms:
        whole["since"] = charge.since_ms
    return whole


def _counted(retold: Sequence[Retold]) -> dict[str, LeafValue]:
    """How many results were told in which way."""
    return {match.value: count for match, count in Counter(each.match for each in retold).items()}


def _settled(settled: Settled) -> dict[str, object]:
    whole: dict[str, object] = {"how": settled.how.value}
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
