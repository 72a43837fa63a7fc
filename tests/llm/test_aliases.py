"""Aliases over real sockets: which model serves, what the agent is told, and what is on record."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from tests.app.running import Running, command, running
from tests.llm.model_server import (
    CHAT_EVENTS,
    SECONDS,
    Answer,
    ModelServer,
    chat_chunk,
    serving,
)
from tests.llm.test_attacks import ask

HELLO = [{"role": "user", "content": "hello"}]

DECLARED = """
people: {{ada: {{name: Ada, roles: [operator]}}, ben: {{name: Ben, roles: [reviewer]}}}}
agents: {{clerk: {{owner: ada}}}}
models:
  one: {{url: {one}, dialects: [chat, messages, responses],
    models: [m, heavy, sealed, short, counted, gale, flap, touch]}}
  two: {{url: {two}, dialects: [chat, messages, responses],
    models: [m, heavy, hidden, sealed, gale]}}
  words: {{url: {two}, dialects: [embeddings], models: [e]}}
  gone: {{url: "http://127.0.0.1:{closed}", dialects: [chat], models: [m]}}
  narrow:
    {{url: {one}, dialects: [chat], models: [m], max_concurrent: 1, max_waiting: 0}}
  patient:
    {{url: {one}, dialects: [chat], models: [m], max_concurrent: 1, wait_seconds: 1}}
aliases:
  flaky: {{models: [one/flap, two/m], breaker: {{failures: 2, seconds: 3600}}}}
  touchy: {{models: [one/touch], breaker: {{failures: 1, seconds: 1}}}}
  hurried: {{models: [one/m, two/m], whole_seconds: 1, breaker: {{failures: 1000}}}}
  assistant: {{models: [one/m, two/m], breaker: {{failures: 1000}}}}
  careful: {{models: [one/m, two/m], fail_over: {{on: [unreachable]}}, breaker: {{failures: 1000}}}}
  downward: {{models: [gone/m, two/m]}}
  secret: {{models: [two/hidden]}}
  partly: {{models: [two/hidden, one/m], breaker: {{failures: 1000}}}}
  vectors: {{models: [one/m, words/e]}}
  spread: {{models: [{{one/heavy: 1, two/heavy: 1}}]}}
  brief: {{models: [one/m, two/m], first_byte_seconds: 1, breaker: {{failures: 1000}}}}
  resting: {{models: [gone/m], breaker: {{failures: 2, seconds: 3600}}}}
  stamped: {{models: [one/sealed, two/sealed]}}
  crowded: {{models: [narrow/m, two/m]}}
  lenient: {{models: [one/short, two/m], fail_over: {{on: [denied]}}}}
  strict: {{models: [one/short, two/m]}}
  frugal: {{models: [one/counted, two/m], fail_over: {{on: [limit_reached]}}}}
  moving: {{models: [one/sealed]}}
  stormy: {{models: [one/gale, two/gale], breaker: {{failures: 3, seconds: 3600}}}}
mandates:
  think:
    from: ada
    to: clerk
    allow:
      - {{model: one/short, only: {{model_call: {{max_output: 100}}}}, other_arguments: allow}}
      - {{models: [one/m, one/heavy, one/sealed, one/counted, one/gale], other_arguments: allow}}
      - {{models: [two/m, two/heavy, two/sealed, two/gale], other_arguments: allow}}
      - {{models: [gone/m, narrow/m, patient/m, words/e], other_arguments: allow}}
      - {{models: [one/flap, one/touch], other_arguments: allow}}
    stamp:
      - {{model: one/touch, role: reviewer, when: {{temperature: {{at_least: 1}}}}}}
      - {{model: one/sealed, role: reviewer}}
    limits:
      - {{id: once, model: one/counted, calls: 1, each: lifetime}}
