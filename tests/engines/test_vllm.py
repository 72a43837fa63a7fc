"""Real vLLM behind the gateway, in all three dialects; in front of it the official SDKs.

It runs without a GPU, from `engines/vllm`; or from the environment whose programs are in the
folder that VLLM_PROGRAMS names, which may have one.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.app.running import Running, running
from tests.engines.dialects import CHAT, DIALECTS, ENDLESS_TOKENS, MESSAGES, Dialect
from tests.engines.engine import (
    ENGINES,
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
from tests.engines.spoken import ASKED, SAID, THOUGHT, is_receipt
from tests.llm.sdks.calls import SdkError, Sdks

pytestmark = [asked_for("vllm"), pytest.mark.slow]

DECLARED = """
people: {{ada: {{name: Ada}}}}
agents: {{clerk: {{owner: ada}}}}
models:
  vllm:
    url: {url}
    dialects: [chat, responses, messages]
    headers: {{Authorization: "Bearer ${{env:ENGINE_KEY}}"}}
    models: ["*"]
  pooling:
    url: {pooling}
    dialects: [embeddings]
    headers: {{Authorization: "Bearer ${{env:ENGINE_KEY}}"}}
    models: [embedder]
  keyless:
    url: {url}
    dialects: [chat, responses, messages]
    models: [tiny]
mandates:
  think:
    from: ada
    to: clerk
    allow: [{{models: ["vllm/*", "pooling/*", "keyless/*"], other_arguments: allow}}]
