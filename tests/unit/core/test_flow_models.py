"""A model's answer is the agent's own thinking: it taints no run, and vouches in none."""

from __future__ import annotations

from bailiwick.core.call import CallKind
from bailiwick.core.flow.labels import Flow
from bailiwick.core.flow.run_memory import RunMemory
from bailiwick.core.flow.worth import Worths
from tests.unit.core.runs import BOOK, Run, data_result, labels

ACCOUNT = "DE89370400440532013000"
MODEL = CallKind.MODEL


def test_asking_a_model_taints_no_run() -> None:
    run = Run()
    run.send("local/tiny", {"messages": []}, MODEL)
    assert run.memory.with_facts(run.memory.facts).untrusted is None
    run.send("local/tiny")
    assert run.memory.with_facts(run.memory.facts).untrusted is not None


def test_what_a_model_says_vouches_for_nothing_whatever_a_mandate_trusts() -> None:
    trusting = Flow(results=(labels("local/*", trusted=True, kind=MODEL),))
    run = Run(RunMemory(Worths((), (trusting,))))
    call = run.send("local/tiny", {"messages": []}, MODEL)
    run.memory.learn(call, data_result({"iban": ACCOUNT}))
    assert not run.vouched(ACCOUNT)


def test_what_was_told_to_a_model_may_still_be_vouched_for_by_who_knows_it() -> None:
    run = Run()
    run.send("local/tiny", {"messages": [{"content": f"who has {ACCOUNT}?"}]}, MODEL)
    run.read("contacts/find", [{"iban": ACCOUNT}])
    assert run.vouched(ACCOUNT)


def test_a_model_s_answers_may_be_declared_confidential() -> None:
    flow = Flow(results=(*BOOK.results, labels("secret/*", confidential=("plans",), kind=MODEL)))
    run = Run(RunMemory(Worths((), (flow,))))
    run.send("secret/tiny", {}, MODEL)
    assert set(run.memory.confidential) == {"plans"}
