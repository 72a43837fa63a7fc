"""The official suites, directly and through the gateway: `python -m tests.conformance.run`.

Exit status: 0 when everything scored passes directly and nothing is lost through the gateway,
1 when something does not, 2 when the run itself failed.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.conformance.gateway import start_gateway
from tests.conformance.processes import ConformanceError, install_suites, running_fixture
from tests.conformance.results import Outcome, differing, lost
from tests.conformance.suites import CLIENT_SUITES, SERVER_SUITES, ClientSuite, ServerSuite

Suite = ServerSuite | ClientSuite
SUITES: tuple[Suite, ...] = (*SERVER_SUITES, *CLIENT_SUITES)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One suite's two runs; `through` is None when only the direct one was wanted."""

    suite: Suite
    direct: Outcome
    through: Outcome | None

    @property
    def lost(self) -> list[str]:
        return lost(self.direct, self.through) if self.through else []

    @property
    def good(self) -> bool:
        return not self.direct.failed() and not self.lost

    def lines(self) -> list[str]:
        """What to print for people."""
        found = [self.suite.title, f"  direct:  {self.direct.line()}"]
        found += [f"    failed directly: {text}" for text in self.direct.failed()]
        if self.through:
            found.append(f"  through: {self.through.line()}")
            found += [f"    lost: {text}" for text in self.lost]
            found += [f"    differs: {text}" for text in differing(self.direct, self.through)]
        return found


def run_directly(suite: Suite) -> Outcome:
    """The suite against the fixture, or with our client."""
    if isinstance(suite, ClientSuite):
        return suite.run("tests.conformance.client")
    with running_fixture() as url:
        return suite.run(url)


def run_through(suite: Suite) -> Outcome:
    """The same through a gateway."""
    if isinstance(suite, ClientSuite):
        return suite.run("tests.conformance.client_through")
    with running_fixture() as url, start_gateway(url) as through:
        return suite.run(through)


def compare(suite: Suite, direct_only: bool = False) -> Comparison:
    """Run a suite both ways."""
    return Comparison(suite, run_directly(suite), None if direct_only else run_through(suite))


def _report(comparisons: list[Comparison]) -> list[dict[str, object]]:
    return [
        {
            "suite": comparison.suite.key,
            "title": comparison.suite.title,
            "direct": _scenarios(comparison.direct),
            "through": _scenarios(comparison.through) if comparison.through else None,
            "lost": comparison.lost,
        }
        for comparison in comparisons
    ]


def _scenarios(outcome: Outcome) -> list[dict[str, object]]:
    return [
        {**asdict(scenario), "passed": scenario.passed} for scenario in outcome.scenarios.values()
    ]


def main() -> int:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--direct-only", action="store_true", help="leave the gateway out")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every check here")
    parser.add_argument("--suite", choices=[suite.key for suite in SUITES], help="only this one")
    options = parser.parse_args()
    comparisons = []
    try:
        install_suites()
        for suite in SUITES:
            if options.suite in (None, suite.key):
                comparison = compare(suite, options.direct_only)
                print("\n".join(comparison.lines()), flush=True)
                comparisons.append(comparison)
    except ConformanceError as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 2
    if options.json:
        options.json.write_text(json.dumps(_report(comparisons), indent=1) + "\n")
    return 0 if all(comparison.good for comparison in comparisons) else 1


if __name__ == "__main__":
    sys.exit(main())
