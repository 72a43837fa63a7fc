"""Bad days of a real gateway process: each ends in a clear word, and nothing is lost."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import ClassVar

import pytest

from bailiwick.stores.entry_rows import next_index
from tests.app.running import command, refused, running, start

TOY = Path(__file__).parent / "toy_server.py"


def declared(folder: Path, more_servers: str = "", allow: str = "toy/*") -> str:
    return f"""
servers:
  toy:
    command: [{sys.executable}, {TOY}, {folder / "did.txt"}]
{more_servers}
people:
  ada: {{name: Ada, roles: [operator]}}
agents:
  clerk: {{owner: ada}}
mandates:
  work: {{from: ada, to: clerk, allow: [{{tool: ["{allow}"], other_arguments: allow}}]}}
"""


# --- starting ------------------------------------------------------------


def test_a_second_gateway_on_one_data_folder_refuses_to_start(tmp_path: Path) -> None:
    with running(tmp_path, declared(tmp_path)) as first:
        second = start(tmp_path / "second", declared(tmp_path), data=first.data)
        assert "another gateway runs on" in refused(second)
        first.agent_token()
        assert first.call("toy/note", {"text": "1"})["content"]


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        gateway = start(tmp_path, declared(tmp_path), listen=f"127.0.0.1:{port}")
        assert f"cannot listen on 127.0.0.1:{port}" in refused(gateway)


def test_a_damaged_database_refuses_and_says_what_to_do(tmp_path: Path) -> None:
    with running(tmp_path, declared(tmp_path)) as gateway:
        gateway.agent_token()
        for number in range(30):
            gateway.call("toy/note", {"text": "x" * 500 + str(number)})
        gateway.stop()
    path = gateway.data / "bailiwick.db"
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2 : len(raw) // 2 + 8192] = os.urandom(8192)
    path.write_bytes(raw)
    said = refused(start(tmp_path, declared(tmp_path)))
    assert "damaged" in said
    assert "restore the newest backup" in said


def test_a_database_older_than_its_ledger_is_not_signed_on(tmp_path: Path) -> None:
    with running(tmp_path, declared(tmp_path)) as gateway:
        gateway.stop()
    backup = tmp_path / "backup"
    shutil.copytree(gateway.data, backup)
    with running(tmp_path, declared(tmp_path)) as gateway:
        gateway.agent_token()
        gateway.call("toy/note", {"text": "1"})
        gateway.stop()
    for name in ("bailiwick.db", "bailiwick.db-wal", "bailiwick.db-shm"):
        (gateway.data / name).unlink(missing_ok=True)
        if (backup / name).exists():
            shutil.copy(backup / name, gateway.data / name)
    said = refused(start(tmp_path, declared(tmp_path)))
    assert "ledger" in said


def test_a_gateway_that_was_stopped_has_published_all_it_recorded(tmp_path: Path) -> None:
    with running(tmp_path, declared(tmp_path)) as gateway:
        gateway.agent_token()
        for number in range(3):  # the last of them within the publisher's pause
            gateway.call("toy/note", {"text": str(number)})
        assert gateway.stop() == 0
    with closing(sqlite3.connect(gateway.data / "bailiwick.db")) as db:
        recorded = next_index(db)
    checkpoint = (gateway.data / "ledger" / "checkpoint").read_text()
    assert int(checkpoint.splitlines()[1]) == recorded > 6


def test_a_key_that_others_may_read_refuses(tmp_path: Path) -> None:
    with running(tmp_path, declared(tmp_path)) as gateway:
        gateway.stop()
    (gateway.data / "keys" / "token.key").chmod(0o644)
    assert "may be read by others" in refused(start(tmp_path, declared(tmp_path)))


def test_a_data_folder_that_cannot_be_written_refuses(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("not a folder")
    gateway = start(tmp_path, declared(tmp_path), data=in_the_way / "data")
    assert "cannot be used" in refused(gateway)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with 3 MB of room."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("this machine lets us mount nothing")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def test_a_read_only_disk_refuses(tmp_path: Path, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    gateway = start(tmp_path, declared(tmp_path), data=small_disk / "data")
    assert "cannot be used: Read-only file system" in refused(gateway)


def test_a_full_disk_denies_loses_nothing_and_recovers_without_help(
    tmp_path: Path, small_disk: Path
) -> None:
    gateway = start(tmp_path, declared(tmp_path), data=small_disk / "data")
    gateway.folder = small_disk  # where `data` lies
    try:
        gateway.wait()
        gateway.agent_token()
        ballast = small_disk / "ballast"
        done: list[str] = []

        def call(text: str) -> bool:
            result = gateway.call("toy/note", {"text": text})
            return bool(result["content"][0]["text"] == f"done {text}")

        for number in range(5):
            assert call(str(number))
            done.append(str(number))
        _fill(ballast)
        denied = 0
        for number in range(5, 400):
            if call(str(number)):
                done.append(str(number))
            else:
                denied += 1
                if denied > 3:
                    break
        assert denied > 3, "the disk never filled up"
        ballast.unlink()
        _until(lambda: call("after"))
        done.append("after")
        states = {c["id"]: c["state"] for c in gateway.cli("calls", "--limit", "500")["calls"]}
        assert list(states.values()).count("done") >= len(done)
        did = (tmp_path / "did.txt").read_text().splitlines()
        assert [f"note {text}" for text in done] == [line for line in did if line[5:] in done]
        assert len(did) <= len(states), "something was done without a record"
        key = gateway.ledger_key
        _until(
            lambda: command("ledger", "verify", str(gateway.data / "ledger"), "--key", key)
            .returncode == 0
        )  # fmt: skip
    finally:
        gateway.kill()


# --- declarations ------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("servers: [", "declared.yaml:"),
        ("people: {ada: {nmae: Ada}}", "did you mean `name`?"),
        ("peple: {}", "did you mean `people`?"),
        (
            "people: {ada: {name: Ada}}\nmandates: {m: {from: ada, to: clark, "
            'allow: [{tool: "a/b"}]}}',
            "clark",
        ),
    ],
    ids=["malformed", "unknown field", "unknown section", "unknown agent"],
)
def test_a_wrong_declaration_refuses_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    said = refused(start(tmp_path, text))
    assert told in said
    assert "declared.yaml:" in said


def test_two_objects_of_one_name_are_both_named(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for name in ("a.yaml", "b.yaml"):
        (folder / name).write_text("people: {ada: {name: Ada}}")
    done = command(
        "up", "-f", str(folder), "--data", str(tmp_path / "data"), "--listen", "127.0.0.1:0"
    )
    assert done.returncode == 2
    assert "a.yaml" in done.stderr
    assert "b.yaml" in done.stderr


def test_a_tool_nobody_has_is_warned_of_with_the_nearest(tmp_path: Path) -> None:
    with running(tmp_path, declared(tmp_path)) as gateway:
        gateway.agent_token()
        gateway.post("tools/list", {})
        file = tmp_path / "more.yaml"
        file.write_text('mandates: {more: {from: ada, to: clerk, allow: [{tool: "toy/nota"}]}}')
        done = command("apply", "-f", str(file), "--data", str(gateway.data), "--as", "ada")
        assert done.returncode == 0
        assert "toy/nota" in done.stderr + done.stdout
        assert "note" in done.stderr + done.stdout


# --- servers ------------------------------------------------------------


def test_an_unreachable_server_leaves_the_others_working_and_is_named_in_lists(
    tmp_path: Path,
) -> None:
    gone = "  gone:\n    command: [/nonexistent/server]\n  silent:\n    url: http://127.0.0.1:9/mcp"
    with running(tmp_path, declared(tmp_path, gone, "*/*")) as gateway:
        gateway.agent_token()
        status, answer = gateway.post("tools/list", {})
        assert status == 200
        names = [tool["name"] for tool in answer["result"]["tools"]]
        assert "toy/note" in names
        assert "gone" in json.dumps(answer["result"].get("_meta", {}))
        assert "silent" in json.dumps(answer["result"].get("_meta", {}))
        assert gateway.call("toy/note", {"text": "1"})["content"][0]["text"] == "done 1"


def test_ten_thousand_tools_are_listed_pinned_and_used(tmp_path: Path) -> None:
    many = f"  many:\n    command: [{sys.executable}, {TOY}, {tmp_path / 'many.txt'}, '10000']"
    with running(tmp_path, declared(tmp_path, many, "*/*")) as gateway:
        gateway.agent_token()
        names: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            status, answer = gateway.post("tools/list", cursor, seconds=60)
            assert status == 200
            names += [tool["name"] for tool in answer["result"]["tools"]]
            if "nextCursor" not in answer["result"]:
                break
            cursor = {"cursor": answer["result"]["nextCursor"]}
        assert len(names) == len(set(names)) == 10_008
        result = gateway.call("many/more-9999", {"text": "1"})
        assert result["content"][0]["text"] == "done 1"
        assert _rss_mb(gateway.process.pid) < 200


def test_a_server_that_crashes_is_started_again_and_the_call_is_unknown(tmp_path: Path) -> None:
    with running(tmp_path, declared(tmp_path)) as gateway:
        gateway.agent_token()
        result = gateway.call("toy/crash", {"text": "1"})
        assert result["isError"] is True
        assert "not known" in result["content"][0]["text"]
        (call,) = gateway.cli("calls")["calls"]
        assert call["state"] == "unknown"
        _until(lambda: "done" in json.dumps(gateway.call("toy/note", {"text": "2"})))


def test_stdio_servers_end_with_a_gateway_that_is_killed(tmp_path: Path) -> None:
    with running(tmp_path, declared(tmp_path)) as gateway:
        gateway.agent_token()
        gateway.call("toy/note", {"text": "1"})
        children = _children_of("toy_server.py", str(tmp_path))
        assert children
        gateway.kill()
    _until(lambda: not _children_of("toy_server.py", str(tmp_path)))


class _Odd(http.server.BaseHTTPRequestHandler):
    """An HTTP server that never speaks MCP. What it was sent is kept in `seen`."""

    answer: ClassVar[bytes] = b""
    seen: ClassVar[list[str]]

    def do_POST(self) -> None:
        self.seen.append(str(self.headers))
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(self.answer)))
        self.end_headers()
        try:
            self.wfile.write(self.answer)
        except OSError:
            return

    def log_message(self, *_: object) -> None:
        return


@pytest.mark.parametrize(
    "answer",
    [b"<html>hello</html>", b'{"jsonrpc":"2.0"', b'{"result":' + b"9" * 50_000_000 + b"}"],
    ids=["html", "half", "50 MB"],
)
def test_a_server_that_answers_garbage_harms_nobody_else(tmp_path: Path, answer: bytes) -> None:
    class handler(_Odd):  # noqa: N801 - a class as a value
        seen: ClassVar[list[str]] = []

    handler.answer = answer
    odd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=odd.serve_forever)
    thread.start()
    try:
        more = (
            f"  odd:\n    url: http://127.0.0.1:{odd.server_port}/mcp\n"
            '    headers: {X-Key: "${env:ODD_KEY}"}'
        )
        with running(
            tmp_path, declared(tmp_path, more, "*/*"), env={"ODD_KEY": "s3cret-upstream-key"}
        ) as gateway:
            gateway.agent_token()
            status, listed = gateway.post("tools/list", {})
            assert status == 200
            assert [t["name"] for t in listed["result"]["tools"]][:1] == ["toy/note"]
            assert "odd" in json.dumps(listed["result"]["_meta"])
            assert gateway.call("toy/note", {"text": "1"})["content"][0]["text"] == "done 1"
            # Promise 9: the agent's token stays here, the upstream's secret goes there and
            # nowhere else.
            seen = "".join(handler.seen)
            assert "s3cret-upstream-key" in seen
            assert gateway.token not in seen
            assert "uthorization" not in seen
            told = json.dumps([listed, gateway.cli("calls"), gateway.cli("doctor", check=False)])
            assert "s3cret-upstream-key" not in told + gateway.said()
            _nowhere(gateway.data, b"s3cret-upstream-key")
            rss_mb = _rss_mb(gateway.process.pid)
            assert rss_mb < 200, f"{rss_mb} MB"
    finally:
        odd.shutdown()
        thread.join()
        odd.server_close()


def test_sigterm_ends_in_order_while_a_call_is_held(tmp_path: Path) -> None:
    text = declared(tmp_path).replace(
        "other_arguments: allow}]", 'other_arguments: allow}], stamp: [{tool: "toy/note"}]'
    )
    with running(tmp_path, text) as gateway:
        gateway.agent_token()
        told: list[str] = []

        def ask() -> None:
            told.append(gateway.call("toy/note", {"text": "1"}, 60)["content"][0]["text"])

        asked = threading.Thread(target=ask)
        asked.start()
        _until(lambda: bool(gateway.cli("holds")["holds"]))
        started = time.monotonic()
        assert gateway.stop() == 0
        assert time.monotonic() - started < 4, "it waited for somebody it should have let go"
        asked.join()
        assert "retry the same call" in told[0]
        assert "Traceback" not in gateway.said()
    with running(tmp_path, text) as again:
        assert [hold["state"] for hold in again.cli("holds")["holds"]] == ["waiting"]
    assert not (tmp_path / "did.txt").exists()


def test_nothing_new_runs_once_revoke_has_returned(tmp_path: Path) -> None:
    with running(tmp_path, declared(tmp_path)) as gateway:
        gateway.agent_token()
        stop = threading.Event()

        def load(worker: int) -> None:
            number = 0
            while not stop.is_set():
                number += 1
                text = f"{worker}-{number}"
                _quietly(lambda text=text: gateway.call("toy/note", {"text": text}))

        workers = [threading.Thread(target=load, args=(n,)) for n in range(4)]
        for worker in workers:
            worker.start()
        _until(lambda: (tmp_path / "did.txt").exists())
        answer = gateway.cli("revoke", "work")
        in_flight = len(answer["in_flight"])
        size = len((tmp_path / "did.txt").read_text().splitlines())
        time.sleep(0.5)  # the load goes on: whatever could still slip through would now
        stop.set()
        for worker in workers:
            worker.join()
        after = len((tmp_path / "did.txt").read_text().splitlines())
        assert after - size <= in_flight
        result = gateway.call("toy/note", {"text": "last"})
        assert result["isError"] is True
        assert "not active" in result["content"][0]["text"] or "revoked" in str(result)


def test_a_revocation_survives_a_restart(tmp_path: Path) -> None:
    with running(tmp_path, declared(tmp_path)) as gateway:
        gateway.agent_token()
        gateway.cli("revoke", "work")
        gateway.kill()
    with running(tmp_path, declared(tmp_path)) as again:
        again.token = gateway.token
        assert again.call("toy/note", {"text": "1"})["isError"] is True
        assert "mandate `work` stays revoked" in again.said()
    assert not (tmp_path / "did.txt").exists()


def _fill(path: Path) -> None:
    try:
        with path.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
    except OSError:
        return


def _quietly(act: object) -> None:
    try:
        act()  # type: ignore[operator]
    except (OSError, ValueError, AssertionError, KeyError, http.client.HTTPException):
        return


def _until(done: object, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if done():  # type: ignore[operator]
            return
        time.sleep(0.05)
    raise AssertionError("it did not come to be in time")


def _children_of(*words: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if all(word in line for word in words) and "bailiwick up" not in line:
                found.append(int(entry.name))
    return found


def _rss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no such process")


def _nowhere(folder: Path, secret: bytes) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            assert secret not in path.read_bytes(), path
