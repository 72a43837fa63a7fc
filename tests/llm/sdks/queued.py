"""A call whose news come from elsewhere: another process, or an event loop."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.llm.sdks.calls import SECONDS, SdkError


class Queued:
    """One call; `put` takes its news, as `sdks.mjs` says them."""

    def __init__(self, abort: Callable[[], object]) -> None:
        self._abort = abort
        self._news: queue.Queue[Mapping[str, Any]] = queue.Queue()
        self._ended = False
        self._value: Any = None
        self.headers: Mapping[str, str] = {}

    def put(self, news: Mapping[str, Any]) -> None:
        self._news.put(news)

    def pieces(self) -> Iterator[Any]:
        while not self._ended:
            news = self._news.get(timeout=SECONDS)
            if "began" in news:
                self.headers = news["began"]
            elif "piece" in news:
                yield news["piece"]
            else:
                self._ended = True
                if "failed" in news:
                    raise SdkError(**{**news["failed"], "family": tuple(news["failed"]["family"])})
                self._value = news["done"]

    def result(self) -> Any:
        for _ in self.pieces():
            pass
        return self._value

    def abort(self) -> None:
        self._abort()
