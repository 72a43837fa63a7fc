"""A tiny in-process HTTP client: one request in, the whole answer or a live stream out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

from starlette.types import ASGIApp, Message

HOST = "127.0.0.1:8750"
ORIGIN = f"http://{HOST}"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str:
        return dict(self.headers).get(name, "")

    @property
    def form(self) -> dict[str, str]:
        """The hidden fields of the page's last form with any."""
        return _Forms.of(self.text)[-1]


@dataclass
class Client:
    """Keeps cookies as a browser does. `headers` go with every request."""

    app: ASGIApp
    cookies: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=lambda: {"host": HOST})

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.ask("GET", path, b"", headers)

    async def post(self, path: str, fields: Mapping[str, str], **headers: str) -> Answer:
        kind = {"content-type": "application/x-www-form-urlencoded", "origin": ORIGIN}
        return await self.ask("POST", path, urlencode(fields).encode(), {**kind, **headers})

    async def send(self, path: str, body: object, **headers: str) -> Answer:
        kind = {"content-type": "application/json"}
        return await self.ask("POST", path, json.dumps(body).encode(), {**kind, **headers})

    async def ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        stream = self.open(method, path, body, headers)
        await asyncio.wait_for(stream.task, 10)
        answer = Answer(stream.status, stream.headers, b"".join(stream.chunks))
        for name, value in answer.headers:
            if name == "set-cookie":
                for key, morsel in SimpleCookie(value).items():
                    self.cookies[key] = morsel.value
        return answer

    def open(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Stream:
        """Begin a request and leave it open."""
        all_headers = {
            **self.headers,
            **{k.replace("_", "-"): v for k, v in (headers or {}).items()},
        }
        if self.cookies:
            all_headers["cookie"] = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
        parts = urlsplit(path)
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(parts.path),
            "raw_path": parts.path.encode(),
            "root_path": "",
            "query_string": parts.query.encode(),
            "headers": [(k.lower().encode(), v.encode("latin-1")) for k, v in all_headers.items()],
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 8750),
        }
        return Stream(self.app, scope, body)


class Stream:
    """An answer as it comes."""

    def __init__(self, app: ASGIApp, scope: dict[str, Any], body: bytes) -> None:
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self.chunks: list[bytes] = []
        self._body: bytes | None = body
        self._gone = asyncio.Event()
        self._more = asyncio.Condition()
        self.task = asyncio.ensure_future(app(scope, self._receive, self._send))

    async def until(self, text: bytes) -> bytes:
        """Wait until the answer holds `text`; returns all of it so far."""
        async with asyncio.timeout(10), self._more:
            await self._more.wait_for(lambda: text in b"".join(self.chunks))
        return b"".join(self.chunks)

    async def hang_up(self) -> None:
        self._gone.set()
        await asyncio.wait_for(self.task, 10)

    async def _receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = [(k.decode(), v.decode("latin-1")) for k, v in message["headers"]]
        else:
            async with self._more:
                self.chunks.append(message.get("body", b""))
                self._more.notify_all()


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, str]] = []

    @staticmethod
    def of(page: str) -> list[dict[str, str]]:
        parser = _Forms()
        parser.feed(page)
        return [form for form in parser.found if form]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "form":
            self.found.append({})
        elif tag == "input" and named.get("type") == "hidden" and self.found:
            self.found[-1][named["name"] or ""] = named["value"] or ""
