"""The gateway the agents work and think through: real servers, mandates, a treasurer."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bailiwick.cli.api import Api
from tests.agents.agents import AGENTS
from tests.agents.model.endpoint import Model, scripted_model
from tests.agents.model.script import BRIEF, ENDLESS, MODELS, SCRIPTED, SLOW, Step
from tests.app.running import Running, running

CREDITOR = "BE68539007547034"
KEY = "bank-key-that-no-agent-may-see"
MODEL_KEY = "model-key-that-no-agent-may-see"
BECAUSE = "Payments above 1000 EUR wait for the treasurer."
COMMIT = "Open the books"
ERRANDS = ("denied", "endless", "spent", "held", "refused", "forgotten", "left")
"""Short work, each under a mandate of its own."""

MOST_CALLS = 5
"""Of the endless model, in one run."""

MOST_TOKENS = 120_000
"""Of any model, in one run: more than the largest request of an agent could take."""

NOWHERE = "http://127.0.0.1:9"
"""Where nothing answers."""


@dataclass(frozen=True, slots=True)
class Office:
    """A running gateway, the folder of its bank, and each agent's model."""

    gateway: Running
    bank: Path
    models: Mapping[str, Model]

    def token(self, person: str) -> str:
        """A token of this person's."""
        return str(self.gateway.cli("people", "token", person)["token"])

    def as_person(self, person: str) -> Api:
        """The people's API, with a token of this person's."""
        return Api(self.gateway.url, self.token(person))

    def calls(self, mandate: str) -> list[dict[str, Any]]:
        """The calls under this mandate as the gateway recorded them, oldest first."""
        words = ("calls", "--mandate", mandate, "--limit", "500")
        calls: list[dict[str, Any]] = self.gateway.cli(*words)["calls"]
        return calls[::-1]


def script(books: Path) -> Sequence[Step]:
    """What each agent's model asks for, in this order."""
    return (
        Step("bank/balance", {"account": "reserve"}),
        Step("git/git_log", {"repo_path": str(books)}),
        Step("bank/transfer", _payment("9000.00")),
        Step("bank/transfer", _payment("1200.00")),
    )


def model_id(agent: str, model: str) -> str:
    """What this agent's model is called at the gateway."""
    return f"{agent}-model/{model}"


def _payment(amount: str) -> dict[str, str]:
    return {
        "from_account": "operations",
        "to_iban": CREDITOR,
        "amount": amount,
        "currency": "EUR",
        "reference": "INV-2042",
    }


def _working(agent: str, books: Path) -> dict[str, Any]:
    """The mandate of the agent's day."""
    return {
        "from": "ada",
        "to": agent,
        "allow": [
            {"id": "think", "model": model_id(agent, SCRIPTED), "other_arguments": "allow"},
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


def _errands(agent: str, kind: str) -> dict[str, Any]:
    """The mandate of an errand: other models than the day's, and not for ever."""
    return {
        "from": "ada",
        "to": agent,
        "allow": [
            {"model": model_id(agent, ENDLESS), "other_arguments": "allow"},
            {"model": model_id(agent, SLOW), "other_arguments": "allow"},
            {"model": f"{agent}-away/*", "other_arguments": "allow"},
            {"model": model_id(agent, BRIEF), "other_arguments": "allow"},
            {"tool": "bank/balance", "other_arguments": "allow"},
        ],
        "stamp": [
            {
                "id": "thoughts",
                "model": model_id(agent, BRIEF),
                # Not for the title that some want beside it.
                "when": {"tools": {"present": True}},
                "role": "treasurer",
            }
        ],
        "limits": [
            {"id": "tokens", "model": f"{agent}-*/*", "tokens": MOST_TOKENS, "each": "run"}
            if kind == "spent"
            else {
                "id": "thoughts",
                "model": model_id(agent, ENDLESS),
                "calls": MOST_CALLS,
                "each": "run",
            }
        ],
    }


def _server(agent: str, url: str) -> dict[str, Any]:
    """The agent's model server."""
    return {
        "url": url,
        "dialects": [AGENTS[agent].dialect],
        "headers": {"Authorization": "Bearer ${env:MODEL_KEY}"},
        "models": list(MODELS),
        "sizes": {"*": {"context": 100_000, "max_output": 1_000}},
    }


def declared(books: Path, bank: Path, models: Mapping[str, Model]) -> str:
    """The office in YAML (JSON is YAML)."""
    python = sys.executable
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
            "models": {
                **{f"{name}-model": _server(name, models[name].url) for name in AGENTS},
                **{f"{name}-away": _server(name, NOWHERE) for name in AGENTS},
            },
            "aliases": {
                f"{name}-mind": {"models": [f"{name}-away/{ENDLESS}", model_id(name, ENDLESS)]}
                for name in AGENTS
            },
            "agents": {name: {"owner": "ada"} for name in AGENTS},
            "mandates": {
                **{f"{name}-office": _working(name, books) for name in AGENTS},
                **{f"{name}-{kind}": _errands(name, kind) for name in AGENTS for kind in ERRANDS},
            },
        },
        indent=1,
    )


@contextlib.contextmanager
def open_office(folder: Path) -> Iterator[Office]:
    """An office with its gateway, for as long as the block lasts."""
    books = folder / "books"
    _make_repository(books)
    bank = folder / "bank"
    environ = {"BANK_API_KEY": KEY, "MODEL_KEY": MODEL_KEY}
    with contextlib.ExitStack() as stack:
        models = {name: stack.enter_context(scripted_model(script(books))) for name in AGENTS}
        text = declared(books, bank, models)
        gateway = stack.enter_context(running(folder / "gateway", text, env=environ))
        yield Office(gateway, bank, models)


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
