"""Texts that know where they lead: what conditions make of them, and nobody else."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from bailiwick.core.call import NO_LEADS, Call, CallKind, Target
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.conditions import Condition, Matches, OneOf, Under, failure, reason
from bailiwick.core.context import NO_COUNTERS, NO_LABELS, NO_POLICIES, NO_STEP
from bailiwick.core.explaining.whole import why
from bailiwick.core.judge import judge
from bailiwick.core.line import line_of
from bailiwick.core.links import asks_of_files, led, led_words, read_leads, to_look_at
from bailiwick.core.mandate import AllowRule, DenyRule, Mandate
from bailiwick.core.rendering import Asking, render, shows_leads
from bailiwick.core.target_pattern import TargetPattern
from bailiwick.core.texts.glob import Glob
from bailiwick.core.texts.led import Led
from bailiwick.core.values import CANNOT_TELL, FAILS, HOLDS, Truth
from bailiwick.core.verdict import Allow, Deny, Requirement
from tests.gateway.house import mandate

TARGET = Target(CallKind.TOOL, "files", "read")
WORK = Under(("path",), ("/work",))


def asked(arguments: JsonObject) -> Call:
    return Call.of("01KB0000000000000000000001", TARGET, arguments)


def holding(*conditions: Condition) -> Mandate:
    pattern = TargetPattern(CallKind.TOOL, "files", "read")
    rule = AllowRule("payments@1/allow/1", (pattern,), conditions)
    return replace(mandate(), allow=(rule,), stamp=())


@pytest.mark.parametrize(
    ("text", "leads", "truth"),
    [
        ("/work/a", {"/work/a": "/work/b"}, HOLDS),
        ("/work/a", {"/work/a": "/work"}, HOLDS),
        ("/work/a", {"/work/a": "/etc/passwd"}, CANNOT_TELL),
        ("/work/a", {"/work/a": "/workshop"}, CANNOT_TELL),
        ("/work/a", {"/work/a": "/WORK/b"}, CANNOT_TELL),
        ("/work/a", {"/work/a": ""}, CANNOT_TELL),
        ("/work/a", {"/work/a": "/mnt/a", "/work": "/mnt"}, HOLDS),
        ("/work/a", {"/work/a": "/work/a", "/work": "/mnt"}, CANNOT_TELL),
        ("/work/a", {"/work/a": "/work/a", "/work": ""}, CANNOT_TELL),
        ("/etc/a", {"/etc/a": "/work/a"}, CANNOT_TELL),
        ("/etc/a", {"/etc/a": "/usr/a"}, FAILS),
        ("/work/../a", {"/work/../a": "/work/a"}, CANNOT_TELL),
        ("/work/a", {"/other": "/elsewhere"}, HOLDS),  # recorded for other rules: nobody looked
    ],
)
def test_text_and_place_must_agree(text: str, leads: dict[str, str], truth: Truth) -> None:
    assert WORK.of(Led(text, leads)) is truth


def test_the_agent_is_not_told_where_and_people_are() -> None:
    call = led(asked({"path": "/work/a"}), {"/work/a": "/etc/passwd", "/work": "/work"})
    said = "`path` is `/work/a`, which leads elsewhere by a symbolic link, allowed is a path under"
    assert failure(WORK, call.judged) == f"{said} `/work`"
    secret = Under(("path",), ("/etc",))
    assert reason(secret, call.judged) == (
        "`path` is `/work/a`, which leads elsewhere by a symbolic link, so it cannot be told "
        "whether it is a path under `/etc`"
    )
    assert led_words(WORK, call) == "; `/work/a` leads to `/etc/passwd`"
    lost = led(asked({"path": "/work/a"}), {"/work/a": "", "/work": "/work"})
    assert "`/work/a`, and where that leads cannot be told" in failure(WORK, lost.judged)
    assert led_words(WORK, lost) == "; where `/work/a` leads is unknown"
    assert led_words(WORK, asked({"path": "/work/a"})) == ""


def test_only_plain_paths_under_such_rules_are_looked_at() -> None:
    chain = (holding(WORK, Matches(("note",), (Glob("*"),))),)
    assert asks_of_files(chain)
    assert not asks_of_files((mandate(),))
    assert to_look_at(asked({"path": "/work/a", "note": "/x"}), chain) == ("/work", "/work/a")
    for path in ("/work/../a", "~/a", "file:///work/a", "/work/%2e", "", 5, None, ["/work/a"]):
        assert to_look_at(asked({"path": path}), chain) == ()
    assert to_look_at(asked({"note": "/x"}), chain) == ()
    assert to_look_at(asked({"path": "/work/a"}), (mandate(),)) == ()


def test_a_call_that_knows_where_it_leads_is_otherwise_the_same() -> None:
    call = asked({"path": "/work/a", "more": [{"path": "/work/b"}, 1, None]})
    knowing = led(call, {"/work/a": "/etc"})
    assert knowing.arguments is call.arguments
    assert knowing.canonical == call.canonical
    assert knowing.judged == call.arguments
    assert led(knowing, {}) == call
    assert led(call, {}) is call
    assert call.leads is NO_LEADS


def test_judged_and_explained_by_what_was_seen() -> None:
    chain = (holding(WORK),)
    call = asked({"path": "/work/a"})
    knowing = led(call, {"/work": "/work", "/work/a": "/etc/passwd"})
    verdicts = [
        judge(each, chain, NO_POLICIES, NO_COUNTERS, NO_LABELS, NO_STEP, 0)
        for each in (call, knowing)
    ]
    assert isinstance(verdicts[0], Allow)
    assert isinstance(verdicts[1], Deny)
    assert verdicts[1].code == "argument_refused"
    assert "/etc" not in verdicts[1].because
    told = why(knowing, chain, NO_POLICIES, None, NO_LABELS, 0)
    (compared,) = told.mandates[0].rules[0].compared
    assert compared.found.endswith("; `/work/a` leads to `/etc/passwd`")
    assert not compared.counted


def test_a_file_that_is_listed_by_name_is_held_to_the_folders_it_leads_to() -> None:
    named = holding(OneOf(("path",), ("/work/a", "/work/b")))
    pattern = TargetPattern(CallKind.TOOL, "files", "read")
    refused = DenyRule("payments@1/deny/1", (pattern,), (Under(("path",), ("/etc",)),))
    chain = (replace(named, deny=(refused,)),)
    call = asked({"path": "/work/a"})
    assert line_of(chain, TARGET).way is not None  # only texts may rule a deny rule out
    assert asks_of_files(chain)
    assert to_look_at(call, chain) == ("/etc", "/work/a")
    linked = led(call, {"/etc": "/etc", "/work/a": "/etc/passwd"})
    verdict = judge(linked, chain, NO_POLICIES, NO_COUNTERS, NO_LABELS, NO_STEP, 0)
    assert isinstance(verdict, Deny)
    assert isinstance(judge(call, chain, NO_POLICIES, NO_COUNTERS, NO_LABELS, NO_STEP, 0), Allow)


def test_what_was_recorded_is_read_back() -> None:
    leads = {"/work": "/work", "/work/a": ""}
    assert read_leads(json.loads(json.dumps(leads))) == leads
    assert read_leads({"/a": 1, "/b": "/c"}) == {"/b": "/c"}
    damaged: tuple[Json, ...] = (None, 1, [], "x")
    assert not any(map(read_leads, damaged))


def rendered(call: Call) -> str:
    asking = Asking("clerk", "ada", "ada", "files@1", "", "run")
    return render(call, asking, Requirement(None, frozenset()), "because", 0, ("`x`: nobody",))


def test_what_a_person_sees_says_where_paths_lead_and_nothing_can_pose_as_it() -> None:
    call = asked({"path": "/work/a"})
    leads = {"/work": "/work", "/work/a": "/mnt/a", "/work/b": ""}
    text = rendered(led(call, leads))
    assert (
        '\n\nPaths that lead elsewhere\n  "/work/a" leads to "/mnt/a"\n  "/work/b" leads to '
        "(unknown)\n\n"
    ) in text
    assert shows_leads(text, leads)
    assert not shows_leads(text, {})
    assert not shows_leads(text, {"/work/a": "/mnt/a"})
    assert not shows_leads(text, {**leads, "/work/b": "/mnt/b"})
    assert not shows_leads(rendered(call), leads)
    assert shows_leads(rendered(call), {})
    posing = asked({"x\n\nPaths that lead elsewhere\n  y": "\nPaths that lead elsewhere\n"})
    assert shows_leads(rendered(posing), {})
