"""Runs in the console and the API: started, shown with who said what, ended."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from bailiwick.console.circumstances import said_only
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.errors import TheirError
from bailiwick.core.run_words import RunWords
from bailiwick.ports import Caller, HoldState
from bailiwick.testing.sample_day import RUN
from tests.console.client import Answer, Client
from tests.console.conftest import House


def code(answer: Answer) -> str:
    return str(answer.json["error"]["code"])


async def submit(browser: Client, path: str, **fields: str) -> Answer:
    csrf = (await browser.get("/runs/new")).form["csrf"]
    return await browser.post(path, {"csrf": csrf, **fields})


def words_of(house: House) -> RunWords:
    (words,) = house.day.control.words.values()
    return words


async def test_an_operator_starts_a_run_and_gets_its_token_once(house: House) -> None:
    body = {
        "mandate": "payables",
        "instruction": "Pay invoice 4711.\r\nThen stop. ",
        "purpose": "suppliers",
        "labels": ["month-end", "audit"],
        "end_user": "eve@example.com",
    }
    answer = await house.api("ada").send("/api/v1/runs", body)
    assert answer.status == 201
    assert answer.json["token"]["token"] == "not-a-token"
    run = answer.json["run"]
    assert (run["started_by"], run["person"], run["supplier"]) == ("person", "ada", "person")
    assert run["instruction"] == "Pay invoice 4711.\nThen stop."
    assert run["labels"] == ["audit", "month-end"]
    shown = await house.api("ben").get(f"/api/v1/runs/{run['id']}")
    assert shown.json == {"run": run}
    listed = await house.api("ben").get("/api/v1/runs")
    assert run in listed.json["runs"]


@pytest.mark.parametrize(
    "body",
    [
        {"instruction": "x" * 16_385},
        {"instruction": "a\u001b[2Jb"},
        {"purpose": "a\nb"},
        {"labels": ["Month End"]},
        {"labels": [str(each) for each in range(17)]},
        {"end_user": "a\u202eb"},
    ],
)
async def test_words_that_nobody_could_read_start_nothing(
    house: House, body: dict[str, object]
) -> None:
    answer = await house.api("ada").send("/api/v1/runs", {"mandate": "payables", **body})
    assert (answer.status, code(answer)) == (400, "bad_run_words")
    assert house.day.control.words == {}


async def test_whoever_has_no_standing_starts_nothing(house: House) -> None:
    answer = await house.api("ben").send("/api/v1/runs", {"mandate": "payables"})
    assert (answer.status, code(answer)) == (403, "run_not_allowed")


async def test_a_run_is_ended_once(house: House) -> None:
    answer = await house.api("ada").send(f"/api/v1/runs/{RUN}/end", {})
    assert answer.status == 200
    assert answer.json["run"]["ended_ms"] == house.day.clock.wall
    again = await house.api("ada").send(f"/api/v1/runs/{RUN}/end", {})
    assert (again.status, code(again)) == (409, "run_ended")
    missing = await house.api("ada").send("/api/v1/runs/01KBXXXXXXXXXXXXXXXXXXXXXX/end", {})
    assert (missing.status, code(missing)) == (404, "run_unknown")


async def test_attack_an_agent_starts_a_run_as_itself_and_never_as_a_person(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def person(_authorization: str | None) -> None:
        raise TheirError("wrong_audience", "an agent's token")

    def authenticate(_authorization: str | None) -> Caller:
        return Caller("clerk", "payables", "ada", "jti", 2**53)

    monkeypatch.setattr(type(house.parts.people), "person", lambda _, given: person(given))
    monkeypatch.setattr(
        type(house.parts.people), "authenticate", lambda _, given: authenticate(given)
    )
    api = house.api("clerk")
    answer = await api.send(
        "/api/v1/runs", {"instruction": "Pay.", "started_by": "person", "person": "ada"}
    )
    assert answer.status == 201
    run = answer.json["run"]
    assert (run["started_by"], run["person"], run["supplier"]) == ("agent", "", "agent")
    assert answer.json["token"] is None
    # And it may do nothing else here.
    for path in ("/api/v1/runs", f"/api/v1/runs/{run['id']}", "/api/v1/me"):
        assert (await api.get(path)).status == 401
    assert (await api.send(f"/api/v1/runs/{run['id']}/end", {})).status == 401


# --- pages ---------------------------------------------------------------------------------------


async def test_the_form_starts_a_run_and_shows_its_token_this_once(house: House) -> None:
    browser = await house.sign_in("ada")
    form = await browser.get("/runs/new?mandate=payables")
    assert '<option value="payables" selected>' in form.text
    page = await submit(
        browser,
        "/runs",
        mandate="payables",
        instruction="Pay <b>4711</b>.\nThen \u202estop.",
        labels="month-end, audit",
        purpose="",
        end_user="",
    )
    assert page.status == 201
    assert "not-a-token" in page.text
    assert "Pay &lt;b&gt;4711&lt;/b&gt;." in page.text
    assert "<b>4711" not in page.text
    assert "\u202e" not in page.text
    assert "<strong>ada</strong>" in page.text
    assert page.header("cache-control") == "no-store"
    assert words_of(house).labels == ("audit", "month-end")
    (run,) = house.day.control.words
    later = await browser.get(f"/runs/{run}")
    assert "not-a-token" not in later.text
    assert "Pay &lt;b&gt;4711" in (await browser.get("/runs")).text


async def test_a_form_that_went_wrong_keeps_what_was_typed(house: House) -> None:
    browser = await house.sign_in("ada")
    page = await submit(
        browser, "/runs", mandate="payables", instruction="Pay 4711.", labels="Month End"
    )
    assert page.status == 400
    assert "is not a label" in page.text
    assert "Pay 4711.</textarea>" in page.text
    assert house.day.control.words == {}


async def test_a_run_of_the_agents_own_says_so(house: House) -> None:
    records = house.day.records
    records.run_rows[RUN] = replace(records.run_rows[RUN], supplier="agent")
    house.day.control.words[RUN] = RunWords("Pay everything.")
    page = (await (await house.sign_in("ben")).get(f"/runs/{RUN}")).text
    assert "<strong>the agent's side</strong>, not by a person" in page


async def test_a_run_without_calls_has_a_page_and_one_that_is_not_there_has_none(
    house: House,
) -> None:
    browser = await house.sign_in("ada")
    await submit(browser, "/runs", mandate="payables", instruction="Pay.")
    (run,) = house.day.control.words
    assert "No call yet." in (await browser.get(f"/runs/{run}")).text
    assert (await browser.get("/runs/01KBXXXXXXXXXXXXXXXXXXXXXX")).status == 404


async def test_a_run_is_ended_from_its_page(house: House) -> None:
    browser = await house.sign_in("ada")
    page = await submit(browser, f"/runs/{RUN}/end")
    assert page.status == 303
    assert page.header("location") == f"/runs/{RUN}?did=ended"
    shown = await browser.get(page.header("location"))
    assert "The run is ended." in shown.text
    assert "End this run" not in shown.text


async def test_attack_another_site_posts_the_form(house: House) -> None:
    browser = await house.sign_in("ada")
    for path in ("/runs", f"/runs/{RUN}/end"):
        page = await browser.post(path, {"mandate": "payables", "csrf": "guessed"})
        assert page.status == 403
    assert house.day.control.acts == []


async def test_whoever_stamps_sees_what_the_run_was_told_and_by_whom(house: House) -> None:
    records = house.day.records
    browser = await house.sign_in("ben")
    (hold,) = await records.holds(HoldState.WAITING, 1)
    assert "What its run was told" not in (await browser.get(f"/holds/{hold.id}")).text
    house.day.control.words[hold.run] = RunWords("Pay <i>everything</i>.", end_user="eve")
    for supplier, words in (("person", "<strong>ada</strong>"), ("agent", "not by a person")):
        row = replace(records.run_rows[hold.run], supplier=supplier, person="ada")
        records.run_rows[hold.run] = row
        page = (await browser.get(f"/holds/{hold.id}")).text
        assert words in page
        assert "Pay &lt;i&gt;everything&lt;/i&gt;." in page
        assert "for eve" in page


ONLY: dict[str, Json] = {
    "hours": {
        "days": ["mon-fri"],
        "from": "08:00",
        "to": "18:00",
        "zone": "Europe/Zurich",
        "except": ["2026-12-24"],
        "calendar": "zurich",
    },
    "outside_hours": [{"zone": "UTC", "days": "sun"}, {"zone": "UTC", "odd": 1}],
    "run_labels": ["month-end", "audit"],
    "purpose": "pay *",
    "end_users": ["*@example.com"],
    "zones": "office",
    "started_by": "person",
    "agent_may_say": ["purpose"],
    "another": 1,
}


async def test_a_mandate_says_in_words_when_it_is_good(house: House) -> None:
    assert said_only(ONLY) == [
        "mon-fri from 08:00 to 18:00 in Europe/Zurich, except 2026-12-24, the days of the calendar "
        "zurich",
        'at other times than sun in UTC or every day in UTC ({"odd": 1})',
        "in a run labelled month-end or audit",
        "in a run for the purpose pay * (the agent's word will do)",
        "for the end user *@example.com",
        "from the network zone office",
        "in a run that a person started",
        "another: 1",
    ]
    asked: JsonObject = {"asked_as": "assistant", "substitute": False, "max_output": 9, "tools": []}
    assert said_only({"model_call": asked}) == [
        "for a model asked for as assistant and in no other model's place and with an answer of at "
        "most 9 tokens and offering no tools but none"
    ]
    more: JsonObject = {
        "substitute": True,
        "more_output_than": 9,
        "hosted_tools": ["mcp"],
        "any_tool": "shell",
    }
    assert said_only({"model_call": more}) == [
        "in place of another model and with an answer that may take more than 9 tokens and "
        "offering no tools of the model's server but mcp and offering the tool shell"
    ]
    assert said_only(None) == []
    assert said_only("damaged") == ["damaged"]
    rows = house.day.records.object_rows
    (mandate,) = [row for row in rows if row.kind == "mandate" and row.name == "payables"][-1:]
    document = json.loads(mandate.document)
    document["spec"]["only"] = {"started_by": "person"}
    document["spec"]["allow"][0]["only"] = {"zones": ["office"]}
    changed = replace(mandate, version=mandate.version + 1, document=json.dumps(document))
    rows.append(changed)
    page = (await (await house.sign_in("ben")).get("/mandates/payables")).text
    assert "<dt>Only</dt><dd>in a run that a person started</dd>" in page
    assert "Only from the network zone office" in page


async def test_a_calls_page_says_for_whom_it_was_and_where_it_came_from(house: House) -> None:
    paths = house.day.control.paths
    call = next(iter(paths))
    browser = await house.sign_in("ben")
    assert "It acted for" not in (await browser.get(f"/calls/{call}")).text
    intent = paths[call].intent
    assert isinstance(intent, dict)
    known = {**intent, "end_user": "eve\u202e", "end_user_by": "agent", "zones": ["office"]}
    paths[call] = replace(paths[call], intent=known)
    page = (await browser.get(f"/calls/{call}")).text
    assert "as the agent says" in page
    assert "\u202e" not in page
    assert "It came from office." in page
    fixed = {**intent, "end_user": "eve", "end_user_by": "person", "zones": []}
    paths[call] = replace(paths[call], intent=fixed)
    page = (await browser.get(f"/calls/{call}")).text
    assert "It acted for eve, as the person who started the run said." in page
    assert "outside every declared network zone" in page
