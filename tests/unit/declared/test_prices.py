"""`prices` and `sizes` of model servers, and limits in what models take, as they are declared."""

from __future__ import annotations

import pytest

from bailiwick.core.limits.limit import Limit, Measure
from bailiwick.core.limits.pricing import DEFAULT_TEMPLATE_TOKENS, Price, Size, Terms
from bailiwick.declared import load_text
from bailiwick.declared.compiling import compile_all
from bailiwick.declared.models import compile_model
from bailiwick.declared.objects import Declared
from bailiwick.declared.problems import DeclarationError

HOUSE = """
people: {ada: {name: Ada%s}}
agents: {clerk: {owner: ada}}
servers: {bank: {url: "http://127.0.0.1:1"}}
models:
  hosted:
    url: http://127.0.0.1:2
    dialects: [%s]
    models: [gpt-*, embed]
    %s
mandates:
  think:
    from: ada
    to: clerk
    allow: [{model: hosted/*, other_arguments: allow}, {tool: bank/*, other_arguments: allow}]
    limits: [%s]
"""


def house(terms: str = "", limit: str = "", dialect: str = "chat", person: str = "") -> str:
    return HOUSE % (person, dialect, terms, limit)


def loaded(text: str) -> Declared:
    return load_text(text, "f.yaml")


def terms(text: str) -> Terms:
    return compile_model(loaded(house(text)).objects["model", "hosted"]).terms


def limit(text: str) -> Limit:
    mandates = compile_all(loaded(house(limit=text)).objects.values())
    return mandates["think"].limits[0]


def faults(text: str) -> list[str]:
    with pytest.raises(DeclarationError) as error:
        loaded(text)
    return [each.message for each in error.value.problems]


def test_prices_are_exact_and_stand_the_most_specific_first() -> None:
    found = terms(
        "prices: {gpt-*: {input: 2.5, output: '10', currency: USD}, "
        "gpt-4o: {input: '0.000001', cached: 0, cache_written: 7, output: 1, reasoning: 3,"
        " currency: EUR}, gpt-4*: {input: 1, currency: USD}}"
    )
    million = 1_000_000
    assert found.prices == (
        ("gpt-4o", Price("EUR", 1, 0, 7 * million, million, 3 * million)),
        ("gpt-4*", Price("USD", million, million, million, None, None)),
        (
            "gpt-*",
            Price("USD", 2_500_000, 2_500_000, 2_500_000, 10 * million, 10 * million),
        ),
    )


def test_sizes_have_a_template_of_their_own() -> None:
    found = terms(
        "sizes: {gpt-*: {context: 1000, max_output: 10}, gpt-5: {template: 0, heeds: max_tokens}}"
    )
    assert found.sizes == (
        ("gpt-5", Size(None, None, 0, ("max_tokens",))),
        ("gpt-*", Size(1000, 10, DEFAULT_TEMPLATE_TOKENS)),
    )


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "prices: {'gpt-4*': {input: 1, currency: USD}, '*-mini': {input: 2, currency: USD}}",
            "which price has a model that fits both `gpt-4*` and `*-mini`? "
            "Make one of them fit only what the other fits too",
        ),
        (
            "prices: {'gpt-4*': {input: 1, currency: USD}, 'GPT-4o*': {input: 2, currency: USD}}",
            "which price has a model that fits both `gpt-4*` and `GPT-4o*`? "
            "Make one of them fit only what the other fits too",
        ),
        (
            "sizes: {'gpt*': {context: 1}, 'gpt**': {context: 2}}",
            "which size has a model that fits both `gpt*` and `gpt**`? "
            "Make one of them fit only what the other fits too",
        ),
        ("prices: {gpt-*: {input: -1, currency: USD}}", "nothing costs less than nothing"),
        ("prices: {gpt-*: {input: '0.0000001', currency: USD}}", "has more than six decimals"),
        ("prices: {gpt-*: {input: 1e30, currency: USD}}", "is more than can be counted"),
        ("prices: {gpt-*: {currency: USD}}", "a price needs `input`"),
        ("prices: {gpt-*: {input: 1}}", "a price needs `currency`"),
        (
            "prices: {gpt-*: {input: 1, reasoning: 1, currency: USD}}",
            "`reasoning` goes with `output` only",
        ),
        ("prices: {}", "the table is empty"),
        ("sizes: {gpt-*: {context: 10, max_output: 11}}", "is more than the whole `context`"),
        ("sizes: {gpt-*: {context: 0}}", "0 is not a whole number from 1 to 1000000000000"),
    ],
)
def test_terms_that_cannot_be_meant_are_errors(said: str, told: str) -> None:
    assert told in faults(house(said))


def test_what_is_hardly_meant_is_warned_of() -> None:
    said = "prices: {claude: {input: 1, currency: usd}}"
    told = [each.message for each in loaded(house(said, dialect="messages")).warnings]
    assert told == [
        "is about no model of this server: `claude` is not served",
        "says nothing of `cache_written`: those tokens count as `input`, and providers of the "
        "messages dialect charge up to twice as much for them",
        "`usd` is not the code of a currency, did you mean `USD`?",
    ]


