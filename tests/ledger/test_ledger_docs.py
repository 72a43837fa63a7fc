"""docs/ledger.md says what leaves really hold."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bailiwick.core.call import Call, CallKind, Target
from bailiwick.core.canonical import Digest
from bailiwick.core.flow.labels import NO_LABELS
from bailiwick.core.mandate import Mandate, MandateState
from bailiwick.core.thinking.said_and_did import Retold, SaidAndDid, Thought
from bailiwick.core.verdict import Allow
from bailiwick.gateway.recorder import CallContext, Recorder
from bailiwick.ledger.leaf import LeafType, parse_leaf
from bailiwick.ports import CallState, Entry, UpstreamReply

DOCS = (Path(__file__).parents[2] / "docs" / "ledger.md").read_text()
MANDATE = Mandate("files", 3, Digest("0" * 64), "ada", "clerk", "", MandateState.ACTIVE, ())


class PlainVault:
    """Seals nothing; shows where pseudonyms stand."""

    def knows(self, subject: str) -> bool:
        return bool(subject)

    async def ensure(self, subject: str, now_ms: int) -> None:
        raise AssertionError((subject, now_ms))

    def seal(self, subject: str, leaf: bytes, payload: bytes) -> bytes:
        return subject.encode() + leaf[:1] + payload

    def open(self, leaf: bytes, sealed: bytes) -> bytes:
        raise AssertionError((leaf, sealed))

    def pseudonym(self, subject: str) -> str:
        return f"p_{subject}"


def rows(title: str) -> dict[str, set[str]]:
    """A table's first column, each with the words in code spans of its last column."""
    table = DOCS.split(title, 1)[1].split("\n\n", 1)[0]
    found = {}
    for line in table.splitlines()[2:]:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        found[cells[0].strip("`")] = set(re.findall(r"`([a-z_]+)`", cells[-1]))
    return found


TYPES = rows("| type | written | its fields |")
RECORDER = Recorder(PlainVault())


def written() -> list[Entry]:
    entries = []
    for kind in (CallKind.TOOL, CallKind.RESOURCE):
        call = Call.of("1", Target(kind, "bank", "pay"), {"amount": 12_000})
        context = CallContext(
            call,
            "2",
            "clerk",
            "bo",
            (MANDATE, MANDATE),
            "mcp",
            "00-trace-01",
            "3",
            NO_LABELS,
            (),
            "6",
            thought=Thought(SaidAndDid.MATCHED, "7"),
            retold=(Retold(SaidAndDid.ALTERED, "8"),),
        )
        entries += [
            RECORDER.intent(context, Allow(("files@3/allow/1",), "fine"), "allowed", 4, hold="5"),
            RECORDER.outcome(
                context, CallState.DONE, "", 4, UpstreamReply(result=b"{}", facts={"served": "m"})
            ),
            RECORDER.outcome(context, CallState.FAILED, "", 4, UpstreamReply(error=b"{}")),
            RECORDER.outcome(
                context,
                CallState.DONE,
                "",
                4,
                UpstreamReply(result=b"{}", said=b'{"text":""}', reasoning=b"[]"),
            ),
            RECORDER.outcome(context, CallState.UNKNOWN, "outcome_unknown", 4),
        ]
    return entries


def test_every_type_of_leaf_is_documented() -> None:
    assert set(TYPES) == {kind.value for kind in LeafType}


def test_every_field_of_a_call_s_leaves_is_documented_and_written() -> None:
    seen: dict[str, set[str]] = {}
    for entry in written():
        leaf = parse_leaf(entry.leaf)
        seen.setdefault(leaf.type, set()).update(leaf.fields)
    assert seen["call.intent"] == TYPES["call.intent"]
    assert seen["call.outcome"] == TYPES["call.outcome"]


@pytest.mark.parametrize(
    "kind", sorted(set(LeafType) - {"agent.spans", "call.intent", "call.outcome", "hold"})
)
def test_every_act_says_who_and_commits_to_what(kind: LeafType) -> None:
    leaf = parse_leaf(RECORDER.act(kind, "1", 2, "ada", {}, {"reason": "x"}).leaf)
    assert set(leaf.fields) <= TYPES[kind]
    assert leaf.fields["by"] == "p_ada"


def test_no_leaf_of_a_call_shows_arguments_results_or_people() -> None:
    for entry in written():
        for word in (b"12000", b"12_000", b'"ada"', b'"bo"'):
            assert word not in entry.leaf


def test_every_field_named_in_a_leaf_is_explained() -> None:
    explained = set(
        re.findall(r"`([a-z_]+)`", DOCS.split("| field | what |", 1)[1].split("\n\n")[0])
    )
    assert set().union(*TYPES.values()) <= explained
