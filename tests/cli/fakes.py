"""What the tests of the command line share."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: object


@dataclass
class FakeGateway:
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)

    def says(self, request: str, answer: object, status: int = 200) -> None:
        """`request` is `METHOD /path?query`."""
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.answers[request] = (status, body)

    def refuses(self, request: str, status: int, code: str, message: str) -> None:
        self.says(request, {"error": {"code": code, "message": message}}, status)


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, object]:
        value = json.loads(self.out)
        assert isinstance(value, dict)
        return value


Command = Callable[..., Ended]
