"""What a suite said, and what a run through the gateway lost against the direct one."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# `server-NAME-2026-11-22T10-15-35-519Z`; client scenarios have no prefix.
_FOLDER = re.compile(r"(.+)-\d{4}-\d{2}-\d{2}T[\d-]+Z")


@dataclass(frozen=True, slots=True)
class Check:
    """One check; `status` is the suite's: SUCCESS, FAILURE, WARNING, SKIPPED or INFO."""

    id: str
    name: str
    status: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario. `scored` is false for those a requirement set runs but does not count."""

    name: str
    checks: tuple[Check, ...]
    scored: bool = True
    ended_well: bool = True

    @property
    def passed(self) -> bool:
        return self.ended_well and all(check.status != "FAILURE" for check in self.checks)

    def statuses(self) -> dict[tuple[str, str], list[str]]:
        found: dict[tuple[str, str], list[str]] = {}
        for check in self.checks:
            found.setdefault((check.id, check.name), []).append(check.status)
        return found


@dataclass(frozen=True, slots=True)
class Outcome:
    """One suite, run once."""

    scenarios: Mapping[str, Scenario]

    def line(self) -> str:
        """`N passed, M failed` over the scored scenarios, and what stands behind it."""
        scored = [scenario for scenario in self.scenarios.values() if scenario.scored]
        others = [scenario for scenario in self.scenarios.values() if not scenario.scored]
        checks = [check.status for scenario in scored for check in scenario.checks]
        good, bad = checks.count("SUCCESS"), checks.count("FAILURE")
        text = f"{_count(scored)} ({good} of {good + bad} checks)"
        return f"{text}; not scored: {_count(others)}" if others else text

    def failed(self) -> list[str]:
        """The scored scenarios that failed, with their first message."""
        return [
            f"{scenario.name}: {_first_failure(scenario)}"
            for scenario in self.scenarios.values()
            if scenario.scored and not scenario.passed
        ]


def _count(scenarios: list[Scenario]) -> str:
    passed = sum(scenario.passed for scenario in scenarios)
    return f"{passed} passed, {len(scenarios) - passed} failed"


def _first_failure(scenario: Scenario) -> str:
    for check in scenario.checks:
        if check.status == "FAILURE":
            return f"{check.id}: {check.message}"
    return "did not end well"


def read_scenario(folder: Path, unscored: frozenset[str] = frozenset()) -> Scenario | None:
    """The scenario whose results lie in `folder`; None if it left none."""
    file = folder / "checks.json"
    match = _FOLDER.fullmatch(folder.name)
    if match is None or not file.exists():
        return None
    name = match[1].removeprefix("server-") if folder.name.startswith("server-") else match[1]
    checks = tuple(
        Check(item["id"], item["name"], item["status"], item.get("errorMessage") or "")
        for item in json.loads(file.read_text())
    )
    return Scenario(name, checks, scored=name not in unscored)


def lost(direct: Outcome, through: Outcome) -> list[str]:
    """Every scenario that is worse through the gateway, one line each, with the check and why.

    Stricter than the suites: a check that succeeds directly must not turn into a warning, or be
    skipped because a capability went missing.
    """
    lines = []
    for name, before in direct.scenarios.items():
        after = through.scenarios.get(name)
        if after is None:
            lines.append(f"{name}: was not run through the gateway")
            continue
        why = _changed(before, after, lost=True) + _new_failures(before, after)
        if before.passed and not after.passed and not why:
            why = ["did not end well"]
        if why:
            lines.append(f"{name}: " + "; ".join(why))
    return lines


def differing(direct: Outcome, through: Outcome) -> list[str]:
    """Checks that succeed directly and that the suite finds not applicable (INFO) through."""
    return [
        f"{name}: {text}"
        for name, before in direct.scenarios.items()
        if name in through.scenarios
        for text in _changed(before, through.scenarios[name], lost=False)
    ]


def _changed(before: Scenario, after: Scenario, *, lost: bool) -> list[str]:
    """The checks that all succeeded before and do not now; `lost`: not merely INFO."""
    now = after.statuses()
    messages = {(check.id, check.name): check.message for check in after.checks if check.message}
    found = []
    for key, statuses in before.statuses().items():
        if set(statuses) != {"SUCCESS"}:
            continue
        got = set(now.get(key, []))
        if got == {"SUCCESS"} or lost == (bool(got) and got <= {"SUCCESS", "INFO"}):
            continue
        state = "/".join(sorted(got)) or "missing"
        found.append(f"{key[0]} {key[1]} [{state}] {messages.get(key, '')}".rstrip())
    return found


def _new_failures(before: Scenario, after: Scenario) -> list[str]:
    """A suite reports a crash or a timeout as a check of its own."""
    known = before.statuses()
    return [
        f"{check.id} {check.name} [FAILURE] {check.message}".rstrip()
        for check in after.checks
        if check.status == "FAILURE" and (check.id, check.name) not in known
    ]
