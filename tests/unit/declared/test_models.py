"""Declared model servers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bailiwick.core.call import CallKind
from bailiwick.core.errors import ConfigError
from bailiwick.declared import DeclarationError, from_document, load_text
from bailiwick.declared.aliases import DEFAULT_FAIL_OVER, FAILURES, compile_alias
from bailiwick.declared.guarded import Guard, guard_of
from bailiwick.declared.models import compile_model, resolve_model
from bailiwick.declared.readings import read_target
from bailiwick.gateway.llm import failures as edge

PAGE = Path(__file__).parents[3] / "docs" / "models.md"
README = PAGE.parents[1] / "README.md"
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


def test_the_first_page_s_example_is_sound() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", README.read_text(), re.DOTALL)
    declared = load_text(text, environment={"OPENAI_API_KEY": "k"})
    assert declared.warnings == ()
    assert len(text.splitlines()) <= 11, "short enough to be read at a glance"
    mini, size = compile_model(declared.of("model")["hosted"]).terms.of("gpt-mini")
    assert (mini is not None, size.max_output) == (True, 16_384)


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
    assert problems(text, {}) == [
        "`${env:NONE}` is not set: start the gateway with it in its environment"
    ]


def test_a_target_of_a_model_may_hold_slashes() -> None:
    pattern = read_target("local/Qwen/*", CallKind.MODEL)
    assert (pattern.kind, pattern.upstream, pattern.name) == (CallKind.MODEL, "local", "Qwen/*")


# --- aliases --------------------------------------------------------------------------------------

ONE = "models: {one: {url: 'http://127.0.0.1:1', dialects: chat, models: [m, 'big/*', n-*]}}\n"
ANY = "models: {one: {url: 'http://127.0.0.1:1', dialects: chat}}\n"


def test_the_page_s_alias_is_sound() -> None:
    declared = load_text(
        "models: {local: {url: 'http://127.0.0.1:1', dialects: chat}, "
        "spare: {url: 'http://127.0.0.1:1', dialects: chat}, "
        "hosted: {url: 'http://127.0.0.1:1', dialects: chat}}\n" + example("Aliases")
    )
    alias = compile_alias(declared.of("alias")["assistant"])
    assert alias.groups == (
        (("local", "qwen3-8b", 3), ("spare", "qwen3-8b", 1)),
        (("hosted", "gpt-mini", 1),),
    )
    assert (alias.attempts, alias.breaker_failures, alias.first_byte_seconds) == (2, 5, 10)
    guard = guard_of(declared.of("alias")["assistant"])
    assert guard == Guard("platform", frozenset({"requester"}), 2)


@pytest.mark.parametrize(
    ("stamp", "said"),
    [
        (
            "{role: platfrom, not: requester}",
            "needs 1 person with the role `platfrom` to stamp, and nobody may, "
            "did you mean `platform`?",
        ),
        (
            "{role: platform, people: 2}",
            "needs 2 people with the role `platform` to stamp, and 1 person may",
        ),
    ],
)
def test_changes_that_nobody_could_accept_are_a_warning(stamp: str, said: str) -> None:
    people = "people: {ben: {name: Ben, roles: [platform]}}\n"
    alias = f"aliases: {{assistant: {{models: [one/m], changes: {{stamp: {stamp}}}}}}}\n"
    assert [problem.message for problem in load_text(people + ONE + alias).warnings] == [said]


def test_a_rule_about_an_alias_is_told_to_name_models() -> None:
    rules = "mandates: {m: {from: ada, to: clerk, allow: [{model: assistant}]}}\n"
    assert problems(WHO + ONE + "aliases: {assistant: {models: [one/m]}}\n" + rules) == [
        "`assistant` is not `SERVER/MODEL`, and rules name models, not their aliases; "
        "`SERVER/*` is everything of a server, `*/*` of all"
    ]


@pytest.mark.parametrize("amount", ["5", "5.50"])
def test_money_without_its_currency_is_not_told_to_stand_in_quotes(amount: str) -> None:
    limit = f"{{id: a, model: one/*, cost: {amount}, each: call}}"
    rules = "allow: [{model: one/*, other_arguments: allow}]"
    text = WHO + ONE + f"mandates: {{m: {{from: ada, to: clerk, {rules}, limits: [{limit}]}}}}\n"
    (said,) = problems(text)
    assert said.endswith("is not an amount with its currency, such as `5 USD` or `0.50 EUR`")
    assert said.startswith("`5")


def test_the_words_of_a_guard_name_role_and_exceptions() -> None:
    assert Guard("platform", frozenset({"requester"})).phrase == (
        "1 person with the role `platform` (not `requester`)"
    )


@pytest.mark.parametrize(
    ("target", "warned"),
    [
        ("one/m", []),
        ("one/big/a", []),
        ("one/b*", []),
        ("o*/n-2", []),
        ("*/*", []),
        ("one/bog/a", ["`one/bog/a` fits no declared model, did you mean `big/*`?"]),
        ("one/x", ["`one/x` fits no declared model; known are `big/*`, `m`, `n-*`"]),
    ],
)
def test_a_rule_about_a_model_that_nobody_serves_is_a_warning(
    target: str, warned: list[str]
) -> None:
    rule = f"{{from: ada, to: clerk, allow: [{{model: '{target}', other_arguments: allow}}]}}"
    loaded = load_text(f"{WHO}{ONE}mandates: {{think: {rule}}}")
    assert [each.message for each in loaded.warnings] == warned


def test_where_no_models_are_declared_any_may_be_named() -> None:
    rule = "{from: ada, to: clerk, allow: [{model: one/x, other_arguments: allow}]}"
    assert load_text(f"{WHO}{ANY}mandates: {{think: {rule}}}").warnings == ()


def test_an_alias_compiles_alike_from_a_file_and_a_store() -> None:
    text = ONE + "aliases: {assistant: {models: [{one/n-1: 2, one/m: 1}, one/big/a], spread: runs}}"
    found = load_text(text).of("alias")["assistant"]
    assert compile_alias(found) == compile_alias(from_document(found.document))
    assert compile_alias(found).by_run
    assert compile_alias(found).fail_over == DEFAULT_FAIL_OVER


@pytest.mark.parametrize(
    ("alias", "told"),
    [
        ("{models: [assistant]}", "`assistant` is not `SERVER/MODEL`, the name of one model"),
        ("{models: [other/m]}", "there is no model server `other`; known are `one`"),
        ("{models: [one/x]}", "model server `one` is declared without the model `x`; known are"),
        ("{models: [one/bik/a]}", "without the model `bik/a`, did you mean `big/*`?"),
        ("{models: [one/*]}", "`one/*` is not `SERVER/MODEL`"),
        ("{models: [one/m, {one/m: 2, one/big/a: 1}]}", "`one/m` stands twice in this alias"),
        ("{models: [{one/m: 0}]}", "0 is not a whole number from 1 to 1000"),
        ("{models: []}", "the list is empty"),
        ("{models: [one/m], fail_over: {on: [timout]}}", "did you mean `timeout`?"),
        ("{models: [one/m], breaker: {}}", "a breaker needs `failures` or `seconds`"),
        ("{models: [one/m], changes: {stamp: {}}}", "a stamp of changes needs"),
    ],
)
def test_an_alias_that_means_nothing_is_refused(alias: str, told: str) -> None:
    assert any(told in each for each in problems(f"{ONE}aliases: {{assistant: {alias}}}"))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("one", "`one` would be an alias and a model server"),
        ("m", "`m` would be an alias, and a model of `one` (`m`)"),
        ("n-1", "`n-1` would be an alias, and a model of `one` (`n-*`)"),
    ],
)
def test_a_name_is_an_alias_or_a_model_and_not_both(name: str, told: str) -> None:
    assert told in problems(f"{ONE}aliases: {{{name}: {{models: [one/m]}}}}")
    # The other way round: the alias is there already when the server is declared.
    stored = load_text(f"{ANY}aliases: {{{name}: {{models: [one/m]}}}}") if name != "one" else None
    if stored is not None:
        found = [from_document(each.document) for each in stored.objects.values()]
        with pytest.raises(DeclarationError, match=re.escape(told)):
            load_text(ONE, stored=found)


def test_a_server_that_serves_anything_takes_no_name_from_an_alias() -> None:
    assert load_text(f"{ANY}aliases: {{assistant: {{models: [one/m]}}}}").of("alias")


def test_a_server_keeps_the_models_that_an_alias_stands_for() -> None:
    found = load_text(f"{ONE}aliases: {{assistant: {{models: [one/m]}}}}").objects.values()
    stored = [from_document(each.document) for each in found]
    with pytest.raises(DeclarationError, match="the alias `assistant` stands for `m` of it"):
        load_text(
            "models: {one: {url: 'http://127.0.0.1:1', dialects: chat, models: [x]}}",
            stored=stored,
        )


def test_conditions_on_model_calls_are_for_rules_about_models() -> None:
    rule = "{model: one/m, tool: x/y, only: {model_call: {substitute: false}}}"
    told = problems(
        f"{WHO}{ONE}servers: {{x: {{url: 'http://127.0.0.1:1'}}}}\n"
        f"mandates: {{w: {{from: ada, to: clerk, allow: [{rule}]}}}}"
    )
    assert told == ["`model_call` is about models only; this rule is about `tool` too"]


def test_the_words_of_failures_are_those_of_the_edge() -> None:
    assert tuple(edge.FAILURES) == FAILURES
    assert edge.DEFAULT_FAIL_OVER == DEFAULT_FAIL_OVER
