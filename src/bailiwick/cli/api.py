"""The people's HTTP API (docs/reference/api.md), as the commands call it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urlsplit

from bailiwick.cli.exits import CliError, Exit
from bailiwick.core.canonical import Json, JsonObject

if TYPE_CHECKING:
    import http.client

TIMEOUT_SECONDS = 30.0
MAX_ANSWER_BYTES = 64 << 20
MAX_LINES_BYTES = 256 << 20

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_EXITS = {401: Exit.NOT_ALLOWED, 403: Exit.NOT_ALLOWED, 404: Exit.USAGE, 409: Exit.NO}
_HINTS = {
    "token_missing": "say who you are with --as NAME or --token",
    "token_expired": "make a new one with `bailiwick people token NAME`",
    "token_invalid": "make a new one with `bailiwick people token NAME`",
    "token_revoked": "make a new one with `bailiwick people token NAME`",
    "wrong_audience": "this is for people; `bailiwick people token NAME` makes theirs",
    "not_found": "check the id or name",
    "hold_unknown": "`bailiwick holds` lists what waits",
    "call_unknown": "`bailiwick calls` lists the newest",
    "run_unknown": "`bailiwick runs` lists the newest",
    "mandate_unknown": "`bailiwick mandates` lists them",
    "mandate_ambiguous": "say which with --mandate",
    "agent_unknown": "`bailiwick agents` lists them",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer as it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Api:
    """One gateway, as one person.

    Attributes:
        url: its root, such as `http://127.0.0.1:8750`.
        person: whose token we made ourselves, "" when it was given to us.
    """

    url: str
    token: str = field(repr=False)
    person: str = ""

    def get(self, path: str, **query: str | int) -> JsonObject:
        """GET `/api/v1/PATH`; empty values are left out of the query.

        Raises:
            CliError: the gateway cannot be reached, or it says no.
        """
        asked = urlencode({key: value for key, value in query.items() if value != ""})
        return self._json("GET", path + (f"?{asked}" if asked else ""), None)

    def lines(self, path: str, **query: str | int) -> list[bytes]:
        """GET `/api/v1/PATH`, which answers a JSON text a line.

        Raises:
            CliError: as for `get`; `record_cut`: the last line is not whole.
        """
        asked = urlencode({key: value for key, value in query.items() if value != ""})
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = self._send("GET", f"/api/v1/{path}?{asked}", None, headers, MAX_LINES_BYTES)
        if answer.status >= 400:
            raise _refusal(answer.status, _parse(answer, self.url))
        *lines, rest = answer.body.split(b"\n")
        if rest or not lines:
            raise CliError(Exit.OURS, "record_cut", "the gateway's answer is not whole")
        return lines

    def post(self, path: str, body: Mapping[str, Json]) -> JsonObject:
        """POST `body` to `/api/v1/PATH`.

        Raises:
            CliError: the gateway cannot be reached, or it says no.
        """
        return self._json("POST", path, json.dumps(body).encode())

    def raw(self, path: str) -> Answer:
        """GET a path outside the API (`/ledger/checkpoint`), without the token."""
        return self._send("GET", path, None, {})

    def models(self) -> list[str]:
        """The models that this token, an agent's, may use.

        Raises:
            CliError: the gateway cannot be reached, or it says no.
        """
        answer = self._send("GET", "/v1/models", None, {"Authorization": f"Bearer {self.token}"})
        value = _parse(answer, self.url)
        if answer.status >= 400:
            raise _refusal(answer.status, value)
        data = value.get("data")
        found = (
            [each.get("id") for each in data if isinstance(each, dict)]
            if isinstance(data, list)
            else []
        )
        return [name for name in found if isinstance(name, str)]

    def _json(self, method: str, path: str, body: bytes | None) -> JsonObject:
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        answer = self._send(method, "/api/v1/" + path, body, headers)
        value = _parse(answer, self.url)
        if answer.status >= 400:
            refused = _refusal(answer.status, value)
            if self.person and answer.status == 401:
                refused.hint = f"`{self.person}` must be declared; say who you are with --as"
            raise refused
        return value

    def _send(
        self,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
        most: int = MAX_ANSWER_BYTES,
    ) -> Answer:
        with _connection(self.url) as (connection, base):
            connection.request(method, base + path, body=body, headers=dict(headers))
            response = connection.getresponse()
            received = response.read(most + 1)
        if len(received) > most:
            raise CliError(Exit.OURS, "answer_too_large", f"the answer of {self.url} is too large")
        return Answer(response.status, dict(response.headers.items()), received)


def segment(untrusted_id: str) -> str:
    """An id or name as one path segment; `/` and `..` cannot leave it.

    Raises:
        CliError: it is empty or only dots, which would change the path.
    """
    if not untrusted_id.strip("."):
        raise CliError(Exit.USAGE, "bad_id", f"`{untrusted_id}` is not an id")
    return quote(untrusted_id, safe="")


@dataclass(frozen=True, slots=True)
class WebAddress:
    """An http(s) address. `path` has no slash at its end."""

    scheme: str
    host: str
    port: int | None
    path: str


def web_address(url: str) -> WebAddress:
    """Read an absolute http(s) address.

    Raises:
        CliError: it is none, or holds a user, a query or a fragment.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    odd = "@" in parts.netloc or parts.query or parts.fragment
    if parts.scheme not in ("http", "https") or not host or odd:
        raise CliError(
            Exit.USAGE, "bad_url", f"`{url}` is not a URL", "give one such as http://127.0.0.1:8750"
        )
    return WebAddress(parts.scheme, host, port, parts.path.rstrip("/"))


@contextmanager
def _connection(url: str) -> Iterator[tuple[http.client.HTTPConnection, str]]:
    import http.client

    parts = web_address(url)
    if parts.scheme == "http" and parts.host not in _LOOPBACK:
        raise CliError(
            Exit.USAGE,
            "not_encrypted",
            f"`{url}` would carry your token readable over the network",
            "use https:// (only this machine may be reached by http://)",
        )
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.host, parts.port, timeout=TIMEOUT_SECONDS)
    try:
        yield connection, parts.path
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise CliError(
            Exit.UNREACHABLE,
            "gateway_unreachable",
            f"cannot reach the gateway at {url} ({reason})",
            "start it with `bailiwick up`, or see `bailiwick doctor`",
        ) from error
    finally:
        connection.close()


def _parse(answer: Answer, url: str) -> JsonObject:
    try:
        value = json.loads(answer.body)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise CliError(
            Exit.UNREACHABLE,
            "not_a_gateway",
            f"{url} does not answer like a Bailiwick gateway (HTTP {answer.status})",
            "check --url",
        )
    return value


def _refusal(status: int, value: JsonObject) -> CliError:
    error = value.get("error")
    detail: JsonObject = error if isinstance(error, dict) else {}
    code = str(detail.get("code", "unknown"))
    message = str(detail.get("message", f"HTTP {status}"))
    ending = _EXITS.get(status, Exit.OURS if status >= 500 else Exit.USAGE)
    return CliError(ending, code, message, _HINTS.get(code, ""))
