"""A small bank that speaks MCP over stdio: `python -m bailiwick.examples.bank FOLDER`.

It ships as an example of a server worth guarding. It needs nothing but the standard library and
speaks the stateless revision 2026-07-28 and the older ones that start with `initialize`. Its
secret, `BANK_API_KEY`, comes from the environment: the gateway puts it there, so no agent ever
sees it.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bailiwick.examples.bank_accounts import (
    AMOUNT,
    CURRENCY,
    IBAN,
    BankRefusal,
    Books,
    Order,
    minor,
    money,
    open_books,
)

MODERN = "2026-07-28"
LEGACY = ("2025-11-25", "2025-06-18", "2025-03-26")
META = "io.modelcontextprotocol/"
INFO = {"name": "example-bank", "title": "Example bank", "version": "1.0.0"}
CAPABILITIES: Mapping[str, object] = {"tools": {}}
INSTRUCTIONS = "An example bank. Amounts are decimal strings in EUR, such as `480.50`."

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS = -32700, -32600, -32601, -32602
UNSUPPORTED_VERSION = -32022
MAX_LINE_BYTES = 1 << 20

Reply = dict[str, object]
Arguments = Mapping[str, str]
"""Checked: only known names, every value a string that matches its pattern."""


class RpcError(Exception):
    """A JSON-RPC error to answer with."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


