"""Declared model servers: what answers model calls, and under which names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from bailiwick.core.canonical import Digest, Json
from bailiwick.core.errors import ConfigError
from bailiwick.core.limits.pricing import NO_TERMS, Terms
from bailiwick.core.texts.glob import Glob
from bailiwick.declared.guarded import CHANGES
from bailiwick.declared.objects import Declaration, texts
from bailiwick.declared.prices import PRICES, SIZES, compile_terms
from bailiwick.declared.problems import Problem
from bailiwick.declared.readings import read_web_address
from bailiwick.declared.secrets import Secret, resolve
from bailiwick.declared.shapes import Choice, Field, ListOf, MapOf, Record, Text, Whole

DIALECTS = ("chat", "responses", "messages", "embeddings")
"""What a model server may speak: the OpenAI endpoints of these names, and Anthropic's messages."""

DEFAULT_TIMEOUT_SECONDS = 600
"""As the official SDKs wait: a long answer that is not streamed takes minutes."""

DEFAULT_CONCURRENT = 256
DEFAULT_WAITING = 256
DEFAULT_WAIT_SECONDS = 30
MAX_CONCURRENT = 10_000


@dataclass(frozen=True, slots=True)
class ModelServer:
    """A declared model server, ready to connect but for its secrets.

    Attributes:
        url: its address up to and without `/v1`.
        dialects: of `DIALECTS`.
        headers: sent with every request; values may hold references.
        models: names and globs of what it serves.
        digest: of its declaration; it is the same server as long as this is the same.
        terms: what its models cost, and how large they are.
    """

    name: str
    url: str
    dialects: tuple[str, ...]
    headers: Mapping[str, str]
    models: tuple[str, ...]
    timeout_seconds: int
    max_concurrent: int
    description: str
    digest: Digest
    terms: Terms = NO_TERMS
    max_waiting: int = DEFAULT_WAITING
    wait_seconds: int = DEFAULT_WAIT_SECONDS


def model_shape(header_name: Text, header_value: Text) -> Record:
    """One model server."""
    return Record(
        "a model server",
        {
            "url": Field(
                # Not quoted: a password may stand in it.
                Text(
                    r"https?://.*",
                    "is not an `http://` or `https://` address",
                    read_base,
                    quoted=False,
                ),
                "Its address, with or without `/v1` at the end.",
                required=True,
            ),
            "dialects": Field(
                ListOf(Choice(DIALECTS), or_one=True, most=len(DIALECTS)),
                "What it speaks. Calls are passed on as they are, never translated.",
                required=True,
            ),
            "headers": Field(
                MapOf(header_name, header_value),
                "Headers to send with each request, such as its key. Values may refer to secrets.",
            ),
            "models": Field(
                ListOf(Text(reads=Glob, max_length=256), or_one=True, most=1_000),
                "The models it serves, by its own names; `*` is any run of characters. All, unless "
                "said otherwise.",
            ),
            "timeout_seconds": Field(
                Whole(1, 3_600), "How long one request may take without any sign of life."
            ),
            "max_concurrent": Field(
                Whole(1, MAX_CONCURRENT), "How many requests it gets at a time; others wait."
            ),
            "max_waiting": Field(
                Whole(0, MAX_CONCURRENT), "How many may wait for their turn; more are refused. 256."
            ),
            "wait_seconds": Field(Whole(1, 600), "How long one waits for its turn; 30."),
            "changes": CHANGES,
            "prices": PRICES,
            "sizes": SIZES,
            "description": Field(Text(), "What it is, for people."),
        },
    )


def read_base(text: str) -> str:
    """The address of a model server without `/v1`.

    Raises:
        ValueError: what is wrong with it, in words for people.
    """
    read_web_address(text)
    if urlsplit(text).query:
        raise ValueError("holds a query")
    return text.rstrip("/").removesuffix("/v1").rstrip("/")


def compile_model(declaration: Declaration) -> ModelServer:
    """The model server of a declaration of kind `model`."""
    spec = declaration.spec
    headers = spec.get("headers", {})
    assert isinstance(headers, Mapping)
    return ModelServer(
        name=declaration.name,
        url=read_base(str(spec["url"])),
        dialects=texts(spec, "dialects"),
        headers={name: str(value) for name, value in headers.items()},
        models=texts(spec, "models") or ("*",),
        timeout_seconds=_whole(spec.get("timeout_seconds"), DEFAULT_TIMEOUT_SECONDS),
        max_concurrent=_whole(spec.get("max_concurrent"), DEFAULT_CONCURRENT),
        description=str(spec.get("description", "")),
        digest=declaration.digest,
        terms=compile_terms(spec),
        max_waiting=_whole(spec.get("max_waiting"), DEFAULT_WAITING),
        wait_seconds=_whole(spec.get("wait_seconds"), DEFAULT_WAIT_SECONDS),
    )


def resolve_model(server: ModelServer, environment: Mapping[str, str]) -> dict[str, Secret]:
    """The values of its headers, references replaced. Reads files; blocking.

    Raises:
        ConfigError: a reference leads nowhere; names the server and the reference, no value.
    """
    try:
        return {
            name: resolve(text, environment, one_line=True) for name, text in server.headers.items()
        }
    except ConfigError as error:
        raise ConfigError(error.code, f"model server `{server.name}`: {error.message}") from error


def check_names(
    declarations: Iterable[Declaration], everything: Iterable[tuple[str, str]]
) -> list[Problem]:
    """Names that a server and a model server share: records would not tell them apart."""
    known = set(everything)
    other = {"model": "server", "server": "model"}
    problems = []
    for each in declarations:
        kind = other.get(each.kind)
        if kind is not None and (kind, each.name) in known and each.place is not None:
            what = "an MCP server" if kind == "server" else "a model server"
            problems.append(Problem(each.place, f"`{each.name}` is the name of {what} already"))
    return problems


def _whole(value: Json, default: int) -> int:
    return value if isinstance(value, int) else default
