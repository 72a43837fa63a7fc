"""The model servers of one gateway, as declared now; replaced while it runs."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from bailiwick.core.errors import TheirError, UpstreamBroken
from bailiwick.core.limits.pricing import NO_TERMS, Terms
from bailiwick.core.texts.glob import Glob
from bailiwick.gateway.http.client import HttpClient
from bailiwick.gateway.http.limits import HttpLimits
from bailiwick.gateway.http.response import Response
from bailiwick.gateway.http.wire import Template, parse_url
from bailiwick.gateway.llm.aliases import Alias
from bailiwick.gateway.llm.health import Health
from bailiwick.gateway.upstreams.spec import Text, reveal
from bailiwick.protocols.strict_json import parse

MAX_ANSWER_BYTES = 64 * 1024 * 1024
MAX_LISTED = 10_000
_LIST_SECONDS = 10.0
_KEYS = ("auth", "key", "secret", "token")
"""In the names of headers that hold a key."""

_MIN_KEY_CHARS = 16
"""Shorter ones could be words of an answer."""

_FIXED = (
    ("Content-Type", "application/json"),
    ("Accept", "application/json, text/event-stream"),
    ("Accept-Encoding", "identity"),
    ("User-Agent", "bailiwick"),
)


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One declared model server, secrets filled in.

    Attributes:
        url: its address without `/v1`.
        dialects: what it speaks.
        models: names and globs of what it serves.
        timeout_seconds: longest wait for an answer, or for the next piece of a stream.
        max_concurrent: requests at a time; others wait.
        max_waiting: requests that wait for their turn; more are refused.
        wait_seconds: longest wait for a turn.
        terms: what its models cost, and how large they are.
    """

    name: str
    url: str
    dialects: frozenset[str]
    models: tuple[str, ...]
    headers: Mapping[str, Text] = field(default_factory=dict, repr=False)
    timeout_seconds: float = 600.0
    max_concurrent: int = 256
    max_waiting: int = 256
    wait_seconds: float = 30.0
    terms: Terms = NO_TERMS


class ModelServer:
    """One model server. Its key goes to it and to nobody else."""

    def __init__(self, spec: ModelSpec, tls: ssl.SSLContext | None = None) -> None:
        self.spec = spec
        origin, target = parse_url(spec.url)
        self._base = target.rstrip("/")
        limits = HttpLimits(
            answer_seconds=spec.timeout_seconds,
            idle_seconds=spec.timeout_seconds,
            max_connections=spec.max_concurrent,
            max_waiting=spec.max_waiting,
            wait_seconds=spec.wait_seconds,
            max_body_bytes=MAX_ANSWER_BYTES,
        )
        self._client = HttpClient(spec.name, origin, limits, tls)
        self._fields = [(name, reveal(value)) for name, value in spec.headers.items()]
        self._own = {name.lower() for name, _ in self._fields}
        self._keys = tuple(
            word.encode()
            for name, value in self._fields
            if any(sign in name.lower() for sign in _KEYS)
            for word in value.split()
            if len(word) >= _MIN_KEY_CHARS
        )
        self._posts: dict[str, Template] = {}
        self._globs = tuple(Glob(text) for text in spec.models)

    @property
    def serves_all(self) -> bool:
        """Whether it is declared to serve whatever it is asked for."""
        return "*" in self.spec.models

    def serves(self, model: str) -> bool:
        """Whether this is one of its models, as declared."""
        return any(glob.matches(model) for glob in self._globs)

    async def send(
        self,
        path: str,
        body: bytes,
        fields: Iterable[tuple[str, str]],
        answer_seconds: float | None = None,
    ) -> Response:
        """Send one request, once. Raises as `HttpClient.send` does.

        Args:
            path: from `/v1` on.
            fields: headers of the agent's; one that is declared for the server wins over them.
            answer_seconds: for a whole answer or the start of a stream, within the server's own
                time; None for that.
        """
        if fields and self._own:
            fields = [each for each in fields if each[0] not in self._own]
        template = self._posts.get(path)
        if template is None:
            template = self._posts[path] = self._template("POST", path)
        if answer_seconds is not None:
            answer_seconds = min(answer_seconds, self.spec.timeout_seconds)
        return await self._client.send(template, fields, body, answer_seconds=answer_seconds)

    def tells_its_key(self, answer: bytes) -> bool:
        """Whether a piece of an answer holds the key: servers repeat headers in their errors."""
        return True in map(answer.__contains__, self._keys)  # no generator for each piece

    def begins_its_key(self, piece: bytes) -> int:
        """In how many of the last bytes of a piece the key may begin; 0 if it does not."""
        return max((_begun(key, piece) for key in self._keys), default=0)

    @property
    def load(self) -> tuple[int, int]:
        """Requests under way, and requests that wait for their turn."""
        return self._client.load

    async def names(self) -> tuple[str, ...]:
        """The names of its models: as declared, and where globs stand, as it lists them.

        Raises:
            UpstreamDown, UpstreamBroken: it could not be asked.
        """
        stated = [glob.parts[0] for glob in self._globs if glob.literal]
        if len(stated) == len(self._globs):
            return tuple(dict.fromkeys(stated))
        answer = await self._client.send(
            self._template("GET", "/v1/models"), answer_seconds=_LIST_SECONDS, replayable=True
        )
        if answer.stream is not None:
            answer.stream.close()
        listed = _listed(answer.body) if answer.status == 200 else None
        if listed is None:
            raise UpstreamBroken(
                "upstream_garbage", f"server `{self.spec.name}` does not list its models"
            )
        served = (name for name in listed if self.serves(name))
        return tuple(dict.fromkeys([*stated, *served]))

    def close(self) -> None:
        """Close every connection; requests in flight end with UpstreamBroken."""
        self._client.close()

    def _template(self, method: str, path: str) -> Template:
        fields = [each for each in _FIXED if each[0].lower() not in self._own]
        fields += self._fields
        return Template(method, self._client.origin, self._base + path, fields)


