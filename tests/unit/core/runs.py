"""A run for tests of flow: what it is told, sends and reads, in a line each."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field

from bailiwick.core.call import Call, CallKind, Target
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.flow.labels import Flow, ResultLabels, Source
from bailiwick.core.flow.run_memory import RunMemory
from bailiwick.core.flow.worth import Worths
from tests.unit.core.mandates import pattern


def labels(
    target: str,
    *,
    trusted: bool | None = None,
    confidential: tuple[str, ...] = (),
    fields: tuple[str, ...] = (),
    kind: CallKind = CallKind.TOOL,
) -> ResultLabels:
    return ResultLabels((pattern(target, kind),), trusted, frozenset(confidential), fields)


BOOK = Flow(
    results=(
        labels("contacts/*", trusted=True),
        labels("mail/*", confidential=("mail",)),
    )
)
"""The address book is trusted; mail is not, and is confidential."""


def text_result(text: str) -> bytes:
    return json.dumps({"content": [{"type": "text", "text": text}]}).encode()


def data_result(value: Json) -> bytes:
    content = [{"type": "text", "text": json.dumps(value)}]
    return json.dumps({"content": content, "structuredContent": value}).encode()


@dataclass
class Run:
    """A memory, and short ways to make things happen to it."""

    memory: RunMemory = field(default_factory=lambda: RunMemory(Worths((), (BOOK,))))
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def send(
        self, target: str, arguments: JsonObject | None = None, kind: CallKind = CallKind.TOOL
    ) -> Call:
        upstream, _, name = target.partition("/")
        call = Call.of(f"C{next(self.numbers)}", Target(kind, upstream, name), arguments or {})
        self.memory.sending(call)
        return call

    def read(self, target: str, result: Json, arguments: JsonObject | None = None) -> Call:
        call = self.send(target, arguments)
        body = text_result(result) if isinstance(result, str) else data_result(result)
        self.memory.learn(call, body)
        return call

    def vouched(self, value: Json) -> bool:
        return self.memory.vouching(value).vouched

    def source(self, value: Json) -> Source | None:
        return self.memory.vouching(value).source
