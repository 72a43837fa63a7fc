"""Declared model servers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bailiwick.core.call import CallKind
from bailiwick.core.errors import ConfigError
from bailiwick.declared import DeclarationError, from_document, load_text
from bailiwick.declared.models import compile_model, resolve_model
from bailiwick.declared.readings import read_target

PAGE = Path(__file__).parents[3] / "docs" / "models.md"
WHO = "people: {ada: {name: Ada}}\nagents: {clerk: {owner: ada}}\n"


def problems(text: str, environment: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(DeclarationError) as failed:
        load_text(text, "f.yaml", environment=environment)
    return [str(problem.message) for problem in failed.value.problems]


def example(heading: str) -> str:
    """The first example under a heading of the page."""
    section = PAGE.read_text().partition(f"# {heading}\n")[2].partition("\n## ")[0]
    found = re.search(r"```yaml\n(.*?)```", section, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_page_s_example_is_sound() -> None:
    declared = load_text(example("Models"), environment={"OPENAI_API_KEY": "k"})
    assert declared.warnings == ()
    assert sorted(declared.of("model")) == ["hosted", "local"]


def test_the_page_s_deny_rules_are_sound() -> None:
    deny = example("What a server keeps")
    whole = example("Models") + "".join(f"    {line}\n" for line in deny.splitlines())
    declared = load_text(whole, environment={"OPENAI_API_KEY": "k"})
    assert len(declared.of("mandate")["think"].spec["deny"]) == 2  # type: ignore[arg-type]


def test_the_page_s_budget_is_sound() -> None:
    declared = load_text(example("Budgets"), environment={"OPENAI_API_KEY": "k"})
    assert declared.warnings == ()
    terms = compile_model(declared.of("model")["hosted"]).terms
    mini, size = terms.of("gpt-mini")
    assert mini is not None
    assert (mini.input, mini.output) == (150_000, 600_000)
    assert (size.context, size.max_output) == (128_000, 16_384)


def test_a_server_compiles_alike_from_a_file_and_a_store() -> None:
    text = (
        "models: {hosted: {url: 'https://a.example/api/v1/', dialects: chat, "
        "headers: {Authorization: 'Bearer ${env:KEY}'}, max_concurrent: 2}}"
    )
    declaration = load_text(text).of("model")["hosted"]
    server = compile_model(declaration)
    assert server == compile_model(from_document(declaration.document))
    assert server.url == "https://a.example/api"
    assert (server.dialects, server.models) == (("chat",), ("*",))
    assert (server.timeout_seconds, server.max_concurrent) == (600, 2)
    assert "sk-1" not in declaration.document
    assert resolve_model(server, {"KEY": "sk-1"})["Authorization"].reveal() == "Bearer sk-1"
    with pytest.raises(ConfigError, match=r"model server `hosted`.*`\${env:KEY}` is not set"):
        resolve_model(server, {})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("models: {a: {dialects: chat}}", "needs `url`"),
        ("models: {a: {url: 'http://x'}}", "needs `dialects`"),
        ("models: {a: {url: 'http://x', dialects: [chatt]}}", "did you mean `chat`"),
        ("models: {a: {url: 'http://x?k=1', dialects: chat}}", "holds a query"),
        ("models: {a: {url: 'http://u:p@x', dialects: chat}}", "holds a user or password"),
        ("models: {a/b: {url: 'http://x', dialects: chat}}", "is not a server name"),
        (
            "models: {a: {url: 'http://x', dialects: chat, headers: {x-api-key: sk}}}",
            "is a secret: write",
        ),
        (
            "models: {a: {url: 'http://x', dialects: chat}}\nservers: {a: {command: [x]}}",
            "is the name of",
        ),
        (
            f"{WHO}servers: {{a: {{command: [x]}}}}\n"
            "mandates: {m: {from: ada, to: clerk, allow: [{model: a/b, other_arguments: allow}]}}",
            "there is no model server `a`",
        ),
        (
            f"{WHO}models: {{a: {{url: 'http://x', dialects: chat}}}}\n"
            "mandates: {m: {from: ada, to: clerk, allow: [{tool: a/b, other_arguments: allow}]}}",
            "there is no server `a`",
        ),
    ],
)
def test_what_is_wrong_is_said(text: str, says: str) -> None:
    assert any(says in problem for problem in problems(text))


def test_a_missing_key_is_found_when_applied() -> None:
    text = "models: {a: {url: 'http://x', dialects: chat, headers: {X: '${env:NONE}'}}}"
    assert problems(text, {}) == ["`${env:NONE}` is not set"]


def test_a_target_of_a_model_may_hold_slashes() -> None:
    pattern = read_target("local/Qwen/*", CallKind.MODEL)
    assert (pattern.kind, pattern.upstream, pattern.name) == (CallKind.MODEL, "local", "Qwen/*")
