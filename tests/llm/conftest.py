"""One gateway with model servers behind it, and the agents' token for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.running import Running, running
from tests.llm.model_server import ModelServer, serving

KEY = "sk-upstream-secret-key"

DECLARED = """
people: {{ada: {{name: Ada}}, ben: {{name: Ben, roles: [reviewer]}}}}
agents: {{clerk: {{owner: ada}}}}
models:
  local:
    url: {url}/v1
    dialects: [chat, responses, messages, embeddings]
    headers: {{Authorization: "Bearer ${{env:MODEL_KEY}}"}}
    models: [tiny, big/*, other, twin]
  hosted:
    url: {url}
    dialects: [chat]
    models: [twin, local/odd]
  gone:
    url: http://127.0.0.1:9
    dialects: [chat, responses, messages]
    models: ["mod*"]
mandates:
  think:
    from: ada
    to: clerk
    allow:
      - model: local/tiny
        when: {{temperature: {{at_most: 1, optional: true}}}}
        other_arguments: allow
      - {{models: [local/big/*, local/twin, hosted/twin, gone/*], other_arguments: allow}}
    deny:
      - {{model: local/big/secret, because: not for this}}
      - {{model: local/*, when: {{previous_response_id: {{present: true}}}}}}
    stamp:
      - {{model: local/big/stamped, role: reviewer}}
    limits:
      - {{id: few, model: local/big/counted, calls: 1, each: lifetime}}
"""


@pytest.fixture(scope="module")
def upstream() -> Iterator[ModelServer]:
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, upstream: ModelServer) -> Iterator[Running]:
    folder: Path = tmp_path_factory.mktemp("gateway")
    declared = DECLARED.format(url=upstream.url)
    with running(folder, declared, env={"MODEL_KEY": KEY}) as gateway:
        gateway.agent_token()
        yield gateway


@pytest.fixture(autouse=True)
def fresh(upstream: ModelServer) -> None:
    upstream.reset()
