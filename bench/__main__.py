"""`python -m bench`: measure, print the table, write the JSON. `make bench` runs this."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench import report
from bench.breakdown import breakdowns, stage_table
from bench.goals import goals
from bench.measure import CONNECTIONS, Bench, Measured, Plan
from bench.peers import PEERS, install
from bench.processes import NotRunning
from bench.soak import Soak, soak
from bench.steps import print_steps, steps, tool_calls
from bench.targets import BAILIWICK, OURS, Target, Unavailable, start_upstream

_RESULTS = Path(__file__).parent / "results"
_PEER_CONNECTIONS = (1, 8, 64)
_QUICK_SOAK_CALLS = 20_000


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark. 0: measured; 1: a target gave wrong answers. Speed changes nothing."""
    options = _options(argv)
    folder = Path(tempfile.mkdtemp(prefix="bailiwick-bench-"))
    try:
        return _run(options, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    names = [target.name for target in OURS]
    parser.add_argument(
        "--only",
        action="append",
        choices=names,
        metavar="NAME",
        help="only this one; may be said again: " + "; ".join(names),
    )
    parser.add_argument(
        "--peers",
        nargs="*",
        choices=[peer.target.name for peer in PEERS],
        help="also measure these peers; all of them when none is named",
    )
    parser.add_argument("-c", "--connections", type=int, action="append", help="1, 8, 64 and 256")
    parser.add_argument("--rounds", type=int, default=3, help="how often (3)")
    parser.add_argument("--requests", type=int, default=20_000, help="for each measurement")
    parser.add_argument("--seconds", type=float, default=2.0, help="most for each measurement")
    parser.add_argument(
        "--soak", type=int, default=_QUICK_SOAK_CALLS, metavar="CALLS", help="0 for none"
    )
    parser.add_argument("--soak-target", choices=names, default=BAILIWICK, metavar="NAME")
    parser.add_argument("--stages", action="store_true", help="take a governed call apart")
    parser.add_argument(
        "--steps", action="store_true", help="only count the interpreter's steps a call"
    )
    parser.add_argument("--targets", action="store_true", help="say which aims are met")
    parser.add_argument("--compare", type=Path, metavar="OLD.json", help="print the change")
    parser.add_argument("--output", type=Path, help="where to write the JSON (bench/results)")
    return parser.parse_args(argv)


def _run(options: argparse.Namespace, folder: Path) -> int:
    upstream = start_upstream(folder / "upstream")
    try:
        bench = Bench(upstream, folder, _say)
        if options.steps:
            return print_steps(steps(bench, tool_calls(), _say))
        measured = bench.measure(_chosen(options), _plan(options))
        measured += _measure_peers(bench, options)
        soaked = _soak(bench, options, measured)
        taken_apart = breakdowns(bench, _say) if options.stages else []
        measured.insert(0, bench.finish())
    finally:
        upstream.watched.stop()
    document = _document(options, measured, soaked)
    document["stages"] = [found.to_json() for found in taken_apart]
    _print(options, measured, soaked, document)
    if taken_apart:
        print("\nwhere the time goes:\n" + stage_table(taken_apart))
    path = options.output or _RESULTS / f"{datetime.datetime.now(datetime.UTC):%Y%m%d-%H%M%S}.json"
    report.save(path, document)
    print(f"\nwritten to {path}")
    return _exit_code(measured, soaked)


def _plan(options: argparse.Namespace) -> Plan:
    return Plan(
        connections=tuple(options.connections or CONNECTIONS),
        rounds=options.rounds,
        requests=options.requests,
        seconds=options.seconds,
        warm_up_requests=max(1, options.requests // 10),
    )


def _chosen(options: argparse.Namespace) -> list[Target]:
    return [target for target in OURS if not options.only or target.name in options.only]


def _measure_peers(bench: Bench, options: argparse.Namespace) -> list[Measured]:
    """The peers, one at a time: they are heavy, and would disturb each other even when idle."""
    if options.peers is None:
        return []
    measured = []
    connections = tuple(options.connections or _PEER_CONNECTIONS)
    plan = Plan(connections, rounds=3, requests=4_000, seconds=3.0, warm_up_requests=20)
    for peer in PEERS:
        if options.peers and peer.target.name not in options.peers:
            continue
        try:
            version = install(peer, _say)
        except Unavailable as why:
            _say(f"{peer.target.name}: skipped: {why}")
            measured.append(Measured(peer.target.name, peer.target.about, skipped=str(why)))
            continue
        about = f"{peer.target.about} ({peer.package} {version})"
        measured += bench.measure([dataclasses.replace(peer.target, about=about)], plan)
    return measured


def _soak(bench: Bench, options: argparse.Namespace, measured: Sequence[Measured]) -> Soak | None:
    up = {result.target for result in measured if not result.skipped}
    if options.soak <= 0 or options.soak_target not in up:
        return None
    target = next(target for target in OURS if target.name == options.soak_target)
    try:
        started = target.start(bench.site(target.name))
    except (Unavailable, NotRunning) as why:
        _say(f"soak: skipped: {why}")
        return None
    try:
        _say(f"soak: {options.soak:,} calls through {target.name}")
        return soak(target.name, started, options.soak, 64, _say)
    finally:
        started.watched.stop()


def _document(
    options: argparse.Namespace, measured: Sequence[Measured], soaked: Soak | None
) -> dict[str, object]:
    return {
        "schema": report.SCHEMA,
        "taken": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": report.commit(),
        "machine": report.machine(),
        "versions": report.versions(),
        "rounds": options.rounds,
        "requests": options.requests,
        "targets": [result.to_json() for result in measured],
        "soak": soaked.to_json() if soaked else None,
    }


def _print(
    options: argparse.Namespace,
    measured: Sequence[Measured],
    soaked: Soak | None,
    document: dict[str, object],
) -> None:
    print("\n" + report.table(measured))
    if soaked is not None:
        trend = "flat" if soaked.flat else "growing"
        print(
            f"\nsoak: {soaked.target}: {soaked.samples[0][1]:.0f} MiB at the start, "
            f"{soaked.last_mib:.0f} MiB after {soaked.calls:,} calls, {trend}"
        )
    if options.targets:
        found = {result.target: result for result in measured}
        print("\naims:\n" + report.goal_lines(goals(found, soaked)))
    if options.compare:
        old = json.loads(options.compare.read_text())
        print(f"\nchange since {old['taken']}:\n" + report.comparison(old, document))
    facts = report.machine()
    print(f"\n{facts['cores']} cores ({facts['cpu']}), Python {facts['python']}")


def _exit_code(measured: Sequence[Measured], soaked: Soak | None) -> int:
    wrong = [(result.target, result.first_error) for result in measured if result.errors]
    if soaked is not None and soaked.errors:
        wrong.append((f"soak of {soaked.target}", soaked.first_error))
    for name, first in wrong:
        print(f"wrong answers: {name}: {first}", file=sys.stderr)
    return 1 if wrong else 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
