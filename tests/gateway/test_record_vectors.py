"""What is written of calls stays what it was: leaves byte for byte, and what is sealed with them.

`tests/vectors/call_records.json` was written by the code before calls were made lean. A leaf that
changes is another leaf: a format of its own, for which docs/ledger.md has a version.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import rfc8785

from bailiwick.core.call import Call, CallKind, ModelUse, Target
from bailiwick.core.canonical import Digest, Json
from bailiwick.core.flow.labels import NO_LABELS, Facts
from bailiwick.core.limits.limit import Charge
from bailiwick.core.mandate import Mandate, MandateState
from bailiwick.core.thinking.said_and_did import Retold, SaidAndDid, Thought
from bailiwick.core.verdict import Allow, Deny, Hold, Requirement
from bailiwick.gateway.recorder import CallContext, Recorder
from bailiwick.ledger.leaf import parse_leaf
from bailiwick.ports import CallState, Entry, Settled, Settlement, UpstreamReply
from tests.ledger.test_ledger_docs import PlainVault

VECTORS = Path(__file__).parents[1] / "vectors" / "call_records.json"

ODD = '\x00\x08\t\n\x0b\x0c\r\x1f"\\/\x7f\x80\u2028\u2029\ufeff\U0001f600 é'
CLERK = Mandate("files", 3, Digest("0" * 64), "ada", "clerk", "", MandateState.ACTIVE, ())
CHILD = Mandate("files:a", 1, Digest("1" * 64), "ada", "helper", "", MandateState.ACTIVE, ())
ARGUMENTS: Mapping[str, Json] = {
    "amount": 12.5,
    "\U0001f600": 1e21,
    "\ufb33": [True, None, -0.0, 1e-7, 2**53 - 1, {"deep": ODD}],
}
CHARGES = (
    Charge("files@3/limit/a", "files:a:count:lifetime::::0", 1, 5),
    Charge(
        "@ada/limit/b",
        "@ada:b:sum:sliding-60::::0",
        2_000_000,
        9_000_000,
        '["bo"]',
        '"cy"',
        5,
        pending_only=True,
        unit="CHF",
        scale=1_000_000,
        over="in all",
    ),
)
USE = ModelUse(
    {"input_tokens": 7},
    "fast",
    substitute=True,
    because="big",
    instead_of="0",
    max_output=9,
    tools=("t",),
)
ALLOW = Allow(("files@3/allow/1", "@ada/limit/b"), f"it may {ODD}", CHARGES)


def context(kind: CallKind = CallKind.TOOL, name: str = "pay") -> CallContext:
    use = USE if kind is CallKind.MODEL else None
    call = Call.of("1", Target(kind, "bank", name), ARGUMENTS, {"beside": ODD}, use)
    return CallContext(call, "2", "clerk", "bo", (CLERK,), "mcp/x", "", "3", NO_LABELS)


def rich(kind: CallKind = CallKind.TOOL) -> CallContext:
    """With all that can be said of a call."""
    facts = Facts(end_user="zoë", end_user_by="agent", zones=frozenset({"b", "a"}))
    return msgspec.structs.replace(
        context(kind, ODD + "x" * 300),
        chain=(CLERK, CHILD),
        traceparent="00-0123456789abcdef0123456789abcdef-0123456789abcdef-01",
        policies="6",
        labels=replace(NO_LABELS, facts=facts),
        thought=Thought(SaidAndDid.ALTERED, "7", "call_1", ("a.b",)),
        retold=(Retold(SaidAndDid.ALTERED, "8"), Retold(SaidAndDid.MATCHED, "9")) * 2,
    )


def records(random: Callable[[int], bytes]) -> Iterator[Entry]:
    write = Recorder(PlainVault(), random)
    for kind in CallKind:
        for of in (context(kind), rich(kind)):
            yield write.intent(of, ALLOW, "allowed", 4, reserved=CHARGES, seen={"used": [[0, 1]]})
            yield write.intent(of, Deny("not_in_mandate", (), "no", "nothing"), "no", 2**53 - 1)
    hold = Hold(Requirement("treasurer", frozenset()), ("files@3/stamp/1",), "held")
    yield write.intent(context(), hold, "held", 4, hold="5")
    yield from outcomes(write, context())
    yield from outcomes(write, context(CallKind.MODEL))


def outcomes(write: Recorder, of: CallContext) -> Iterator[Entry]:
    settled = (
        Settled("1", 4, Settlement.POSTED, (("files:a:count", "", 3),), (("files:a:count", ""),)),
        Settled("1", 4, Settlement.VOIDED),
    )
    said = UpstreamReply(
        result=b'{"status":200,"body":{}}',
        facts={"served": "m", "reasoning": {"full": 2}, "cut": True, "tool_calls": 1},
        used={"tokens": 5},
        said=b'{"text":"hi"}',
        reasoning=b"[]",
    )
    replies: Sequence[UpstreamReply] = (
        UpstreamReply(result=b"{}"),
        UpstreamReply(result=b'"' + b"x" * 300_000 + b'"'),
        UpstreamReply(error=b'{"code":1}'),
        UpstreamReply(),
        said,
    )
    for reply in replies:
        yield write.outcome(of, CallState.DONE, "", 4, reply, settled)
        yield write.outcome(of, CallState.CANCELLED, "cancelled", 5, reply)
    yield write.outcome(of, CallState.UNKNOWN, "outcome_unknown", 4, None, settled)
    yield write.bare_outcome("1", "2", CallState.UNKNOWN, "gateway_stopped", 4)


def counting() -> Callable[[int], bytes]:
    drawn = itertools.count(1)
    return lambda length: next(drawn).to_bytes(length, "big")


def shown(entry: Entry) -> dict[str, object]:
    """An entry as the vectors have it; of what is sealed only the beginning where it is long."""
    if not entry.sealed:
        return {"leaf": entry.leaf.decode()}
    payload = json.loads(b"{" + entry.sealed.partition(b"{{")[2])
    long = {name: text[:99] for name, text in payload.items() if len(str(text)) > 9_999}
    return {"leaf": entry.leaf.decode(), "payload": payload | long}


def test_what_is_written_of_a_call_is_what_was_always_written() -> None:
    assert [shown(entry) for entry in records(counting())] == json.loads(VECTORS.read_text())


@pytest.mark.parametrize("vector", json.loads(VECTORS.read_text()))
def test_each_leaf_is_read_back_and_is_rfc_8785(vector: dict[str, str]) -> None:
    leaf = vector["leaf"].encode()
    assert parse_leaf(leaf).type in {"call.intent", "call.outcome"}
    assert rfc8785.dumps(json.loads(leaf)) == leaf
