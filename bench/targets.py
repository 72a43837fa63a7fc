"""What is measured: how each target is started in front of the fast upstream."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.load import first_call
from bench.processes import NotRunning, Watched, free_port
from bench.wire import FIRST_NUMBER, SERVER, TOOL, Callee, Endpoint, Headers

_UP_SECONDS = 60.0
OWN_BIN = Path(sys.executable).parent
COMPILED_BIN = Path(__file__).parents[1] / ".compiled/bin"
"""Commands of the compiled wheel, where `make compiled` puts them."""


class Unavailable(Exception):
    """A target cannot be measured here; the message says why, for the table."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where a target runs: a scratch folder of its own, and the upstream to put it before."""

    folder: Path
    upstream_port: int

    @property
    def upstream_url(self) -> str:
        return f"{self.upstream_origin}/mcp"

    @property
    def upstream_origin(self) -> str:
        return f"http://127.0.0.1:{self.upstream_port}"


@dataclass(frozen=True, slots=True)
class Started:
    """A target that has answered its first call.

    Attributes:
        first_call_seconds: from starting the process to the first call answered through it.
    """

    watched: Watched
    endpoint: Callee
    first_call_seconds: float


@dataclass(frozen=True, slots=True)
class Target:
    """One thing to measure.

    Attributes:
        governs: whether it authenticates and judges each call.
        start: raises Unavailable or NotRunning.
    """

    name: str
    about: str
    start: Callable[[Site], Started]
    governs: bool = False


@dataclass(frozen=True, slots=True)
class Launch:
    """A command to start, and the endpoint that will answer."""

    command: Sequence[str]
    endpoint: Callee
    env: Mapping[str, str] | None = None
    seconds: float = _UP_SECONDS
    prepare: Callable[[], Callee | None] = field(default=lambda: None)
    """Tried until it returns: what has to be registered over the target's own API once it is up.
    The endpoint that it returns, if any, takes the place of `endpoint`. Raises OSError while the
    target is not up yet."""


def launch(site: Site, wanted: Launch) -> Started:
    """Start a target and call through it until a call succeeds.

    Raises:
        NotRunning: it ended, or no call succeeded in time; with its last words.
    """
    begun = time.monotonic()
    watched = Watched(wanted.command, site.folder / "log", wanted.env)
    endpoint: Callee | None = None
    why = "never reached"
    while time.monotonic() < begun + wanted.seconds:
        try:
            watched.check()
            endpoint = endpoint or wanted.prepare() or wanted.endpoint
            template = endpoint.templates(1)[0]
        except OSError as error:
            why = str(error)
        except NotRunning:
            watched.stop()
            raise
        else:
            why = first_call(endpoint.port, template, FIRST_NUMBER, wanted.seconds)
            if not why:
                return Started(watched, endpoint, time.monotonic() - begun)
        time.sleep(0.003)
    watched.stop()
    raise NotRunning(f"no call succeeded in {wanted.seconds:.0f} s ({why}): {watched.last_words()}")


# --- the baselines -------------------------------------------------------------------------------


def start_upstream(folder: Path) -> Started:
    """The fast upstream itself: what `direct` talks to."""
    folder.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    watched = Watched([sys.executable, "-m", "bench.upstream"], folder / "log")
    port = int(watched.wait_for_line("listening ", _UP_SECONDS))
    return Started(watched, Endpoint(port), time.monotonic() - begun)


_NGINX = """
worker_processes 1;
daemon off;
{user}
pid {folder}/pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  client_body_buffer_size 1m;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  upstream fast {{
    server 127.0.0.1:{upstream};
    keepalive 512;
    keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{port};
    keepalive_requests 1000000000;
    location / {{
      proxy_pass http://fast;
      proxy_http_version 1.1;
      proxy_buffering {buffering};
      proxy_set_header Connection "";
    }}
  }}
}}
"""


