"""What is written about a call and about the acts of people: leaves and their sealed payloads.

docs/ledger.md lists the fields. A leaf shows who, under which authority, what kind of thing, and
what was decided; arguments and results are committed to and lie sealed beside it. People stand in
leaves by pseudonym; their names lie in the payloads.
"""

from __future__ import annotations

import hashlib
import os
import re
from binascii import hexlify
from collections.abc import Callable, Mapping, Sequence

import msgspec

from bailiwick.core.call import NOTHING, CallKind
from bailiwick.core.canonical import Json, JsonObject, as_judged, canonical
from bailiwick.core.limits.limit import Charge
from bailiwick.core.verdict import Verdict
from bailiwick.gateway.call_context import CallContext
from bailiwick.gateway.intents import Intents, not_recordable
from bailiwick.gateway.run_facts import RunFacts
from bailiwick.ledger.call_form import result_leaf
from bailiwick.ledger.call_leaf import OutcomeLeaf, encode_call_leaf, written
from bailiwick.ledger.commitment import SALT_BYTES, commit
from bailiwick.ledger.errors import LedgerError
from bailiwick.ledger.leaf import LeafType, LeafValue, encode_leaf
from bailiwick.ports import CallState, Entry, Settled, Settlement, UpstreamReply, Vault

__all__ = ["GATEWAY", "CallContext", "Recorder"]

MAX_RECORDED_RESULT_BYTES = 256 * 1024

MAX_RECORDED_ANSWER_BYTES = 8 * 1024 * 1024
"""Of a model's answer, as JSON: whoever replays a run needs it whole."""

GATEWAY = "@gateway"
"""Whose key seals what the gateway did by itself. No person can have this name."""

_encode = msgspec.json.Encoder().encode
_POSTED = Settlement.POSTED  # a member of an enum takes five times as long to find as a name here
_ALL_POSTED = b',"settled":[{"how":"posted"}]}'
_LONG_NUMBER = re.compile(rb"[0-9]{16}").search


class Recorder:
    """Builds entries. Pure but for randomness; the journal writes them."""

    def __init__(self, vault: Vault, random: Callable[[int], bytes] = os.urandom) -> None:
        self._vault = vault
        self._random = random
        intents = Intents(vault, random)
        self.ready: Callable[[str], bool] = vault.knows
        """Whether `prepare` has nothing to do for a person."""
        self.form = intents.form
        self.opening = intents.write

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
        """The entry written before a call can have any effect. See `Intents`."""
        form = self.form(context, verdict, code, hold)
        return self.opening(form, context, at_ms, reserved, seen)[0]

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
        result, more = reply.result, code or reply.facts or reply.said or reply.used
        if result is None or more or len(result) > MAX_RECORDED_RESULT_BYTES:
            return self._told_outcome(context, state, code, at_ms, reply, settled)
        # As nearly all: there is nothing to say but the result.
        salt = self._random(SALT_BYTES)
        try:
            leaf = result_leaf(
                commit(salt, result), at_ms, context.call.id, context.run, state._value_
            )
        except LedgerError as error:
            raise not_recordable(error) from error
        end = _settled_end(settled) if settled else b"}"
        payload = b"".join((b'{"salt":"', hexlify(salt), b'","result":', result, end))
        return Entry(leaf, self._vault.seal(context.chain[-1].principal, leaf, payload))

    def _told_outcome(
        self,
        context: CallContext,
        state: CallState,
        code: str,
        at_ms: int,
        reply: UpstreamReply,
        settled: Sequence[Settled],
    ) -> Entry:
        """`outcome` of a call with more to say than its result."""
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
            raise not_recordable(error) from error
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
            raise not_recordable(error) from error

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

    def open(self, leaf: bytes, sealed: bytes) -> Json:
        """A payload in clear. Raises VerificationError when damaged or erased."""
        return read_payload(self._vault.open(leaf, sealed))

    def text(self, leaf: bytes, sealed: bytes) -> bytes:
        """A payload in clear, byte for byte. Raises as `open`."""
        return self._vault.open(leaf, sealed)


def read_payload(text: bytes) -> Json:
    """What an opened payload says; a call in it as it was judged."""
    value: Json = msgspec.json.decode(text)
    if isinstance(value, dict) and "call" in value and _LONG_NUMBER(text) is not None:
        value["call"] = as_judged(value["call"])
    return value


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
        raise not_recordable(error) from error


def _settled_end(settled: Sequence[Settled]) -> bytes:
    """The end of a payload that says how its call was settled."""
    first = settled[0]
    if len(settled) == 1 and first.how is _POSTED and not (first.actual or first.only):
        return _ALL_POSTED  # as it was reserved, nearly always
    return b',"settled":%b}' % _encode([*map(_settled, settled)])


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
