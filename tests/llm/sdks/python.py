"""The SDKs for Python, with and without asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Future
from typing import Any, TypeAlias

import anthropic
import openai

from tests.llm.sdks.calls import SECONDS, SdkError
from tests.llm.sdks.queued import Queued

Body: TypeAlias = Mapping[str, Any] | str | None
# What a client of either SDK takes that is no part of a call.
_KINDS: dict[tuple[str, bool], tuple[Callable[..., Any], Callable[..., Any]]] = {
    ("openai", False): (openai.OpenAI, openai.DefaultHttpxClient),
    ("openai", True): (openai.AsyncOpenAI, openai.DefaultAsyncHttpxClient),
    ("anthropic", False): (anthropic.Anthropic, anthropic.DefaultHttpxClient),
    ("anthropic", True): (anthropic.AsyncAnthropic, anthropic.DefaultAsyncHttpxClient),
}


class _Clients:
    """Makes a client for each call, with a count of what it sends."""

    def __init__(self, *, is_async: bool) -> None:
        self._is_async = is_async
        self._settings: dict[str, dict[str, Any]] = {}

    def point(self, url: str, token: str) -> None:
        self._settings = {
            "openai": {"base_url": f"{url}/v1", "api_key": token},
            "anthropic": {"base_url": url, "api_key": token},
        }

    def new(self, sdk: str, retries: int, token: str | None) -> tuple[Any, list[object]]:
        sent: list[object] = []

        def count(request: object) -> None:
            sent.append(request)

        async def count_async(request: object) -> None:
            sent.append(request)

        settings = {**self._settings[sdk], "max_retries": retries, "timeout": SECONDS}
        if token is not None:
            settings["api_key"] = token
        client, http = _KINDS[sdk, self._is_async]
        hook = count_async if self._is_async else count
        return client(**settings, http_client=http(event_hooks={"request": [hook]})), sent


def _method(client: Any, name: str) -> Any:
    *path, last = name.split(".")
    for part in path:
        client = getattr(client, part)
    # A helper has no raw response.
    return client.stream if last == "stream" else getattr(client.with_raw_response, last)


def _call(method: Any, body: Body) -> Any:
    if isinstance(body, str):
        return method(body)
    return method(**body or {})


def _plain(value: Any) -> Any:
    # The helpers' own types know more than their schema says; it is the value that counts.
    return value.to_dict(mode="json", warnings=False)


def _final(stream: Any) -> Any:
    for name in ("get_final_completion", "get_final_response", "get_final_message"):
        if hasattr(stream, name):
            return getattr(stream, name)()
    return None


def _comes_in_pieces(data: Any) -> bool:
    return hasattr(data, "iter_pages") or type(data).__name__ in ("Stream", "AsyncStream")


def _error(error: Exception, sent: list[object]) -> SdkError:
    response = getattr(error, "response", None)
    return SdkError(
        family=tuple(kind.__name__ for kind in type(error).__mro__),
        message=str(getattr(error, "message", error)),
        attempts=len(sent),
        status=getattr(error, "status_code", None),
        code=getattr(error, "code", None),
        request_id=getattr(error, "request_id", None),
        headers=None if response is None else dict(response.headers),
    )


_ERRORS = (openai.OpenAIError, anthropic.AnthropicError)


class SyncCall:
    """A call that proceeds while it is looked at."""

    def __init__(self, client: Any, name: str, body: Body, sent: list[object]) -> None:
        self._client = client
        self._name = name
        self._body = body
        self._sent = sent
        self._stream: Any = None
        self._value: Any = None
        self._pieces = self._perform()
        self.headers: Mapping[str, str] = {}

    def pieces(self) -> Iterator[Any]:
        try:
            yield from self._pieces
        except _ERRORS as error:
            raise _error(error, self._sent) from error

    def result(self) -> Any:
        for _ in self.pieces():
            pass
        return self._value

    def abort(self) -> None:
        self._stream.close()

    def _perform(self) -> Iterator[Any]:
        with self._client:
            begun = _call(_method(self._client, self._name), self._body)
            if self._name.endswith(".stream"):
                with begun as self._stream:
                    yield from map(_plain, self._stream)
                    self._value = _plain(_final(self._stream))
                return
            self.headers = dict(begun.headers)
            data = begun.parse()
            if _comes_in_pieces(data):
                self._stream = data
                yield from map(_plain, data)
            else:
                self._value = _plain(data)


class Sync:
    """The SDKs without asyncio."""

    def __init__(self) -> None:
        self._clients = _Clients(is_async=False)
        self.point = self._clients.point

    def openai(self, name: str, body: Body = None, /, *, retries: int = 2,
               token: str | None = None) -> SyncCall:  # fmt: skip
        client, sent = self._clients.new("openai", retries, token)
        return SyncCall(client, name, body, sent)

    def anthropic(self, name: str, body: Body = None, /, *, retries: int = 2,
                  token: str | None = None) -> SyncCall:  # fmt: skip
        client, sent = self._clients.new("anthropic", retries, token)
        return SyncCall(client, name, body, sent)


class Async:
    """The SDKs with asyncio, on a loop in a thread of its own."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._clients = _Clients(is_async=True)
        self.point = self._clients.point

    def openai(self, name: str, body: Body = None, /, *, retries: int = 2,
               token: str | None = None) -> Queued:  # fmt: skip
        return self._begin("openai", name, body, retries, token)

    def anthropic(self, name: str, body: Body = None, /, *, retries: int = 2,
                  token: str | None = None) -> Queued:  # fmt: skip
        return self._begin("anthropic", name, body, retries, token)

    def _begin(self, sdk: str, name: str, body: Body, retries: int, token: str | None) -> Queued:
        client, sent = self._clients.new(sdk, retries, token)
        began: list[Future[None]] = []
        going = Queued(lambda: [each.cancel() for each in began])
        serving = self._serve(going, client, name, body, sent)
        began.append(asyncio.run_coroutine_threadsafe(serving, self._loop))
        return going

    async def _serve(
        self, going: Queued, client: Any, name: str, body: Body, sent: list[object]
    ) -> None:
        try:
            async with client:
                going.put({"done": await self._perform(going, client, name, body)})
        except Exception as error:  # noqa: BLE001 - whatever it is, the test is to see it
            going.put({"failed": vars(_error(error, sent))})
        except asyncio.CancelledError:
            going.put({"done": None})
            raise

    async def _perform(self, going: Queued, client: Any, name: str, body: Body) -> Any:
        begun = _call(_method(client, name), body)
        if name.endswith(".stream"):
            async with begun as stream:
                async for piece in stream:
                    going.put({"piece": _plain(piece)})
                return _plain(await _final(stream))
        raw = await begun
        going.put({"began": dict(raw.headers)})
        parsed = raw.parse()
        # In one of the two SDKs this is asynchronous, too.
        data = await parsed if inspect.isawaitable(parsed) else parsed
        if not _comes_in_pieces(data):
            return _plain(data)
        async for piece in data:
            going.put({"piece": _plain(piece)})
        return None


@contextlib.contextmanager
def with_asyncio() -> Iterator[Async]:
    """The SDKs with asyncio, for as long as the block lasts."""
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            yield Async(loop)
        finally:
            ending: Coroutine[Any, Any, None] = _end_tasks()
            asyncio.run_coroutine_threadsafe(ending, loop).result(SECONDS)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(SECONDS)


async def _end_tasks() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
