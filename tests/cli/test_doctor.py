"""`doctor` finds what is wrong, and says what to do about it."""

from __future__ import annotations

import os
import sys
import time
from email.utils import formatdate
from pathlib import Path

import pytest

from bailiwick.cli import doctor
from bailiwick.cli.doctor import FAIL, OK, WARN
from bailiwick.cli.exits import Exit
from bailiwick.core.canonical import JsonObject
from bailiwick.stores.sqlite import SqliteJournal
from bailiwick.stores.text_seal import TextSeal
from tests.cli.fakes import Command, FakeGateway


def test_an_old_python_is_a_failure() -> None:
    assert doctor.check_python((3, 10)).level == FAIL
    assert doctor.check_python(sys.version_info[:2]).level == OK


@pytest.mark.parametrize(
    ("now", "newest", "level"),
    [(0.0, 0.0, FAIL), (1.8e9, 1.8e9 + 5, OK), (1.8e9, 1.8e9 + 3600, FAIL), (1.8e9, 0.0, OK)],
)
def test_a_clock_that_cannot_be_right_is_a_failure(now: float, newest: float, level: str) -> None:
    finding = doctor.check_clock(now, newest)
    assert finding.level == level
    assert bool(finding.do) is (level == FAIL)


def test_a_folder_that_others_may_enter_is_a_failure(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    assert doctor.check_folder(folder).level == OK
    folder.mkdir(mode=0o700)
    assert doctor.check_folder(folder).level == OK
    folder.chmod(0o750)
    finding = doctor.check_folder(folder)
    assert (finding.level, finding.do) == (FAIL, f"chmod 700 {folder}")


def test_a_key_that_others_may_read_is_a_failure(tmp_path: Path) -> None:
    assert list(doctor.check_keys(tmp_path / "none")) == []
    for name in ("ledger.key", "token.key"):
        (tmp_path / name).touch(mode=0o600)
    assert [finding.level for finding in doctor.check_keys(tmp_path)] == [OK]
    (tmp_path / "token.key").chmod(0o640)
    (finding,) = doctor.check_keys(tmp_path)
    assert finding.level == FAIL
    assert "`token.key`" in finding.says
    assert "ledger.key" not in finding.says


def test_a_damaged_database_is_a_failure_however_large(tmp_path: Path) -> None:
    path = tmp_path / "bailiwick.db"
    assert list(doctor.check_database(path)) == []
    SqliteJournal(path, seal=TextSeal(b"k" * 32))._db.close()
    (finding,) = doctor.check_database(path)
    assert (finding.check, finding.level) == ("database", OK)
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * 4096 + whole[8192:])
    (finding,) = doctor.check_database(path)
    assert finding.level == FAIL
    assert "restore the newest backup" in finding.do
    assert "Page 2" in finding.says
    assert "\n" not in finding.says
    path.write_bytes(b"not a database at all" * 300)
    (finding,) = doctor.check_database(path)
    assert (finding.level, "not a database" in finding.says) == (FAIL, True)


@pytest.mark.parametrize(("free", "level"), [(1 << 20, FAIL), (500 << 20, WARN), (50 << 30, OK)])
def test_a_full_disk_is_seen_before_calls_are_denied(free: int, level: str, tmp_path: Path) -> None:
    assert doctor.check_disk(tmp_path, lambda _path: free).level == level


def test_a_program_the_demo_needs_and_lacks_is_a_warning() -> None:
    finding = doctor.check_program("no-such-program", "its letters")
    assert finding.level == WARN
    assert "make setup" in finding.do


def test_without_a_gateway_it_warns_and_says_how_to_start_one(
    command: Command, tmp_path: Path
) -> None:
    ended = command("doctor", "--json", "--data", str(tmp_path / "none"))
    assert ended.code == Exit.OK
    findings = {row["check"]: row for row in ended.json["findings"]}  # type: ignore[attr-defined]
    assert findings["gateway"]["level"] == WARN
    assert findings["python"]["level"] == OK