"""


@pytest.fixture(scope="module")
def one() -> Iterator[ModelServer]:
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def two() -> Iterator[ModelServer]:
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, one: ModelServer, two: ModelServer
) -> Iterator[Running]:
    folder: Path = tmp_path_factory.mktemp("gateway")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: every connection is refused
        declared = DECLARED.format(one=one.url, two=two.url, closed=taken.getsockname()[1])
        with running(folder, declared, "--hold-window", "4") as gateway:
            gateway.agent_token()
            yield gateway


@pytest.fixture(autouse=True)
def fresh(one: ModelServer, two: ModelServer) -> None:
    one.reset()
    two.reset()


def chat(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": HELLO, **more}


def failing(status: int, **headers: str) -> Answer:
    body = json.dumps({"error": {"message": "no", "type": "server_error"}}).encode()
    return Answer(status, body, {name.replace("_", "-"): text for name, text in headers.items()})


def calls(gateway: Running) -> list[dict[str, Any]]:
    """The newest calls first."""
    found: list[dict[str, Any]] = gateway.cli("calls")["calls"]
    return found


# --- which model serves ---------------------------------------------------------------------------


def test_the_first_model_serves_while_it_is_well(
    gateway: Running, one: ModelServer, two: ModelServer
) -> None:
    status, headers, _ = ask(gateway, chat("assistant"))
    assert status == 200
    assert headers["bailiwick-served-by"] == "one/m"
    assert headers["bailiwick-asked-as"] == "assistant"
    assert headers["bailiwick-substitute"] == "false"
    assert one.last.body["model"] == "m"
    assert not two.sent


@pytest.mark.parametrize(
    ("status", "why"),
    [(429, "rate_limited"), (503, "overloaded"), (529, "overloaded"), (500, "server_error")],
)
def test_the_next_one_serves_after_a_declared_error(
    gateway: Running, one: ModelServer, two: ModelServer, status: int, why: str
) -> None:
    one.answers.append(failing(status))
    answered, headers, body = ask(gateway, chat("assistant"))
    assert answered == 200
    assert json.loads(body)["choices"][0]["message"]["content"] == "hello"
    assert headers["bailiwick-served-by"] == "two/m"
    assert headers["bailiwick-substitute"] == f"one/m {why}"
    assert len(one.sent) == len(two.sent) == 1


def test_what_is_the_agent_s_own_fault_is_told_and_not_tried_elsewhere(
    gateway: Running, one: ModelServer, two: ModelServer
) -> None:
    one.answers.append(failing(400))
    status, headers, _ = ask(gateway, chat("assistant"))
    assert (status, headers["bailiwick-served-by"]) == (400, "one/m")
    assert not two.sent


def test_an_error_that_is_not_declared_for_failing_over_is_the_answer(
    gateway: Running, one: ModelServer, two: ModelServer
) -> None:
    one.answers.append(failing(503))
    status, headers, _ = ask(gateway, chat("careful"))
    assert (status, headers["bailiwick-served-by"]) == (503, "one/m")
    assert not two.sent


def test_a_server_that_cannot_be_reached_is_stood_in_for(gateway: Running) -> None:
    status, headers, _ = ask(gateway, chat("downward"))
    assert status == 200
    assert headers["bailiwick-substitute"] == "gone/m unreachable"


def test_a_model_that_is_named_is_never_swapped(
    gateway: Running, one: ModelServer, two: ModelServer
) -> None:
    one.answers.append(failing(503))
    status, headers, _ = ask(gateway, chat("one/m"))
    assert (status, headers["bailiwick-served-by"]) == (503, "one/m")
    assert not two.sent
    assert ask(gateway, chat("gone/m"))[0] == 503


# --- streams --------------------------------------------------------------------------------------


def test_a_stream_that_begins_with_an_error_is_stood_in_for(
    gateway: Running, one: ModelServer
) -> None:
    error = b'data: {"error": {"message": "engine is dead", "code": 500}}\n\n'
    one.answers.append(Answer(events=[error, b"data: [DONE]\n\n"]))
    client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.token, max_retries=0)
    with client.chat.completions.create(**chat("assistant"), stream=True) as stream:
        assert stream.response.headers["bailiwick-substitute"] == "one/m server_error"
        told = [each.choices[0].delta.content for each in stream if each.choices]
    assert "".join(each or "" for each in told) == "hello"


def test_such_a_stream_is_passed_on_when_there_is_nobody_else(
    gateway: Running, one: ModelServer, two: ModelServer
) -> None:
    error = b'data: {"error": {"message": "engine is dead", "code": 500}}\n\n'
    for server in (one, two):
        server.answers.append(Answer(events=[error, b"data: [DONE]\n\n"]))
    client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.token, max_retries=0)
    with (
        pytest.raises(openai.APIError, match="engine is dead"),
        client.chat.completions.create(**chat("assistant"), stream=True) as stream,
    ):
        list(stream)


def test_a_stream_that_breaks_off_once_begun_is_not_begun_again(
    gateway: Running, one: ModelServer, two: ModelServer
) -> None:
    one.answers.append(Answer(events=CHAT_EVENTS[:2], cut=True))
    client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.token, max_retries=0)
    with (
        pytest.raises(openai.APIError, match=r"closed|broke"),
        client.chat.completions.create(**chat("assistant"), stream=True) as stream,
    ):
        list(stream)
    assert not two.sent


def test_a_server_that_is_killed_before_its_first_byte_is_stood_in_for(
    gateway: Running, one: ModelServer
) -> None:
    one.answers.append(Answer(events=[], cut=True))
    client = anthropic.Anthropic(base_url=gateway.url, api_key=gateway.token, max_retries=0)
    with client.messages.stream(
        model="assistant", max_tokens=9, messages=[{"role": "user", "content": "hello"}]
    ) as stream:
        assert stream.response.headers["bailiwick-substitute"] == "one/m broken"
        assert stream.get_final_text() == "hello"


def test_a_first_byte_that_does_not_come_is_stood_in_for(
    gateway: Running, one: ModelServer
) -> None:
    one.answers.append(Answer(events=[chat_chunk({"content": "late"})], wait_before=0))
    status, headers, body = ask(gateway, chat("brief", stream=True))
    assert status == 200
    assert headers["bailiwick-substitute"] == "one/m timeout"
    assert b"late" not in body
    assert b"[DONE]" in body
    assert one.gone.wait(SECONDS)


def test_an_answer_that_takes_too_long_is_cut_and_not_begun_again(
    gateway: Running, one: ModelServer, two: ModelServer
) -> None:
    one.answers.append(Answer(events=CHAT_EVENTS, wait_before=2))
    client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.token, max_retries=0)
    with (
        pytest.raises(openai.APIError, match="did not end its answer in time"),
        client.chat.completions.create(**chat("hurried"), stream=True) as stream,
    ):
        list(stream)
    assert not two.sent
    assert one.gone.wait(SECONDS)


def test_whoever_waits_for_a_turn_waits_within_bounds(gateway: Running, one: ModelServer) -> None:
    one.answers.append(Answer(events=[chat_chunk({"content": "slow"})], wait_before=0))
    client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.token, max_retries=0)
    with client.chat.completions.create(**chat("patient/m"), stream=True):
        assert one.started.wait(SECONDS)
        with pytest.raises(openai.InternalServerError, match="had no room for another request"):
            client.chat.completions.create(**chat("patient/m"))
        one.go.set()


# --- what may not be repeated ---------------------------------------------------------------------


def test_what_a_server_may_have_begun_with_tools_of_its_own_is_not_repeated(
    gateway: Running, one: ModelServer, two: ModelServer
) -> None:
    hosted = {"type": "web_search"}
    one.answers.append(failing(500))
    assert ask(gateway, chat("assistant", tools=[hosted]))[0] == 500
    assert not two.sent
    one.answers.append(failing(429))
    assert ask(gateway, chat("assistant", tools=[hosted]))[0] == 200


def test_what_stands_for_things_kept_at_one_server_goes_to_no_other(
    gateway: Running, one: ModelServer, two: ModelServer
) -> None:
    one.answers.append(failing(429))
    body = {"model": "assistant", "input": "and?", "previous_response_id": "resp_1"}
    assert ask(gateway, body, "/v1/responses")[0] == 429
    assert not two.sent


# --- what the mandate allows ----------------------------------------------------------------------


def test_an_alias_of_models_that_are_not_allowed_does_not_exist(
    gateway: Running, two: ModelServer
) -> None:
    status, _, body = ask(gateway, chat("secret"))
    assert status == 404
    assert b"two/hidden" not in body
    assert not two.sent


def test_under_a_suspended_mandate_an_alias_says_that_it_is_suspended(
    gateway: Running, one: ModelServer
) -> None:
    gateway.cli("suspend", "think")
    try:
        for name in ("assistant", "secret"):
            status, _, body = ask(gateway, chat(name))
            told = json.loads(body)["error"]
            assert (status, told["code"]) == (403, "mandate_not_active")
            assert told["message"] == "the mandate `think@1` is suspended"
        assert not one.sent
    finally:
        gateway.cli("resume", "think")
    assert ask(gateway, chat("assistant"))[0] == 200


def test_models_that_are_not_allowed_are_passed_over(gateway: Running, two: ModelServer) -> None:
    status, headers, _ = ask(gateway, chat("partly"))
    assert (status, headers["bailiwick-served-by"]) == (200, "one/m")
    assert headers["bailiwick-substitute"] == "false"
    assert not two.sent


def test_models_of_another_dialect_are_passed_over(gateway: Running) -> None:
    body = {"model": "vectors", "input": "hello"}
    status, headers, _ = ask(gateway, body, "/v1/embeddings")
    assert (status, headers["bailiwick-served-by"]) == (200, "words/e")
    status, _, told = ask(gateway, {**body, "model": "assistant"}, "/v1/embeddings")
    assert status == 400
    assert b"no model of `assistant` speaks embeddings" in told


def test_the_list_of_models_names_aliases_that_could_be_used(gateway: Running) -> None:
    _, _, body = ask(gateway, b"", "/v1/models", method="GET")
    names = {each["id"] for each in json.loads(body)["data"]}
    assert {"assistant", "partly", "one/m"} <= names
    assert "secret" not in names
    assert ask(gateway, b"", "/v1/models/assistant", method="GET")[0] == 200
    assert ask(gateway, b"", "/v1/models/secret", method="GET")[0] == 404


def test_a_call_that_waits_for_a_person_waits_for_its_own_model(
    gateway: Running, two: ModelServer
) -> None:
    status, _, body = ask(gateway, chat("stamped"))
    assert status == 409
    assert b"waiting for approval" in body
    assert not two.sent


def test_a_model_that_the_mandate_refuses_for_a_call_is_passed_over_only_if_the_alias_says_so(
    gateway: Running, two: ModelServer
) -> None:
    assert ask(gateway, chat("strict", max_tokens=900))[0] == 403
    assert not two.sent
    status, headers, _ = ask(gateway, chat("lenient", max_tokens=900))
    assert (status, headers["bailiwick-substitute"]) == (200, "one/short denied")
    assert ask(gateway, chat("lenient", max_tokens=90))[1]["bailiwick-substitute"] == "false"


def test_a_limit_that_is_used_up_is_stood_in_for_if_the_alias_says_so(gateway: Running) -> None:
    assert ask(gateway, chat("frugal"))[1]["bailiwick-served-by"] == "one/counted"
    assert ask(gateway, chat("frugal"))[1]["bailiwick-substitute"] == "one/counted limit_reached"


def test_a_stamp_is_for_its_own_model_also_when_the_alias_has_moved_on(
    gateway: Running, one: ModelServer, two: ModelServer
) -> None:
    body = chat("moving", seed=5)
    assert ask(gateway, body)[0] == 409
    (hold,) = [each for each in gateway.cli("holds")["holds"] if "moving" in each["rendering"]]
    change = gateway.folder / "moved.yaml"
    change.write_text("aliases: {moving: {models: [two/sealed]}}\n")
    gateway.cli("apply", "-f", str(change))
    gateway.cli("stamp", hold["id"], "--approve", person="ben")
    status, headers, _ = ask(gateway, body)
    assert (status, headers["bailiwick-served-by"]) == (200, "two/sealed")  # it needs no stamp
    assert not one.sent
    change.write_text("aliases: {moving: {models: [one/sealed]}}\n")
    gateway.cli("apply", "-f", str(change))
    status, headers, _ = ask(gateway, body)
    assert (status, headers["bailiwick-served-by"]) == (200, "one/sealed")
    assert len(one.sent) == 1


def test_in_a_storm_of_refusals_every_agent_s_call_is_served_and_the_model_is_let_rest(
    gateway: Running, one: ModelServer, two: ModelServer
) -> None:
    one.answers.extend(failing(429) for _ in range(100))
    client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.token, max_retries=0)

    def call(number: int) -> str | None:
        answer = client.chat.completions.create(**chat("stormy", seed=number))
        content: str | None = answer.choices[0].message.content
        return content

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(call, range(40))) == {"hello"}
    assert len(two.sent) == 40
    assert 3 <= len(one.sent) <= 11


# --- weights, rest, room --------------------------------------------------------------------------


def test_weights_spread_calls_and_the_same_call_comes_to_the_same_model(
    gateway: Running, one: ModelServer, two: ModelServer
) -> None:
    for number in range(24):
        assert ask(gateway, chat("spread", seed=number))[0] == 200
    assert one.sent
    assert two.sent
    served = {ask(gateway, chat("spread", seed=5))[1]["bailiwick-served-by"] for _ in range(3)}
    assert len(served) == 1


def test_an_alias_none_of_whose_models_is_well_says_when_to_come_again(gateway: Running) -> None:
    for _ in range(2):
        assert ask(gateway, chat("resting"))[0] == 503
    status, headers, body = ask(gateway, chat("resting"))
    assert status == 503
    assert headers["x-should-retry"] == "true"
    assert 3000 < int(headers["retry-after"]) <= 3600
    assert b"no model of `resting` is well" in body
    assert calls(gateway)[0]["code"] == "alias_resting"


def test_no_room_is_stood_in_for_and_else_said_at_once(gateway: Running, one: ModelServer) -> None:
    one.answers.append(Answer(events=[chat_chunk({"content": "slow"})], wait_before=0))
    client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.token, max_retries=0)
    with client.chat.completions.create(**chat("narrow/m"), stream=True):
        assert one.started.wait(SECONDS)
        status, headers, body = ask(gateway, chat("narrow/m"))
        assert status == 503
        assert headers["retry-after"] == "1"
        assert b"too many requests waiting" in body
        assert ask(gateway, chat("crowded"))[1]["bailiwick-substitute"] == "narrow/m busy"
        one.go.set()


def test_a_server_that_breaks_off_once_begun_is_let_rest_too(
    gateway: Running, one: ModelServer, two: ModelServer
) -> None:
    one.answers.extend(Answer(events=CHAT_EVENTS[:2], cut=True) for _ in range(2))
    for _ in range(2):
        assert ask(gateway, chat("flaky", stream=True))[0] == 200
    assert ask(gateway, chat("flaky"))[1]["bailiwick-substitute"] == "one/flap resting"


def test_a_call_that_waits_for_a_person_keeps_nobody_from_trying_its_model(
    gateway: Running, one: ModelServer
) -> None:
    one.answers.append(failing(503))
    assert ask(gateway, chat("touchy", temperature=0))[0] == 503
    rested = threading.Event()
    rested.wait(1.1)  # its rest; the next call is to show whether it serves again, and is held
    assert ask(gateway, chat("touchy", temperature=1))[0] == 409
    assert ask(gateway, chat("touchy", temperature=0))[0] == 200


@pytest.mark.parametrize("stream", [False, True])
def test_two_that_wait_with_the_same_call_both_hear_its_one_answer(
    gateway: Running, one: ModelServer, stream: bool
) -> None:
    body = chat("one/touch", temperature=2, seed=int(stream), stream=stream)
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(ask, gateway, body) for _ in range(2)]
        holds: list[dict[str, Any]] = []
        for _ in range(100):
            holds = holds or [
                each
                for each in gateway.cli("holds")["holds"]
                if each["name"] == "touch" and f"seed: {int(stream)}" in each["rendering"]
            ]
        gateway.cli("stamp", holds[0]["id"], "--approve", person="ben")
        answers = [each.result() for each in asked]
    told = [answer for status, _, answer in answers if status == 200]
    assert len(one.sent) == 1
    assert len(told) == 2
    assert all(b"hel" in each for each in told), told


# --- what is on record ----------------------------------------------------------------------------


def test_each_attempt_is_on_record_for_the_model_it_was_sent_to(
    gateway: Running, one: ModelServer
) -> None:
    one.answers.append(failing(503))
    assert ask(gateway, chat("assistant", seed=77))[0] == 200
    substitute, first = calls(gateway)[:2]
    assert (first["upstream"], first["state"]) == ("one", "failed")
    assert (substitute["upstream"], substitute["state"]) == ("two", "done")


def test_a_substitute_names_the_call_it_stands_in_for(gateway: Running, one: ModelServer) -> None:
    one.answers.append(failing(503))
    _, headers, _ = ask(gateway, chat("assistant", seed=78))
    path = gateway.cli("call", headers["bailiwick-call"])
    first = calls(gateway)[1]
    told = {"substitute": True, "because": "one/m overloaded", "instead_of": first["id"]}
    assert path["intent"]["use"].items() >= {"asked_as": "assistant", **told}.items()
    leaf = path["leaves"][0]["leaf"] if "leaf" in path["leaves"][0] else path["leaves"][0]
    assert leaf["instead_of"] == first["id"]
    assert leaf["asked_as"] == "assistant"
    assert calls(gateway)[0]["because"].endswith(
        "in place of one/m overloaded (asked for as `assistant`)"
    )
    shown = command(
        "call", headers["bailiwick-call"], *("--data", str(gateway.data)), "--as", "ada"
    )
    assert f"assistant, in place of one/m overloaded (call {first['id']})" in shown.stdout


def test_people_see_how_models_are_doing(gateway: Running, one: ModelServer) -> None:
    one.answers.append(failing(429, retry_after="60"))
    assert ask(gateway, chat("assistant"))[1]["bailiwick-substitute"] == "one/m rate_limited"
    assert ask(gateway, chat("assistant"))[1]["bailiwick-substitute"] == "one/m resting"
    status = gateway.cli("models")
    (alias,) = [each for each in status["aliases"] if each["name"] == "assistant"]
    first, second = alias["models"]
    assert (first["state"], first["last_failure"]) == ("resting", "rate_limited")
    assert 50 < first["ready_in_seconds"] <= 60
    assert second["state"] == "ready"
    assert {each["name"] for each in status["servers"]} >= {"one", "two"}
    # Named itself, it is asked at once, and is well again when it serves.
    assert ask(gateway, chat("one/m"))[0] == 200
    assert ask(gateway, chat("assistant"))[1]["bailiwick-substitute"] == "false"
