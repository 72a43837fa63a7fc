"""What a model reasoned, over a real gateway: recorded whole, and before anybody can act on it."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from bailiwick.core.canonical import canonical
from bailiwick.ledger.commitment import open_commitment
from bailiwick.protocols.llm.dialect import Dialect, Reasoning, Said, Visibility
from bailiwick.protocols.llm.gathering import MAX_KEPT_CHARS
from bailiwick.protocols.llm.kept import said_of
from tests.app.running import Running, running
from tests.llm.conftest import DECLARED, KEY
from tests.llm.model_server import SECONDS, Answer, ModelServer, chat_chunk, named_event
from tests.llm.test_attacks import ask
from tests.unit.protocols.llm.transcripts import PAY, STREAMS, WHOLE_RESPONSE

PATHS = {
    Dialect.CHAT: "/v1/chat/completions",
    Dialect.RESPONSES: "/v1/responses",
    Dialect.MESSAGES: "/v1/messages",
}
DONE = b"data: [DONE]\n\n"


def body(dialect: Dialect, **more: Any) -> dict[str, Any]:
    words = [{"role": "user", "content": "pay Ben"}]
    said = {"input": words} if dialect is Dialect.RESPONSES else {"messages": words}
    most = {"max_tokens": 64} if dialect is Dialect.MESSAGES else {}
    return {"model": "local/tiny", **said, **most, **more}


def newest(gateway: Running) -> dict[str, Any]:
    call = gateway.cli("calls", "--limit", "1")["calls"][0]
    whole: dict[str, Any] = gateway.cli("call", call["id"])
    return whole


def leaf_of(whole: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(each["leaf"] for each in whole["leaves"] if each["leaf"]["type"] == kind)


WITH_REASONING = [each for each in STREAMS if each[3].reasoning]


@pytest.mark.parametrize(("dialect", "name", "stream", "expected"), WITH_REASONING)
def test_reasoning_of_every_shape_is_recorded_with_how_much_of_it_is_seen(
    gateway: Running,
    upstream: ModelServer,
    dialect: Dialect,
    name: str,
    stream: bytes,
    expected: Said,
) -> None:
    upstream.answers.append(Answer(events=[stream]))
    status, _, got = ask(gateway, body(dialect, stream=True), PATHS[dialect])
    assert (status, got) == (200, stream)
    whole = newest(gateway)
    assert said_of(whole["outcome"]) == expected, name
    leaf = leaf_of(whole, "call.outcome")
    assert sum(leaf["facts"]["reasoning"].values()) == len(expected.reasoning)
    assert leaf["facts"].get("tool_calls", 0) == len(expected.tool_calls)


CHAT_WHOLE = {
    "id": "c",
    "model": "tiny",
    "choices": [
        {
            "index": 0,
            "finish_reason": "tool_calls",
            "message": {
                "role": "assistant",
                "content": None,
                "reasoning_content": "Rent is due.",
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "pay", "arguments": PAY}}
                ],
            },
        }
    ],
}
MESSAGES_WHOLE = {
    "id": "m",
    "type": "message",
    "role": "assistant",
    "model": "tiny",
    "stop_reason": "tool_use",
    "content": [
        {"type": "thinking", "thinking": "Rent is due.", "signature": ""},
        {"type": "redacted_thinking", "data": "sealed"},
        {"type": "tool_use", "id": "c1", "name": "pay", "input": {"to": "ben"}},
    ],
}


@pytest.mark.parametrize(
    ("dialect", "answer"),
    [
        (Dialect.CHAT, CHAT_WHOLE),
        (Dialect.RESPONSES, WHOLE_RESPONSE),
        (Dialect.MESSAGES, MESSAGES_WHOLE),
    ],
)
def test_reasoning_of_an_answer_in_one_piece_is_recorded(
    gateway: Running, upstream: ModelServer, dialect: Dialect, answer: dict[str, Any]
) -> None:
    raw = json.dumps(answer).encode()
    upstream.answers.append(Answer(body=raw))
    status, _, got = ask(gateway, body(dialect), PATHS[dialect])
    assert (status, got) == (200, raw)
    said = said_of(newest(gateway)["outcome"])
    assert said is not None
    assert said.reasoning
    assert said.tool_calls


def test_reasoning_can_be_shown_alone_and_checked_against_the_ledger(
    gateway: Running, upstream: ModelServer
) -> None:
    events = [chat_chunk({"reasoning": "rent é is due"}), chat_chunk({"content": "ok"}, "stop")]
    upstream.answers.append(Answer(events=[*events, DONE]))
    ask(gateway, body(Dialect.CHAT, stream=True))
    whole = newest(gateway)
    leaf, outcome = leaf_of(whole, "call.outcome"), whole["outcome"]
    shown = canonical(outcome["said"]["reasoning"])
    assert shown == '[{"text":"rent é is due","visibility":"full"}]'.encode()
    open_commitment(leaf["reasoning"], bytes.fromhex(outcome["reasoning_salt"]), shown)
    said = msgspec.json.encode(outcome["said"], order="sorted")
    open_commitment(leaf["said"], bytes.fromhex(outcome["said_salt"]), said)
    assert "rent" not in json.dumps(whole["leaves"])


TOOL_CALLS = {
    Dialect.CHAT: (
        [
            chat_chunk({"reasoning": "Rent is due."}),
            chat_chunk({"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "pay"}}]}),
            chat_chunk({"tool_calls": [{"index": 0, "function": {"arguments": PAY}}]}),
            chat_chunk({}, "tool_calls"),
            DONE,
        ],
        2,
    ),
    Dialect.MESSAGES: (
        [
            named_event(each)
            for each in (
                {"type": "message_start", "message": {"id": "m", "model": "t", "content": []}},
                {
                    "type": "content_block_start",
                    "index": 0,
                    "content_block": {"type": "thinking", "thinking": "Rent is due."},
                },
                {
                    "type": "content_block_start",
                    "index": 1,
                    "content_block": {"type": "tool_use", "id": "c1", "name": "pay", "input": {}},
                },
                {
                    "type": "content_block_delta",
                    "index": 1,
                    "delta": {"type": "input_json_delta", "partial_json": PAY},
                },
                {"type": "content_block_stop", "index": 1},
                {"type": "message_stop"},
            )
        ],
        3,
    ),
}


@contextlib.contextmanager
def streaming(gateway: Running, body: object, path: str) -> Iterator[http.client.HTTPResponse]:
    address = urlsplit(gateway.url)
    assert address.hostname is not None
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=SECONDS)
    headers = {"Authorization": f"Bearer {gateway.token}", "Content-Type": "application/json"}
    with contextlib.closing(connection):
        connection.request("POST", path, json.dumps(body).encode(), headers)
        yield connection.getresponse()


@pytest.mark.parametrize("dialect", TOOL_CALLS)
def test_the_agent_gets_the_end_of_a_tool_call_when_its_reasoning_is_on_record(
    gateway: Running, upstream: ModelServer, dialect: Dialect
) -> None:
    events, ends_at = TOOL_CALLS[dialect]
    upstream.answers.append(Answer(events=events, wait_before=len(events) - 1))
    with streaming(gateway, body(dialect, stream=True), PATHS[dialect]) as answer:
        before = b"".join(events[:ends_at])
        assert answer.read(len(before)) == before
        # The server has said all but its last event by now, and this much stays here.
        assert newest(gateway)["call"]["state"] == "running"
        upstream.go.set()
        assert answer.read() == b"".join(events[ends_at:])
        gateway_knows = newest(gateway)
    assert gateway_knows["call"]["state"] == "done"
    assert gateway_knows["outcome"]["said"]["reasoning"][0]["text"] == "Rent is due."
    # What the agent does with it comes after it in the ledger.
    ask(gateway, body(dialect), PATHS[dialect])
    following = newest(gateway)["call"]
    assert following["intent_index"] > gateway_knows["call"]["outcome_index"]


def test_what_an_agent_had_read_when_it_hung_up_is_on_record(
    gateway: Running, upstream: ModelServer
) -> None:
    events = [chat_chunk({"reasoning": "I had better not be seen."}), chat_chunk({"content": "x"})]
    upstream.answers.append(Answer(events=[*events, DONE], wait_before=2))
    with streaming(gateway, body(Dialect.CHAT, stream=True), PATHS[Dialect.CHAT]) as answer:
        assert answer.read(len(events[0])) == events[0]
    assert upstream.gone.wait(SECONDS)
    ask(gateway, body(Dialect.CHAT))
    calls = gateway.cli("calls", "--limit", "5", "--state", "cancelled")["calls"]
    whole = gateway.cli("call", calls[0]["id"])
    said = said_of(whole["outcome"])
    assert said is not None
    assert said.reasoning == (Reasoning(Visibility.FULL, "I had better not be seen."),)
    assert said.finish == "unfinished"
    assert whole["outcome"]["error"]["broke_off"] == "the client went away"


HOSTILE = "\x1b]0;owned\x07\x1b[2J<script>alert(1)</script>\u202egnp\u0000\r\n"


def test_hostile_reasoning_is_kept_as_it_is(gateway: Running, upstream: ModelServer) -> None:
    upstream.answers.append(
        Answer(events=[chat_chunk({"reasoning": HOSTILE}), chat_chunk({}, "stop"), DONE])
    )
    ask(gateway, body(Dialect.CHAT, stream=True))
    said = said_of(newest(gateway)["outcome"])
    assert said is not None
    assert said.reasoning == (Reasoning(Visibility.FULL, HOSTILE),)


def test_a_think_tag_that_is_never_closed_is_reasoning_to_the_end(
    gateway: Running, upstream: ModelServer
) -> None:
    pieces = [chat_chunk({"content": text}) for text in ("<think>Rent ", "is due. ", "</thinking>")]
    upstream.answers.append(Answer(events=[*pieces, chat_chunk({}, "length"), DONE]))
    ask(gateway, body(Dialect.CHAT, stream=True))
    said = said_of(newest(gateway)["outcome"])
    assert said is not None
    assert (said.text, said.finish) == ("", "length")
    assert said.reasoning == (Reasoning(Visibility.FULL, "Rent is due. </thinking>"),)


def test_bytes_that_are_no_text_pass_through_and_are_kept_exactly(
    gateway: Running, upstream: ModelServer
) -> None:
    odd = b'data: {"choices":[{"delta":{"reasoning":"caf\xe9"}}]}\n\n'
    upstream.answers.append(Answer(events=[odd, DONE]))
    _, _, got = ask(gateway, body(Dialect.CHAT, stream=True))
    assert got == odd + DONE
    outcome = newest(gateway)["outcome"]
    assert msgspec.convert(outcome["result"]["events_base64"], bytes) == odd + DONE
    assert outcome["said"]["reasoning"] == [{"text": "caf\ufffd", "visibility": "full"}]


def test_of_endless_reasoning_so_much_is_kept_and_all_of_it_passes(
    gateway: Running, upstream: ModelServer
) -> None:
    piece = chat_chunk({"reasoning": "r" * 1_000_000})
    upstream.answers.append(Answer(events=[*([piece] * 100), chat_chunk({}, "stop"), DONE]))
    _, _, got = ask(gateway, body(Dialect.CHAT, stream=True))
    assert got.count(piece) == 100
    whole = newest(gateway)
    said = said_of(whole["outcome"])
    assert said is not None
    assert said.cut
    assert len(said.reasoning[0].text) == MAX_KEPT_CHARS
    assert leaf_of(whole, "call.outcome")["facts"]["cut"] is True
    assert whole["outcome"]["result"]["bytes"] == len(got)
    assert ask(gateway, body(Dialect.CHAT))[0] == 200


def test_a_large_answer_and_its_request_are_kept_whole_as_they_were(
    gateway: Running, upstream: ModelServer
) -> None:
    answer = {"id": "x", "choices": [{"message": {"content": "a" * 1_000_000}}], "z": 1, "a": 1.50}
    raw = json.dumps(answer, indent=3).encode()
    upstream.answers.append(Answer(body=raw))
    asked = body(Dialect.CHAT, tools=[{"z": 1, "a": {"y": 1, "b": 2.0}, "type": "web"}])
    ask(gateway, asked)
    whole = newest(gateway)
    assert whole["outcome"]["result"] == {"status": 200, "body": answer}
    # The order of names is what the model's server saw.
    kept = json.dumps({**whole["intent"]["call"]["arguments"], "model": "tiny"})
    assert kept == json.dumps(json.loads(upstream.last.raw))


def test_no_thought_lies_readable_on_the_disk(
    tmp_path_factory: pytest.TempPathFactory, upstream: ModelServer
) -> None:
    folder = tmp_path_factory.mktemp("sealed")
    said = [chat_chunk({"reasoning": "secret-thought"}), chat_chunk({}, "stop"), DONE]
    with running(folder, DECLARED.format(url=upstream.url), env={"MODEL_KEY": KEY}) as gateway:
        gateway.agent_token()
        upstream.answers.append(Answer(events=said))
        ask(gateway, body(Dialect.CHAT, stream=True))
        assert newest(gateway)["outcome"]["said"]["reasoning"]
        gateway.stop()
    files = [file.read_bytes() for file in gateway.data.rglob("*") if file.is_file()]
    assert files
    assert not any(b"secret-thought" in each for each in files)