def nginx(site: Site, callee: Callable[[int], Callee] = Endpoint, buffering: str = "on") -> Started:
    """nginx as a plain proxy. `buffering` is for answers; "off" for streams, as its manual says."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise Unavailable("nginx is not installed (scripts/setup-bench installs it)")
    port = free_port()
    settings = site.folder / "nginx.conf"
    settings.write_text(
        _NGINX.format(
            folder=site.folder,
            port=port,
            upstream=site.upstream_port,
            buffering=buffering,
            user="user root;" if os.getuid() == 0 else "",
        )
    )
    command = [found, "-e", "stderr", "-p", str(site.folder), "-c", str(settings)]
    return launch(site, Launch(command, callee(port)))


def _protocols(site: Site) -> Started:
    port = free_port()
    command = [sys.executable, "-m", "bench.protocols", "--port", str(port)]
    command += ["--upstream-port", str(site.upstream_port)]
    return launch(site, Launch(command, Endpoint(port)))


def _pass_through(site: Site) -> Started:
    port = free_port()
    command = [sys.executable, "-m", "bench.passthrough", "--port", str(port)]
    command += ["--upstream-url", site.upstream_url]
    return launch(site, Launch(command, Endpoint(port)))


# --- Bailiwick -----------------------------------------------------------------------------------

DECLARED = """
people:
  ada: {{name: Ada, roles: [treasurer]}}
agents:
  clerk: {{owner: ada}}
  helper-1: {{owner: ada}}
  helper-2: {{owner: ada}}
servers:
  {server}: {{url: "{url}"}}
