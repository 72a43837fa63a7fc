"""The results, for people (a table) and for later runs (JSON)."""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.arithmetic import change_percent
from bench.goals import Goal
from bench.measure import Measured, Row

SCHEMA = 1
_PACKAGES = ("bailiwick", "uvloop", "httptools", "msgspec", "uvicorn", "cryptography")


def machine() -> dict[str, str | int]:
    """What the figures were measured on. Names the class of machine, never the machine."""
    return {
        "cores": os.cpu_count() or 0,
        "cpu": _cpu_model(),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    """The versions of what is measured, as far as it is installed in this environment."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def commit() -> str:
    """The commit that is measured, with `+` when the tree differs from it; "" without git."""
    try:
        head = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        dirty = subprocess.run(
            ["git", "status", "--porcelain"], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head + ("+" if dirty else "")


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()


def table(measured: Sequence[Measured]) -> str:
    """The rows of all targets, by number of connections; then one line for each target."""
    lines = []
    for connections in sorted({row.connections for result in measured for row in result.rows}):
        lines += ["", f"c = {connections}", _HEADING]
        for result in measured:
            row = result.row(connections)
            if row is not None:
                lines.append(_table_row(row))
    lines += ["", f"{'':<24}{'first call':>12}{'RSS, started':>14}{'RSS, after':>12}{'calls':>12}"]
    for result in measured:
        if result.skipped:
            lines.append(f"{result.target:<24}  not measured: {_short(result.skipped)}")
            continue
        lines.append(
            f"{result.target:<24}{_number(result.first_call_seconds, ' s', 2):>12}"
            f"{_number(result.resident_mib_started, ' MiB', 0):>14}"
            f"{_number(result.resident_mib_after, ' MiB', 0):>12}{result.calls:>12,}"
        )
    return "\n".join(lines).lstrip("\n")


_HEADING = (
    f"  {'':<22}{'calls/s':>10}{'of direct':>11}{'p50 ms':>9}{'added':>9}"
    f"{'p99 ms':>9}{'CPU s/1,000':>13}"
)


def _table_row(row: Row) -> str:
    return (
        f"  {row.target:<22}{row.requests_per_second:>10,.0f}{row.of_direct:>11.0%}"
        f"{row.p50_ms:>9.2f}{row.added_p50_ms:>+9.2f}{row.p99_ms:>9.2f}"
        f"{row.cpu_seconds_per_1000:>13.3f}" + (f"  {row.errors} errors" if row.errors else "")
    )


def goal_lines(goals: Sequence[Goal]) -> str:
    """Each aim with where it stands."""
    words = {True: "met", False: "NOT MET", None: "–"}
    return "\n".join(f"  {words[g.met]:<8} {g.aim}: {g.measured}" for g in goals)


def save(path: Path, document: Mapping[str, object]) -> None:
    """Write the results as JSON. A figure that does not exist is null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(_without_nan(document), indent=1) + "\n")


def _without_nan(value: object) -> object:
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 6)
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return value


def comparison(old: Mapping[str, object], new: Mapping[str, object]) -> str:
    """The change of each row that both results have, `old` to `new`.

    Shares of direct are compared beside absolute figures: on another machine, or on a busy one,
    only they carry over.
    """
    before, after = _rows(old), _rows(new)
    lines = [
        f"  {'':<22}{'c':>5}{'calls/s before':>16}{'after':>10}{'change':>9}"
        f"{'of direct':>16}{'p50 ms':>18}"
    ]
    for key in [key for key in after if key in before]:
        was, now = before[key], after[key]
        change = change_percent(was["requests_per_second"], now["requests_per_second"])
        shares = f"{was['of_direct']:.0%} → {now['of_direct']:.0%}"
        medians = f"{was['p50_ms']:.2f} → {now['p50_ms']:.2f}"
        lines.append(
            f"  {key[0]:<22}{key[1]:>5}{was['requests_per_second']:>16,.0f}"
            f"{now['requests_per_second']:>10,.0f}"
            f"{'–' if change is None else f'{change:+.0f}%':>9}{shares:>16}{medians:>18}"
        )
    if old.get("machine") != new.get("machine"):
        lines.append("  (not the same machine or versions of it: compare the shares of direct)")
    return "\n".join(lines)


def _rows(document: Mapping[str, object]) -> dict[tuple[str, int], dict[str, float]]:
    """(target, connections) to its figures; rows without figures are left out."""
    rows: dict[tuple[str, int], dict[str, float]] = {}
    targets = document.get("targets")
    for target in targets if isinstance(targets, list) else []:
        for row in target["rows"]:
            if None not in (row["requests_per_second"], row["of_direct"], row["p50_ms"]):
                rows[(row["target"], row["connections"])] = row
    return rows


def _number(value: float | None, unit: str, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}{unit}"


def _short(text: str) -> str:
    first = text.strip().splitlines()[0] if text.strip() else ""
    return first if len(first) <= 160 else first[:157] + "…"
