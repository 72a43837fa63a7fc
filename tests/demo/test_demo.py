"""`bailiwick demo`, as a user runs it: real servers and client, a second person, a real ledger."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from bailiwick.cli.demo import story as told
from bailiwick.cli.demo.stage import LETTERS, set_stage
from bailiwick.cli.exits import CliError, Exit
from bailiwick.cli.main import run
from bailiwick.cli.reach import running
from tests.demo.watching import DEADLINE_SECONDS, api, start, watched


def books(data: Path) -> dict[str, object]:
    found = json.loads((data / "demo" / "bank" / "bank.json").read_text())
    assert isinstance(found, dict)
    return found


def test_unattended_it_does_every_step_and_exits_0(tmp_path: Path) -> None:
    data = tmp_path / "data"
    process = start("--auto", "--data", str(data))
    out, _ = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 0, out
    order = [
        "it sees 12 tools",
        "✓ allowed     files/list_directory",
        "✓ allowed     bank/transfer  480.50 EUR",
        "✗ refused     bank/transfer",
        "✓ allowed     git/git_commit",
        "‖ held        bank/transfer",
        "`ada` may not stamp this",
        "ben, the treasurer, approves",
        "✓ ran once    bank/transfer  balance 44519.50",
        "$ bailiwick ledger verify",
        "│ verified",
        "c2sp.org/tlog-proof@v1",
        "does not hold the entries of the log",
        "Done, 9 steps",
    ]
    places = [out.find(text) for text in order]
    assert -1 not in places, (order[places.index(-1)], out)
    assert places == sorted(places)
    # What it says it did is what happened.
    paid = books(data)["transactions"]
    assert isinstance(paid, list)
    assert [row["amount_minor"] for row in paid] == [48050, 320000]
    assert "INV-2041" in (data / "demo" / "desk" / "books" / "payments.md").read_text()
    # Nothing is left running, and no secret of the bank is in the log or the terminal.
    assert not (data / "gateway.json").exists()
    key = (data / "demo" / "bank.key").read_text().strip()
    assert key not in out
    assert key not in (data / "demo" / "gateway.log").read_text()
    assert key.encode() not in (data / "bailiwick.db").read_bytes()


def test_json_is_for_the_unattended_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--json"]) == Exit.USAGE
    assert json.loads(capsys.readouterr().err)["error"]["code"] == "nobody_watches"


def test_it_refuses_a_folder_that_holds_something_else(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(CliError) as error:
        set_stage(tmp_path)
    assert error.value.code == "folder_in_use"
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_a_second_demo_on_its_folder_starts_anew(tmp_path: Path) -> None:
    data = tmp_path / "data"
    stage = set_stage(data)
    (stage.books / "payments.md").write_text("changed")
    (data / "keys").mkdir()
    again = set_stage(data)
    assert (again.books / "payments.md").read_text() == "# Payments\n"
    assert (data / "keys").is_dir()
    assert sorted(path.name for path in again.inbox.iterdir()) == sorted(LETTERS)
    assert (stage.root / "bank.key").stat().st_mode & 0o077 == 0


def test_a_step_that_goes_wrong_ends_it_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # A payment so small that nobody is asked: the demo must notice that nothing was held.
    monkeypatch.setitem(told.PAPER, "amount", "900.00")
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        code = run(["demo", "--auto", "--data", str(tmp_path / "data")])
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
    assert code == Exit.NO
    captured = capsys.readouterr()
    assert "expected a hold" in captured.err
    assert "Done" not in captured.out
    assert not (tmp_path / "data" / "gateway.json").exists()


@pytest.mark.parametrize("decision", ["approve", "refuse"])
def test_a_person_decides_and_then_it_stays_up_to_be_used(tmp_path: Path, decision: str) -> None:
    data = tmp_path / "data"
    with watched(data) as demo:
        link = demo.wait_for(r"http://\S+/login/\S+")
        assert link.startswith(running(data).url)
        ben = api(data, "ben")
        holds = ben.get("holds")["holds"]
        assert isinstance(holds, list)
        (hold,) = holds
        ben.post(f"holds/{hold['id']}/stamp", {"decision": decision, "reason": "looked at it"})
        demo.wait_for("until you press Ctrl-C")
        assert f"{decision} by ben: looked at it" in demo.text
        ran = decision == "approve"
        assert ("✓ ran once" in demo.text) is ran
        assert ("✗ did not run" in demo.text) is not ran
        transactions = books(data)["transactions"]
        assert isinstance(transactions, list)
        assert len(transactions) == (2 if ran else 1)
        for words in ("connect goose", "login ben", "calls", "apply -f"):
            assert f"bailiwick {words}" in demo.text
        assert api(data, "ada").get("calls", limit=1)["calls"]
        assert demo.stop() == 0
    assert not (data / "gateway.json").exists()
