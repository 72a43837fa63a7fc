"""`python -m bench.models`: measure model calls, print the tables, write the JSON."""

from __future__ import annotations

import argparse
import datetime
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import report
from bench.locked import version_of
from bench.measure import Bench
from bench.models.goals import goals
from bench.models.measure import ModelBench, ModelMeasured, ModelPlan, of_kind
from bench.models.report import table
from bench.models.targets import PEERS, TARGETS, model_gateway, start_upstream
from bench.models.wire import KINDS, STREAMED, WHOLE
from bench.steps import Starting, print_steps, steps
from bench.targets import Site, Started, Target

_RESULTS = Path(__file__).parents[1] / "results"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark. 0: measured; 1: a target gave wrong answers. Speed changes nothing."""
    options = _options(argv)
    folder = Path(tempfile.mkdtemp(prefix="bailiwick-bench-"))
    try:
        upstream = start_upstream(folder / "upstream")
        try:
            bench = Bench(upstream, folder, _say)
            if options.steps:
                return print_steps(steps(bench, model_calls(), _say))
            measured = ModelBench(bench, upstream, _say).measure(_chosen(options), _plan(options))
        finally:
            upstream.watched.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return _told(options, measured)


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.models", description=__doc__)
    names = [target.name for target in TARGETS]
    parser.add_argument("--only", action="append", choices=names, help="only these targets")
    parser.add_argument("--no-peers", action="store_true", help="without LiteLLM and Portkey")
    parser.add_argument("--kind", action="append", choices=KINDS, help="all of them")
    parser.add_argument("-c", "--connections", type=int, action="append", help="1, 8 and 64")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="most for each measurement")
    parser.add_argument("--requests", type=int, default=20_000, help="for each measurement")
    parser.add_argument("--no-paced", action="store_true", help="without paced and long streams")
    parser.add_argument(
        "--steps", action="store_true", help="only count the interpreter's steps a call"
    )
    parser.add_argument("--output", type=Path, help="where to write the JSON (bench/results)")
    return parser.parse_args(argv)


def _plan(options: argparse.Namespace) -> ModelPlan:
    defaults = ModelPlan()
    return ModelPlan(
        kinds=tuple(options.kind or defaults.kinds),
        connections=tuple(options.connections or defaults.connections),
        rounds=options.rounds,
        requests=options.requests,
        seconds=options.seconds,
        paced_streams=0 if options.no_paced else defaults.paced_streams,
    )


def _chosen(options: argparse.Namespace) -> list[Target]:
    return [
        target
        for target in TARGETS
        if not (options.only and target.name not in options.only)
        and not (options.no_peers and target.name in PEERS)
    ]


def model_calls() -> dict[str, Starting]:
    """A model call answered whole, and one streamed."""

    def of(kind: str) -> Starting:
        def starting(command: Sequence[str]) -> Callable[[Site], Started]:
            start = model_gateway("--no-fsync", command=command)
            return lambda site: of_kind(start(site), kind)

        return starting

    return {f"model call, {kind}": of(kind) for kind in (WHOLE, STREAMED)}


def _told(options: argparse.Namespace, measured: Sequence[ModelMeasured]) -> int:
    peers = {name: version_of(each.environment, each.package) for name, each in PEERS.items()}
    document = {
        "schema": report.SCHEMA,
        "taken": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": report.commit(),
        "machine": report.machine(),
        "versions": report.versions() | peers,
        "models": [result.to_json() for result in measured],
    }
    print("\n" + table(measured))
    print("\naims:\n" + report.goal_lines(goals({result.target: result for result in measured})))
    facts = report.machine()
    named = ", ".join(f"{name} {version}" for name, version in peers.items())
    print(f"\n{facts['cores']} cores ({facts['cpu']}), Python {facts['python']}, {named}")
    path = (
        options.output
        or _RESULTS / f"models-{datetime.datetime.now(datetime.UTC):%Y%m%d-%H%M%S}.json"
    )
    report.save(path, document)
    print(f"\nwritten to {path}")
    wrong = [(result.target, result.first_error) for result in measured if result.errors]
    for name, first in wrong:
        print(f"wrong answers: {name}: {first}", file=sys.stderr)
    return 1 if wrong else 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