def test_a_failure_is_exit_1_and_its_line_says_what_to_do(command: Command, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    ended = command("doctor", "--data", str(tmp_path))
    assert ended.code == Exit.NO
    assert f"→ chmod 700 {tmp_path}" in ended.out


def test_a_server_that_is_down_and_a_ledger_that_lies_are_failures(
    asking: Command, gateway: FakeGateway, tmp_path: Path
) -> None:
    server = {
        "name": "bank",
        "state": "down",
        "detail": "exited 2",
        "restarts": 3,
        "stderr_tail": ["no\x1b[2Jkey"],
    }
    key = "bailiwick.local/test+00000000+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    gateway.says("GET /api/v1/ledger", {"key": key})
    gateway.says("GET /api/v1/servers", {"servers": [server]})
    gateway.says("GET /ledger/checkpoint", b"not a checkpoint")
    ran_out = {"name": "zurich", "document": {"spec": {"days": {"2019-12-25": "Christmas"}}}}
    gateway.says("GET /api/v1/objects?kind=calendar", {"objects": [ran_out]})
    ended = asking("doctor", "--data", str(tmp_path / "none"))
    assert ended.code == Exit.NO
    lines = ended.out.splitlines()
    assert any(line.startswith("fail  server bank") and "exited 2" in line for line in lines)
    assert any(line.startswith("fail  ledger") for line in lines)
    assert any(line.startswith("fail  calendar zurich") and "2019" in line for line in lines)
    assert "no<U+001B>[2Jkey" in ended.out


@pytest.mark.parametrize(("models", "warned"), [([], True), ([{"name": "local"}], False)])
def test_models_alone_are_enough_to_stand_before(
    asking: Command, gateway: FakeGateway, tmp_path: Path, models: list[JsonObject], warned: bool
) -> None:
    gateway.says("GET /api/v1/ledger", {"key": "k"})
    gateway.says("GET /api/v1/servers", {"servers": []})
    gateway.says("GET /api/v1/models", {"servers": models, "aliases": []})
    gateway.says("GET /api/v1/objects?kind=calendar", {"objects": []})
    ended = asking("doctor", "--data", str(tmp_path / "none"))
    assert "ok    gateway " in ended.out
    assert ("none declared" in ended.out) is warned


@pytest.mark.parametrize(
    ("server", "level", "says", "do"),
    [
        ({"state": "up", "detail": ""}, "ok", "up", ""),
        ({"state": "unknown", "detail": "not asked yet"}, "ok", "not asked yet", ""),
        ({"state": "starting", "detail": ""}, "warn", "starting", "look again in a moment"),
        (
            {"state": "down", "detail": "exited 2", "stderr_tail": ["first", "no key"]},
            *("fail", "down: exited 2"),
            "see its declaration and its own log; its last words: no key",
        ),
    ],
)
def test_only_a_server_that_is_down_is_a_failure(
    server: JsonObject, level: str, says: str, do: str
) -> None:
    found = doctor.check_server({"name": "bank", **server})
    assert (found.check, found.level, found.says, found.do) == ("server bank", level, says, do)


@pytest.mark.parametrize(
    ("days", "level"),
    [
        (["2026-12-25", "2027-12-25"], OK),
        (["2026-12-25"], WARN),  # in force still, and not for much longer
        (["2025-12-25"], FAIL),
        ([], FAIL),
    ],
)
def test_a_calendar_that_runs_out_is_seen_before_work_stops(days: list[str], level: str) -> None:
    november = 1_795_341_600.0
    spec: JsonObject = {"days": dict.fromkeys(days, "Christmas")}
    found = doctor.check_calendar({"name": "zurich", "document": {"spec": spec}}, november)
    assert found.level == level
    assert ("bailiwick holidays" in found.do) is (level != OK)
    september = november - 80 * 86_400
    if days:
        later = doctor.check_calendar({"name": "z", "document": {"spec": spec}}, september)
        assert (later.level == FAIL) is (level == FAIL)
        assert later.level != WARN


def test_a_gateway_whose_clock_is_elsewhere_is_a_failure(
    asking: Command, gateway: FakeGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hour_ago = formatdate(time.time() - 3600, usegmt=True)
    monkeypatch.setattr(
        "http.server.BaseHTTPRequestHandler.date_time_string", lambda _self: hour_ago
    )
    gateway.says("GET /ledger/checkpoint", b"")
    ended = asking("doctor", "--data", str(tmp_path / "none"))
    assert ended.code == Exit.NO
    assert "3600 s apart" in ended.out or "3601 s apart" in ended.out


def test_the_newest_file_tells_when_the_folder_was_last_used(tmp_path: Path) -> None:
    assert doctor.newest(tmp_path / "none") == 0
    (tmp_path / "a").touch()
    os.utime(tmp_path / "a", (1e9, 1e9))
    (tmp_path / "b").touch()
    os.utime(tmp_path / "b", (2e9, 2e9))
    assert doctor.newest(tmp_path) == 2e9