@dataclass(frozen=True, slots=True)
class Field:
    """One argument: always a string, matched as a whole against `pattern`."""

    about: str
    pattern: str
    required: bool = True


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool. `fields` is both the published schema and what is checked, so they agree."""

    name: str
    title: str
    about: str
    fields: Mapping[str, Field]
    output: Mapping[str, object]
    run: Callable[[Books, Arguments], Reply]
    writes: bool = False

    def definition(self) -> Reply:
        """The tool as `tools/list` gives it."""
        return {
            "name": self.name,
            "title": self.title,
            "description": self.about,
            "inputSchema": {
                "type": "object",
                "properties": {
                    name: {"type": "string", "description": field.about, "pattern": field.pattern}
                    for name, field in self.fields.items()
                },
                "required": [name for name, field in self.fields.items() if field.required],
                "additionalProperties": False,
            },
            "outputSchema": {
                "type": "object",
                "properties": self.output,
                "required": list(self.output),
            },
            "annotations": {
                "title": self.title,
                "readOnlyHint": not self.writes,
                "destructiveHint": self.writes,
                "idempotentHint": not self.writes,
                "openWorldHint": self.writes,
            },
        }


def _list_accounts(books: Books, _arguments: Arguments) -> Reply:
    return {
        "accounts": [
            {
                "id": account.id,
                "name": account.name,
                "iban": account.iban,
                "balance": money(account.balance_minor),
                "currency": CURRENCY,
            }
            for account in books.accounts
        ]
    }


def _list_invoices(books: Books, arguments: Arguments) -> Reply:
    wanted = arguments.get("status", "open")
    return {
        "invoices": [
            {
                "number": invoice.number,
                "creditor": invoice.creditor,
                "iban": invoice.iban,
                "amount": money(invoice.amount_minor),
                "currency": CURRENCY,
                "due": invoice.due,
                "status": "paid" if invoice.paid_by else "open",
            }
            for invoice in books.invoices
            if wanted == "all" or wanted == ("paid" if invoice.paid_by else "open")
        ]
    }


def _balance(books: Books, arguments: Arguments) -> Reply:
    account = books.account(arguments["account"])
    return {
        "account": account.id,
        "balance": money(account.balance_minor),
        "currency": CURRENCY,
    }


def _list_transactions(books: Books, arguments: Arguments) -> Reply:
    account = books.account(arguments["account"])
    return {
        "transactions": [
            {
                "id": row.id,
                "to_iban": row.to_iban,
                "amount": money(row.amount_minor),
                "currency": CURRENCY,
                "reference": row.reference,
            }
            for row in books.transactions
            if row.account == account.id
        ]
    }


def _transfer(books: Books, arguments: Arguments) -> Reply:
    order = Order(
        from_account=arguments["from_account"],
        to_iban=arguments["to_iban"],
        amount_minor=minor(arguments["amount"]),
        reference=arguments["reference"],
    )
    transaction = books.transfer(order)
    return {
        "transaction": transaction.id,
        "status": "booked",
        "balance": money(books.account(order.from_account).balance_minor),
        "currency": CURRENCY,
    }


_TEXT: Mapping[str, object] = {"type": "string"}
_LIST: Mapping[str, object] = {"type": "array", "items": {"type": "object"}}
_ACCOUNT = Field("Account id, as `list_accounts` gives it.", "[a-z][a-z0-9-]{0,31}")

TOOLS: Mapping[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool(
            "list_accounts",
            "List accounts",
            "List the accounts with their balances.",
            {},
            {"accounts": _LIST},
            _list_accounts,
        ),
        Tool(
            "list_invoices",
            "List invoices",
            "List invoices: `open` (default), `paid` or `all`.",
            {"status": Field("`open`, `paid` or `all`.", "open|paid|all", required=False)},
            {"invoices": _LIST},
            _list_invoices,
        ),
        Tool(
            "balance",
            "Balance",
            "Tell the balance of one account.",
            {"account": _ACCOUNT},
            {"account": _TEXT, "balance": _TEXT, "currency": _TEXT},
            _balance,
        ),
        Tool(
            "list_transactions",
            "List transactions",
            "List the transfers booked on one account, oldest first.",
            {"account": _ACCOUNT},
            {"transactions": _LIST},
            _list_transactions,
        ),
        Tool(
            "transfer",
            "Transfer money",
            "Transfer money to an IBAN. It is booked at once and cannot be taken back.",
            {
                "from_account": _ACCOUNT,
                "to_iban": Field("IBAN without spaces.", IBAN.pattern),
                "amount": Field("Decimal string, such as `480.50`.", AMOUNT.pattern),
                "currency": Field("Always `EUR`.", CURRENCY),
                "reference": Field("What it is for, 1 to 140 characters.", ".{1,140}"),
            },
            {"transaction": _TEXT, "status": _TEXT, "balance": _TEXT, "currency": _TEXT},
            _transfer,
            writes=True,
        ),
    )
}


def check_arguments(tool: Tool, arguments: object) -> Arguments:
    """Check arguments against the tool's fields.

    Raises:
        BankRefusal: not an object, an unknown or missing name, or a value of the wrong form.
    """
    if not isinstance(arguments, dict):
        raise BankRefusal("arguments must be an object")
    checked: dict[str, str] = {}
    for name, value in arguments.items():
        field = tool.fields.get(name)
        if field is None:
            known = ", ".join(f"`{known}`" for known in tool.fields) or "none"
            raise BankRefusal(f"`{tool.name}` has no argument `{name}`; it takes: {known}")
        if not isinstance(value, str) or not re.fullmatch(field.pattern, value):
            raise BankRefusal(f"`{name}` must be a string that matches `{field.pattern}`")
        checked[name] = value
    for name, field in tool.fields.items():
        if field.required and name not in checked:
            raise BankRefusal(f"`{tool.name}` needs the argument `{name}`")
    return checked


@dataclass(frozen=True, slots=True)
class Bank:
    """The server behind one pair of pipes: request in, reply out."""

    folder: Path
    api_key: str

    def answer(self, line: bytes) -> Reply | None:
        """Answer one line; None for a notification."""
        request_id: object = None
        try:
            message = _parse(line)
            request_id = message.get("id")
            method, params = message.get("method"), message.get("params", {})
            if not isinstance(method, str) or not isinstance(params, dict):
                raise RpcError(INVALID_REQUEST, "not a JSON-RPC request")
            if "id" not in message:
                return None
            if isinstance(request_id, bool) or not isinstance(request_id, str | int):
                request_id = None
                raise RpcError(INVALID_REQUEST, "`id` must be a string or an integer")
            result = self._result(method, params)
        except RpcError as error:
            body: Reply = {"code": error.code, "message": error.message}
            if error.data is not None:
                body["data"] = error.data
            return {"jsonrpc": "2.0", "id": request_id, "error": body}
        return {"jsonrpc": "2.0", "id": request_id, "result": result}

    def _result(self, method: str, params: Mapping[str, object]) -> Reply:
        modern = _is_modern(params)
        if method == "initialize" and not modern:
            asked = params.get("protocolVersion")
            return {
                "protocolVersion": asked if asked in LEGACY else LEGACY[0],
                "capabilities": CAPABILITIES,
                "serverInfo": INFO,
                "instructions": INSTRUCTIONS,
            }
        if method == "ping" and not modern:
            return {}
        if method == "server/discover" and modern:
            result = _cacheable({"capabilities": CAPABILITIES, "instructions": INSTRUCTIONS})
            return _modern({"supportedVersions": [MODERN], **result})
        if method == "tools/list":
            tools: Reply = {"tools": [tool.definition() for tool in TOOLS.values()]}
            return _modern(_cacheable(tools)) if modern else tools
        if method == "tools/call":
            called = self._call(params)
            return _modern(called) if modern else called
        raise RpcError(METHOD_NOT_FOUND, f"no method `{method}`")

    def _call(self, params: Mapping[str, object]) -> Reply:
        name = params.get("name")
        tool = TOOLS.get(name) if isinstance(name, str) else None
        if tool is None:
            raise RpcError(INVALID_PARAMS, f"no tool `{name}`")
        try:
            arguments = check_arguments(tool, params.get("arguments", {}))
            with open_books(self.folder, self.api_key) as books:
                structured = tool.run(books, arguments)
        except BankRefusal as refusal:
            return {"content": [{"type": "text", "text": str(refusal)}], "isError": True}
        text = json.dumps(structured, ensure_ascii=False)
        return {
            "content": [{"type": "text", "text": text}],
            "structuredContent": structured,
            "isError": False,
        }


def _parse(line: bytes) -> Mapping[str, object]:
    try:
        message = json.loads(line, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise RpcError(PARSE_ERROR, "not JSON with one meaning") from error
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise RpcError(INVALID_REQUEST, "not a JSON-RPC request")
    return message


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate key")
    return found


def _no_constant(name: str) -> object:
    raise ValueError(name)


def _is_modern(params: Mapping[str, object]) -> bool:
    """2026-07-28 puts its version into every request's `_meta`; older revisions never do."""
    meta = params.get("_meta")
    version = meta.get(META + "protocolVersion") if isinstance(meta, dict) else None
    if version is None:
        return False
    if version != MODERN:
        raise RpcError(
            UNSUPPORTED_VERSION,
            "unsupported protocol version",
            {"supported": [MODERN], "requested": version},
        )
    return True


def _modern(result: Reply) -> Reply:
    return {**result, "resultType": "complete", "_meta": {META + "serverInfo": INFO}}


def _cacheable(result: Reply) -> Reply:
    return {**result, "ttlMs": 60_000, "cacheScope": "private"}


def main() -> int:
    """Serve stdin to stdout until it closes. Exit 2 for wrong usage or a missing key."""
    api_key = os.environ.get("BANK_API_KEY", "")
    if len(sys.argv) != 2 or not api_key:
        sys.stderr.write("usage: BANK_API_KEY=… python -m bailiwick.examples.bank FOLDER\n")
        return 2
    bank = Bank(Path(sys.argv[1]), api_key)
    while line := sys.stdin.buffer.readline(MAX_LINE_BYTES):
        if not line.endswith(b"\n"):
            # Half a line must never be read as a message of its own.
            sys.stderr.write("bank: a line is longer than 1 MiB or was cut off\n")
            return 1
        reply = bank.answer(line)
        if reply is not None:
            text = json.dumps(reply, ensure_ascii=False, separators=(",", ":"))
            sys.stdout.buffer.write(text.encode("utf-8", "replace") + b"\n")
            sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
