"""The same client behind the gateway: `python -m tests.conformance.client_through URL`.

Starts a gateway whose only server is the suite's, and plays the scenario against the gateway.
"""

from __future__ import annotations

import asyncio
import sys

from tests.conformance.client import play
from tests.conformance.gateway import start_gateway


def main() -> None:
    with start_gateway(sys.argv[-1]) as url:
        asyncio.run(play(url))


if __name__ == "__main__":
    main()
