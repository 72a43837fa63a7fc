"""goose has telemetry of its own: it thinks through the gateway, and tells of that there."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.agents.agents import AGENTS
from tests.app.running import running
from tests.llm.model_server import serving
from tests.telemetry.test_in import spans_of

GOOSE = AGENTS["goose"].path

DECLARED = """
people: {{ada: {{name: Ada, roles: [operator]}}}}
agents: {{clerk: {{owner: ada}}}}
models: {{local: {{url: "{url}/v1", dialects: [chat], models: [tiny]}}}}
mandates:
  work: {{from: ada, to: clerk, allow: [{{model: local/tiny, other_arguments: allow}}]}}
"""


@pytest.mark.agents
@pytest.mark.slow
@pytest.mark.skipif(not GOOSE.exists(), reason="not installed: goose (run scripts/setup-agents)")
def test_the_spans_of_goose_are_attached_to_the_run_of_its_session(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with serving() as server, running(tmp_path, DECLARED.format(url=server.url)) as gateway:
        token = gateway.agent_token()
        env = {
            **AGENTS["goose"].environ,
            "HOME": str(home),
            "PATH": os.environ["PATH"],
            "GOOSE_MODE": "auto",
            "GOOSE_PROVIDER": "openai",
            "GOOSE_MODEL": "local/tiny",
            "OPENAI_API_KEY": token,
            "OPENAI_HOST": gateway.url,
            "OTEL_EXPORTER_OTLP_ENDPOINT": gateway.url,
            "OTEL_EXPORTER_OTLP_HEADERS": f"Authorization=Bearer%20{token}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_TRACES_SAMPLER": "always_on",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
        }
        words = ["run", "--no-session", "-q", "-t", "say hello"]
        done = subprocess.run(
            [GOOSE, *words], cwd=home, env=env, capture_output=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        (run,) = gateway.cli("runs")["runs"]
        spans = spans_of(gateway, run["id"])
    operations = {span["attributes"].get("gen_ai.operation.name") for span in spans}
    assert {"invoke_agent", "chat"} <= operations
    assert {span["resource"]["service.name"] for span in spans} == {"goose"}
    (thought,) = [
        span for span in spans if span["attributes"].get("gen_ai.operation.name") == "chat"
    ]
    assert thought["attributes"]["gen_ai.request.model"] == "local/tiny"
    assert thought["attributes"]["gen_ai.usage.input_tokens"] == 7
