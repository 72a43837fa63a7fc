"""What is remembered of a model is what is declared of it now."""

from __future__ import annotations

import pytest
from msgspec.structs import astuple

from bailiwick.core.limits.pricing import Price, Terms
from bailiwick.core.verdict import Deny
from bailiwick.gateway.llm import chosen as room
from bailiwick.gateway.llm.chosen import Choices, Chosen
from bailiwick.gateway.llm.names import Meant
from bailiwick.gateway.llm.servers import ModelServers, ModelSpec
from bailiwick.protocols.llm.dialect import Dialect

FOUND = Meant("engine", "tiny", served=True)
CHEAP, DEAR = (Price("USD", each, each, each, each, each) for each in (1, 9))


def spec(price: Price | None = None, *dialects: str) -> ModelSpec:
    terms = Terms(() if price is None else (("*", price),))
    spoken = frozenset(dialects or ("chat",))
    return ModelSpec("engine", "http://127.0.0.1:1", spoken, ("*",), terms=terms)


async def test_another_declaration_is_another_choice() -> None:
    servers, choices = ModelServers(), Choices()

    def now(dialect: Dialect = Dialect.CHAT) -> Chosen:
        return choices.of(FOUND, dialect, servers.current)

    servers.apply([spec(CHEAP)])
    first = now()
    assert (first.price, first.blocked, first.edge) == (CHEAP, None, "llm/chat")
    assert now() is first
    servers.apply([spec(DEAR)])  # its connections are kept, and its server is the same object
    assert (now().price, now().server) == (DEAR, first.server)
    servers.apply([spec(None, "messages")])
    assert isinstance(now().blocked, Deny)
    assert (now(Dialect.MESSAGES).blocked, now().price) == (None, None)
    servers.apply([])
    with pytest.raises(KeyError):
        now()
    servers.close()


async def test_each_model_and_dialect_is_a_choice_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room, "MAX_REMEMBERED", 3)
    servers, choices = ModelServers(), Choices()
    servers.apply([spec(CHEAP, "chat", "responses")])
    for model in ("one", "two"):
        for served in (True, False):
            for dialect in (Dialect.CHAT, Dialect.RESPONSES, Dialect.MESSAGES):
                found = Meant("engine", model, served=served)
                chosen = choices.of(found, dialect, servers.current)
                assert astuple(chosen) == astuple(Choices().of(found, dialect, servers.current))
                assert (chosen.name, chosen.model) == (f"engine/{model}", model)
                assert (chosen.blocked is None) == (served and dialect is not Dialect.MESSAGES)
                assert len(choices._known) <= 3
    servers.close()
