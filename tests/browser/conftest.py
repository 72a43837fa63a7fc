"""A served console and a real Chromium."""

from __future__ import annotations

import asyncio
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from bailiwick.app.http_places import Places
from bailiwick.app.server import Server
from bailiwick.testing.sample_day import SampleDay, sample_day
from bailiwick.testing.sample_runs import Thinking, add_thinking_run
from tests.console.conftest import House, build

RUN, OTHER_RUN = 5_000, 6_000
"""Numbers of the ids of two runs that think, the second one carelessly."""

CHROMIUM_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

T = TypeVar("T")


@dataclass
class Served:
    """A console on a real port. Its records belong to the server's thread: touch them by `do`."""

    house: House
    url: str
    loop: asyncio.AbstractEventLoop

    @property
    def day(self) -> SampleDay:
        return self.house.day

    def do(self, act: Callable[[], T]) -> T:
        """Run `act` on the server's loop."""

        async def on_loop() -> T:
            return act()

        return asyncio.run_coroutine_threadsafe(on_loop(), self.loop).result(10)

    def sign_in(self, page: Page, person: str) -> None:
        token = self.do(lambda: self.house.sessions.offer(person).token)
        page.goto(f"{self.url}/login/{token}")
        page.get_by_role("button", name=f"Sign in as {person}").click()
        page.wait_for_url(f"{self.url}/")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        day = sample_day()
        add_thinking_run(day, RUN)
        add_thinking_run(day, OTHER_RUN, Thinking("hosted/big", paid="9000.00", unasked=True))
        house = build(day, tmp_path, url)
        loops: list[asyncio.AbstractEventLoop] = []
        up = threading.Event()
        server = Server(house.app, Places(), up.set, lambda: None)

        async def run() -> None:
            loops.append(asyncio.get_running_loop())
            await server.run_on([listening])

        thread = threading.Thread(target=asyncio.run, args=(run(),))
        thread.start()
        assert up.wait(10)
        yield Served(house, url, loops[0])
        loops[0].call_soon_threadsafe(_end, house, server)
        thread.join(10)
        assert not thread.is_alive()


def _end(house: House, server: Server) -> None:
    for reader in house.day.control.readers:
        reader.put_nowait(None)
    server.should_exit = True


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium")
    assert path is not None, "the browser tests need Debian's `chromium`"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context()
    context.set_default_timeout(15_000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()