class ModelServers:
    """Builds, keeps and replaces model servers. Belongs to one event loop.

    Args:
        tls: for tests with an authority of their own; None verifies against the system's.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._current: Mapping[str, ModelServer] = MappingProxyType({})
        self._aliases: Mapping[str, Alias] = MappingProxyType({})
        self._watched: frozenset[str] = frozenset()
        self.health = Health()

    @property
    def current(self) -> Mapping[str, ModelServer]:
        """The servers by name: a snapshot that does not change once taken."""
        return self._current

    @property
    def aliases(self) -> Mapping[str, Alias]:
        """The aliases by name: a snapshot as `current` is."""
        return self._aliases

    @property
    def watched(self) -> frozenset[str]:
        """`SERVER/MODEL` of all that aliases stand for: what `health` is kept of."""
        return self._watched

    def apply(self, specs: Sequence[ModelSpec], aliases: Sequence[Alias] = ()) -> None:
        """Make the servers those of `specs`. One whose spec is equal is kept as it is; with other
        prices or sizes it keeps its connections.

        Raises:
            ConfigError: a URL cannot be used; everything stays as it was.
        """
        before = self._current
        after: dict[str, ModelServer] = {}
        for spec in specs:
            kept = before.get(spec.name)
            if kept is not None and replace(kept.spec, terms=spec.terms) == spec:
                after[spec.name] = kept
            else:
                after[spec.name] = ModelServer(spec, self._tls)
        for spec in specs:
            after[spec.name].spec = spec
        self._current = MappingProxyType(after)
        self._aliases = MappingProxyType({each.name: each for each in aliases})
        self._watched = frozenset(
            candidate.name for each in aliases for group in each.groups for candidate in group
        )
        self.health.keep(self._watched)
        for name, server in before.items():
            if after.get(name) is not server:
                server.close()

    def close(self) -> None:
        """End everything."""
        self.apply(())


def _begun(key: bytes, piece: bytes) -> int:
    """How much of the begin of a key a piece ends with: never all of it."""
    at = piece.find(key[:1], max(0, len(piece) - len(key) + 1))
    while at >= 0 and not key.startswith(piece[at:]):
        at = piece.find(key[:1], at + 1)
    return len(piece) - at if at >= 0 else 0


def _listed(body: bytes) -> list[str] | None:
    """The ids in a list of models, in either dialect; None when it is none."""
    try:
        value = parse(body, MAX_LISTED)
    except TheirError:
        return None
    data = value.get("data") if isinstance(value, dict) else None
    if not isinstance(data, list):
        return None
    found = [each.get("id") for each in data if isinstance(each, dict)]
    return [name for name in found if isinstance(name, str)]
