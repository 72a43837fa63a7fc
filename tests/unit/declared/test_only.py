"""`only:` in declarations: read, checked, compiled, and what it leans on."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import jsonschema
import pytest

from bailiwick.core.circumstances import (
    AskedByModel,
    Circumstance,
    ForEndUser,
    FromZone,
    RunLabelled,
    RunPurpose,
    StartedByPerson,
)
from bailiwick.core.errors import ConfigError
from bailiwick.core.hours import EVERY_DAY, WORKING_WEEK, Calendar, InHours, Span
from bailiwick.core.mandate import Mandate
from bailiwick.core.texts.glob import Glob
from bailiwick.declared import (
    compile_agent,
    compile_calendar,
    compile_mandate,
    compile_networks,
    compile_person,
    from_document,
    load_text,
    schema,
)
from bailiwick.declared.circumstances import CALENDAR, HOURS, ONLY, PROXY, ZONE
from bailiwick.declared.schema import FILE
from bailiwick.declared.shapes import Record, collect
from bailiwick.declared.tree import parse_yaml
from tests.unit.declared.house import PEOPLE, SERVERS, problems

AROUND = """\
calendars:
  zurich:
    description: Public holidays in the city
    days: {2026-12-25: Christmas, 2026-12-26: St Stephen}
zones:
  office: {networks: [10.0.0.0/8, "2001:db8::/32"]}
proxies:
  front: {networks: [127.0.0.1]}
"""


def house(only: str, rule: str = "") -> str:
    return (
        SERVERS
        + PEOPLE
        + AROUND
        + f"""\
mandates:
  pay:
    from: ada
    to: clerk
    only: {only}
    allow:
      - tool: bank/transfer
        other_arguments: allow
{rule}"""
    )


def compiled(text: str, *, stored: bool = False) -> Mandate:
    declared = load_text(text)
    objects = [
        from_document(each.document) if stored else each for each in declared.objects.values()
    ]
    people = {each.name: compile_person(each) for each in objects if each.kind == "person"}
    agents = {each.name: compile_agent(each) for each in objects if each.kind == "agent"}
    calendars = {each.name: compile_calendar(each) for each in objects if each.kind == "calendar"}
    (mandate,) = (each for each in objects if each.kind == "mandate")
    return compile_mandate(mandate, 1, people, agents, calendars=calendars)


ZURICH = Calendar("zurich", frozenset({date(2026, 12, 25), date(2026, 12, 26)}))


@pytest.mark.parametrize(
    ("only", "meant"),
    [
        (
            "{hours: {days: mon-fri, from: 08:00, to: '18:00', zone: Europe/Zurich}}",
            InHours((Span("Europe/Zurich", WORKING_WEEK, 480, 1080),)),
        ),
        (
            "{hours: {days: [fri-mon, wed], zone: UTC, except: [2027-01-01], calendar: zurich}}",
            InHours(
                (
                    Span(
                        "UTC",
                        frozenset({4, 5, 6, 0, 2}),
                        without=frozenset({date(2027, 1, 1)}),
                        calendars=(ZURICH,),
                    ),
                )
            ),
        ),
        (
            "{outside_hours: [{from: '22:00', to: '6:00', zone: UTC}, {days: sun, zone: UTC}]}",
            InHours((Span("UTC", EVERY_DAY, 1320, 360), Span("UTC", frozenset({6}))), outside=True),
        ),
        (
            "{hours: {from: 00:00, to: '24:00', zone: UTC}}",
            InHours((Span("UTC", EVERY_DAY, 0, 1440),)),
        ),
        ("{run_labels: month-end}", RunLabelled(frozenset({"month-end"}))),
        ("{run_labels: [a, b], agent_may_say: run_labels}", RunLabelled(frozenset("ab"), True)),
        ("{purpose: 'pay *'}", RunPurpose((Glob("pay *"),))),
        (
            "{end_users: ['*@example.com', ada], agent_may_say: [end_users]}",
            ForEndUser((Glob("*@example.com"), Glob("ada")), True),
        ),
        ("{zones: [office]}", FromZone(frozenset({"office"}))),
        ("{started_by: person}", StartedByPerson()),
        ("{asked_by_model: matched}", AskedByModel(frozenset({"matched"}))),
        (
            "{asked_by_model: [altered, unasked]}",
            AskedByModel(frozenset({"altered", "unasked"})),
        ),
    ],
)
def test_only_is_compiled_to_what_it_says(only: str, meant: Circumstance) -> None:
    for stored in (False, True):
        assert compiled(house(only), stored=stored).circumstances == (meant,)


def test_several_circumstances_must_all_hold_on_mandates_and_on_each_rule() -> None:
    rule = """\
        only: {zones: office, started_by: person}
    deny:
      - {tool: bank/x, only: {run_labels: test}}
    stamp:
      - {tool: bank/x, only: {outside_hours: {days: mon-fri, zone: UTC}}}
