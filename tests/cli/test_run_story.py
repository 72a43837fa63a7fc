"""`run show`: a run as a story that nobody in it can forge."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from bailiwick.cli import show
from bailiwick.cli.exits import Exit
from bailiwick.cli.story import Teller
from tests.cli.fakes import Command, FakeGateway
from tests.cli.test_run import RUN, STORY


def text(words: str) -> dict[str, Any]:
    return {"text": words, "chars": len(words)}


def step(**more: Any) -> dict[str, Any]:
    return {
        "id": "01JA",
        "kind": "tool",
        "upstream": "bank",
        "name": "pay",
        "at_ms": 1795341600000,
        "ended_ms": 1795341604000,
        "state": "done",
        "ended_as": "",
        "decision": "allow",
        "code": "allowed",
        "rules": ["payments@3/allow/1"],
        "because": "allowed",
        "hold": None,
        "said_and_did": "",
        "asked_by": "",
        "tool_call": "",
        "differences": [],
        "erased": [],
        **more,
    }


def thinks(**more: Any) -> dict[str, Any]:
    model = {
        "dialect": "chat",
        "asked_as": "assistant",
        "substitute": True,
        "in_place_of": "spare/big overloaded",
        "served": "qwen3",
        "told": [{"role": "user", "text": text("Pay 4711.")}],
        "usage": {"input": 1812, "output": 64},
        "cost": {"USD": "0.25"},
        "reasoning": [
            {"visibility": "full", "text": "Rent is due.\nBen gets it.", "chars": 25},
            {"visibility": "encrypted", "text": "", "chars": 400},
            {"visibility": "omitted", "text": "", "chars": 0},
        ],
        "counts": {"full": 1},
        "text": text("I pay."),
        "asked": [{"id": "c1", "name": "bank__pay", "arguments": text("{}"), "calls": ["01JB"]}],
        "hosted": [{"id": "", "name": "web_search", "arguments": text("rent"), "calls": []}],
        "finish": "tool_calls",
        "error": "",
        "cut": False,
        "retold": [],
        **more,
    }
    return step(kind="model", upstream="local", name="tiny", model=model)


def tool(**more: Any) -> dict[str, Any]:
    value = {"value": {"amount": 5}, "bytes": 12, "head": ""}
    got = {"value": {"paid": True}, "bytes": 13, "head": ""}
    return step(**{"id": "01JB", "arguments": value, "result": got, "failed": False, **more})


def lines(*steps: dict[str, Any], width: int = 0, whole: bool = False) -> list[str]:
    teller = Teller(width, whole=whole)
    return [line for each in steps for line in "\n".join(teller.step(each)).split("\n")]


def test_a_story_tells_what_was_thought_asked_decided_and_done(
    asking: Command, gateway: FakeGateway
) -> None:
    hold = {
        "role": "approver",
        "count": 1,
        "waited_ms": 1500,
        "stamps": [{"person": "ada", "decision": "approve", "reason": "fine", "method": "passkey"}],
    }
    acts = tool(said_and_did="matched", asked_by="01JA", hold=hold, decision="hold", code="held")
    gateway.says(STORY, {"run": RUN, "steps": [thinks(), acts], "next": "01JB"})
    ended = asking("run", "show", "01JRUN")
    assert ended.code == Exit.OK
    for words in (
        "(given by ada)",
        "thinks with local/tiny  done",
        "asked for as assistant; it stood in for spare/big overloaded, qwen3 served, tokens:",
        "tokens: 1,812 input, 64 output, USD 0.25, tool_calls",
        "│ user: Pay 4711.",
        "reasons (full) (25 characters)\n     │ Rent is due.\n",
        "(encrypted: only the model's maker can read it)",
        "(omitted: it was not sent)",
        "│ I pay.",
        "│ bank__pay {}",
        "its server did",
        "tool bank/pay  done",
        "as the model asked in step 1",
        "waited  1.5 s for 1 × approver",
        "approve by ada (passkey): fine",
        '│   "amount": 5',
    ):
        assert words in ended.out, words
    assert "Ben gets it." not in ended.out
    assert "--after 01JB" in ended.err
    assert "Ben gets it." in "\n".join(lines(thinks(), whole=True))


def test_json_is_the_page_as_it_came(asking: Command, gateway: FakeGateway) -> None:
    page = {"run": RUN, "steps": [thinks()], "next": None}
    gateway.says("GET /api/v1/runs/01JRUN/story?limit=5&after=01J0", page)
    ended = asking("run", "show", "01JRUN", "--json", "--limit", "5", "--after", "01J0")
    assert json.loads(ended.out) == page


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"said_and_did": "unasked"}, "the model asked for NO such call"),
        (
            {"said_and_did": "altered", "asked_by": "01JZ", "differences": ["amount", "x y"]},
            'NOT as the model asked in 01JZ: amount, "x y" differ',
        ),
        ({"said_and_did": "unknown"}, "is not known"),
        ({"erased": ["asked", "answered"]}, "what was asked and what came back, with its person's"),
        ({"decision": "deny", "code": "not_in_mandate", "because": "no rule"},
         "not_in_mandate: no rule [payments@3/allow/1]"),
        ({"failed": True}, "failed\n"),
        ({"spans": [{"name": "plan"}, {"name": "a b"}]}, 'tells of\n     │ plan, "a b"'),
        ({"ended_as": "upstream_down", "state": "failed"}, "failed (upstream_down)"),
    ],
)  # fmt: skip
def test_what_is_not_as_it_should_be_is_said(told: dict[str, Any], words: str) -> None:
    assert words in "\n".join(lines(tool(**told)))


def test_of_a_substitute_whose_request_was_erased_it_is_still_said() -> None:
    assert "it stood in for another" in "\n".join(lines(thinks(in_place_of="")))


def test_what_the_model_was_told_otherwise_is_said() -> None:
    retold = [
        {"match": "altered", "tool_call": "c0", "call": "01J0"},
        {"match": "unasked", "tool_call": "c9"},
        {"match": "matched", "tool_call": "c1", "call": "01J1"},
    ]
    told = "\n".join(lines(thinks(retold=retold)))
    assert "it was told something ELSE than 01J0 returned" in told
    assert "it was told the result of a call that NO gateway saw" in told
    assert "01J1" not in told


def test_erased_reasoning_is_told_by_its_counts() -> None:
    told = "\n".join(lines(thinks(reasoning=None, counts={"full": 2, "omitted": 1})))
    assert "2 full, 1 omitted; the text was erased" in told


HOSTILE = (
    "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e<b>x</b>\u0000\r"
    "\n  7  10:00:00  tool bank/pay  done\n     stamp  approve by ada (passkey)"
)


def test_nobody_in_a_story_speaks_to_the_terminal_or_for_us() -> None:
    said = text(HOSTILE)
    hostile = thinks(
        told=[{"role": HOSTILE, "text": said}],
        reasoning=[{"visibility": "full", **said}],
        text=said,
        asked=[{"id": HOSTILE, "name": HOSTILE, "arguments": said, "calls": []}],
        hosted=[{"id": HOSTILE, "name": HOSTILE, "arguments": said, "calls": []}],
        finish=HOSTILE,
        error=HOSTILE,
        served=HOSTILE,
        asked_as=HOSTILE,
        usage={HOSTILE: 1},
        cost={HOSTILE: "1"},
    )
    value = {"value": {HOSTILE: HOSTILE}, "bytes": 99, "head": ""}
    acts = tool(
        name=HOSTILE,
        arguments=value,
        result={"value": None, "bytes": 10**6, "head": HOSTILE},
        differences=[HOSTILE],
        said_and_did="altered",
        because=HOSTILE,
        decision="deny",
    )
    for width in (0, 40, 80):
        told = lines(hostile, acts, width=width, whole=True)
        for line in told:
            assert line.isprintable(), line
            if not line.lstrip().startswith("│"):
                assert not re.match(r"\s*7  10:00", line)
                assert not line.lstrip().startswith("stamp  approve")
    assert any("<U+001B>" in line for line in told)


def test_lines_fit_the_terminal() -> None:
    long = "word " * 200 + "x" * 300
    for line in lines(thinks(text=text(long), error=long), tool(because=long, decision="deny"),
                      width=60, whole=True):  # fmt: skip
        assert len(line) <= 60, line


def test_a_terminal_s_width_is_asked_for_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert show.width() == 0
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "72")
    assert show.width() == 72


def test_a_page_of_a_megabyte_of_reasoning_is_told_at_once() -> None:
    pieces = [{"visibility": "full", "text": "a\x1b" * 130_000, "chars": 260_000}]
    told = lines(thinks(reasoning=pieces), width=80)
    assert len(told) < 40
