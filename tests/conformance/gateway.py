"""Bailiwick in front of one server, with a mandate that allows everything it has.

The suites cannot send a token. So the gateway runs with its test listener: loopback only, one
fixed identity, and a loud warning on start.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.conformance.processes import ConformanceError, free_port, stop, wait_for_port

_START_SECONDS = 15.0
_BAILIWICK = Path(sys.executable).with_name("bailiwick")

DECLARED = """\
servers:
  fixture:
    url: {url}

people:
  ada:
    name: Ada
    roles: [owner]

agents:
  conformance:
    owner: ada

mandates:
  everything:
    from: ada
    to: conformance
    purpose: Let the conformance suites reach all of the fixture.
    allow:
      - tool: "fixture/*"
        other_arguments: allow
      - resource: "fixture/*"
      - prompt: "fixture/*"
        other_arguments: allow
      - client: "fixture/*"
        other_arguments: allow
"""


@contextlib.contextmanager
def start_gateway(upstream_url: str) -> Iterator[str]:
    """Start a gateway on an empty store before `upstream_url`; the server's URL through it.

    Raises:
        ConformanceError: it did not start; with its last words.
    """
    port, test_port = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="bailiwick-conformance-") as folder:
        here = Path(folder)
        declared, log = here / "bailiwick.yaml", here / "log"
        declared.write_text(DECLARED.format(url=upstream_url))
        command = [
            str(_BAILIWICK),
            "up",
            "-f",
            str(declared),
            "--data",
            str(here / "data"),
            "--listen",
            f"127.0.0.1:{port}",
            "--test-listener",
            f"127.0.0.1:{test_port}",
            "--test-agent",
            "conformance",
        ]
        with log.open("w") as out:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, text=True
            )
        try:
            try:
                wait_for_port(test_port, process, _START_SECONDS)
            except ConformanceError as error:
                raise ConformanceError(f"the gateway: {error}\n{log.read_text()[-4000:]}") from None
            yield f"http://127.0.0.1:{test_port}/mcp/fixture"
        finally:
            stop(process)
