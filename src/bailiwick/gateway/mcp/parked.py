"""Upstream requests that wait for a stateless client's answers.

A legacy server asks while its request is open; a client of 2026-07-28 answers in a new request.
So the upstream request stays open here, under an id that travels in the sealed `requestState`,
for as long as a client may take. One request is parked at a time per exchange.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.errors import TheirError
from bailiwick.ports import RequestPeer, UpstreamReply

MAX_PARKED = 1000
MAX_PARKED_PER_CALLER = 32
MAX_QUESTIONS = 32


@dataclass(slots=True)
class Question:
    """One request of a server that waits for its answer."""

    method: str
    params: JsonObject
    answer: asyncio.Future[Json]


@dataclass(slots=True, eq=False)
class Parked:
    """One upstream request that outlives the HTTP request it came in.

    Attributes:
        work: the upstream request.
        peer: who hears its notifications now; None between two rounds.
        asked: set whenever a question is added.
    """

    id: str
    authority: str
    work: asyncio.Task[UpstreamReply] | None = None
    peer: RequestPeer | None = None
    questions: dict[str, Question] = field(default_factory=dict)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    counter: int = 0
    expiry: asyncio.TimerHandle | None = None

    def add(self, method: str, params: JsonObject) -> asyncio.Future[Json]:
        """Put a question; the future gets the client's answer.

        Raises:
            TheirError: `too_many_questions`.
        """
        if len(self.questions) >= MAX_QUESTIONS:
            raise TheirError("too_many_questions", "too many questions wait for this client")
        self.counter += 1
        answer: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self.questions[f"q{self.counter}"] = Question(method, params, answer)
        self.asked.set()
        return answer

    def give(self, answers: JsonObject) -> None:
        """Hand over a client's answers; unknown ones are ignored, missing ones stay open."""
        for key, value in answers.items():
            question = self.questions.pop(key, None)
            if question is not None and not question.answer.done():
                question.answer.set_result(value)
        if not self.questions:
            self.asked.clear()

    async def next_turn(self) -> UpstreamReply | None:
        """Wait for the upstream's reply; None when it asked something first."""
        if self.work is None:
            raise AssertionError("parked without work")
        if self.questions:
            return None
        asked = asyncio.ensure_future(self.asked.wait())
        try:
            await asyncio.wait({self.work, asked}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            asked.cancel()
        return self.work.result() if self.work.done() else None

    def drop(self) -> None:
        """Give up: cancel the upstream request and every open question."""
        if self.expiry is not None:
            self.expiry.cancel()
            self.expiry = None
        for question in self.questions.values():
            question.answer.cancel()
        self.questions.clear()
        if self.work is not None and not self.work.done():
            self.work.cancel()


class Parking:
    """All parked requests of this process, bounded.

    Args:
        seconds: for a client to come back.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._parked: dict[str, Parked] = {}

    def new(self, authority: str) -> Parked:
        """A place for one upstream request; it counts once it is parked."""
        return Parked(secrets.token_urlsafe(16), authority)

    def park(self, parked: Parked) -> None:
        """Keep it until the client comes back, or the time is over.

        Raises:
            TheirError: `too_many_waiting`; the caller drops it then.
        """
        share = sum(one.authority == parked.authority for one in self._parked.values())
        if len(self._parked) >= MAX_PARKED or share >= MAX_PARKED_PER_CALLER:
            raise TheirError("too_many_waiting", "too many requests wait for input")
        self._parked[parked.id] = parked
        parked.peer = None
        loop = asyncio.get_running_loop()
        parked.expiry = loop.call_later(self._seconds, self._expire, parked.id)

    def take(self, identity: str) -> Parked | None:
        """Take it back out: once, by whoever comes first."""
        parked = self._parked.pop(identity, None)
        if parked is not None and parked.expiry is not None:
            parked.expiry.cancel()
            parked.expiry = None
        return parked

    def drop_all(self) -> None:
        """Give all of them up: the process stops."""
        for identity in tuple(self._parked):
            self._expire(identity)

    def _expire(self, identity: str) -> None:
        parked = self._parked.pop(identity, None)
        if parked is not None:
            parked.drop()
