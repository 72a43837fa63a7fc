"""What the two leaves of a call show, and what cannot be written."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from bailiwick.core.call import Call, CallKind, Target
from bailiwick.core.canonical import Digest
from bailiwick.core.errors import OurError
from bailiwick.core.flow.labels import NO_LABELS
from bailiwick.core.mandate import Mandate, MandateState
from bailiwick.core.verdict import Allow, Deny
from bailiwick.gateway.recorder import CallContext, Recorder
from bailiwick.ledger.leaf import LeafValue, parse_leaf
from bailiwick.ports import CallState, Settled, Settlement, UpstreamReply
from tests.ledger.test_ledger_docs import PlainVault

MANDATE = Mandate("files", 3, Digest("0" * 64), "ada", "clerk", "", MandateState.ACTIVE, ())
RECORDER = Recorder(PlainVault())


def context(kind: CallKind = CallKind.TOOL, name: str = "pay") -> CallContext:
    call = Call.of("1", Target(kind, "bank", name), {})
    return CallContext(call, "2", "clerk", "bo", (MANDATE,), "mcp", "", "3", NO_LABELS)


def intent(verdict: Allow | Deny, of: CallContext) -> dict[str, LeafValue]:
    return dict(parse_leaf(RECORDER.intent(of, verdict, "code", 4).leaf).fields)


@pytest.mark.parametrize(
    ("rules", "shown"),
    [
        ((), []),
        (("files@3/allow/1", "files@3/limit/day"), ["files@3/allow/1", "files@3/limit/day"]),
        (("@ada/limit/day",), ["@p_ada/limit/day"]),
        (("files@3/allow/1", "@ada/limit/day"), ["files@3/allow/1", "@p_ada/limit/day"]),
        (("@ada/limit/a", "x@1/allow/1"), ["@p_ada/limit/a", "x@1/allow/1"]),
    ],
)
def test_a_person_s_limit_names_her_by_pseudonym(rules: tuple[str, ...], shown: list[str]) -> None:
    assert intent(Allow(rules, "fine"), context())["rules"] == shown


def test_a_leaf_names_what_may_run_and_neither_resources_nor_what_is_denied() -> None:
    assert intent(Allow((), "fine"), context())["name"] == "pay"
    assert len(str(intent(Allow((), "fine"), context(name="x" * 300))["name"])) == 256
    assert "name" not in intent(Allow((), "fine"), context(CallKind.RESOURCE, "file:///x"))
    denied = intent(Deny("not_in_mandate", (), "no"), context())
    assert ("name" in denied, denied["decision"]) == (False, "deny")


def test_a_field_that_says_nothing_is_not_written() -> None:
    absent = {"hold", "chain", "policies", "thought", "retold", "traceparent", "asked_as"}
    assert not absent & set(intent(Allow((), "fine"), context()))
    bare = RECORDER.outcome(context(), CallState.DONE, "", 4)
    assert (dict(parse_leaf(bare.leaf).fields), bare.sealed) == ({"state": "done", "run": "2"}, b"")


@pytest.mark.parametrize("edge", ["\ud800", "x" * 70_000])
def test_what_has_no_leaf_is_not_recordable(edge: str) -> None:
    odd = msgspec.structs.replace(context(), edge=edge, run=edge)
    reply = UpstreamReply(result=b"{}")
    writes: list[Callable[[], object]] = [
        lambda: RECORDER.intent(odd, Allow((), "fine"), "allowed", 4),
        lambda: RECORDER.outcome(odd, CallState.DONE, "", 4),
        lambda: RECORDER.outcome(odd, CallState.DONE, "", 4, reply),
    ]
    for write in writes:
        with pytest.raises(OurError) as caught:
            write()
        assert caught.value.code == "not_recordable"


@pytest.mark.parametrize("facts", [{"cost": 1.5}, {"\u00e9": 1}, {"tokens": 2**53}])
def test_facts_that_have_no_one_spelling_are_not_recordable(facts: dict[str, LeafValue]) -> None:
    reply = UpstreamReply(result=b"{}", facts=facts)
    with pytest.raises(OurError) as caught:
        RECORDER.outcome(context(), CallState.DONE, "", 4, reply)
    assert caught.value.code == "not_recordable"


@pytest.mark.parametrize(
    ("settled", "written"),
    [
        ([Settled("1", 4, Settlement.POSTED)], [{"how": "posted"}]),
        ([Settled("1", 4, Settlement.VOIDED)], [{"how": "voided"}]),
        (
            [Settled("1", 4, Settlement.POSTED, (("a", "", 5),))],
            [{"how": "posted", "actual": [["a", "", 5]]}],
        ),
        (
            [
                Settled("1", 4, Settlement.POSTED, only=(("a", ""),)),
                Settled("1", 4, Settlement.VOIDED, only=(("b", ""),)),
            ],
            [{"how": "posted", "only": [["a", ""]]}, {"how": "voided", "only": [["b", ""]]}],
        ),
        ([], None),
    ],
)
def test_a_payload_says_how_its_call_was_settled(
    settled: list[Settled], written: list[object] | None
) -> None:
    reply = UpstreamReply(result=b'{"content":[]}')
    entry = RECORDER.outcome(context(), CallState.DONE, "", 4, reply, settled)
    told = msgspec.json.decode(entry.sealed.removeprefix(b"ada{"))
    assert told.get("settled") == written
    assert told["result"] == {"content": []}