def test_limits_of_what_models_take_have_their_units() -> None:
    tokens = limit("{id: a, model: hosted/*, tokens: 200000, each: day, zone: Europe/Zurich}")
    assert (tokens.measure, dict(tokens.ceilings)) == (Measure.TOKENS, {"tokens": 200_000})
    assert (tokens.takes, tokens.unit, tokens.scale) == ("tokens", "tokens", 1)
    given = limit("{id: a, model: hosted/*, input_tokens: 5, within: 1h}")
    assert (given.measure, given.takes) == (Measure.INPUT_TOKENS, "input_tokens")
    said = limit("{id: a, model: hosted/*, output_tokens: 5, each: call}")
    assert (said.measure, said.takes) == (Measure.OUTPUT_TOKENS, "output_tokens")
    money = limit("{id: a, model: hosted/*, cost: 5 USD, each: lifetime}")
    assert (money.measure, dict(money.ceilings)) == (Measure.COST, {"USD": 5_000_000})
    both = limit("{id: a, model: hosted/*, cost: {USD: 5, EUR: '4.50'}, each: lifetime}")
    assert dict(both.ceilings) == {"EUR": 4_500_000, "USD": 5_000_000}
    assert both.unit is None


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "{id: a, tool: bank/pay, tokens: 5, each: run}",
            "`tokens` is what model calls take: say `model:` instead of `tool:`",
        ),
        (
            "{id: a, model: hosted/*, tool: bank/pay, cost: 5 USD, each: run}",
            "`cost` is what model calls take: say `model:` instead of `tool:`",
        ),
        ("{id: a, model: hosted/*, cost: 0 USD, each: run}", "nothing would fit: use a deny rule"),
        (
            "{id: a, model: hosted/*, cost: {USD: 0.0000001}, each: run}",
            "has more than six decimals",
        ),
        (
            "{id: a, model: hosted/*, cost: 5 USD, at_most: 5, each: run}",
            "`at_most` has no use here: say `cost: 5 USD`",
        ),
        (
            "{id: a, model: hosted/*, tokens: 5, failed: released, each: run}",
            "`tokens` needs no `failed`: what a call took is what its answer reports",
        ),
        (
            "{id: a, model: hosted/*, tokens: 5, each: day}",
            "`each: day` needs `zone`: a day begins at another time in every zone",
        ),
        (
            "{id: a, model: hosted/*, tokens: 5, cost: 5 USD, each: run}",
            "a limit cannot have both `tokens` and `cost`",
        ),
    ],
)
def test_limits_that_cannot_be_meant_are_errors(said: str, told: str) -> None:
    assert told in faults(house(limit=said))


@pytest.mark.parametrize("said", ["5", "USD 5", "5USD", "5.0000001 USD", "-5 USD", "05 USD"])
def test_money_stands_with_its_currency(said: str) -> None:
    told = faults(house(limit=f"{{id: a, model: hosted/*, cost: '{said}', each: run}}"))
    assert any("is not an amount with its currency, such as `5 USD`" in each for each in told)


def test_a_person_s_limits_are_checked_and_reach_her_mandates() -> None:
    said = ", limits: [{id: a, model: hosted/*, cost: 5 USD, each: lifetime}]"
    mandates = compile_all(loaded(house(person=said)).objects.values())
    found = mandates["think"].principal_limits
    assert [each.id for each in found] == ["@ada/limit/a"]
    assert found[0].account_stem == "@ada:a:cost:lifetime::"
    assert not mandates["think"].limits
    unknown = ", limits: [{id: a, model: host/*, cost: 5 USD, each: lifetime}]"
    assert faults(house(person=unknown)) == [
        "there is no model server `host`, did you mean `hosted`?"
    ]
    same = "{id: a, tool: bank/*, calls: 5, each: lifetime}"
    twice = f", limits: [{same}, {same}]"
    assert "is there already" in faults(house(person=twice))[0]


def test_a_budget_in_money_of_what_has_no_price_is_warned_of() -> None:
    budget = "{id: a, model: hosted/*, cost: {USD: 5, CHF: 5}, each: lifetime}"

    def told(terms: str, limit: str = budget, person: str = "") -> list[str]:
        return [each.message for each in loaded(house(terms, limit, person=person)).warnings]

    none = "refuses every call of model server `hosted`: it declares no `prices`"
    assert told("") == [none]
    assert told("", "", f", limits: [{budget}]") == [none]
    euros = "prices: {gpt-*: {input: 1, currency: EUR}}"
    assert told(euros) == ["refuses every call of model server `hosted`: its prices are in `EUR`"]
    assert told(euros.replace("EUR", "CHF")) == []


def test_a_budget_in_money_of_one_model_without_a_price_is_warned_of() -> None:
    terms = "prices: {gpt-*: {input: 1, currency: USD}}"

    def told(*models: str) -> list[str]:
        limit = f"{{id: a, models: [{', '.join(models)}], cost: 5 USD, each: lifetime}}"
        return [each.message for each in loaded(house(terms, limit)).warnings]

    assert told("hosted/gpt-mini", "hosted/*") == []
    assert "refuses every call of `hosted/o4`: no pattern of `prices` fits it" in told("hosted/o4")
