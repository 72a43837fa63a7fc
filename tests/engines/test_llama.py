"""llama.cpp's own server behind the gateway, in front of it the official SDKs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.app.running import Running, running
from tests.engines.engine import (
    KEY,
    Engine,
    ask,
    asked_for,
    environment_of,
    events,
    recorded,
    serving,
    until,
    write_model,
)
from tests.engines.spoken import (
    ADD,
    ASKED,
    ENDLESS,
    PAY,
    PIECES,
    RECEIPT,
    SAID,
    THOUGHT,
    forced,
    is_receipt,
)
from tests.llm.sdks.calls import SdkError, Sdks

pytestmark = [asked_for("llama"), pytest.mark.slow]

DECLARED = """
people: {{ada: {{name: Ada}}}}
agents: {{clerk: {{owner: ada}}}}
models:
  llama:
    url: {url}
    dialects: [chat, embeddings]
    headers: {{Authorization: "Bearer ${{env:ENGINE_KEY}}"}}
    models: ["*"]
  polite:
    url: {polite}
    dialects: [chat]
    headers: {{Authorization: "Bearer ${{env:ENGINE_KEY}}"}}
    models: ["*"]
  keyless:
    url: {url}
    dialects: [chat]
    models: ["*"]
mandates:
  think:
    from: ada
    to: clerk
    allow: [{{models: ["llama/*", "polite/*", "keyless/*"], other_arguments: allow}}]
"""
MODEL = "llama/tiny"


def _serving(tmp: Any, *more: str) -> Any:
    environment = environment_of("llama")
    folder = tmp.mktemp("llama")
    write_model(environment, "file", folder / "tiny.gguf", thinks=False)
    words: list[Any] = [environment / "python", "-m", "llama_cpp.server"]
    words += ["--model", folder / "tiny.gguf", "--model_alias", "tiny", "--api_key", KEY]
    words += ["--n_ctx", "4096", "--n_threads", "1", "--verbose", "false", *more]
    return serving(folder, words, seconds=60, env={})


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One that drops what it is at when something new comes: so we see that it came."""
    with _serving(tmp_path_factory, "--embedding", "true") as found:
        yield found


