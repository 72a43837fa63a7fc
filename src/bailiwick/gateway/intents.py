"""What is written before a call can have any effect: its leaf, its payload and its row.

They say much of each other, and nearly all of it is the same for all calls that one rule lets one
token make of one tool. So it is laid out once as a form, and each call is filled into that.
"""

from __future__ import annotations

from binascii import hexlify
from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from bailiwick.core.call import NOTHING, Call, CallKind, ModelUse
from bailiwick.core.canonical import JsonObject
from bailiwick.core.errors import OurError
from bailiwick.core.limits.limit import PERSON, Charge
from bailiwick.core.line import Line
from bailiwick.core.mandate import Mandate
from bailiwick.core.seen import looked
from bailiwick.core.thinking.model_calls import recorded_use
from bailiwick.core.thinking.said_and_did import Retold, retold_payload, thought_payload
from bailiwick.core.verdict import Allow, Deny, Hold, Verdict
from bailiwick.gateway.call_context import CallContext, charged
from bailiwick.ledger.call_form import IntentForm
from bailiwick.ledger.call_leaf import IntentLeaf, written
from bailiwick.ledger.commitment import SALT_BYTES, commit
from bailiwick.ledger.errors import LedgerError
from bailiwick.ports import CallOpened, CallState, Entry, Vault

MAX_LEAF_NAME_CHARS = 256

MAX_FORMS = 1_024
MAX_FORM_BYTES = 4_096
"""Forms that are remembered, and the longest among them: what an agent names can be of any length,
and it can name anything that a rule lets through."""

_encode = msgspec.json.Encoder().encode

_DECISIONS = {
    Allow: ("allow", CallState.RUNNING),
    Hold: ("hold", CallState.HELD),
    Deny: ("deny", CallState.DENIED),
}

_MODEL = CallKind.MODEL  # a member of an enum takes five times as long to find as a name here

_OF_PERSON = f"\n{PERSON}"


class Form:
    """What intents have in common.

    Attributes:
        chain: the very mandates that they are judged under.
        line: what the chain asks of such calls, where judging them looks at more than the call
            itself (`core.seen.looked`); else None.
        leaf: of their leaves.
        payload: the end of what is sealed with them, but for the last brace.
        row: `CallOpened` from `agent` to `hold`.
    """

    __slots__ = ("chain", "leaf", "line", "payload", "row")

    def __init__(
        self,
        chain: tuple[Mandate, ...],
        leaf: IntentForm,
        payload: bytes,
        row: tuple[str, str, str, str, str, str, str, CallState, str, str, str],
        line: Line | None,
    ) -> None:
        self.chain = chain
        self.line = line
        self.leaf = leaf
        self.payload = payload
        self.row = row


