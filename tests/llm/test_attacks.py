"""What somebody would try at the model edge, over a real gateway."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.app.running import Running
from tests.llm.conftest import KEY
from tests.llm.model_server import CHAT_EVENTS, SECONDS, Answer, ModelServer

CHAT = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "hello"}]


def ask(
    gateway: Running,
    body: object,
    path: str = CHAT,
    headers: Mapping[str, str] | None = None,
    method: str = "POST",
) -> tuple[int, dict[str, str], bytes]:
    """One request; its status, headers and body."""
    address = urlsplit(gateway.url)
    assert address.hostname is not None
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=SECONDS)
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {
        "Authorization": f"Bearer {gateway.token}",
        "Content-Type": "application/json",
        **(headers or {}),
    }
    sent = {name: value for name, value in sent.items() if value}
    with contextlib.closing(connection):
        connection.request(method, path, raw, sent)
        answer = connection.getresponse()
        return answer.status, {n.lower(): v for n, v in answer.getheaders()}, answer.read()


def tiny(**more: Any) -> dict[str, Any]:
    return {"model": "local/tiny", "messages": HELLO, **more}


def test_the_agent_s_token_and_headers_stay_here(gateway: Running, upstream: ModelServer) -> None:
    headers = {
        "OpenAI-Organization": "org-of-somebody",
        "Cookie": "session=1",
        "X-Forwarded-Host": "evil.test",
        "agent-session-id": "s-1",
        "Anthropic-Beta": "files-2026",
    }
    status, _, _ = ask(gateway, tiny(), headers=headers)
    assert status == 200
    sent = upstream.last.headers
    assert sent["authorization"] == f"Bearer {KEY}"
    assert gateway.token not in str(upstream.last)
    assert set(sent) == {
        *("host", "content-type", "accept", "accept-encoding", "user-agent", "content-length"),
        *("authorization", "anthropic-beta"),
    }


def test_the_server_s_key_does_not_reach_the_agent(gateway: Running, upstream: ModelServer) -> None:
    told = {"error": {"message": f"Incorrect API key provided: {KEY}"}}
    upstream.answers.append(Answer(401, json.dumps(told).encode(), {"WWW-Authenticate": KEY}))
    status, headers, body = ask(gateway, tiny())
    assert status == 502
    assert KEY.encode() not in body
    assert KEY not in str(headers)
    assert b"refused the gateway's key" in body


@pytest.mark.parametrize("status", [200, 400, 404, 429, 500])
@pytest.mark.parametrize("place", ["body", "header"])
def test_a_server_that_repeats_what_it_was_sent_does_not_tell_the_key(
    gateway: Running, upstream: ModelServer, status: int, place: str
) -> None:
    told = f"you sent Authorization: Bearer {KEY}" if place == "body" else "no"
    body = json.dumps({"error": {"message": told}}).encode()
    headers = {"x-request-id": KEY} if place == "header" else {}
    upstream.answers.append(Answer(status, body, headers))
    found, heads, said = ask(gateway, tiny())
    assert found == 502
    assert KEY not in f"{heads}{said.decode()}"
    assert KEY not in json.dumps(_newest_call(gateway))


def test_a_stream_that_tells_the_key_is_cut_before_it(
    gateway: Running, upstream: ModelServer
) -> None:
    error = json.dumps({"error": {"message": f"headers: {KEY}"}}).encode()
    upstream.answers.append(Answer(events=[*CHAT_EVENTS[:2], b"data: " + error + b"\n\n"]))
    found, _, said = ask(gateway, tiny(stream=True))
    assert found == 200
    assert KEY.encode() not in said
    assert b"told the key" in said
    assert KEY not in json.dumps(_newest_call(gateway))


def _newest_call(gateway: Running) -> Any:
    newest = gateway.cli("calls", "--limit", "1")["calls"][0]["id"]
    return gateway.cli("call", newest)


def test_a_key_may_come_as_anthropic_sends_it_and_two_different_ones_may_not(
    gateway: Running, upstream: ModelServer
) -> None:
    only = {"Authorization": "", "x-api-key": gateway.token}
    assert ask(gateway, tiny(), headers=only)[0] == 200
    same = {"x-api-key": gateway.token}
    assert ask(gateway, tiny(), headers=same)[0] == 200
    status, _, body = ask(gateway, tiny(), headers={"x-api-key": "another"})
    assert (status, json.loads(body)["error"]["code"]) == (401, "token_twice")
    assert ask(gateway, tiny(), headers={"Authorization": ""})[0] == 401


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("local/TINY", 403, "not_in_mandate"),
        ("LOCAL/tiny", 404, "model_unknown"),
        ("local//tiny", 403, "not_in_mandate"),
        ("local/tiny ", 400, "model_name_unusual"),
        ("local/tіny", 400, "model_name_unusual"),  # a Cyrillic letter
        ("local/tiny\n", 400, "model_name_unusual"),
        ("local/tiny\u0000", 400, "model_name_unusual"),
        ("local/../tiny", 403, "not_in_mandate"),
        ("../tiny", 404, "model_unknown"),
        ("local/", 404, "model_unknown"),
        ("/tiny", 404, "model_unknown"),
        ("", 400, "model_not_text"),
        ("x" * 300, 400, "model_not_text"),
        (["local/tiny"], 400, "model_not_text"),
        # Two servers have one: nobody guesses.
        ("twin", 400, "model_ambiguous"),
        # `hosted` declares a model whose name reads like one of `local`.
        ("local/odd", 400, "model_ambiguous"),
        # A server that is there, and a model it is not declared to have.
        ("hosted/tiny", 403, "not_in_mandate"),
        ("local/other", 403, "not_in_mandate"),
        ("other", 403, "not_in_mandate"),
    ],
)
def test_a_model_s_name_means_one_thing_or_nothing(
    gateway: Running, upstream: ModelServer, model: object, status: int, code: str
) -> None:
    found, _, body = ask(gateway, {"model": model, "messages": HELLO})
    assert (found, json.loads(body)["error"]["code"]) == (status, code)
    assert upstream.sent == []


def test_two_readings_of_one_body_are_refused(gateway: Running, upstream: ModelServer) -> None:
    for raw in (
        b'{"model":"local/tiny","model":"local/big/secret","messages":[]}',
        b'{"model":"local/tiny","Model":"local/big/secret","messages":[]}',
        b'{"Model":"local/big/secret","messages":[]}',
        b'{"model":"local/tiny","messages":[],"temperature":NaN}',
        b'\xef\xbb\xbf{"model":"local/tiny","messages":[]}',
        b'{"model":"local/tiny","messages":[]} {}',
        b'["local/tiny"]',
        b"",
    ):
        status, _, body = ask(gateway, raw)
        assert status == 400, (raw, body)
    assert upstream.sent == []


def test_another_s_stored_response_can_be_denied(gateway: Running, upstream: ModelServer) -> None:
    body = {"model": "local/tiny", "input": "go on", "previous_response_id": "resp_of_another"}
    status, _, told = ask(gateway, body, "/v1/responses")
    assert (status, json.loads(told)["error"]["code"]) == (403, "denied_by_rule")
    assert upstream.sent == []


def test_escapes_do_not_hide_the_model(gateway: Running, upstream: ModelServer) -> None:
    raw = b'{"messages":[],"model":"local/big/\\u0073ecret"}'
    status, _, body = ask(gateway, raw)
    assert (status, json.loads(body)["error"]["code"]) == (403, "denied_by_rule")
    assert upstream.sent == []


def test_what_runs_is_what_was_judged(gateway: Running, upstream: ModelServer) -> None:
    raw = b'{ "messages" : [ ] ,\n "model" : "local\\/t\\u0069ny", "temperature": 1e0 }'
    assert ask(gateway, raw)[0] == 200
    assert upstream.last.raw == b'{"messages":[],"model":"tiny","temperature":1.0}'


def test_a_body_that_is_too_large_is_not_read(gateway: Running, upstream: ModelServer) -> None:
    status, headers, _ = ask(gateway, tiny(), headers={"Content-Length": str(10**12)})
    assert status == 413
    assert headers["connection"] == "close"
    deep = b'{"model":"local/tiny","messages":' + b"[" * 100 + b"]" * 100 + b"}"
    assert ask(gateway, deep)[0] == 400
    many = b'{"model":"local/tiny","input":[' + b"1," * 60_000 + b"1]}"
    assert ask(gateway, many, "/v1/embeddings")[0] == 400
    assert upstream.sent == []


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/v1/files", "POST", 404),
        ("/v1/chat/completions/", "POST", 404),
        ("/v1/../v1/chat/completions", "POST", 404),
        ("/v1/chat/completions?x=1", "POST", 404),
        ("/v1/chat/completions", "GET", 405),
        ("/v1/models", "POST", 405),
        ("/v1/models/local/other", "GET", 404),
    ],
)
def test_only_what_is_judged_is_served(
    gateway: Running, upstream: ModelServer, path: str, method: str, status: int
) -> None:
    assert ask(gateway, tiny(), path, method=method)[0] == status
    assert upstream.sent == []


def test_a_web_page_cannot_call_a_model(gateway: Running, upstream: ModelServer) -> None:
    for headers in ({"Host": "evil.test"}, {"Origin": "https://evil.test"}):
        assert ask(gateway, tiny(), headers=headers)[0] == 403
    assert ask(gateway, tiny(), headers={"Content-Type": "text/plain"})[0] == 415
    assert upstream.sent == []


def test_headers_that_decide_stand_once(gateway: Running, upstream: ModelServer) -> None:
    address = urlsplit(gateway.url)
    assert address.hostname is not None
    assert address.port is not None
    body = json.dumps(tiny()).encode()
    for twice in ("Anthropic-Beta: a\r\nAnthropic-Beta: b", "Authorization: Bearer x"):
        head = (
            f"POST {CHAT} HTTP/1.1\r\nHost: 127.0.0.1:{address.port}\r\n"
            f"Authorization: Bearer {gateway.token}\r\nContent-Type: application/json\r\n"
            f"{twice}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        with socket.create_connection((address.hostname, address.port), SECONDS) as connection:
            connection.sendall(head.encode() + body)
            said = connection.makefile("rb").readline()
        assert b" 400 " in said
    assert upstream.sent == []


@pytest.mark.parametrize(
    "answer",
    [
        Answer(body=b"<html>not a model</html>", headers={"Content-Type": "text/html"}),
        Answer(body=b'{"cut": '),
        Answer(body=b"\xff\xfe"),
        Answer(302, b"{}", {"Location": "http://169.254.169.254/"}),
        Answer(events=[b"data: {}\n\n"]),
    ],
    ids=["html", "half", "binary", "redirect", "unasked stream"],
)
def test_garbage_of_a_server_is_not_passed_on(
    gateway: Running, upstream: ModelServer, answer: Answer
) -> None:
    upstream.answers.append(answer)
    status, headers, body = ask(gateway, tiny())
    assert status == 502
    assert json.loads(body)["error"]["code"] == "outcome_unknown"
    assert "location" not in headers
    assert len(upstream.sent) == 1  # nothing is tried again or followed


def test_a_server_s_headers_are_not_the_gateway_s(gateway: Running, upstream: ModelServer) -> None:
    headers = {
        "Set-Cookie": "a=b",
        "Bailiwick-Served-By": "hosted/other",
        "OpenAI-Organization": "org-operator",
        "X-Request-Id": "fine",
        "X-RateLimit-Odd": "caf\u00e9",
    }
    upstream.answers.append(Answer(body=b"{}", headers=headers))
    status, passed, _ = ask(gateway, tiny())
    assert status == 200
    assert passed["bailiwick-served-by"] == "local/tiny"
    assert passed["x-request-id"] == "fine"
    assert {"set-cookie", "openai-organization", "x-ratelimit-odd"}.isdisjoint(passed)


def test_streamed_bytes_are_the_server_s_own(gateway: Running, upstream: ModelServer) -> None:
    events = [
        b": a comment\n\n",
        b'data:{"choices":[{"delta":{"content":"data: [DONE]\\n\\ndata: [DONE]"}}]}\r\n\r\n',
        b"event: odd\nid: 7\ndata: \xff\xfe\n\n",
        b"data: [DO",
        b"NE]\n\n",
        b"data: after the end\n\n",
    ]
    upstream.answers.append(Answer(events=events))
    status, headers, body = ask(gateway, tiny(stream=True))
    assert status == 200
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert body == b"".join(events)


def test_the_record_shows_the_model_and_counts_and_says_nothing(
    gateway: Running, upstream: ModelServer
) -> None:
    secret = "a-word-nobody-else-says"
    for more in ({}, {"stream": True}):
        _, headers, _ = ask(gateway, tiny(**more, user=secret))
    call = gateway.cli("calls", "--limit", "1")["calls"][0]
    assert call["kind"] == "model"
    assert f"{call['upstream']}/{call['name']}" == "local/tiny"
    whole = gateway.cli("call", call["id"])
    leaves = json.dumps(whole)
    assert "tiny-0001" in leaves
    log = b"".join(
        file.read_bytes() for file in (gateway.data / "ledger").rglob("*") if file.is_file()
    )
    assert secret.encode() not in log
    assert headers["bailiwick-served-by"] == "local/tiny"


def test_a_revoked_mandate_is_told_of_what_is_under_way(
    gateway: Running, upstream: ModelServer
) -> None:
    """Last of its file: the mandate is gone afterwards."""
    address = urlsplit(gateway.url)
    assert address.hostname is not None
    upstream.answers.append(Answer(events=[b"data: {}\n\n", b"data: [DONE]\n\n"], wait_before=1))
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=SECONDS)
    headers = {"Authorization": f"Bearer {gateway.token}", "Content-Type": "application/json"}
    with contextlib.closing(connection):
        connection.request("POST", CHAT, json.dumps(tiny(stream=True)).encode(), headers)
        answer = connection.getresponse()
        assert upstream.started.wait(SECONDS)
        told = gateway.cli("revoke", "think")
        assert len(told["in_flight"]) == 1, told
        upstream.go.set()
        answer.read()
    status, _, body = ask(gateway, tiny())
    assert status == 403
    assert b"revoked" in body or b"not active" in body
