"""Limits in the console and the API."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bailiwick.ports import Difference, LimitAudit, LimitRow, UnsettledRow
from bailiwick.testing.sample_day import empty_day, ulid
from tests.console.client import Answer
from tests.console.conftest import House, build

ROW = LimitRow(
    mandate="payables",
    limit="per-day",
    words="up to CHF 20,000 a day (Europe/Zurich)",
    unit="CHF",
    scale=1_000_000,
    ceiling=20_000_000_000,
    account="payables:per-day:sum:day:Europe/Zurich:2026-11-22:CHF:00000000",
    key="",
    pending=500_000,
    posted=12_000_000_000,
    unknown=90_000_000,
    frees_ms=None,
)


def code(answer: Answer) -> str:
    return str(answer.json["error"]["code"])


async def test_limits_are_told_in_steps_and_in_words(house: House) -> None:
    house.day.control.limit_rows = [ROW, replace(ROW, mandate="other")]
    house.day.control.unsettled_rows = [UnsettledRow(ulid(12), 5)]
    body = (await house.api("ben").get("/api/v1/limits?mandate=payables")).json
    (row,) = body["limits"]
    assert (row["used"], row["left"]) == (12_090_500_000, 7_909_500_000)
    assert row["in_words"] == {
        "used": "CHF 12,090.50",
        "pending": "CHF 0.50",
        "unknown": "CHF 90",
        "left": "CHF 7,909.50",
        "ceiling": "CHF 20,000",
    }
    assert body["unsettled"] == [{"call": ulid(12), "at_ms": 5}]
    unknown = await house.api("ben").get("/api/v1/limits?mandate=nope")
    assert (unknown.status, code(unknown)) == (404, "mandate_unknown")


async def test_an_overdrawn_limit_has_nothing_left(house: House) -> None:
    house.day.control.limit_rows = [replace(ROW, posted=30_000_000_000)]
    (row,) = (await house.api("ben").get("/api/v1/limits")).json["limits"]
    assert (row["left"], row["in_words"]["left"]) == (0, "CHF 0")


async def test_the_audit_says_whether_all_agrees(house: House) -> None:
    agreeing = (await house.api("ben").get("/api/v1/limits/audit")).json
    assert (agreeing["agree"], agreeing["differences"]) == (True, [])
    found = (Difference("balance_differs", "payables:x", "is 1, adds up to 2"),)
    house.day.records.audit = LimitAudit(4, 1, 2, 0, found)
    body = (await house.api("ben").get("/api/v1/limits/audit")).json
    assert (body["agree"], body["transfers"]) == (False, 4)
    assert body["differences"][0]["where"] == "payables:x"


async def test_an_operator_settles_a_call_and_nobody_else(house: House) -> None:
    path = f"/api/v1/calls/{ulid(12)}/settle"
    body = {"happened": True, "reason": "the bank's statement has it"}
    refused = await house.api("ben").send(path, body)
    assert (refused.status, code(refused)) == (403, "settle_not_allowed")
    answer = await house.api("ada").send(path, body)
    assert (answer.status, answer.json["call"]["id"]) == (200, ulid(12))
    assert house.day.control.acts[-1] == (
        "settle",
        "ada",
        ulid(12),
        "True",
        "the bank's statement has it",
    )
    missing = await house.api("ada").send(path, {"reason": "x"})
    assert missing.status == 400  # whether it happened is never guessed


async def test_the_page_shows_each_limit_and_what_is_unknown(house: House) -> None:
    frees = house.day.clock.wall_ms() + 3_600_000
    house.day.control.limit_rows = [replace(ROW, frees_ms=frees, key="\u202eCH93")]
    house.day.control.unsettled_rows = [UnsettledRow(ulid(12), house.day.clock.wall_ms())]
    page = (await (await house.sign_in("ben")).get("/limits")).text
    for said in ("per-day", "CHF 12,090.50", "CHF 20,000", "CHF 7,909.50", "CHF 90 unknown"):
        assert said in page
    assert "CHF 0.50 under way" in page
    assert f'href="/calls/{ulid(12)}"' in page
    assert "\u202e" not in page  # a value of a call cannot turn the page around


async def test_a_limit_of_each_run_leads_to_its_runs(house: House) -> None:
    house.day.control.limit_rows = [replace(ROW, run=ulid(7)), replace(ROW, run=ulid(8), key="bo")]
    page = (await (await house.sign_in("ben")).get("/limits")).text
    assert f'href="/runs/{ulid(7)}"' in page
    assert f'href="/runs/{ulid(8)}"' in page


async def test_an_empty_page_teaches(tmp_path: Path) -> None:
    page = (await (await build(empty_day(), tmp_path).sign_in("ben")).get("/limits")).text
    assert 'class="empty"' in page
    assert "limits:" in page


async def test_a_person_s_limits_stand_by_themselves(house: House) -> None:
    tokens = replace(
        ROW, mandate="", person="ada", limit="hers", unit="tokens", scale=1, ceiling=200_000,
        pending=0, posted=12_345, unknown=0,
    )  # fmt: skip
    house.day.control.limit_rows = [ROW, tokens]
    body = (await house.api("ben").get("/api/v1/limits")).json
    assert [(row["mandate"], row["person"]) for row in body["limits"]] == [
        ("payables", ""),
        ("", "ada"),
    ]
    page = (await (await house.sign_in("ben")).get("/limits")).text
    assert "All mandates from ada" in page
    assert "12,345 of 200,000 tokens" in page
    assert '<a href="/mandates/payables">' in page
