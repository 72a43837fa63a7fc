"""Mandates in sentences and calls explained, in the console and its API."""

from __future__ import annotations

from bailiwick.core.errors import TheirError
from bailiwick.core.explaining.rules import Compared
from bailiwick.core.explaining.whole import Explanation, MandateExplained, RuleExplained
from bailiwick.ports import CallExplained, MandateRead, Problem
from tests.console.conftest import House

EVIL = "`x` is <b>bold</b> and \u202ebackwards"


def a_call(house: House) -> str:
    return next(iter(house.day.records.call_rows))


def a_mandate(house: House) -> str:
    rows = house.day.records.object_rows
    return next(row.name for row in rows if row.kind == "mandate")


def explained(call: str) -> CallExplained:
    rule = RuleExplained(
        "pay@1/stamp/large",
        "stamp",
        "One person must stamp every use of the tool `bank/pay`.",
        "asks for a stamp",
        True,
        (Compared("`amount` is at least 1000", True, EVIL),),
    )
    stands = (Compared("the mandate is active", True, "it is active"),)
    why = Explanation(
        "hold", "", (rule.rule,), "why", (MandateExplained("pay@1", stands, (rule,)),)
    )
    return CallExplained(call, 5, "hold", "", (rule.rule,), "why", why, ("something is gone",))


async def test_the_page_of_a_call_says_why_folded_and_escaped(house: House) -> None:
    call = a_call(house)
    house.day.control.explained[call] = explained(call)
    page = (await (await house.sign_in("ben")).get(f"/calls/{call}")).text
    assert "<summary>Why</summary>" in page
    assert "must stamp every use of the tool <code>bank/pay</code>" in page
    assert "asks for a stamp <strong>(this decided)</strong>" in page
    assert "&lt;b&gt;bold&lt;/b&gt;" in page
    assert "U+202E" in page
    assert "In doubt: " in page


async def test_a_call_that_cannot_be_explained_still_has_its_page(house: House) -> None:
    async def explain(call_id: str) -> CallExplained | None:
        raise TheirError("mandate_unknown", "gone")

    house.day.control.explain = explain  # type: ignore[method-assign]  # the fake's
    answer = await (await house.sign_in("ben")).get(f"/calls/{a_call(house)}")
    assert answer.status == 200
    assert "<summary>Why</summary>" not in answer.text


async def test_the_api_explains(house: House) -> None:
    call = a_call(house)
    house.day.control.explained[call] = explained(call)
    body = (await house.api("ben").get(f"/api/v1/calls/{call}/explain")).json["explained"]
    assert (body["call"], body["recorded"], body["doubts"]) == (call, "hold", ["something is gone"])
    (rule,) = body["explanation"]["mandates"][0]["rules"]
    assert (rule["rule"], rule["compared"][0]["counted"]) == ("pay@1/stamp/large", True)
    nobody = await house.api("ben").get("/api/v1/calls/nope/explain")
    assert (nobody.status, nobody.json["error"]["code"]) == (404, "call_unknown")


async def test_the_page_of_a_mandate_says_what_it_says(house: House) -> None:
    name = a_mandate(house)

    async def read_mandate(name: str, version: int = 0) -> MandateRead:
        return MandateRead(name, 1, "", "active", ("May use the tool `bank/<b>`.",))

    house.day.control.read_mandate = read_mandate  # type: ignore[method-assign]  # the fake's
    page = (await (await house.sign_in("ben")).get(f"/mandates/{name}")).text
    assert "<li>May use the tool <code>bank/&lt;b&gt;</code>.</li>" in page.replace("</bdi>", "")


async def test_the_api_reads_a_mandate_and_one_version_of_it(house: House) -> None:
    name = a_mandate(house)
    body = (await house.api("ben").get(f"/api/v1/mandates/{name}")).json["mandate"]
    assert body["name"] == name
    assert body["sentences"] == [f"Mandate `{name}`, version {body['version']}."]
    for bad, code, status in (("99", "mandate_unknown", 404), ("x", "bad_request", 400)):
        answer = await house.api("ben").get(f"/api/v1/mandates/{name}?version={bad}")
        assert (answer.status, answer.json["error"]["code"]) == (status, code)


async def test_the_api_checks_mandates_in_files_and_in_force(house: House) -> None:
    house.day.control.doubts = (Problem("warning", "declaration_doubtful", "x", "f.yaml", 2, 5),)
    body = {"files": {"f.yaml": "mandates: {}"}}
    answer = await house.api("ben").send("/api/v1/mandates/check", body)
    assert answer.json["problems"][0]["line"] == 2
    await house.api("ben").send("/api/v1/mandates/check", {"mandate": "pay"})
    acts = house.day.control.acts[-2:]
    assert acts == [("check_mandates", "", "f.yaml"), ("check_mandates", "pay")]
