"""A bare pass-through of our own parts: raw ASGI on uvicorn, and the gateway's upstream client.

Nothing is authenticated, parsed, judged or recorded. What is above this line in the table is the
price of the parts; what is between this line and `bailiwick` is the price of governing.
"""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import uvicorn

from bailiwick.core.errors import BailiwickError
from bailiwick.gateway.http.client import HttpClient
from bailiwick.gateway.http.limits import HttpLimits
from bailiwick.gateway.http.wire import OWN_HEADERS, Template, parse_url

Message = MutableMapping[str, Any]
_NOT_PASSED = OWN_HEADERS | {"authorization", "accept-encoding"}


class PassThrough:
    """The ASGI application."""

    def __init__(self, upstream_url: str) -> None:
        origin, target = parse_url(upstream_url)
        self._client = HttpClient("upstream", origin, HttpLimits())
        self._template = Template("POST", origin, target, ())

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Pass one request on and its whole answer back."""
        if scope["type"] != "http":
            return
        message = await receive()
        body = message["body"]
        while message.get("more_body"):
            message = await receive()
            body += message["body"]
        fields = [
            (text, value.decode("latin-1"))
            for name, value in scope["headers"]
            if (text := name.decode("latin-1")) not in _NOT_PASSED
        ]
        try:
            response = await self._client.send(self._template, fields, body)
        except BailiwickError as error:
            await _answer(send, 502, b"text/plain", error.message.encode())
            return
        await _answer(send, response.status, response.content_type.encode(), response.body)


async def _answer(
    send: Callable[[Message], Awaitable[None]], status: int, content_type: bytes, body: bytes
) -> None:
    headers = [(b"content-type", content_type), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream-url", required=True)
    arguments = parser.parse_args()
    uvicorn.run(
        PassThrough(arguments.upstream_url),
        host="127.0.0.1",
        port=arguments.port,
        log_level="error",
        access_log=False,
        lifespan="off",
        loop="uvloop",
        http="httptools",
        server_header=False,
        date_header=False,
    )