"""
    mandate = compiled(house("{started_by: person}", rule))
    assert mandate.allow[0].circumstances == (StartedByPerson(), FromZone(frozenset({"office"})))
    assert mandate.deny[0].circumstances == (RunLabelled(frozenset({"test"})),)
    assert mandate.stamp[0].circumstances == (InHours((Span("UTC", WORKING_WEEK),), outside=True),)


WRONG = [
    ("{asked_by_model: unknown}", "known are `altered`, `matched`, `unasked`"),
    ("{}", "needs `hours`, `outside_hours`"),
    ("{agent_may_say: purpose}", "needs `hours`, "),
    ("{hour: {zone: UTC}, zones: office}", "unknown key `hour`, did you mean `hours`?"),
    ("{hours: {days: mon-fri}}", "hours of the week needs `zone`"),
    ("{hours: mon-fri}", "expected hours of the week (a table), found text"),
    (
        "{hours: {zone: Europe/Zurch}}",
        "is not a time zone, did you mean `Europe/Zurich`?",
    ),
    ("{hours: {zone: CEST}}", "is not a time zone"),
    ("{hours: {zone: UTC, days: monday}}", "is not a day such as `mon`"),
    ("{hours: {zone: UTC, days: mon - fri}}", "is not a day such as `mon`"),
    ("{hours: {zone: UTC, from: '8:00'}}", "`from` goes with `to` only"),
    ("{hours: {zone: UTC, to: '8:00'}}", "`to` goes with `from` only"),
    ("{hours: {zone: UTC, from: '24:00', to: '8:00'}}", "`24:00` is not a time of day"),
    ("{hours: {zone: UTC, from: '8', to: '18:00'}}", "`8` is not a time of day"),
    ("{hours: {zone: UTC, from: '8:00', to: '25:00'}}", "`25:00` is not a time of day"),
    ("{hours: {zone: UTC, from: '8:00', to: '08:00'}}", "ends when it begins"),
    ("{hours: {zone: UTC, except: [2026-02-30]}}", "`2026-02-30`: there is no such day"),
    ("{hours: {zone: UTC, except: [25.12.2026]}}", "is not a day such as `2026-12-25`"),
    ("{hours: {zone: UTC, calendar: zürich}}", "is not a name"),
    (
        "{hours: {zone: UTC, calendar: zurch}}",
        "there is no calendar `zurch`, did you mean `zurich`?",
    ),
    ("{outside_hours: [{zone: UTC, calendar: [bern]}]}", "there is no calendar `bern`"),
    ("{zones: [offic]}", "there is no zone `offic`, did you mean `office`?"),
    ("{zones: [front]}", "there is no zone `front`"),
    ("{started_by: agent}", "`agent` is not known"),
    ("{zones: office, agent_may_say: zones}", "`zones` is not known"),
    ("{zones: office, agent_may_say: purpose}", "`purpose` is not asked for here"),
    ("{end_users: 'a\\b'}", "a backslash may only stand before"),
]


@pytest.mark.parametrize(("only", "words"), WRONG)
def test_what_is_wrong_with_only_is_told_with_its_place(only: str, words: str) -> None:
    (found,) = problems(house(only))
    assert found.startswith("f.yaml:26:")
    assert words in found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("calendars: {c: {}}", "a calendar needs `days`"),
        ("calendars: {c: {days: {}}}", "the table is empty"),
        ("calendars: {c: {days: {2026-02-30: x}}}", "there is no such day"),
        ("calendars: {c: {days: {2026-12-25: x, 2026-12-25: y}}}", "is there already"),
        ("zones: {z: {networks: []}}", "the list is empty"),
        ("zones: {z: {networks: [10.0.0.1/8]}}", "has bits set beyond its length"),
        ("zones: {z: {networks: ['::ffff:10.0.0.0/104']}}", "write it as IPv4"),
        ("proxies: {p: {networks: [localhost]}}", "is not a network"),
    ],
)
def test_what_is_wrong_with_calendars_zones_and_proxies_is_told(text: str, words: str) -> None:
    (found,) = problems(text)
    assert words in found


PAGE = Path(__file__).parents[3].joinpath("docs", "reference", "mandates.md").read_text("utf-8")


@pytest.mark.parametrize("record", [HOURS, ONLY.shape, CALENDAR, ZONE, PROXY])
def test_every_key_is_on_the_reference_page(record: Record) -> None:
    words = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`\n]+)`", PAGE))))
    assert set(record.fields) - words == set()


# What a schema cannot say: it is for editors, and these are left to the checks.
BEYOND_A_SCHEMA = ("Zurch", "CEST", "2026-02-30", "a\\b")


@pytest.mark.parametrize("only", [only for only, _ in WRONG])
def test_the_schema_refuses_what_the_checks_of_shape_refuse(only: str) -> None:
    (node,) = parse_yaml(house(only), "f.yaml")
    value, found = collect(FILE, node)
    valid = jsonschema.Draft202012Validator(schema()).is_valid(value)
    beyond = any(part in only for part in BEYOND_A_SCHEMA)
    assert valid is (found == [] or beyond)


def test_zones_and_proxies_are_compiled_together() -> None:
    networks = compile_networks(load_text(AROUND).objects.values())
    assert networks.around("10.1.1.1") == frozenset({"office"})
    assert [str(each) for each in networks.proxies] == ["127.0.0.1/32"]


def test_a_mandate_whose_calendar_is_gone_cannot_be_compiled() -> None:
    declared = load_text(house("{hours: {zone: UTC, calendar: zurich}}"))
    people = {name: compile_person(each) for name, each in declared.of("person").items()}
    agents = {name: compile_agent(each) for name, each in declared.of("agent").items()}
    with pytest.raises(ConfigError) as caught:
        compile_mandate(declared.objects["mandate", "pay"], 1, people, agents)
    assert caught.value.code == "mandate_without_calendar"


@pytest.mark.parametrize("key", ["model: local/x", "models: [local/x]"])
def test_a_rule_about_models_cannot_ask_what_a_model_asked_for(key: str) -> None:
    rule = f"""\
        only: {{zones: office}}
    deny:
      - {{{key}, only: {{asked_by_model: unasked}}}}
"""
    text = house("{started_by: person}", rule) + "models: {local: {url: http://127.0.0.1:1}}\n"
    assert any("this rule is about models" in found for found in problems(text))
