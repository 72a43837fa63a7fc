"""A stdio MCP server (2026-07-28) that writes down what it really did: `toy_server.py LOG [N]`.

Tools: `note` appends its argument to LOG, durably, and answers; `slow` does so and then waits for
a line in the file `go` beside LOG; `secret` says whether it was given SECRET; `crash` exits. N
more tools do as `note` does.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

LOG = Path(sys.argv[1])
MORE = int(sys.argv[2]) if len(sys.argv) > 2 else 0
SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}}


def append(line: str) -> None:
    with LOG.open("a") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())


def use(name: str, text: str) -> str:
    if name == "crash":
        append(f"crash {text}")
        os._exit(3)
    if name == "secret":
        return "given" if os.environ.get("SECRET") else "missing"
    append(f"{name} {text}")
    while name == "slow" and not (LOG.parent / "go").exists():
        time.sleep(0.01)
    return f"done {text}"


def answer(method: str, params: dict[str, object]) -> dict[str, object]:
    if method == "server/discover":
        return {
            "supportedVersions": ["2026-07-28"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "toy", "version": "1"},
        }
    if method == "tools/list":
        names = ["note", "slow", "secret", "crash", *(f"more-{n}" for n in range(MORE))]
        tools = [{"name": name, "inputSchema": SCHEMA} for name in names]
        return {"tools": tools}
    arguments = params.get("arguments")
    text = str(arguments.get("text")) if isinstance(arguments, dict) else ""
    return {"content": [{"type": "text", "text": use(str(params.get("name")), text)}]}


for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    result = {
        "resultType": "complete",
        "ttlMs": 0,
        "cacheScope": "private",
        **answer(message["method"], message.get("params", {})),
    }
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