class Intents:
    """Writes intents. Pure but for randomness."""

    def __init__(self, vault: Vault, random: Callable[[int], bytes]) -> None:
        self._vault = vault
        self._random = random
        self._forms: dict[tuple[str | tuple[str, ...], ...], Form] = {}

    def form(self, context: CallContext, verdict: Verdict, code: str, hold: str = "") -> Form:
        """What the call's intent has in common with others, from memory if it is there.

        INVARIANT: whatever stands in a form is in its key, or follows from its chain, which does
        not change. Only of what is allowed, since others quote the call, or are of one call alone.

        Args:
            hold: its id, where the call waits or has waited.

        Raises:
            OurError: `not_recordable`.
        """
        call, thought = context.call, context.thought
        target, use = call.target, call.use
        if hold or type(verdict) is not Allow or context.retold or (use and use.substitute):
            return self._lay_out(context, verdict, code, hold)
        key = (
            context.agent,
            context.edge,
            context.owner,
            context.policies,
            context.token,
            code,
            verdict.because,
            verdict.rules,
            "" if thought is None else thought.match._value_,
            target.kind._value_,  # `.value` costs a Python call
            target.upstream,
            target.name,
        )
        form = self._forms.get(key)
        if form is None or form.chain is not context.chain:
            form = self._lay_out(context, verdict, code, hold)
            if len(self._forms) >= MAX_FORMS:
                self._forms.clear()
            if form.leaf.size + len(form.payload) + len(target.name) <= MAX_FORM_BYTES:
                self._forms[key] = form
        return form

    def write(
        self,
        form: Form,
        context: CallContext,
        at_ms: int,
        reserved: Sequence[Charge] = (),
        seen: JsonObject = NOTHING,
    ) -> tuple[Entry, CallOpened]:
        """The entry of a call's intent, and the row of a call that is new.

        Args:
            form: the call's own.
            reserved: what the same commit reserves; it is in the payload, so that an auditor can
                work every balance out again.
            seen: what it was judged by besides itself (`core.seen`), to explain it later.

        Raises:
            OurError: `not_recordable`.
        """
        call, run, row = context.call, context.run, form.row
        ident, asked = call.id, call.canonical
        salt = self._random(SALT_BYTES)
        try:
            leaf = form.leaf.filled(commit(salt, asked), at_ms, ident, run, context.traceparent)
        except LedgerError as error:
            raise not_recordable(error) from error
        if call.target.kind is _MODEL:
            asked = _as_asked(call)
        beside = _beside(context, reserved, seen)
        end = b"," + _encode(beside)[1:] if beside else b"}"
        payload = b"".join((b'{"salt":"', hexlify(salt), b'","call":', asked, form.payload, end))
        entry = Entry(leaf, self._vault.seal(row[2], leaf, payload))
        return entry, CallOpened(ident, at_ms, run, *row)

    def _lay_out(self, context: CallContext, verdict: Verdict, code: str, hold: str) -> Form:
        call, chain, mandate = context.call, context.chain, context.chain[-1]
        target, use, principal = call.target, call.use, mandate.principal
        kind = target.kind
        decision, state = _DECISIONS[type(verdict)]
        leaf: IntentLeaf = {
            "agent": context.agent,
            "arguments": "",
            "at": 0,
            "code": code,
            "decision": decision,
            "edge": context.edge,
            "id": "",
            "kind": kind.value,
            "mandate": mandate.ref,
            "mandate_digest": mandate.digest,
            "owner": self._vault.pseudonym(context.owner),
            "principal": self._vault.pseudonym(principal),
            "rules": self._rules(verdict.rules),
            "run": "",
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
        if context.policies:
            leaf["policies"] = context.policies
        if context.thought is not None:
            leaf["thought"] = context.thought.match.value
        if context.retold:
            leaf["retold"] = _counted(context.retold)
        if hold:
            leaf["hold"] = hold
        if use is not None and use.substitute:
            leaf["asked_as"], leaf["instead_of"] = use.asked_as, use.instead_of
        if len(chain) > 1:
            leaf["chain"] = _links(chain)
        common = {"because": verdict.because, "principal": principal, "owner": context.owner}
        try:
            payload = _encode(common)
            whole = IntentForm(leaf)
        except (LedgerError, UnicodeEncodeError) as error:
            raise not_recordable(error) from error
        return Form(
            chain,
            whole,
            b"," + payload[1:-1],
            (
                *(context.agent, mandate.ref, principal, kind.value, target.upstream, target.name),
                call.digest if hold else "",  # what a retry is matched on; unsalted, so no more
                *(state, code, verdict.because if use is None else _because(verdict, use), hold),
            ),
            looked(chain, target, policies=context.policies != ""),
        )

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


def not_recordable(error: LedgerError | UnicodeEncodeError) -> OurError:
    """What is told of what has no place in a leaf."""
    why = error.message if isinstance(error, LedgerError) else "text holds a lone surrogate"
    return OurError("not_recordable", f"this cannot be recorded: {why}")


def _because(verdict: Verdict, use: ModelUse) -> str:
    """Why, and of a substitute also for what: a list of calls is to show what was swapped."""
    if not use.substitute:
        return verdict.because
    return f"{verdict.because}, in place of {use.because} (asked for as `{use.asked_as}`)"


def _counted(retold: Sequence[Retold]) -> msgspec.Raw:
    """How many results were told in which way."""
    counted = Counter(each.match for each in retold)
    return written({match.value: count for match, count in counted.items()})


def _links(chain: Sequence[Mandate]) -> msgspec.Raw:
    """The mandates of a chain as they stand in leaves."""
    return written([{"mandate": each.ref, "digest": each.digest} for each in chain])


def _as_asked(call: Call) -> bytes:
    """A model call, with its names in the agent's order.

    A model's server sees that (in the schemas of offered tools, say), so it is kept: whoever
    replays a run needs it. What is committed to is the canonical form, whatever the order.
    """
    asked: dict[str, object] = {
        "arguments": call.arguments,
        "kind": call.target.kind._value_,
        "name": call.target.name,
        "upstream": call.target.upstream,
    }
    if call.beside:
        asked["beside"] = call.beside
    return _encode(asked)


def _beside(
    context: CallContext, reserved: Sequence[Charge], seen: JsonObject
) -> dict[str, object]:
    """What is sealed with an intent beside the call and the verdict; {} for most."""
    beside: dict[str, object] = {}
    if reserved:
        beside["reserved"] = charged(reserved)
    if seen:
        beside["seen"] = seen
    if context.call.use is not None:
        beside["use"] = recorded_use(context.call.use)
    if context.call.leads:
        beside["leads"] = context.call.leads
    if context.thought is not None:
        beside["thought"] = thought_payload(context.thought)
    if context.retold:
        beside["retold"] = retold_payload(context.retold)
    facts = context.labels.facts
    if facts.end_user:
        beside["end_user"], beside["end_user_by"] = facts.end_user, facts.end_user_by
    if facts.zones is not None:
        beside["zones"] = sorted(facts.zones)
    return beside
