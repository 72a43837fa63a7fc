"""How the command behaves as a whole: quick, one-line errors, stable exit codes, no tracebacks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bailiwick.cli.exits import MEANINGS, CliError, Exit
from tests.cli.fakes import Command, FakeGateway

HEAVY = ("asyncio", "cryptography", "http.client", "jinja2", "mcp", "rich", "ruamel", "starlette")


def test_the_command_tree_loads_nothing_heavy() -> None:
    code = "import sys, bailiwick.cli.main as m; m.build(); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    loaded = set(done.stdout.split())
    assert "typer" in loaded
    assert sorted(loaded & set(HEAVY)) == []


def test_a_command_that_runs_loads_no_second_validator() -> None:
    # The gateway is such a command, and would keep pydantic's 12 MiB for as long as it runs.
    code = (
        "import atexit, sys; from bailiwick.cli.main import main\n"
        "atexit.register(lambda: print('pydantic' in sys.modules, 'typer' in sys.modules))\n"
        "main(['calls', '--limit', '5', '--data', '/nowhere'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30
    )
    assert done.stdout == "False True\n", done.stderr


def test_help_names_every_command_of_the_issue_and_the_exit_codes(command: Command) -> None:
    ended = command("--help")
    assert ended.code == Exit.OK
    for name in (
        *("up", "apply", "calls", "call", "holds", "stamp", "runs", "revoke", "ledger", "connect"),
        *("doctor", "demo", "stdio", "agents", "people", "login", "pins", "schema", "version"),
    ):
        assert f"\n  {name} " in ended.out
    text = " ".join(ended.out.split())
    for code, meaning in MEANINGS.items():
        assert f"{code:d} {meaning}" in text


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (
            ["run", "export", "01J", "--format", "xml"],
            "invalid value for '--format': 'xml' is not one of 'jsonl', 'inspect', 'otlp'; "
            "see `bailiwick run export --help`",
        ),
        (["bogus"], "no such command 'bogus'; see `bailiwick --help`"),
        (
            ["mandat"],
            "no such command 'mandat', did you mean 'mandate', 'mandates'; see `bailiwick",
        ),
        (["calls", "--bogus"], "no such option: --bogus"),
        (["call"], "missing argument"),
        (["calls", "--limit", "0"], "0 is not in the range 1<=x<=500"),
        (["stamp", "H", "--approve", "--refuse"], "exclude each other"),
        (["agents", "revoke"], "give either an ID or --token-file"),
        (["agents", "revoke", "--token-file", "/nowhere"], "`/nowhere` holds no token"),
        (["agents", "token", "clerk", "--ttl", "soon", "--url", "http://127.0.0.1:1"], "token"),
        (["stdio"], "set BAILIWICK_AGENT_TOKEN or --token-file"),
        (["stdio", "--token-file", "/nowhere"], "cannot read the token in `/nowhere`"),
        (["up", "--test-listener", "127.0.0.1:0"], "go together"),
        (["connect", "emacs"], "known are goose, codex, opencode, claude-code"),
    ],
)
def test_wrong_usage_is_one_line_that_says_what_to_do(
    command: Command, args: list[str], says: str
) -> None:
    ended = command(*args)
    assert ended.code in (Exit.USAGE, Exit.NOT_ALLOWED)
    assert ended.out == ""
    assert ended.err.startswith("bailiwick: ")
    assert ended.err.count("\n") == 1
    assert says in ended.err


def test_no_gateway_on_the_folder_is_exit_3(command: Command, tmp_path: Path) -> None:
    ended = command("calls", "--data", str(tmp_path / "none"))
    assert ended.code == Exit.UNREACHABLE
    assert "start one with `bailiwick up`" in ended.err


def test_a_gateway_that_is_gone_counts_as_none(command: Command, tmp_path: Path) -> None:
    ended_process = subprocess.Popen([sys.executable, "-c", ""])
    ended_process.wait()
    (tmp_path / "gateway.json").write_text(
        json.dumps({"url": "http://127.0.0.1:1", "pid": ended_process.pid})
    )
    assert command("calls", "--data", str(tmp_path)).code == Exit.UNREACHABLE


def test_with_json_errors_are_json_too(command: Command, tmp_path: Path) -> None:
    ended = command("holds", "--json", "--data", str(tmp_path))
    assert ended.code == Exit.UNREACHABLE
    assert json.loads(ended.err)["error"]["code"] == "no_gateway"


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "bad_request", Exit.USAGE),
        (401, "token_expired", Exit.NOT_ALLOWED),
        (403, "stamp_not_allowed", Exit.NOT_ALLOWED),
        (404, "hold_unknown", Exit.USAGE),
        (409, "hold_not_waiting", Exit.NO),
        (422, "object_wrong", Exit.USAGE),
        (500, "internal", Exit.OURS),
        (503, "store_unavailable", Exit.OURS),
    ],
)
def test_each_refusal_of_the_api_has_its_exit_code(
    asking: Command, gateway: FakeGateway, status: int, code: str, expected: Exit
) -> None:
    gateway.refuses("GET /api/v1/holds?state=waiting", status, code, "no `x`")
    ended = asking("holds", "--json")
    assert ended.code == expected
    assert json.loads(ended.err) == {"error": {"code": code, "message": "no `x`"}}


def test_something_that_is_no_gateway_is_named(asking: Command, gateway: FakeGateway) -> None:
    gateway.says("GET /api/v1/holds?state=waiting", b"<html>", 502)
    ended = asking("holds")
    assert ended.code == Exit.UNREACHABLE
    assert "does not answer like a Bailiwick gateway (HTTP 502)" in ended.err


def test_a_token_never_travels_readable_over_a_network(command: Command) -> None:
    ended = command("calls", "--url", "http://gateway.example", "--token", "t-1")
    assert ended.code == Exit.USAGE
    assert "use https://" in ended.err
    assert "t-1" not in ended.err


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x",
        "http://",
        "http://x:port",
        "127.0.0.1:1",
        "http://u:p@127.0.0.1",
        "http://[",
        "x?y",
    ],
)
def test_what_is_no_address_is_bad_input(command: Command, url: str) -> None:
    assert command("calls", "--url", url, "--token", "t-1").code == Exit.USAGE
    if url.startswith("http://"):
        assert command("ledger", "verify", url, "--key", f"x+{0:08x}+AQ==").code == Exit.USAGE


@pytest.mark.parametrize("token", ["a b", "a\nb: c", "tök"])
def test_what_is_no_token_is_not_sent(command: Command, gateway: FakeGateway, token: str) -> None:
    ended = command("calls", "--url", gateway.url, "--token", token)
    assert ended.code == Exit.NOT_ALLOWED
    assert token not in ended.err
    assert gateway.asked == []


def test_a_token_made_here_never_goes_elsewhere(
    command: Command, gateway: FakeGateway, tmp_path: Path
) -> None:
    """A local gateway runs; a command that names another one must not sign in there by itself."""
    here = {"url": "http://127.0.0.1:1", "pid": os.getpid()}
    (tmp_path / "gateway.json").write_text(json.dumps(here))
    ended = command("calls", "--url", gateway.url, "--data", str(tmp_path))
    assert ended.code == Exit.NOT_ALLOWED
    assert "wants your token" in ended.err
    assert gateway.asked == []


def test_an_error_cannot_write_to_the_terminal(asking: Command, gateway: FakeGateway) -> None:
    gateway.refuses(
        "GET /api/v1/holds?state=waiting", 400, "bad", "x\x1b[2Jy\u202ez\nbailiwick: ok"
    )
    ended = asking("holds")
    assert "x<U+001B>[2Jy<U+202E>z<U+000A>bailiwick: ok" in ended.err
    assert ended.err.count("\n") == 1


def test_a_defect_is_one_line_without_a_traceback(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> int:
        raise RuntimeError("secret inside")

    monkeypatch.setattr("bailiwick.cli.gateway.version", broken)
    ended = command("version")
    assert ended.code == Exit.OURS
    assert ended.err.count("\n") == 1
    assert "secret inside" not in ended.err


def test_ids_cannot_leave_their_path(asking: Command, gateway: FakeGateway) -> None:
    assert asking("call", "..").code == Exit.USAGE
    asking("call", "../../login-links")
    assert [asked.path for asked in gateway.asked] == ["/api/v1/calls/..%2F..%2Flogin-links"]


@pytest.mark.parametrize(
    ("words", "at", "code", "hint"),
    [
        (("run", "show", "x"), "GET /api/v1/runs/x/story?limit=100", "run", "`bailiwick runs`"),
        (("revoke", "x"), "POST /api/v1/mandates/x/revoke", "mandate", "`bailiwick mandates`"),
        (("agents", "token", "x"), "POST /api/v1/agents/x/tokens", "agent", "`bailiwick agents`"),
    ],
)
def test_a_name_that_nobody_has_says_where_to_find_one(
    asking: Command, gateway: FakeGateway, words: tuple[str, ...], at: str, code: str, hint: str
) -> None:
    gateway.refuses(at, 404, f"{code}_unknown", f"there is no {code} `x`")
    ended = asking(*words)
    assert ended.code == Exit.USAGE
    assert f"there is no {code} `x`; {hint}" in ended.err


def test_a_token_for_one_of_several_mandates_says_how_to_name_it(
    asking: Command, gateway: FakeGateway
) -> None:
    gateway.refuses("POST /api/v1/agents/x/tokens", 409, "mandate_ambiguous", "name one: a, b")
    assert "name one: a, b; say which with --mandate" in asking("agents", "token", "x").err


def test_errors_carry_their_hint() -> None:
    assert CliError(Exit.NO, "c", "no", "do this").line == "bailiwick: no; do this"


def test_version_prints_the_installed_one(command: Command) -> None:
    assert command("version").out.startswith("bailiwick ")
    assert set(command("version", "--json").json) == {"bailiwick", "python"}
