"""The pages: what a person sees and can do."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bailiwick.console.mandates import view_mandate
from bailiwick.core.errors import StoreError
from bailiwick.ports import CallState, HoldState, Pinned, PinState
from bailiwick.ports.model_status import (
    AliasStatus,
    CandidateStatus,
    ModelServerStatus,
    ModelsStatus,
)
from bailiwick.testing.sample_day import empty_day, sample_day, ulid
from tests.console.client import Client
from tests.console.conftest import VKEY, House, build

MODELS = ModelsStatus(
    [ModelServerStatus("local", ["chat"], 3, 0, 256)],
    [AliasStatus("assistant", [
        CandidateStatus("local/m", 1, 1, "resting", 29, 7, 5, "timeout", 1_700_000_000_000),
        CandidateStatus("spare/m", 2, 1, "ready", served=4),
    ])],
)  # fmt: skip

HOLD, CALL = ulid(1020), ulid(20)
TWO_PEOPLE = ulid(1022)


async def test_what_did_not_work_is_called_that_in_the_windows_title(house: House) -> None:
    page = await (await house.sign_in("ben")).get("/nope")
    assert page.status == 404
    assert "<title>That did not work · Bailiwick</title>" in page.text


async def test_what_waits_says_who_what_why_and_who_may(house: House) -> None:
    page = (await (await house.sign_in("ben")).get("/")).text
    assert "2 calls wait for a person" in page
    for said in ("clerk", "transfer", "1250.00", "EUR 500.00 needs a stamp", "payables@3"):
        assert said in page
    assert "Anyone with the role approver, but not ada, may stamp" in page
    assert "3 min left" in page
    assert page.index("1250.00") < page.index("invoice-0117.txt"), "what ends first comes first"


async def test_an_empty_console_teaches(tmp_path: Path) -> None:
    ben = await build(empty_day(), tmp_path).sign_in("ben")
    assert "Nothing waits" in (await ben.get("/")).text
    assert "bailiwick connect AGENT" in (await ben.get("/calls")).text
    assert "every call is denied" in (await ben.get("/mandates")).text
    for page in ("/runs", "/policies", "/servers", "/pins"):
        assert 'class="empty"' in (await ben.get(page)).text


async def test_a_hold_past_its_time_is_not_offered(house: House) -> None:
    ben = await house.sign_in("ben")
    house.day.clock.advance(194)
    assert "1 call waits" in (await ben.get("/")).text
    page = (await ben.get(f"/holds/{HOLD}")).text
    assert "Expired" in page
    assert 'value="approve"' not in page


async def test_a_hold_shows_exactly_the_text_its_stamp_binds(house: House) -> None:
    page = (await (await house.sign_in("ben")).get(f"/holds/{HOLD}")).text
    rendering = house.day.records.hold_rows[HOLD].rendering
    shown = rendering.replace("&", "&amp;").replace('"', "&#34;").replace("'", "&#39;")
    assert shown in page


async def test_a_rendering_is_never_cut(house: House) -> None:
    held = house.day.hold(70, "files/write_file", {"content": "x" * 300_000 + "THE-END"})
    page = (await (await house.sign_in("ben")).get(f"/holds/{held.id}")).text
    assert page.count("THE-END") >= 3, "as a value, as JSON, and in the text"


async def test_the_list_of_what_waits_stays_readable_whatever_is_asked(house: House) -> None:
    house.day.hold(70, "files/write_file", {"content": "x" * 300_000 + "THE-END"})
    page = (await (await house.sign_in("ben")).get("/")).text
    assert "THE-END" not in page
    assert "299727 more characters" in page


async def test_approving_leads_to_the_calls_path(house: House) -> None:
    ben = await house.sign_in("ben")
    form = (await ben.get(f"/holds/{HOLD}")).form
    answer = await ben.post(
        f"/holds/{HOLD}", {**form, "decision": "approve", "reason": " fine\r\nby me "}
    )
    assert (answer.status, answer.header("location")) == (303, f"/calls/{CALL}?did=approved")
    assert house.day.control.acts == [("stamp", "ben", HOLD, "True", "fine\nby me")]
    page = (await ben.get(answer.header("location"))).text
    assert "Your approval is recorded." in page
    assert "ben approved" in page


async def test_refusing_needs_no_reason_and_runs_nothing(house: House) -> None:
    ben = await house.sign_in("ben")
    form = (await ben.get(f"/holds/{HOLD}")).form
    answer = await ben.post(f"/holds/{HOLD}", {**form, "decision": "refuse", "reason": ""})
    page = (await ben.get(answer.header("location"))).text
    assert "ben refused" in page
    assert "Nothing was sent to <code>bank</code>" in page
    assert house.day.records.call_rows[CALL].state is CallState.REFUSED


async def test_pressing_twice_stamps_once(house: House) -> None:
    ben = await house.sign_in("ben")
    form = {**(await ben.get(f"/holds/{HOLD}")).form, "decision": "approve"}
    assert (await ben.post(f"/holds/{HOLD}", form)).status == 303
    again = await ben.post(f"/holds/{HOLD}", form)
    assert again.status == 409
    assert "Not stamped." in again.text
    assert "ben</strong> approved" in again.text, "what stands is shown beside it"
    assert len(house.day.control.acts) == 1


async def test_of_two_people_the_first_is_told_that_it_still_waits(house: House) -> None:
    ben, cyd = await house.sign_in("ben"), await house.sign_in("cyd")
    form = {**(await ben.get(f"/holds/{TWO_PEOPLE}")).form, "decision": "approve"}
    answer = await ben.post(f"/holds/{TWO_PEOPLE}", form)
    assert answer.header("location") == f"/holds/{TWO_PEOPLE}?did=approved"
    page = (await ben.get(answer.header("location"))).text
    assert "1 of 2 so far" in page
    assert "waits for another person" in page
    form = {**(await cyd.get(f"/holds/{TWO_PEOPLE}")).form, "decision": "approve"}
    assert (await cyd.post(f"/holds/{TWO_PEOPLE}", form)).header("location").startswith("/calls/")


@pytest.mark.parametrize("decision", ["", "yes", "Approve", "approve "])
async def test_only_the_exact_word_approves(house: House, decision: str) -> None:
    ben = await house.sign_in("ben")
    form = {**(await ben.get(f"/holds/{HOLD}")).form, "decision": decision}
    assert (await ben.post(f"/holds/{HOLD}", form)).status == 400
    assert house.day.control.acts == []


async def test_a_reason_that_is_too_long_is_refused_whole(house: House) -> None:
    ben = await house.sign_in("ben")
    form = {**(await ben.get(f"/holds/{HOLD}")).form, "decision": "approve"}
    answer = await ben.post(f"/holds/{HOLD}", {**form, "reason": "x" * 1001})
    assert answer.status == 400
    assert house.day.control.acts == []


async def test_a_calls_path_tells_its_story_in_order(house: House) -> None:
    page = (await (await house.sign_in("ben")).get(f"/calls/{ulid(12)}")).text
    story = (
        "clerk</span> asked",
        "payables@3",
        "What exactly",
        "640.00",
        "Held for a person",
        "payables@3/stamp/large-transfers",
        "ben approved",
        "Matches purchase order 4471.",
        "Done",
        "Transferred EUR 640.00",
        "Proof",
        f"bailiwick ledger verify http://127.0.0.1:8750/ledger --key {VKEY}",
    )
    body = page[page.index('<ol class="path">') :]
    places = [body.index(part) for part in story]
    assert places == sorted(places)
    digest = (await house.day.records.versions("mandate", "payables"))[-1].digest
    assert digest in body, "the mandate version is named by its digest"


async def test_a_denied_call_says_why_and_that_nothing_was_sent(house: House) -> None:
    page = (await (await house.sign_in("ben")).get(f"/calls/{ulid(4)}")).text
    assert "must be under" in page
    assert "payables@3/allow/file-away" in page
    assert "Nothing was sent to <code>files</code>" in page


async def test_an_unknown_outcome_is_not_called_a_failure(house: House) -> None:
    page = (await (await house.sign_in("ben")).get(f"/calls/{ulid(6)}")).text
    assert "It may or may not have happened." in page


async def test_erased_payloads_leave_the_rest_of_the_path(house: House) -> None:
    path = house.day.control.paths[ulid(12)]
    house.day.control.paths[ulid(12)] = replace(path, intent=None, outcome=None)
    page = (await (await house.sign_in("ben")).get(f"/calls/{ulid(12)}")).text
    assert "can no longer be shown" in page
    assert "ben approved" in page
    assert f"Entry {path.leaves[0][0]}: what was asked, and that it was held" in page
    assert "/proof/2" in page


async def test_a_proof_can_be_taken_along(house: House) -> None:
    ben = await house.sign_in("ben")
    answer = await ben.get(f"/calls/{ulid(12)}/proof/1")
    assert answer.body == house.day.control.proofs[ulid(12)][0]
    assert answer.header("content-disposition") == (
        f'attachment; filename="{ulid(12)}-1.tlog-proof"'
    )
    for number in ("0", "3", "x"):
        assert (await ben.get(f"/calls/{ulid(12)}/proof/{number}")).status == 404


async def test_a_call_without_a_checkpoint_yet_says_so(house: House) -> None:
    house.day.control.proofs.clear()
    page = (await (await house.sign_in("ben")).get(f"/calls/{ulid(12)}")).text
    assert "next signed checkpoint" in page


async def test_a_ledger_that_cannot_prove_does_not_hide_the_path(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> None:
        raise StoreError("ledger_unavailable", "the disk is full")

    monkeypatch.setattr(house.day.control, "proof", full)
    ben = await house.sign_in("ben")
    page = await ben.get(f"/calls/{ulid(12)}")
    assert page.status == 200
    assert "No proof can be made now." in page.text
    assert "The disk is full" in page.text
    assert (await ben.get(f"/calls/{ulid(12)}/proof/1")).status == 503


async def test_calls_are_filtered_and_paged(house: House) -> None:
    ben = await house.sign_in("ben")
    denied = (await ben.get("/calls?state=denied")).text
    assert "write_file" in denied
    assert "list_invoices" not in denied
    assert "No call matches." in (await ben.get("/calls?agent=nobody")).text
    for number in range(100, 160):
        house.day.add(number, f"bank/page_{number}", {}, CallState.DONE)
    first = (await ben.get("/calls?agent=clerk")).text
    assert "page_159" in first
    assert "page_109" not in first
    older = f"/calls?agent=clerk&amp;before={ulid(110)}"
    assert older in first
    second = (await ben.get(older.replace("&amp;", "&"))).text
    assert "page_109" in second
    assert "page_110" not in second


async def test_a_run_is_told_in_the_order_it_happened(house: House) -> None:
    page = (await (await house.sign_in("ben")).get(f"/runs/{ulid(1)}")).text
    assert page.index("list_directory") < page.index("write_file") < page.index("move_file")


async def test_a_server_in_trouble_shows_its_last_words(house: House) -> None:
    page = (await (await house.sign_in("ben")).get("/servers")).text
    assert "Restarted 3 times." in page
    assert "fatal: not a git repository" in page


async def test_models_show_who_rests_and_why(house: House) -> None:
    house.day.control.models_status = MODELS
    page = (await (await house.sign_in("ben")).get("/servers")).text
    assert "<code>assistant</code> stands for" in page
    assert "At rest" in page
    assert "for 29 s" in page
    assert "timeout, <time" in page
    assert "3 of 256" in page


async def test_a_declared_change_says_for_whom_it_waits(house: House) -> None:
    held = Pinned("@declared", "alias", "assistant", "ab", "{}", PinState.HELD, 1, "eve")
    house.day.records.pin_rows = [held]
    page = (await (await house.sign_in("ben")).get("/pins")).text
    assert "by eve. It stays as it is until" in page
    assert "agents cannot use this" not in page


async def test_a_mandate_shows_its_versions_and_can_be_revoked(house: House) -> None:
    ada = await house.sign_in("ada")
    page = await ada.get("/mandates/payables")
    assert "3</span>, " in page.text
    answer = await ada.post("/mandates/payables/revoke", {**page.form, "reason": "over"})
    assert answer.header("location") == "/mandates/payables?did=revoked"
    assert house.day.control.acts == [("revoke", "ada", "payables", "over")]
    after = (await ada.get("/mandates/payables")).text
    assert "Revoked" in after
    assert "Revoke this mandate" not in after


async def test_a_mandate_reads_as_sentences(house: House) -> None:
    page = (await (await house.sign_in("ben")).get("/mandates/payables")).text
    for said in (
        "Waits for a stamp",
        "at least 500.01",
        "Needs the role approver",
        "Not by requester or owner",
        "Is never done",
        "like *.key",
        "May be done",
        "one of DE89370400440532013000 or NL91ABNA0417164300",
        "With any other arguments",
    ):
        assert said in page, said
    listed = (await (await house.sign_in("ben")).get("/mandates")).text
    assert "pay approved supplier invoices" in listed


def test_what_a_mandate_says_in_words_unknown_here_is_shown_as_it_is() -> None:
    row = sample_day().records.object_rows[0]
    spec = {
        "from": "ada",
        "allow": [
            {
                "tool": "a/b",
                "when": {"x": {"shaped_like": [1], "optional": True}},
                "limit": {"n": 3},
            },
            {"resource": "files/x", "client": "a/sampling"},
            "not a rule",
        ],
    }
    view = view_mandate(replace(row, document=json.dumps({"spec": spec})))
    first, second, third = view.allow
    assert first.conditions == [("x", "shaped_like: [1]; or not given")]
    assert first.notes == ['limit: {"n": 3}']
    assert second.targets == ["resource files/x", "client a/sampling"]
    assert third.targets == []


@pytest.mark.parametrize("document", ["", "null", "[]", '{"spec": 3}', '{"spec": {"allow": 7}}'])
def test_a_damaged_mandate_is_no_crash(document: str) -> None:
    row = replace(sample_day().records.object_rows[0], document=document)
    assert view_mandate(row).principal == ""


async def test_a_secret_in_a_declaration_stays_a_reference(house: House) -> None:
    objects = (await house.api("ada").get("/api/v1/objects?kind=server")).text
    assert "${env:BANK_KEY}" in objects


async def test_a_changed_definition_is_shown_beside_the_old_and_accepted(house: House) -> None:
    ada = await house.sign_in("ada")
    page = await ada.get("/pins")
    assert page.text.count('class="changed"') == 2
    assert 'title="RIGHT-TO-LEFT OVERRIDE"' in page.text
    answer = await ada.post("/pins/accept", page.form)
    assert answer.header("location") == "/pins?did=accepted"
    assert all(pin.state is PinState.ACCEPTED for pin in house.day.records.pin_rows)


async def test_accepting_what_has_changed_again_is_refused(house: House) -> None:
    ada = await house.sign_in("ada")
    form = (await ada.get("/pins")).form
    assert (await ada.post("/pins/accept", {**form, "digest": "0" * 64})).status == 404
    del form["digest"]
    assert (await ada.post("/pins/accept", form)).status == 400


async def test_what_is_not_there_is_said_plainly(house: House) -> None:
    ben = await house.sign_in("ben")
    for page in ("/holds/none", "/calls/none", "/runs/none", "/mandates/none", "/nothing"):
        answer = await ben.get(page)
        assert answer.status == 404
        assert "That did not work" in answer.text


async def test_a_store_that_cannot_be_read_is_no_empty_page(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    ben = await house.sign_in("ben")

    async def unreadable(*_: object, **__: object) -> None:
        raise StoreError("store_unavailable", "the store cannot be read")

    monkeypatch.setattr(type(house.day.records), "holds", unreadable)
    answer = await ben.get("/")
    assert answer.status == 503
    assert "The store cannot be read" in answer.text


async def test_static_files_are_kept_by_browsers_under_their_content(house: House) -> None:
    ben = await house.sign_in("ben")
    page = (await ben.get("/")).text
    start = page.index("/static/console.css?v=")
    answer = await ben.get(page[start : page.index('"', start)])
    assert answer.header("content-type") == "text/css; charset=utf-8"
    assert "immutable" in answer.header("cache-control")


async def test_signing_in_says_as_whom(house: House) -> None:
    token = house.sessions.offer("ben").token
    assert "Sign in as ben?" in (await Client(house.app).get(f"/login/{token}")).text
    gone = await Client(house.app).get("/login/unknown")
    assert gone.status == 410
    assert "bailiwick login" in gone.text


def test_the_sample_day_holds_every_state_of_a_call() -> None:
    states = {row.state for row in sample_day().records.call_rows.values()}
    assert states == set(CallState) - {CallState.REFUSED, CallState.CANCELLED}


async def test_a_used_hold_is_told_as_approved_and_run(house: House) -> None:
    page = (await (await house.sign_in("ben")).get(f"/holds/{ulid(1012)}")).text
    assert house.day.records.hold_rows[ulid(1012)].state is HoldState.USED
    assert "Approved, has run" in page
    assert "it was approved and has run" in page
