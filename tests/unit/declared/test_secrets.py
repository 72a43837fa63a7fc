"""Secrets: resolved when needed, shown never."""

from __future__ import annotations

import copy
import json
import os
import pickle
from pathlib import Path

import msgspec
import pytest

from bailiwick.core.errors import ConfigError
from bailiwick.declared import Secret, load_text, resolve, resolve_server
from bailiwick.declared.compiling import compile_server
from tests.unit.declared.house import SERVERS


def test_a_secret_shows_itself_to_reveal_only() -> None:
    secret = Secret("hunter2")
    assert secret.reveal() == "hunter2"
    for shown in (
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret:>20}",
        f"{[secret]}",
    ):
        assert "hunter2" not in shown
    with pytest.raises(TypeError):
        json.dumps({"a": secret})
    with pytest.raises(TypeError):
        msgspec.json.encode({"a": secret})
    for write in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="not written"):
            write(secret)
    assert not hasattr(secret, "__dict__")
    assert secret == Secret("hunter2") != Secret("other")


def test_references_are_replaced_from_the_given_environment_and_files(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("from-file\n")
    text = f"Bearer ${{env:A}}.${{file:{file}}}"
    assert resolve(text, {"A": "from-env"}).reveal() == "Bearer from-env.from-file"
    assert resolve("plain", {}).reveal() == "plain"


def test_a_value_that_looks_like_a_reference_is_not_resolved_again() -> None:
    assert resolve("${env:A}", {"A": "${env:B}", "B": "x"}).reveal() == "${env:B}"


@pytest.mark.parametrize(
    ("text", "environment", "code"),
    [
        ("${env:A}", {}, "secret_unset"),
        ("${env:A}", {"A": ""}, "secret_unset"),
        ("${env:A}", {"A": "hunter2\0"}, "secret_malformed"),
        ("${env:A}", {"A": "hunter2\r\nX-Evil: 1"}, "secret_malformed"),
        ("${file:/nonexistent/hunter1}", {}, "secret_unreadable"),
        ("${file:/dev}", {}, "secret_unreadable"),
        ("${file:/dev/zero}", {}, "secret_unreadable"),
        ("${oops}", {}, "secret_malformed"),
    ],
)
def test_what_cannot_be_resolved_is_refused_without_its_value(
    text: str, environment: dict[str, str], code: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(text, environment, one_line=True)
    assert caught.value.code == code
    assert "hunter2" not in caught.value.message


def test_a_program_may_have_a_secret_of_several_lines_and_a_header_may_not() -> None:
    key = "-----BEGIN KEY-----\nabc\n-----END KEY-----"
    assert resolve("${env:A}", {"A": key}).reveal() == key
    with pytest.raises(ConfigError, match="line break"):
        resolve("${env:A}", {"A": key}, one_line=True)


def test_files_that_hold_no_usable_secret_are_refused(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * 65_537)
    (tmp_path / "binary").write_bytes(b"hunter2\xff")
    os.mkfifo(tmp_path / "pipe")
    for name in ("large", "binary", "pipe"):
        with pytest.raises(ConfigError) as caught:
            resolve(f"${{file:{tmp_path / name}}}", {})
        assert caught.value.code == "secret_unreadable"
        # Not in what is chained to it either: a log would print that.
        assert "hunter2" not in repr(caught.value.__cause__)


def test_a_servers_secrets_are_resolved_apart_from_its_declaration() -> None:
    declared = load_text(SERVERS)
    bank = compile_server(declared.objects["server", "bank"])
    values = resolve_server(bank, {"BANK_TOKEN": "hunter2"})
    assert {name: value.reveal() for name, value in values.items()} == {
        "BANK_TOKEN": "hunter2",
        "LOG": "info",
    }
    assert "hunter2" not in repr((bank, values, declared))
    assert "${env:BANK_TOKEN}" in declared.objects["server", "bank"].document
    with pytest.raises(ConfigError, match=r"server `bank`: `\$\{env:BANK_TOKEN\}` is not set"):
        resolve_server(bank, {})
