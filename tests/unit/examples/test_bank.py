"""The example bank: strict, exact with money, and usable by a real MCP client of either era."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from bailiwick.examples.bank import TOOLS, Bank, check_arguments
from bailiwick.examples.bank_accounts import (
    AMOUNT,
    BankRefusal,
    iban_is_valid,
    minor,
    money,
    open_books,
    opening_books,
)

KEY = "k-1"
PAYMENT = {
    "from_account": "operations",
    "to_iban": "NL91ABNA0417164300",
    "amount": "480.50",
    "currency": "EUR",
    "reference": "INV-2041",
}


def call(bank: Bank, name: str, arguments: object) -> dict[str, object]:
    message = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": name, "arguments": arguments},
    }
    reply = bank.answer(json.dumps(message).encode())
    assert reply is not None
    result = reply["result"]
    assert isinstance(result, dict)
    return result


@pytest.fixture
def bank(tmp_path: Path) -> Bank:
    return Bank(tmp_path, KEY)


def test_a_transfer_moves_exactly_the_cents_and_pays_its_invoice(bank: Bank) -> None:
    result = call(bank, "transfer", PAYMENT)
    assert result["structuredContent"] == {
        "transaction": "T-1",
        "status": "booked",
        "balance": "47719.50",
        "currency": "EUR",
    }
    invoices = call(bank, "list_invoices", {"status": "paid"})["structuredContent"]
    assert isinstance(invoices, dict)
    assert [row["number"] for row in invoices["invoices"]] == ["INV-2041"]
    # A second process on the same folder sees it.
    with open_books(bank.folder, KEY) as books:
        assert [row.id for row in books.transactions] == ["T-1"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"amount": "-1"}, "`amount` must be"),
        ({"amount": "1e3"}, "`amount` must be"),
        ({"amount": "0.005"}, "`amount` must be"),
        ({"amount": 480.5}, "`amount` must be"),
        ({"amount": "0"}, "more than 0"),
        ({"amount": "48200.01"}, "not enough money"),
        ({"to_iban": "NL91ABNA0417164301"}, "check digits"),
        ({"currency": "USD"}, "`currency` must be"),
        ({"from_account": "vault"}, "no account `vault`"),
        ({"memo": "x"}, "no argument `memo`"),
    ],
)
def test_a_wrong_transfer_is_refused_and_moves_nothing(
    bank: Bank, change: dict[str, object], says: str
) -> None:
    result = call(bank, "transfer", {**PAYMENT, **change})
    assert result["isError"] is True
    assert says in json.dumps(result["content"])
    with open_books(bank.folder, KEY) as books:
        assert books.transactions == []


def test_a_transfer_without_its_reference_is_refused(bank: Bank) -> None:
    short = {name: value for name, value in PAYMENT.items() if name != "reference"}
    assert "needs the argument `reference`" in json.dumps(call(bank, "transfer", short))


def test_another_key_than_the_one_it_was_opened_with_is_refused(bank: Bank) -> None:
    call(bank, "list_accounts", {})
    stranger = Bank(bank.folder, "k-2")
    result = call(stranger, "list_accounts", {})
    assert result["isError"] is True
    assert "k-" not in json.dumps(result)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{", -32700),
        (b'{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}', -32700),
        (b'{"jsonrpc":"2.0","id":NaN,"method":"ping"}', -32700),
        (b"[]", -32600),
        (b'{"jsonrpc":"2.0","id":true,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"drop/tables"}', -32601),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"nope"}}', -32602),
        (
            b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":'
            b'{"io.modelcontextprotocol/protocolVersion":"2031-01-01"}}}',
            -32022,
        ),
    ],
)
def test_what_is_not_a_request_gets_its_error_code(bank: Bank, line: bytes, code: int) -> None:
    reply = bank.answer(line)
    assert reply is not None
    error = reply["error"]
    assert isinstance(error, dict)
    assert error["code"] == code


def test_a_notification_gets_no_answer(bank: Bank) -> None:
    assert bank.answer(b'{"jsonrpc":"2.0","method":"notifications/initialized"}') is None


@pytest.mark.parametrize("name", sorted(TOOLS))
def test_the_published_schemas_are_valid_and_agree_with_the_check(name: str) -> None:
    definition = TOOLS[name].definition()
    for key in ("inputSchema", "outputSchema"):
        schema = definition[key]
        assert isinstance(schema, dict)
        Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(definition["inputSchema"])
    unknown = {"surprise": "x"}
    assert not validator.is_valid(unknown)
    with pytest.raises(BankRefusal):
        check_arguments(TOOLS[name], unknown)


@given(st.integers(min_value=0, max_value=10**11 - 1))
def test_money_survives_its_decimal_string(amount_minor: int) -> None:
    text = money(amount_minor)
    assert AMOUNT.fullmatch(text)
    assert minor(text) == amount_minor


@given(st.integers(min_value=0, max_value=10**9 - 1), st.integers(min_value=0, max_value=9))
def test_short_decimals_mean_what_people_read(whole: int, tenth: int) -> None:
    assert minor(str(whole)) == whole * 100
    assert minor(f"{whole}.{tenth}") == whole * 100 + tenth * 10


def test_every_iban_in_the_books_is_valid_and_a_changed_digit_is_not() -> None:
    books = opening_books(KEY)
    for iban in [row.iban for row in books.accounts] + [row.iban for row in books.invoices]:
        assert iban_is_valid(iban)
        assert not iban_is_valid(iban[:-1] + str((int(iban[-1]) + 1) % 10))


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28", "auto"])
async def test_the_official_client_pays_an_invoice_in_both_eras(tmp_path: Path, mode: str) -> None:
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "bailiwick.examples.bank", str(tmp_path)],
        env={"BANK_API_KEY": KEY},
    )
    async with Client(stdio_client(server), mode=mode) as client:
        listed = await client.list_tools()
        assert [tool.name for tool in listed.tools] == list(TOOLS)
        result = await client.call_tool("transfer", PAYMENT)
        assert result.is_error is False
        assert result.structured_content is not None
        assert result.structured_content["balance"] == "47719.50"


def run_bank(folder: Path, stdin: bytes, env: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "bailiwick.examples.bank", str(folder)],
        input=stdin,
        capture_output=True,
        env=env,
        timeout=20,
        check=False,
    )


def test_without_its_key_the_bank_does_not_open(tmp_path: Path) -> None:
    done = run_bank(tmp_path, b"", {})
    assert done.returncode == 2
    assert b"BANK_API_KEY" in done.stderr


def test_the_tail_of_an_overlong_line_is_never_read_as_a_message(tmp_path: Path) -> None:
    inner = b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}\n'
    done = run_bank(tmp_path, b" " * (1 << 20) + inner, {"BANK_API_KEY": KEY})
    assert done.returncode == 1
    assert done.stdout == b""