@pytest.fixture(scope="module")
def polite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One that ends what it is at before anything else, unless whoever asked is gone."""
    with _serving(tmp_path_factory, "--interrupt_requests", "false") as found:
        yield found


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, engine: Engine, polite: Engine
) -> Iterator[Running]:
    declared = DECLARED.format(url=engine.url, polite=polite.url)
    with running(tmp_path_factory.mktemp("up"), declared, env={"ENGINE_KEY": KEY}) as found:
        found.agent_token()
        yield found


@pytest.fixture
def sdks(every: Sdks, gateway: Running) -> Sdks:
    every.point(gateway.url, gateway.token)
    return every


def chat(sdks: Sdks, messages: Any = ASKED, model: str = MODEL, **more: Any) -> Any:
    body = {"model": model, "messages": messages, "temperature": 0, **more}
    return sdks.openai("chat.completions.create", body)


def test_a_plain_answer(sdks: Sdks) -> None:
    answer = chat(sdks).result()
    assert answer["choices"][0]["message"]["content"] == SAID
    assert answer["usage"]["completion_tokens"] == len(PIECES)


def test_a_stream_comes_in_the_engine_s_own_pieces(sdks: Sdks) -> None:
    found = [piece["choices"][0] for piece in chat(sdks, stream=True).pieces()]
    words = [one["delta"]["content"] for one in found if one["delta"].get("content")]
    assert tuple(words) == PIECES
    assert found[-1]["finish_reason"] == "stop"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_what_comes_through_is_what_comes_directly(
    gateway: Running, engine: Engine, stream: bool
) -> None:
    body = {"messages": ASKED, "temperature": 0, "stream": stream}
    path = "/v1/chat/completions"
    direct = ask(engine.url, "POST", path, {**body, "model": "tiny"}, token=KEY)
    through = ask(gateway.url, "POST", path, {**body, "model": MODEL}, token=gateway.token)
    if stream:
        assert events(through[1]) == events(direct[1])
        assert events(through[1])[-1] == "[DONE]"
    else:
        assert json.loads(through[1])["choices"] == json.loads(direct[1])["choices"]
    assert through[0] == direct[0] == 200


def test_reasoning_in_tags_is_in_the_answer_and_known_on_record(
    sdks: Sdks, gateway: Running
) -> None:
    thinks = [{"role": "user", "content": "think"}]
    answer = chat(sdks, thinks).result()
    assert answer["choices"][0]["message"]["content"] == f"<think>{THOUGHT}</think>{SAID}"
    said = recorded(gateway)
    assert said["reasoning"] == [{"text": THOUGHT, "visibility": "full"}]
    assert said["text"] == SAID
    assert said["usage"]["output"] == answer["usage"]["completion_tokens"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_forced_call_of_a_tool_has_arguments_of_its_schema(
    sdks: Sdks, gateway: Running, stream: bool
) -> None:
    going = chat(sdks, tools=[ADD, PAY], tool_choice=forced("pay"), stream=stream)
    if stream:
        parts = [
            call
            for piece in going.pieces()
            for call in piece["choices"][0]["delta"].get("tool_calls") or []
        ]
        name = parts[0]["function"]["name"]
        arguments = "".join(part["function"]["arguments"] for part in parts)
    else:
        (call,) = going.result()["choices"][0]["message"]["tool_calls"]
        name, arguments = call["function"]["name"], call["function"]["arguments"]
    assert name == "pay"
    assert is_receipt(json.loads(arguments))
    (call,) = recorded(gateway)["tool_calls"]
    assert (call["name"], call["arguments"]) == (name, arguments)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_schema_binds_the_answer(sdks: Sdks, stream: bool) -> None:
    # This server's word for it; it has no `json_schema`.
    going = chat(sdks, response_format={"type": "json_object", "schema": RECEIPT}, stream=stream)
    text = (
        "".join(piece["choices"][0]["delta"].get("content") or "" for piece in going.pieces())
        if stream
        else going.result()["choices"][0]["message"]["content"]
    )
    assert is_receipt(json.loads(text))


def test_a_grammar_of_this_engine_alone_reaches_it(gateway: Running) -> None:
    body = {"model": MODEL, "messages": ASKED, "grammar": 'root ::= "yes" | "no"'}
    status, raw = ask(gateway.url, "POST", "/v1/chat/completions", body, token=gateway.token)
    assert status == 200
    assert json.loads(raw)["choices"][0]["message"]["content"] in ("yes", "no")


def test_embeddings(sdks: Sdks, engine: Engine) -> None:
    body = {"model": MODEL, "input": ["a", "b"], "encoding_format": "float"}
    found = sdks.openai("embeddings.create", body).result()
    direct = ask(engine.url, "POST", "/v1/embeddings", {**body, "model": "tiny"}, token=KEY)
    assert found["data"] == json.loads(direct[1])["data"]
    # This model pools nothing: a vector for each token.
    assert [len(vector) for vector in found["data"][0]["embedding"]] == [128]


def test_its_list_of_models_is_read_with_its_key(sdks: Sdks) -> None:
    names = {each["id"] for each in sdks.openai("models.list").pieces()}
    assert names == {"llama/tiny", "polite/tiny"}  # `keyless` cannot ask


def test_without_its_key_nothing_is_said_of_it_to_the_agent(sdks: Sdks) -> None:
    body = {"model": "keyless/tiny", "messages": ASKED}
    with pytest.raises(SdkError) as found:
        sdks.openai("chat.completions.create", body).result()
    assert (found.value.status, found.value.code) == (502, "outcome_unknown")
    assert found.value.attempts == 1
    assert KEY not in str(found.value)


def test_its_own_refusal_of_a_request_is_passed_on(sdks: Sdks) -> None:
    with pytest.raises(SdkError) as found:
        chat(sdks, [{"role": "user", "content": "x" * 5000}]).result()
    assert found.value.family[0] == "BadRequestError"
    assert "4096" in found.value.message


def test_giving_up_a_stream_ends_the_engine_s_work(sdks: Sdks, polite: Engine) -> None:
    before = polite.said().count("Disconnected from client")
    going = chat(sdks, ENDLESS, "polite/tiny", stream=True, max_tokens=4000)
    pieces = going.pieces()
    for _ in range(3):
        next(pieces)
    going.abort()
    until(lambda: polite.said().count("Disconnected from client") > before)
    # And it has a hand free at once.
    assert chat(sdks, model="polite/tiny").result()["choices"][0]["message"]["content"] == SAID


def test_a_second_call_reaches_the_engine_while_a_first_is_streamed(sdks: Sdks) -> None:
    first = chat(sdks, ENDLESS, stream=True, max_tokens=4000)
    pieces = first.pieces()
    next(pieces)
    assert chat(sdks).result()["choices"][0]["message"]["content"] == SAID
    # The engine dropped the first for it: it had come while the first was going on.
    assert len(list(pieces)) < 3990
