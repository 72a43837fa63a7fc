"""The gateway the agents work through: real servers, a mandate for each agent, a treasurer."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bailiwick.cli.api import Api
from tests.agents.agents import AGENTS
from tests.agents.model.script import Step
from tests.app.running import Running, running

CREDITOR = "BE68539007547034"
KEY = "bank-key-that-no-agent-may-see"
BECAUSE = "Payments above 1000 EUR wait for the treasurer."
COMMIT = "Open the books"


@dataclass(frozen=True, slots=True)
class Office:
    """A running gateway, the repository of its books, and the folder of its bank."""

    gateway: Running
    books: Path
    bank: Path

    def script(self) -> Sequence[Step]:
        """What each agent's model asks for, in this order."""
        return (
            Step("bank/balance", {"account": "reserve"}),
            Step("git/git_log", {"repo_path": str(self.books)}),
            Step("bank/transfer", _payment("9000.00")),
            Step("bank/transfer", _payment("1200.00")),
        )

    def token(self, person: str) -> str:
        """A token of this person's."""
        return str(self.gateway.cli("people", "token", person)["token"])

    def as_person(self, person: str) -> Api:
        """The people's API, with a token of this person's."""
        return Api(self.gateway.url, self.token(person))

    def calls(self, agent: str) -> list[dict[str, Any]]:
        """The agent's calls as the gateway recorded them, oldest first."""
        calls: list[dict[str, Any]] = self.gateway.cli("calls", "--agent", agent)["calls"]
        return calls[::-1]


def _payment(amount: str) -> dict[str, str]:
    return {
        "from_account": "operations",
        "to_iban": CREDITOR,
        "amount": amount,
        "currency": "EUR",
        "reference": "INV-2042",
    }


def declared(books: Path, bank: Path) -> str:
    """The office in YAML (JSON is YAML)."""
    python = sys.executable
    mandate = {
        "from": "ada",
        "allow": [
            {"id": "look", "tool": "bank/balance", "other_arguments": "allow"},
            {
                "id": "history",
                "tool": "git/git_log",
                "when": {"repo_path": {"equals": str(books)}},
                "other_arguments": "allow",
            },
            {
                "id": "pay",
                "tool": "bank/transfer",
                "when": {"amount": {"at_most": "5000"}},
                "other_arguments": "allow",
            },
        ],
        "stamp": [
            {
                "id": "large-payments",
                "tool": "bank/transfer",
                "when": {"amount": {"at_least": "1000.01"}},
                "role": "treasurer",
                "not": ["requester", "owner"],
                "because": BECAUSE,
            }
        ],
    }
    return json.dumps(
        {
            "people": {
                "ada": {"name": "Ada", "roles": ["operator"]},
                "ben": {"name": "Ben", "roles": ["treasurer"]},
            },
            "servers": {
                "bank": {
                    "command": [python, "-m", "bailiwick.examples.bank", str(bank)],
                    "env": {"BANK_API_KEY": "${env:BANK_API_KEY}"},
                },
                "git": {
                    "command": [python, "-m", "mcp_server_git", "--repository", str(books)],
                    "env": {"PATH": os.environ["PATH"], "HOME": str(books)},
                },
            },
            "agents": {name: {"owner": "ada"} for name in AGENTS},
            "mandates": {f"{name}-office": {**mandate, "to": name} for name in AGENTS},
        },
        indent=1,
    )


@contextlib.contextmanager
def open_office(folder: Path) -> Iterator[Office]:
    """An office with its gateway, for as long as the block lasts."""
    books = folder / "books"
    _make_repository(books)
    bank = folder / "bank"
    text = declared(books, bank)
    with running(folder / "gateway", text, env={"BANK_API_KEY": KEY}) as gateway:
        yield Office(gateway, books, bank)


def _make_repository(books: Path) -> None:
    books.mkdir(parents=True)
    (books / "book.md").write_text("# Books\n")
    settings = ("user.name=Books", "user.email=books@example.org", "commit.gpgsign=false")
    options = [word for setting in settings for word in ("-c", setting)]
    for words in (["init", "-q"], ["add", "."], [*options, "commit", "-q", "-m", COMMIT]):
        subprocess.run(
            ["git", "-C", books, *words],
            check=True,
            env={"PATH": os.environ["PATH"], "HOME": str(books.parent)},
        )
