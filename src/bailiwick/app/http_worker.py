"""The task in which an application answers the requests of one connection.

A task for each request costs as much as a request's head: asyncio keeps a list of all tasks in
Python. So the task that has answered one request waits for the next of its connection.

Nothing of one request is left to the next: a task that was asked to stop while it was at work
serves no other. `contextvars` that an application sets would stay; ours sets none
(`tests/architecture/test_imports.py`).
"""

from __future__ import annotations

import asyncio
import logging

from bailiwick.app.http_exchange import App, Exchange

_log = logging.getLogger(__name__)


class Worker:
    """Lets an application answer exchanges, one after the other, in a task of its own.

    Args:
        app: answers.
        tasks: holds the task for as long as it is at work.
        exchange: the first.
    """

    __slots__ = ("_app", "_dismissed", "_loop", "_task", "_tasks", "_waiter")

    def __init__(self, app: App, tasks: set[asyncio.Task[None]], exchange: Exchange) -> None:
        self._app = app
        self._tasks = tasks
        self._dismissed = False
        self._waiter: asyncio.Future[Exchange | None] | None = None
        self._loop = loop = asyncio.get_running_loop()
        self._task = exchange.task = loop.create_task(self._work(exchange))
        tasks.add(self._task)

    def take(self, exchange: Exchange) -> bool:
        """Go on with `exchange`; False, and nothing done, if the one before is not done yet."""
        waiter = self._waiter
        if waiter is None or waiter.done():
            return False
        self._waiter = None
        exchange.task = self._task
        self._tasks.add(self._task)
        waiter.set_result(exchange)
        return True

    def dismiss(self) -> None:
        """End after what is under way: there will be no other."""
        self._dismissed = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _work(self, exchange: Exchange | None) -> None:
        while exchange is not None:
            try:
                # Not in a coroutine of its own: each waking passes through all of them.
                await self._app(exchange.scope, exchange.receive, exchange)
            except Exception as error:  # noqa: BLE001  # the last line of defence of one request
                if not exchange.gone:
                    _log.error("a request failed: %s", type(error).__name__, exc_info=error)
            finally:
                self._tasks.discard(self._task)
                exchange.end()
            if self._dismissed or self._task.cancelling():
                return
            exchange = None  # it may be large, and the next one far away
            self._waiter = waiter = self._loop.create_future()
            exchange = await waiter
