"""How long it takes to judge recorded calls again: `python -m bench.simulate [CALLS]`.

Records CALLS (100,000) calls through the real gate into a real store, without fsync, then simulates
them twice: under the mandate in force, and under a new form of it with conditions, a stamp rule and
four limits (a sum a day, one for each payee, a sliding rate, distinct payees a month). The aim is
100,000 in under 20 seconds on one core, so the CPU time of the simulating process is what counts.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

from bailiwick.app import simulating
from bailiwick.app.data_folder import DataFolder, prepare_folder
from bailiwick.app.gateway import Gateway, open_gateway
from bailiwick.app.settings import Settings
from bailiwick.core.call import CallKind, Target
from bailiwick.gateway.gate import Answered, Asked, Tick
from bailiwick.ports import Caller, UpstreamReply

CALLS = 100_000
GOAL_SECONDS = 20.0
_AT_ONCE = 100
_REPLY = UpstreamReply(
    result=json.dumps({"content": [{"type": "text", "text": "x" * 400}]}).encode()
)

IN_FORCE = """
servers: {bank: {command: [/bin/true]}}
people: {ada: {name: Ada, roles: [operator]}}
agents: {clerk: {owner: ada}}
mandates:
  work: {from: ada, to: clerk, allow: [{tool: "bank/*", other_arguments: allow}]}
"""

NEW = """
mandates:
  work:
    from: ada
    to: clerk
    allow:
      - {tool: bank/pay, when: {amount: {at_most: 5000}, to: {any: true}, memo: {any: true}}}
      - {tool: bank/read, other_arguments: allow}
    stamp: [{tool: bank/pay, when: {amount: {at_least: 4000}}}]
    limits:
      - {id: day, tool: bank/pay, sum: amount, each: day, zone: Europe/Zurich, at_most: 1000000000}
      - id: payee
        tool: bank/pay
        sum: amount
        per: to
        each: day
        zone: Europe/Zurich
        at_most: 100000000
      - {id: rate, tool: bank/*, calls: 1000000, within: 10m}
      - {id: payees, tool: bank/pay, distinct: to, each: month, zone: Europe/Zurich, at_most: 1000}
"""


async def _dispatch() -> UpstreamReply:
    return _REPLY


async def _tick(_tick: Tick) -> None:
    return None


async def _call(gateway: Gateway, number: int) -> None:
    asked = Asked(
        Caller("clerk", "work", "ada", "T1", 2**50),
        Target(CallKind.TOOL, "bank", "pay" if number % 2 else "read"),
        {"amount": number % 5000, "to": f"CH{number % 500}", "memo": "invoice 2026-11"},
        "session:1",
        "mcp/2026-07-28",
    )
    answer = await gateway.rooms.pipeline.govern(asked, _dispatch, _tick)
    assert isinstance(answer, Answered), answer


async def measure(folder: Path, calls: int) -> list[tuple[str, float, float, int]]:
    """(what, CPU seconds, seconds, verdicts that flip) of each simulation."""
    file = folder / "office.yaml"
    file.write_text(IN_FORCE)
    data: DataFolder = prepare_folder(folder / "data")
    found: list[tuple[str, float, float, int]] = []
    async with open_gateway(Settings(data=data.path, files=(file,), fsync=False), data) as gateway:
        for first in range(0, calls, _AT_ONCE):
            await asyncio.gather(*(_call(gateway, first + n) for n in range(_AT_ONCE)))
        now = int(time.time() * 1000)
        for what, files in (("as in force", {}), ("four limits", {"new.yaml": NEW})):
            request = {"files": files, "mandate": "work", "since_ms": 0, "now_ms": now}
            report = await simulating.run(data.path, request)  # type: ignore[arg-type]  # JSON
            assert report["calls"] == calls, report
            cpu, seconds = report["cpu_seconds"], report["seconds"]
            flips = report["flips"]
            assert isinstance(cpu, float)
            assert isinstance(seconds, float)
            assert isinstance(flips, int)
            found.append((what, cpu, seconds, flips))
    return found


def main() -> int:
    """Print what was measured; 1 if the aim is missed."""
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else CALLS
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(Path(folder), calls))
    print(f"{calls:,} recorded calls      CPU s       s   flips   CPU µs a call")
    for what, cpu, seconds, flips in found:
        print(f"  {what:20} {cpu:8.2f} {seconds:7.2f} {flips:7,} {cpu / calls * 1e6:11.0f}")
    return int(any(cpu / calls * CALLS > GOAL_SECONDS for _, cpu, _, _ in found))


if __name__ == "__main__":
    sys.exit(main())