mandates:
  bench:
    from: ada
    to: clerk
    allow:
      - tool: {server}/{tool}
        when:
          account: {{one_of: [DE89370400440532013000, DE02120300000000202051]}}
          reference: {{matches: "INV-*"}}
          amount_minor: {{at_most: 500000}}
          currency: {{equals: EUR}}
          note: {{any: true}}
    deny:
      - tool: {server}/*
        when:
          account: {{equals: DE00000000000000000000}}
    stamp:
      - tool: {server}/*
        when:
          amount_minor: {{at_least: 250000}}
        role: treasurer
"""
"""What the gateway is given: one allow, one deny and one stamp rule that each call is held to."""

LIMITS = """
    limits:
      - {{id: spent, tool: {server}/{tool}, sum: amount_minor, at_most: 9000000000000, each: day,
         zone: Europe/Zurich}}
      - {{id: accounts, tool: {server}/{tool}, distinct: account, at_most: 100, each: month,
         zone: Europe/Zurich}}
      - {{id: pace, tool: {server}/*, calls: 1000000000, within: 10m}}
      - {{id: together, tool: {server}/*, at_once: 10000}}
"""
"""Added to it: four charges are reserved with each intent, and settled with each outcome."""

DELEGATION = """
    delegation: {{to: helper-*, depth: 2}}
"""
CHILD = """
to: {to}
allow:
  - tool: {server}/{tool}
    when:
      account: {{one_of: [DE89370400440532013000, DE02120300000000202051]}}
      reference: {{matches: "INV-*"}}
      amount_minor: {{at_most: 500000}}
      currency: {{equals: EUR}}
      note: {{any: true}}
{more}
"""
"""Passed on twice, it makes a line of three mandates that each call is held to."""


def _mcp(port: int, headers: Headers) -> Callee:
    return Endpoint(port, path=f"/mcp/{SERVER}", headers=headers)


def gateway(
    *options: str,
    command: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    limits: str = "",
    deep: bool = False,
    installed: Path = OWN_BIN,
    declares: str = DECLARED,
    callee: Callable[[int, Headers], Callee] = _mcp,
) -> Callable[[Site], Started]:
    """How to start Bailiwick with `options`, by `command` if not by its own, with `env` besides.

    It is given what `declares` says, and called at what `callee` makes of its port and the headers
    with the agent's token. `limits` is added to its mandate; `deep` has it passed on twice, and
    calls the last child. `installed` is the folder of the commands of the environment it runs in.

    It is started twice: once so that its data folder exists and a token can be made, and again,
    timed, as somebody would start it whose agent has a token.
    """

    def start(site: Site) -> Started:
        own = installed / "bailiwick"
        if not own.exists():
            raise Unavailable(f"there is no command `bailiwick` in {installed} (make compiled)")
        declared, data, port = site.folder / "bench.yaml", site.folder / "data", free_port()
        more = limits + (DELEGATION if deep else "")
        text = (declares.rstrip("\n") + more).format(
            server=SERVER, tool=TOOL, url=site.upstream_url, origin=site.upstream_origin
        )
        declared.write_text(text)
        up = [*(command or [str(own)]), "up", "-f", str(declared), "--data", str(data)]
        up += ["--listen", f"127.0.0.1:{port}", *options]
        environment = {**os.environ, **(env or {})}
        first = Watched(up, site.folder / "first.log", environment)
        try:
            token = _token(first, [str(own), "agents", "token", "clerk", "--data", str(data)])
            if deep:
                token = _passed_on_twice(own, site.folder, data)
        finally:
            first.stop()
        headers = (("Authorization", f"Bearer {token}"),)
        return launch(site, Launch(up, callee(port, headers), environment))

    return start


def _token(running: Watched, command: list[str]) -> str:
    """A token for the agent, from the gateway that is just coming up."""
    command = [*command, "--as", "ada", "--ttl", "1d", "--json"]
    deadline = time.monotonic() + _UP_SECONDS
    while True:
        running.check()
        made = subprocess.run(command, capture_output=True, text=True)
        if made.returncode == 0:
            return str(json.loads(made.stdout)["token"])
        if time.monotonic() > deadline:
            raise NotRunning(f"no token: {made.stderr.strip()[-300:]}")


def _passed_on_twice(own: Path, folder: Path, data: Path) -> str:
    """A token for the child of a child of the mandate."""
    parent, token = "bench", ""
    for to, more in (("helper-1", "delegation: {to: helper-*, depth: 1}"), ("helper-2", "")):
        file = folder / f"{to}.yaml"
        file.write_text(CHILD.format(to=to, server=SERVER, tool=TOOL, more=more))
        command = [str(own), "delegate", parent, str(file), "--data", str(data)]
        made = subprocess.run(
            [*command, "--as", "ada", "--ttl", "1d", "--json"], capture_output=True, text=True
        )
        if made.returncode != 0:
            raise NotRunning(f"no child: {made.stderr.strip()[-300:]}")
        answer = json.loads(made.stdout)
        parent, token = str(answer["name"]), str(answer["token"]["token"])
    return token


BAILIWICK = "bailiwick"
BAILIWICK_NO_FSYNC = "bailiwick, fsync off"
COMPILED = "bailiwick, compiled"
COMPILED_NO_FSYNC = "bailiwick, compiled, fsync off"
LIMITED = "four limits"
LIMITED_NO_FSYNC = "four limits, fsync off"
LIMITED_COMPILED = "four limits, compiled"
LIMITED_COMPILED_NO_FSYNC = "four limits, compiled, fsync off"

OURS = (
    Target("nginx", "plain proxy, one worker, keep-alive to the upstream", nginx),
    Target("protocols", "hand-written Python protocols on both sides, no checks", _protocols),
    Target("pass-through", "our edge and upstream client, nothing judged", _pass_through),
    Target(BAILIWICK, "judged, and durable before dispatch", gateway(), governs=True),
    Target(
        BAILIWICK_NO_FSYNC,
        "judged and recorded, never waiting for the disk",
        gateway("--no-fsync"),
        governs=True,
    ),
    Target(
        COMPILED,
        "as `bailiwick`, from the compiled wheel",
        gateway(installed=COMPILED_BIN),
        governs=True,
    ),
    Target(
        COMPILED_NO_FSYNC,
        "the same, never waiting for the disk",
        gateway("--no-fsync", installed=COMPILED_BIN),
        governs=True,
    ),
    Target(
        LIMITED,
        "as `bailiwick`, with four limits, under a line of three mandates",
        gateway(limits=LIMITS, deep=True),
        governs=True,
    ),
    Target(
        LIMITED_NO_FSYNC,
        "the same, never waiting for the disk",
        gateway("--no-fsync", limits=LIMITS, deep=True),
        governs=True,
    ),
    Target(
        LIMITED_COMPILED,
        "as `four limits`, from the compiled wheel",
        gateway(limits=LIMITS, deep=True, installed=COMPILED_BIN),
        governs=True,
    ),
    Target(
        LIMITED_COMPILED_NO_FSYNC,
        "the same, never waiting for the disk",
        gateway("--no-fsync", limits=LIMITS, deep=True, installed=COMPILED_BIN),
        governs=True,
    ),
)
