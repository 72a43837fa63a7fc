"""What a result says was spent, read exactly or not at all."""

from __future__ import annotations

import pytest

from bailiwick.core.argument_path import parse_argument_path
from bailiwick.core.limits.limit import Charge
from bailiwick.gateway.settlement import MAX_ACTUAL, answered, ended, key_refused, spent
from bailiwick.ports import Settlement, UpstreamReply


def reply(text: str) -> UpstreamReply:
    return UpstreamReply(result=text.encode())


READ_FROM = {
    '{"structuredContent":{"total":{"spent":12.5}},"content":[]}': 12_500_000,
    '{"structuredContent":{"total":{"spent":"12.5"}}}': 12_500_000,
    '{"structuredContent":{"total":{"spent":0}}}': 0,
    '{"structuredContent":{"total":{"spent":0.0000001}}}': 1,  # a part of a step is a whole one
    '{"structuredContent":{"total":{"spent":9007199254740991}}}': MAX_ACTUAL,
}


@pytest.mark.parametrize("result", READ_FROM)
def test_an_amount_is_read_from_where_a_result_has_it(result: str) -> None:
    path = parse_argument_path("total.spent")
    assert spent(reply(result), path, 1_000_000) == READ_FROM[result]


NOT_READ = [
    '{"structuredContent":{"total":{"spent":-1}}}',
    '{"structuredContent":{"total":{"spent":"12,5"}}}',
    '{"structuredContent":{"total":{"spent":true}}}',
    '{"structuredContent":{"total":{"spent":[1]}}}',
    '{"structuredContent":{"total":{"spent":1,"spent":2}}}',  # two readers, two amounts
    '{"structuredContent":{"total":{"spent":1,"Spent":2}}}',
    '{"structuredContent":{"total":5}}',
    '{"structuredContent":{}}',
    '{"structuredContent":[]}',
    '{"structuredContent":{"total":{"spent":90071992547409930}}}',  # floats would round it
    '{"content":[{"type":"text","text":"{\\"total\\":{\\"spent\\":0}}"}]}',  # anybody
    '{"total":{"spent":4},"content":[]}',
    "[]",
    "not json",
]


@pytest.mark.parametrize("result", NOT_READ)
def test_what_is_not_plainly_an_amount_is_none(result: str) -> None:
    assert spent(reply(result), parse_argument_path("total.spent"), 1_000_000) is None


def test_an_error_has_no_amount() -> None:
    assert spent(UpstreamReply(error=b'{"spent":1}'), ("spent",), 1) is None


def test_a_result_that_is_too_long_is_not_searched() -> None:
    long = '{"structuredContent":{"spent":1,"x":"%s"}}' % ("x" * 1_100_000)
    assert spent(reply(long), ("spent",), 1) is None


def test_the_amounts_of_a_list_add_up() -> None:
    result = '{"structuredContent":{"items":[{"cost":0.1},{"cost":0.2}]}}'
    assert spent(reply(result), parse_argument_path("items[].cost"), 1_000_000) == 300_000


def charge(key: str, amount: int) -> Charge:
    return Charge("pay@1/limit/daily", "pay:daily", amount, 100, key, actual=("spent",))


def test_one_number_for_several_amounts_leaves_each_as_it_was_estimated() -> None:
    charges = (charge('["bo"]', 10), charge('["cy"]', 20))
    ending = answered(
        "c1", charges, reply('{"structuredContent":{"spent":25}}'), failed=False, at_ms=1
    )
    assert (ending.settled[0].actual, ending.over) == ((), ())


def test_one_number_beyond_several_amounts_is_posted_and_told() -> None:
    charges = (charge('["bo"]', 10), charge('["cy"]', 20))
    ending = answered(
        "c1", charges, reply('{"structuredContent":{"spent":35}}'), failed=False, at_ms=1
    )
    (settled,) = ending.settled
    assert settled.how is Settlement.POSTED
    assert settled.actual == (("pay:daily", '["bo"]', 15),)
    assert ending.over == ("pay",)


def taking(rule: str = "think@1/limit/t", takes: str = "tokens", amount: int = 100) -> Charge:
    return Charge(rule, f"account of {rule} {takes}", amount, 1_000, takes=takes)


def test_what_a_model_took_is_what_its_answer_says() -> None:
    money = taking("think@1/limit/m", "cost:USD", 900)
    told = UpstreamReply(result=b"{}", used={"tokens": 9, "cost:USD": 7})
    (settled,) = answered("c", (taking(), money), told, failed=False, at_ms=1).settled
    assert settled.actual == ((taking().account, "", 9), (money.account, "", 7))
    silent = UpstreamReply(result=b"{}", used={"tokens": 9})
    (settled,) = answered("c", (taking(), money), silent, failed=False, at_ms=1).settled
    assert settled.actual == ((taking().account, "", 9),), "of the rest, what was reserved"


def test_a_failed_call_says_too_what_it_took() -> None:
    frees = Charge("think@1/limit/n", "calls", 1, 10, failed_frees=True)
    nothing = UpstreamReply(error=b"{}", used={"tokens": 0})
    voided, posted = answered("c", (taking(), frees), nothing, failed=True, at_ms=1).settled
    assert (voided.how, voided.only) == (Settlement.VOIDED, (("calls", ""),))
    assert posted.actual == ((taking().account, "", 0),)
    assert posted.only == ((taking().account, ""),)


def test_more_than_was_reserved_names_whose_limit_it_was() -> None:
    told = UpstreamReply(result=b"{}", used={"tokens": 101})
    hers = taking("@ada/limit/t")
    assert answered("c", (taking(), hers), told, failed=False, at_ms=1).over == ("think", "@ada")
    absurd = UpstreamReply(result=b"{}", used={"tokens": 10**30})
    (settled,) = answered("c", (taking(),), absurd, failed=False, at_ms=1).settled
    assert settled.actual[0][2] == MAX_ACTUAL


def test_the_unknown_of_what_a_model_takes_is_its_bound() -> None:
    calls = Charge("think@1/limit/n", "calls", 1, 10)
    both = ended("c", (taking(), calls), Settlement.UNKNOWN, 1).settled
    assert [(each.how, each.only) for each in both] == [
        (Settlement.POSTED, ((taking().account, ""),)),
        (Settlement.UNKNOWN, (("calls", ""),)),
    ]
    (alone,) = ended("c", (taking(),), Settlement.UNKNOWN, 1).settled
    assert alone.how is Settlement.POSTED
    (unsent,) = ended("c", (taking(), calls), Settlement.VOIDED, 1).settled
    assert (unsent.how, unsent.only) == (Settlement.VOIDED, ())


def test_a_refused_key_has_taken_no_tokens() -> None:
    calls = Charge("think@1/limit/n", "calls", 1, 10)
    freed, unknown = key_refused("c", (taking(), calls), 1).settled
    assert (freed.how, freed.only) == (Settlement.VOIDED, ((taking().account, ""),))
    assert (unknown.how, unknown.only) == (Settlement.UNKNOWN, (("calls", ""),))
    assert [each.how for each in key_refused("c", (calls,), 1).settled] == [Settlement.UNKNOWN]