"""
MODEL = "vllm/tiny"
OWN = os.environ.get("VLLM_PROGRAMS", "")
READY_SECONDS = 400.0
LONGEST = 32_768
SAID_TOKENS = 14
"""Of the reasoning, the answer, and the tag between them and the end after them."""
QUIET = {
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "VLLM_API_KEY": KEY,
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_NO_USAGE_STATS": "1",
}
ON_FEW_CORES = {"PYTHONPATH": str(ENGINES / "vllm" / "calm")}
SPOKEN = pytest.mark.parametrize("dialect", DIALECTS, ids=["chat", "responses", "messages"])
STREAMED = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


def _serving(folder: Path, name: str, *more: str) -> Any:
    programs = Path(OWN) if OWN else environment_of("vllm")
    kind = ["--dtype", "bfloat16", "--gpu-memory-utilization", "0.1"] if OWN else []
    words: list[str | Path] = [
        programs / "vllm",
        "serve",
        folder / "model",
        "--served-model-name",
        name,
    ]
    words += ["--max-model-len", str(LONGEST), "--max-num-seqs", "16", "--enforce-eager"]
    words += kind or ["--dtype", "float32"]
    env = QUIET if OWN else QUIET | ON_FEW_CORES
    return serving(folder, [*words, *more], seconds=READY_SECONDS, env=env)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("vllm")
    write_model(environment_of("vllm"), "folder", found / "model", thinks=True)
    return found


@pytest.fixture(scope="module")
def engines(folder: Path) -> Iterator[tuple[Engine, Engine]]:
    """One that talks and one that embeds, started side by side."""
    talks = ["--reasoning-parser", "deepseek_r1", "--enable-auto-tool-choice"]
    talks += ["--tool-call-parser", "hermes", "--structured-outputs-config"]
    talks += ['{"backend": "xgrammar", "disable_any_whitespace": true}']
    embeds = ["--runner", "pooling", "--convert", "embed"]
    with contextlib.ExitStack() as running, ThreadPoolExecutor(2) as pool:
        one = pool.submit(running.enter_context, _serving(folder, "tiny", *talks))
        other = pool.submit(running.enter_context, _serving(folder, "embedder", *embeds))
        yield one.result(), other.result()


@pytest.fixture(scope="module")
def engine(engines: tuple[Engine, Engine]) -> Engine:
    return engines[0]


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, engines: tuple[Engine, Engine]
) -> Iterator[Running]:
    declared = DECLARED.format(url=engines[0].url, pooling=engines[1].url)
    with running(tmp_path_factory.mktemp("up"), declared, env={"ENGINE_KEY": KEY}) as found:
        found.agent_token()
        yield found


@pytest.fixture
def sdks(every: Sdks, gateway: Running) -> Sdks:
    every.point(gateway.url, gateway.token)
    return every


def metric(engine: Engine, name: str, label: str = "") -> float:
    """A number that vLLM keeps of itself."""
    line = re.compile(rf"^vllm:{name}\{{[^}}]*{label}[^}}]*\}} (\S+)$", re.MULTILINE)
    return sum(map(float, line.findall(engine.get("/metrics"))))


def drops(engine: Engine, before: float) -> bool:
    """Whether it stopped short of what was asked for. vLLM does not count who went away."""
    until(lambda: metric(engine, "num_requests_running") == 0)
    return 0 < metric(engine, "generation_tokens_total") - before < ENDLESS_TOKENS


@SPOKEN
@STREAMED
def test_an_answer_with_its_reasoning(
    sdks: Sdks, gateway: Running, dialect: Dialect, stream: bool
) -> None:
    asking = dialect.gather if stream else dialect.begin
    said = dialect.read(asking(sdks, MODEL).result())
    assert said.text == SAID
    if dialect is not CHAT or not stream:  # the helper leaves out what OpenAI does not know
        assert said.reasoning == THOUGHT
    kept = recorded(gateway)
    assert kept["reasoning"] == [{"text": THOUGHT, "visibility": "full"}]
    assert kept["text"] == SAID
    if dialect is not CHAT or not stream:  # a streamed chat counts only when asked to
        assert kept["usage"]["output"] == said.output_tokens == SAID_TOKENS


@SPOKEN
def test_a_stream_says_it_piece_by_piece(sdks: Sdks, dialect: Dialect) -> None:
    found = dialect.begin(sdks, MODEL, stream=True).pieces()
    words = [word for piece in found if (word := dialect.delta(piece))]
    # How many there are depends on how fast vLLM is rid of them.
    assert len(words) > 1
    assert "".join(words) == THOUGHT + SAID


@SPOKEN
@STREAMED
def test_what_comes_through_is_what_comes_directly(
    gateway: Running, engine: Engine, dialect: Dialect, stream: bool
) -> None:
    body = {**dialect.body, "temperature": 0, "stream": stream}
    direct = ask(engine.url, "POST", dialect.path, {**body, "model": "tiny"}, token=KEY)
    through = ask(gateway.url, "POST", dialect.path, {**body, "model": MODEL}, token=gateway.token)
    assert through[0] == direct[0] == 200
    if stream:
        assert _told(dialect, through[1]) == _told(dialect, direct[1])
        assert _told(dialect, through[1])[0] == THOUGHT + SAID
    else:
        assert dialect.read(json.loads(through[1])) == dialect.read(json.loads(direct[1]))


def _told(dialect: Dialect, raw: bytes) -> tuple[str, list[str]]:
    """The text of a stream, and its other events: into how many pieces it came is left to time."""
    found = events(raw)
    pieces = [json.loads(each) for each in found if each.startswith("{")]
    others = [re.sub(r'"sequence_number": ?\d+', "", each) for each in found if "delta" not in each]
    return "".join(map(dialect.delta, pieces)), others


@SPOKEN
@STREAMED
def test_a_call_of_a_tool_and_the_reasoning_before_it(
    sdks: Sdks, gateway: Running, dialect: Dialect, stream: bool
) -> None:
    asking = dialect.gather if stream else dialect.begin
    said = dialect.read(asking(sdks, MODEL, dialect.tools).result())
    assert said.calls == (("add", {"a": 2, "b": 40}),)
    kept = recorded(gateway)
    (call,) = kept["tool_calls"]
    assert (call["name"], json.loads(call["arguments"])) == said.calls[0]
    assert kept["reasoning"] == [{"text": THOUGHT, "visibility": "full"}]


@SPOKEN
@STREAMED
def test_a_forced_call_of_a_tool_has_arguments_of_its_schema(
    sdks: Sdks, gateway: Running, dialect: Dialect, stream: bool
) -> None:
    asking = dialect.gather if stream else dialect.begin
    said = dialect.read(asking(sdks, MODEL, dialect.tools, dialect.forced).result())
    ((name, arguments),) = said.calls
    assert name == "pay"
    assert is_receipt(arguments)
    (call,) = recorded(gateway)["tool_calls"]
    assert (call["name"], json.loads(call["arguments"])) == (name, arguments)


@SPOKEN
@STREAMED
def test_a_schema_binds_the_answer(sdks: Sdks, dialect: Dialect, stream: bool) -> None:
    asking = dialect.gather if stream else dialect.begin
    said = dialect.read(asking(sdks, MODEL, dialect.schema).result())
    assert is_receipt(json.loads(said.text))


def test_what_only_vllm_knows_survives_both_ways(gateway: Running) -> None:
    body = {"model": MODEL, "messages": ASKED, "return_token_ids": True, "min_tokens": 1}
    _, raw = ask(gateway.url, "POST", CHAT.path, body, token=gateway.token)
    answer = json.loads(raw)
    assert len(answer["choices"][0]["token_ids"]) == SAID_TOKENS
    assert len(answer["prompt_token_ids"]) == answer["usage"]["prompt_tokens"]


def test_tokens_are_counted(sdks: Sdks) -> None:
    body = {"model": MODEL, "messages": ASKED}
    counted = sdks.anthropic("messages.count_tokens", body).result()
    answer = MESSAGES.begin(sdks, MODEL).result()
    assert counted["input_tokens"] == answer["usage"]["input_tokens"]


def test_embeddings(sdks: Sdks, engines: tuple[Engine, Engine]) -> None:
    body = {"model": "pooling/embedder", "input": ["a", "bc"]}
    found = sdks.openai("embeddings.create", {**body, "encoding_format": "float"}).result()
    plain = {**body, "model": "embedder", "encoding_format": "float"}
    direct = ask(engines[1].url, "POST", "/v1/embeddings", plain, token=KEY)[1]
    assert found["data"] == json.loads(direct)["data"]
    # Left to itself the SDK asks for base64, and unpacks it.
    unpacked = sdks.openai("embeddings.create", body).result()["data"]
    assert [each["embedding"] for each in unpacked] == [each["embedding"] for each in found["data"]]


def test_its_list_of_models_is_read_with_its_key(sdks: Sdks) -> None:
    names = {each["id"] for each in sdks.openai("models.list").pieces()}
    assert names == {"vllm/tiny", "pooling/embedder", "keyless/tiny"}


@SPOKEN
def test_without_its_key_nothing_is_said_of_it_to_the_agent(sdks: Sdks, dialect: Dialect) -> None:
    with pytest.raises(SdkError) as found:
        dialect.begin(sdks, "keyless/tiny").result()
    assert (found.value.status, found.value.attempts) == (502, 1)
    assert KEY not in str(found.value)


@SPOKEN
def test_its_own_refusal_of_a_request_is_passed_on(sdks: Sdks, dialect: Dialect) -> None:
    field = "input" if "input" in dialect.body else "messages"
    with pytest.raises(SdkError) as found:
        dialect.begin(sdks, MODEL, {field: [{"role": "user", "content": "x" * 40_000}]}).result()
    assert found.value.family[0] == "BadRequestError"
    assert str(LONGEST) in found.value.message
    assert found.value.attempts == 1


@SPOKEN
def test_giving_up_a_stream_ends_the_engine_s_work(
    sdks: Sdks, engine: Engine, dialect: Dialect
) -> None:
    before = metric(engine, "generation_tokens_total")
    going = dialect.begin(sdks, MODEL, dialect.endless, stream=True)
    pieces = going.pieces()
    while not dialect.delta(next(pieces)):
        pass
    assert metric(engine, "num_requests_running") == 1
    going.abort()
    assert drops(engine, before)


# Without asyncio a program cannot give up while it waits.
@pytest.mark.parametrize("every", ["asyncio", "node"], indirect=True)
@SPOKEN
def test_giving_up_before_the_answer_ends_the_engine_s_work(
    sdks: Sdks, engine: Engine, dialect: Dialect
) -> None:
    before = metric(engine, "generation_tokens_total")
    going = dialect.begin(sdks, MODEL, dialect.endless)
    until(lambda: metric(engine, "num_requests_running") == 1)
    going.abort()
    assert drops(engine, before)


def test_eight_streams_are_one_batch(sdks: Sdks, engine: Engine) -> None:
    going = [CHAT.begin(sdks, MODEL, CHAT.endless, stream=True) for _ in range(8)]
    streams = [each.pieces() for each in going]
    with ThreadPoolExecutor(8) as pool:
        assert len(list(pool.map(next, streams))) == 8
        # All have begun and none has ended: they are worked at together.
        until(lambda: metric(engine, "num_requests_running") == 8)
    for each in going:
        each.abort()
    until(lambda: metric(engine, "num_requests_running") == 0)
