"""A stdio MCP server (2026-07-28) whose one tool takes what a file says: `changing_server.py FILE`.

FILE holds the tool's input schema as JSON, read again for each list.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

FILE = Path(sys.argv[1])


def answer(method: str) -> dict[str, object]:
    if method == "server/discover":
        return {
            "supportedVersions": ["2026-07-28"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "changing", "version": "1"},
        }
    if method == "tools/list":
        return {"tools": [{"name": "pay", "inputSchema": json.loads(FILE.read_text())}]}
    return {"content": [{"type": "text", "text": "paid"}]}


for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        head = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
        result = {**head, **answer(message["method"])}
        reply = {"jsonrpc": "2.0", "id": message["id"], "result": result}
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()
