"""The official suites as we run them: three against a server, three against a client."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML

from tests.conformance.processes import ROOT, ConformanceError
from tests.conformance.results import Outcome, Scenario, read_scenario

_HERE = Path(__file__).parent
_NODE = Path(sys.executable).with_name("node")
_SUITE_SECONDS = 600.0
_OLD, _NEW = "conformance-0.1", "conformance-0.2"

# The requirement sets name auth scenarios, too; those test a client's own OAuth, which is the
# gateway's towards its upstreams and not there yet (docs/conformance.md).
_LEGACY_CLIENT = ("initialize", "tools_call", "elicitation-sep1034-client-defaults", "sse-retry")
_MODERN_CLIENT = (
    "tools_call",
    "request-metadata",
    "sep-2322-client-request-state",
    "http-standard-headers",
    "http-custom-headers",
    "http-invalid-tool-headers",
    "json-schema-ref-no-deref",
    "json-schema-2020-12-preservation",
)


@dataclass(frozen=True, slots=True)
class ServerSuite:
    """A suite that plays the client.

    Attributes:
        key: short and stable, for test ids and the JSON report.
        package: the alias in package.json.
        revision: of the requirement set, or "" for all scenarios.
    """

    key: str
    package: str
    revision: str = ""

    @property
    def title(self) -> str:
        which = f"--requirements {self.revision}" if self.revision else "--suite all"
        return f"conformance {_version(self.package)} server {which}"

    def run(self, url: str) -> Outcome:
        """Run it against the server at `url`.

        Raises:
            ConformanceError: it produced no results at all.
        """
        choice = ["--requirements", self.revision] if self.revision else ["--suite", "all"]
        with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
            said = _node(self.package, "server", "--url", url, *choice, "-o", folder)
            unscored = self._unscored()
            found = [read_scenario(path, unscored) for path in sorted(Path(folder).iterdir())]
        outcome = Outcome({scenario.name: scenario for scenario in found if scenario})
        if not outcome.scenarios:
            raise ConformanceError(f"{self.title} produced no results:\n{said.stdout[-4000:]}")
        return outcome

    def _unscored(self) -> frozenset[str]:
        if not self.revision:
            return frozenset()
        file = _HERE / "node_modules" / self.package / "requirements" / f"{self.revision}.yaml"
        entries = YAML(typ="safe").load(file.read_text())["not_scored"]
        return frozenset(entry["scenario"] for entry in entries if entry["leg"] == "server")


@dataclass(frozen=True, slots=True)
class ClientSuite:
    """Scenarios that play the server, one process for each."""

    key: str
    package: str
    revision: str
    scenarios: tuple[str, ...]

    @property
    def title(self) -> str:
        which = f" --spec-version {self.revision}" if self.package == _NEW else ""
        return f"conformance {_version(self.package)} client{which}, without auth"

    def run(self, module: str) -> Outcome:
        """Run every scenario with `python -m MODULE` as the client."""
        results = [self._run_one(name, f"{sys.executable} -m {module}") for name in self.scenarios]
        return Outcome({scenario.name: scenario for scenario in results})

    def _run_one(self, name: str, command: str) -> Scenario:
        version = ["--spec-version", self.revision] if self.package == _NEW else []
        arguments = ["--command", command, "--scenario", name, *version]
        with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
            said = _node(self.package, "client", *arguments, "-o", folder)
            found = [read_scenario(path) for path in sorted(Path(folder).iterdir())]
        checks = tuple(check for scenario in found if scenario for check in scenario.checks)
        return Scenario(name, checks, ended_well=said.returncode == 0 and bool(checks))


SERVER_SUITES = (
    ServerSuite("old-all", _OLD),
    ServerSuite("2025-11-25", _NEW, "2025-11-25"),
    ServerSuite("2026-07-28", _NEW, "2026-07-28"),
)
CLIENT_SUITES = (
    ClientSuite("client-old", _OLD, "2025-11-25", _LEGACY_CLIENT),
    ClientSuite(
        "client-2025-11-25",
        _NEW,
        "2025-11-25",
        (*_LEGACY_CLIENT, "json-schema-2020-12-preservation"),
    ),
    ClientSuite("client-2026-07-28", _NEW, "2026-07-28", _MODERN_CLIENT),
)


def _version(package: str) -> str:
    file = _HERE / "node_modules" / package / "package.json"
    return str(json.loads(file.read_text())["version"])


def _node(package: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    script = _HERE / "node_modules" / package / "dist" / "index.js"
    return subprocess.run(
        [str(_NODE), str(script), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=_SUITE_SECONDS,
        check=False,
    )
