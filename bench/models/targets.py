"""What model calls are measured through: how each target is started."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.locked import installed, node_and_npm
from bench.models.wire import FAST, PATH, SERVED, ModelEndpoint
from bench.peers import SECRET, clean_environment
from bench.processes import Watched, free_port
from bench.targets import (
    BAILIWICK,
    BAILIWICK_NO_FSYNC,
    COMPILED,
    COMPILED_BIN,
    COMPILED_NO_FSYNC,
    OWN_BIN,
    Launch,
    Site,
    Started,
    Target,
    gateway,
    launch,
    nginx,
)
from bench.wire import Callee, Headers

_UP_SECONDS = 60.0
_SLOW_START_SECONDS = 120.0

LITELLM = "litellm"
PORTKEY = "portkey"
NGINX = "nginx"


@dataclass(frozen=True, slots=True)
class Pinned:
    """The locked environment of a peer, and the package whose version is reported."""

    environment: str
    package: str


def start_upstream(folder: Path) -> Started:
    """The fast model server itself: what `direct` asks."""
    folder.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    watched = Watched([sys.executable, "-m", "bench.models.upstream"], folder / "log")
    port = int(watched.wait_for_line("listening ", _UP_SECONDS))
    return Started(watched, ModelEndpoint(port), time.monotonic() - begun)


def _nginx(site: Site) -> Started:
    return nginx(site, ModelEndpoint, buffering="off")


# --- Bailiwick -----------------------------------------------------------------------------------

DECLARED = """
people:
  ada: {{name: Ada, roles: [treasurer]}}
agents:
  clerk: {{owner: ada}}
models:
  engine:
    url: "{origin}/v1"
    dialects: [chat]
    headers: {{Authorization: "Bearer ${{env:BENCH_MODEL_KEY}}"}}
    models: [SERVED]
    prices:
      "*": {{currency: USD, input: 2.50, cached: 1.25, output: 10, reasoning: 10}}
mandates:
  bench:
    from: ada
    to: clerk
    allow:
      - model: engine/*
        when:
          temperature: {{at_most: 1}}
          max_tokens: {{at_most: 4096}}
        other_arguments: allow
    deny:
      - model: engine/*
        when:
          previous_response_id: {{present: true}}
    stamp:
      - model: engine/*
        when:
          max_tokens: {{at_least: 2048}}
        role: treasurer
    limits:
      - {{id: tokens, model: engine/*, tokens: 1000000000000, each: day, zone: Europe/Zurich}}
      - {{id: money, model: engine/*, cost: 1000000000 USD, each: month, zone: Europe/Zurich}}
""".replace("SERVED", ", ".join(SERVED))
"""One allow, one deny and one stamp rule that each call is held to, and budgets in tokens and money
that are reserved before it and settled by what it took."""


def _asked(port: int, headers: Headers) -> Callee:
    return ModelEndpoint(port, headers=headers, model=f"engine/{FAST}")


def model_gateway(
    *options: str, command: Sequence[str] = (), installed: Path = OWN_BIN
) -> Callable[[Site], Started]:
    """How to start Bailiwick before the fast model server; the rest as `bench.targets.gateway`."""
    key = {"BENCH_MODEL_KEY": "sk-bench-0123456789"}
    return gateway(
        *options,
        command=command,
        installed=installed,
        env=key,
        declares=DECLARED,
        callee=_asked,
    )


# --- LiteLLM -------------------------------------------------------------------------------------

_LITELLM = """
model_list:
{models}
general_settings:
  master_key: sk-{secret}
litellm_settings:
  telemetry: false
"""
_LITELLM_MODEL = """
- model_name: {name}
  litellm_params: {{model: openai/{name}, api_base: "{origin}/v1", api_key: bench}}
"""


def _litellm(site: Site) -> Started:
    """As its documentation says for production: errors only in the log, no telemetry."""
    program = installed(LITELLM, _quiet) / "bin/litellm"
    port, settings = free_port(), site.folder / "config.yaml"
    models = "".join(
        _LITELLM_MODEL.format(name=each, origin=site.upstream_origin) for each in SERVED
    )
    settings.write_text(_LITELLM.format(models=models, secret=SECRET))
    command = [str(program), "--config", str(settings), "--host", "127.0.0.1"]
    command += ["--port", str(port), "--telemetry", "False"]
    env = clean_environment(
        HOME=str(site.folder),
        LITELLM_LOG="ERROR",
        LITELLM_MODE="PRODUCTION",
        LITELLM_LOCAL_MODEL_COST_MAP="True",
    )
    headers = (("Authorization", f"Bearer sk-{SECRET}"),)
    endpoint = ModelEndpoint(port, PATH, headers)
    return launch(site, Launch(command, endpoint, env, _SLOW_START_SECONDS))


# --- Portkey -------------------------------------------------------------------------------------

_LOOPBACK = """
// It listens on all addresses, and has no setting for that.
const { Server } = require("node:net");
const listen = Server.prototype.listen;
Server.prototype.listen = function (port, ...more) {
  return listen.call(this, { port: Number(port), host: "127.0.0.1" },
    ...more.filter((each) => typeof each === "function"));
};
"""


def _portkey(site: Site) -> Started:
    program = installed(PORTKEY, _quiet) / "node_modules/@portkey-ai/gateway/build/start-server.js"
    node, _ = node_and_npm()
    port, only_here = free_port(), site.folder / "loopback.cjs"
    only_here.write_text(_LOOPBACK)
    command = [node, "--require", str(only_here), str(program), f"--port={port}", "--headless"]
    env = clean_environment(HOME=str(site.folder), NODE_ENV="production")
    headers = (
        ("Authorization", "Bearer bench"),
        ("x-portkey-provider", "openai"),
        ("x-portkey-custom-host", f"{site.upstream_origin}/v1"),
    )
    endpoint = ModelEndpoint(port, PATH, headers)
    return launch(site, Launch(command, endpoint, env, _SLOW_START_SECONDS))


def _quiet(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


PEERS = {LITELLM: Pinned(LITELLM, "litellm"), PORTKEY: Pinned(PORTKEY, "@portkey-ai/gateway")}

TARGETS = (
    Target(NGINX, "plain proxy, one worker, answers not buffered", _nginx),
    Target(LITELLM, "LiteLLM's proxy, master key, production mode", _litellm),
    Target(PORTKEY, "Portkey's gateway, as it comes", _portkey),
    Target(
        BAILIWICK,
        "judged, counted, captured, and durable before dispatch",
        model_gateway(),
        governs=True,
    ),
    Target(
        BAILIWICK_NO_FSYNC,
        "the same, never waiting for the disk",
        model_gateway("--no-fsync"),
        governs=True,
    ),
    Target(
        COMPILED,
        "as `bailiwick`, from the compiled wheel",
        model_gateway(installed=COMPILED_BIN),
        governs=True,
    ),
    Target(
        COMPILED_NO_FSYNC,
        "the same, never waiting for the disk",
        model_gateway("--no-fsync", installed=COMPILED_BIN),
        governs=True,
    ),
)
