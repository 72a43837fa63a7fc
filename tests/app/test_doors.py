"""Which names a gateway answers to."""

from __future__ import annotations

from pathlib import Path

from bailiwick.app.serve import _doors, _url_here
from bailiwick.app.settings import Address, Settings


def test_a_loopback_gateway_answers_to_loopback_names_with_its_own_port() -> None:
    found = _doors(Settings(data=Path("x")), 8750, 0)
    assert found.url == "http://127.0.0.1:8750"
    assert found.hosts == {"127.0.0.1:8750", "localhost:8750", "[::1]:8750"}
    assert found.names == {"127.0.0.1", "localhost", "::1"}
    assert found.test_port == 0


def test_a_public_address_and_allowed_hosts_are_answered_to() -> None:
    settings = Settings(
        data=Path("x"),
        listen=Address("10.0.0.5", 8750),
        public_url="https://Agents.example/",
        allowed_hosts=frozenset({"forwarded:1234", "any-port"}),
    )
    found = _doors(settings, 8750, 0)
    assert found.url == "https://Agents.example"
    assert found.hosts == {"10.0.0.5:8750", "agents.example", "forwarded:1234", "any-port"}
    assert found.names == {"10.0.0.5", "agents.example", "forwarded", "any-port"}


def test_commands_on_its_machine_reach_it_directly() -> None:
    public = "https://agents.example/"
    for listen, url in (
        (Address("127.0.0.1", 0), "http://127.0.0.1:8750"),
        (Address("0.0.0.0", 0), "http://127.0.0.1:8750"),
        (Address("::", 0), "http://[::1]:8750"),
        (Address("10.0.0.5", 0), "https://agents.example"),
    ):
        settings = Settings(data=Path("x"), listen=listen, public_url=public)
        assert _url_here(settings, 8750) == url


def test_the_test_listener_has_names_of_its_own() -> None:
    settings = Settings(data=Path("x"), test_listener=Address("127.0.0.1", 0), test_agent="clerk")
    found = _doors(settings, 8750, 9000)
    assert found.test_url == "http://127.0.0.1:9000"
    assert found.test_hosts == {"127.0.0.1:9000", "localhost:9000", "[::1]:9000"}
    assert not found.test_hosts & found.hosts
