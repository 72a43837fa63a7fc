from __future__ import annotations

import pytest

from bench import telemetry


def test_every_cost_of_telemetry_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(telemetry, "ROUNDS", 1)
    monkeypatch.setattr(telemetry, "CALLS", 20)
    telemetry.main()
    _, *lines = capsys.readouterr().out.splitlines()
    costs = [float(line.split()[-1]) for line in lines]
    assert len(costs) == 6
    assert all(cost > 0 for cost in costs[1:])
