"""Whether telemetry goes out, and where: from the environment, in OpenTelemetry's own words.

| variable | |
|---|---|
| `BAILIWICK_OTLP_ENDPOINT` | where spans go; `/v1/traces` is added if missing |
| `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` | the whole address |
| `OTEL_EXPORTER_OTLP_ENDPOINT` | the address to which `/v1/traces` is added |
| `OTEL_EXPORTER_OTLP_TRACES_HEADERS`, `OTEL_EXPORTER_OTLP_HEADERS` | `name=value,…` |
| `OTEL_EXPORTER_OTLP_TRACES_TIMEOUT`, `OTEL_EXPORTER_OTLP_TIMEOUT` | milliseconds for one batch |
| `OTEL_EXPORTER_OTLP_TRACES_COMPRESSION`, `OTEL_EXPORTER_OTLP_COMPRESSION` | `none` or `gzip` |
| `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` | what describes this gateway |
| `OTEL_SDK_DISABLED=true`, `OTEL_TRACES_EXPORTER=none` | nothing goes out |
| `BAILIWICK_OTLP_PEOPLE` | `pseudonyms` (as in the ledger) or `names` |
| `BAILIWICK_OTLP_CONTENT` | `none`, or `all`: arguments, results and messages go out too |

Without an address nothing goes out, and calls pay nothing. Source: OpenTelemetry specification,
"OpenTelemetry Protocol Exporter" and "Environment Variable Specification".
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import version
from urllib.parse import unquote

from bailiwick.core.errors import ConfigError, UpstreamDown
from bailiwick.core.values import show
from bailiwick.gateway.http.client import HttpClient
from bailiwick.gateway.http.limits import HttpLimits
from bailiwick.gateway.http.response import Response
from bailiwick.gateway.http.wire import Origin, Template, parse_url
from bailiwick.gateway.telemetry.teller import Teller, Unfailing
from bailiwick.gateway.watching import Watcher
from bailiwick.ports import Clock
from bailiwick.protocols.otlp.answers import PROTOBUF

_PATH = "/v1/traces"
_MAX_ANSWER_BYTES = 64 * 1024
_DEFAULT_TIMEOUT_MS = "10000"
_MOST_TIMEOUT_MS = 60_000
_MAX_PAIRS = 64

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class TelemetrySettings:
    """Where spans go.

    Attributes:
        headers: of every request; may hold a key, so they are never shown.
        resource: attributes of this gateway; `service.name` among them.
        names: people by name, not by pseudonym.
        content: arguments, results and messages go out too.
    """

    url: str
    headers: Pairs = field(default=(), repr=False)
    timeout_seconds: float = 10.0
    compress: bool = False
    resource: Mapping[str, str] = field(default_factory=dict)
    names: bool = False
    content: bool = False


def telemetry_settings(environ: Mapping[str, str]) -> TelemetrySettings | None:
    """What the environment says; None if nothing is to go out.

    Raises:
        ConfigError: `telemetry_setting`: something of it cannot be meant.
    """
    url = _url(environ)
    if not url or _off(environ):
        return None
    protocol = _of(environ, "PROTOCOL", "http/protobuf")
    if protocol != "http/protobuf":
        raise _wrong(
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            f"is {show(protocol)}, and spans are sent as `http/protobuf` only; "
            "OTEL_TRACES_EXPORTER=none sends none",
        )
    compression = _of(environ, "COMPRESSION", "none")
    if compression not in ("none", "gzip"):
        raise _wrong("OTEL_EXPORTER_OTLP_COMPRESSION", "is to be `none` or `gzip`")
    resource = dict(_pairs(environ, "OTEL_RESOURCE_ATTRIBUTES"))
    resource["service.name"] = (
        environ.get("OTEL_SERVICE_NAME") or resource.get("service.name") or "bailiwick"
    )
    found = TelemetrySettings(
        url=url,
        headers=_headers(environ),
        timeout_seconds=_timeout(environ),
        compress=compression == "gzip",
        resource=resource,
        names=_choice(environ, "BAILIWICK_OTLP_PEOPLE", "pseudonyms", "names"),
        content=_choice(environ, "BAILIWICK_OTLP_CONTENT", "none", "all"),
    )
    _place(found)
    return found


class Collector:
    """The connection to where spans go."""

    def __init__(self, settings: TelemetrySettings) -> None:
        origin, target = _place(settings)
        limits = HttpLimits(
            answer_seconds=settings.timeout_seconds,
            max_connections=1,
            max_waiting=1,
            max_body_bytes=_MAX_ANSWER_BYTES,
        )
        self._client = HttpClient("telemetry", origin, limits)
        self._template = _template(origin, target, settings.headers)

    async def __call__(self, fields: list[tuple[str, str]], body: bytes) -> Response:
        """Send one batch. Raises as `HttpClient.send` does."""
        return await self._client.send(self._template, fields, body)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


@dataclass(frozen=True, slots=True)
class Known:
    """What of the gateway spans are told with.

    Attributes:
        pseudonym: how a person is called in the ledger.
        session: the agent's own name of the session of a run, or "".
        model_server: the address of a model server by its name, "" for none.
    """

    pseudonym: Callable[[str], str]
    session: Callable[[str], str]
    model_server: Callable[[str], str]


def start_export(
    settings: TelemetrySettings, stack: contextlib.AsyncExitStack, clock: Clock, known: Known
) -> Watcher:
    """Begin to send spans; `stack` sends the last of them and ends it."""
    from bailiwick.gateway.telemetry.exporter import Exporter

    installed = version("bailiwick")
    collector = Collector(settings)
    stack.callback(collector.close)
    exporter = Exporter(
        send=collector,
        resource={"service.version": installed, **settings.resource},
        version=installed,
        monotonic=clock.monotonic,
        compress=settings.compress,
    )
    stack.push_async_callback(exporter.close)
    task = asyncio.create_task(exporter.run())
    stack.push_async_callback(_stop, task)
    person = _by_name if settings.names else known.pseudonym
    return Unfailing(
        Teller(
            exporter.offer,
            person,
            known.session,
            lambda name: _host_and_port(known.model_server(name)),
            content=settings.content,
        )
    )


@lru_cache(256)
def _host_and_port(url: str) -> tuple[str, int]:
    try:
        origin, _ = parse_url(url)
    except ConfigError:
        return "", 0
    return origin.host, origin.port


def _by_name(person: str) -> str:
    return person


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _place(settings: TelemetrySettings) -> tuple[Origin, str]:
    try:
        origin, target = parse_url(settings.url)
        _template(origin, target, settings.headers)
    except (ConfigError, UpstreamDown) as error:
        text = f"where telemetry goes, by BAILIWICK_OTLP_… or OTEL_EXPORTER_OTLP_…: {error.message}"
        raise ConfigError("telemetry_setting", text) from error
    return origin, target


def _template(origin: Origin, target: str, headers: Pairs) -> Template:
    fixed = (("Content-Type", PROTOBUF.decode()), ("User-Agent", "bailiwick"))
    return Template("POST", origin, target, (*fixed, *headers))


def _url(environ: Mapping[str, str]) -> str:
    own = environ.get("BAILIWICK_OTLP_ENDPOINT", "").strip()
    if own:
        return own if own.rstrip("/").endswith(_PATH) else own.rstrip("/") + _PATH
    whole = environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "").strip()
    base = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip()
    return whole or (base.rstrip("/") + _PATH if base else "")


def _off(environ: Mapping[str, str]) -> bool:
    disabled = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return disabled or environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none"


def _of(environ: Mapping[str, str], name: str, default: str) -> str:
    """A setting of the exporter: that for traces wins."""
    own = environ.get(f"OTEL_EXPORTER_OTLP_TRACES_{name}", "").strip()
    return own or environ.get(f"OTEL_EXPORTER_OTLP_{name}", "").strip() or default


def _timeout(environ: Mapping[str, str]) -> float:
    told = _of(environ, "TIMEOUT", _DEFAULT_TIMEOUT_MS)
    if not (told.isascii() and told.isdigit()) or not 1 <= int(told[:9]) <= _MOST_TIMEOUT_MS:
        raise _wrong("OTEL_EXPORTER_OTLP_TIMEOUT", f"is to be 1 to {_MOST_TIMEOUT_MS} milliseconds")
    return int(told) / 1000


def _headers(environ: Mapping[str, str]) -> Pairs:
    traces = "OTEL_EXPORTER_OTLP_TRACES_HEADERS"
    return _pairs(environ, traces if environ.get(traces) else "OTEL_EXPORTER_OTLP_HEADERS")


def _pairs(environ: Mapping[str, str], variable: str) -> Pairs:
    """`name=value,name=value`; the value percent-encoded. Never quoted: it may be a key."""
    found: list[tuple[str, str]] = []
    for text in environ.get(variable, "").split(","):
        if not text.strip():
            continue
        name, separator, value = text.partition("=")
        if not separator or not name.strip():
            raise _wrong(variable, "is to be `name=value`, with commas between several")
        found.append((name.strip(), unquote(value.strip())))
    if len(found) > _MAX_PAIRS:
        raise _wrong(variable, f"has more than {_MAX_PAIRS} values")
    return tuple(found)


def _choice(environ: Mapping[str, str], variable: str, no: str, yes: str) -> bool:
    told = environ.get(variable, "").strip().lower() or no
    if told not in (no, yes):
        raise _wrong(variable, f"is {show(told)}; it is to be `{no}` or `{yes}`")
    return told == yes


def _wrong(variable: str, what: str) -> ConfigError:
    return ConfigError("telemetry_setting", f"{variable} {what}")
