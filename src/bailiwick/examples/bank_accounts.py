"""The books of the example bank: a JSON file, money in minor units, one writer at a time.

Several server processes may run on one folder (a gateway may start one for each client), so each
act takes the file lock, reads, changes and replaces the file as a whole.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

CURRENCY = "EUR"
AMOUNT = re.compile(r"(0|[1-9][0-9]{0,8})(\.[0-9]{1,2})?")
IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")


class BankRefusal(Exception):
    """The bank says no; the text is for whoever asked."""


@dataclass(slots=True)
class Account:
    """An account; `balance_minor` is in cents and never below zero."""

    id: str
    name: str
    iban: str
    balance_minor: int


@dataclass(slots=True)
class Invoice:
    """A bill to pay; `paid_by` is the transaction that paid it, or ""."""

    number: str
    creditor: str
    iban: str
    amount_minor: int
    due: str
    paid_by: str = ""


@dataclass(frozen=True, slots=True)
class Transaction:
    """Money that left an account. `id` is `T-` and a number counting from 1."""

    id: str
    account: str
    to_iban: str
    amount_minor: int
    reference: str


@dataclass(frozen=True, slots=True)
class Order:
    """A transfer somebody asks for, already parsed."""

    from_account: str
    to_iban: str
    amount_minor: int
    reference: str


@dataclass(slots=True)
class Books:
    """Everything the bank knows."""

    key_sha256: str
    accounts: list[Account]
    invoices: list[Invoice]
    transactions: list[Transaction]

    def account(self, account_id: str) -> Account:
        """Find an account.

        Raises:
            BankRefusal: there is none of that id.
        """
        for account in self.accounts:
            if account.id == account_id:
                return account
        known = ", ".join(f"`{account.id}`" for account in self.accounts)
        raise BankRefusal(f"no account `{account_id}`; accounts are {known}")

    def transfer(self, order: Order) -> Transaction:
        """Book a transfer, and mark the invoice it pays.

        Raises:
            BankRefusal: unknown account, zero amount, wrong IBAN, not enough money.
        """
        account = self.account(order.from_account)
        if not iban_is_valid(order.to_iban):
            raise BankRefusal(f"`{order.to_iban}` is not an IBAN: its check digits do not match")
        if order.amount_minor == 0:
            raise BankRefusal("amount must be more than 0")
        if order.amount_minor > account.balance_minor:
            raise BankRefusal(
                f"not enough money in `{account.id}`: {money(account.balance_minor)} {CURRENCY}"
            )
        account.balance_minor -= order.amount_minor
        transaction = Transaction(
            id=f"T-{len(self.transactions) + 1}",
            account=account.id,
            to_iban=order.to_iban,
            amount_minor=order.amount_minor,
            reference=order.reference,
        )
        self.transactions.append(transaction)
        for invoice in self.invoices:
            if not invoice.paid_by and _pays(order, invoice):
                invoice.paid_by = transaction.id
        return transaction


def opening_books(api_key: str) -> Books:
    """The books on the first day. The IBANs are the well-known documentation examples."""
    return Books(
        key_sha256=hashlib.sha256(api_key.encode()).hexdigest(),
        accounts=[
            Account("operations", "Operations", "DE89370400440532013000", 48_200_00),
            Account("reserve", "Reserve", "AT611904300234573201", 250_000_00),
        ],
        invoices=[
            Invoice("INV-2041", "Harbour Power", "NL91ABNA0417164300", 480_50, "2026-11-27"),
            Invoice("INV-2042", "Paper & Print", "BE68539007547034", 3_200_00, "2026-11-30"),
        ],
        transactions=[],
    )


@contextmanager
def open_books(folder: Path, api_key: str) -> Iterator[Books]:
    """Lock, read, let the caller change, and write the books back if nothing was raised.

    Raises:
        BankRefusal: the key is not the one the books were opened with.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "bank.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        path = folder / "bank.json"
        books = _decode(json.loads(path.read_text())) if path.exists() else opening_books(api_key)
        given = hashlib.sha256(api_key.encode()).hexdigest()
        if not hmac.compare_digest(given, books.key_sha256):
            raise BankRefusal("the bank does not know this BANK_API_KEY")
        before = _encode(books)
        yield books
        after = _encode(books)
        if after != before or not path.exists():
            _replace(path, after)


def minor(amount: str) -> int:
    """Cents of a decimal string such as `480.50`; it must match `AMOUNT`."""
    whole, _, cents = amount.partition(".")
    return int(whole) * 100 + int(cents.ljust(2, "0") or "0")


def money(amount_minor: int) -> str:
    """The decimal string of an amount in cents, always with two decimals."""
    return f"{amount_minor // 100}.{amount_minor % 100:02d}"


def iban_is_valid(iban: str) -> bool:
    """ISO 13616: moved to the end, letters as 10 to 35, the number is 1 modulo 97."""
    if not IBAN.fullmatch(iban):
        return False
    moved = iban[4:] + iban[:4]
    return int("".join(str(int(char, 36)) for char in moved)) % 97 == 1


def _pays(order: Order, invoice: Invoice) -> bool:
    return (
        invoice.number in order.reference
        and invoice.iban == order.to_iban
        and invoice.amount_minor == order.amount_minor
    )


def _encode(books: Books) -> str:
    return json.dumps(asdict(books), indent=1)


def _decode(raw: Mapping[str, object]) -> Books:
    rows = {key: raw[key] for key in ("accounts", "invoices", "transactions")}
    if not isinstance(raw["key_sha256"], str) or not all(
        isinstance(value, list) for value in rows.values()
    ):
        raise BankRefusal("the bank's books are damaged")
    return Books(
        key_sha256=raw["key_sha256"],
        accounts=[Account(**row) for row in rows["accounts"]],  # type: ignore[attr-defined]  # our own file
        invoices=[Invoice(**row) for row in rows["invoices"]],  # type: ignore[attr-defined]  # our own file
        transactions=[Transaction(**row) for row in rows["transactions"]],  # type: ignore[attr-defined]  # our own file
    )


def _replace(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    with part.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
