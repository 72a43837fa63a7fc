"""A stdio server that misbehaves as told: `python nasty_child.py BEHAVIOUR`. Standard library only.

It speaks the stateful era and does what is asked of `tools/call` by the tool's name.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

BEHAVIOUR = sys.argv[1] if len(sys.argv) > 1 else ""


def say(value: Any) -> None:
    print(json.dumps(value), flush=True)


def reply(message: Any, value: Any) -> None:
    say({"jsonrpc": "2.0", "id": message["id"], "result": value})


def note(method: str, **params: Any) -> None:
    say({"jsonrpc": "2.0", "method": method, "params": params})


def initialize(message: Any) -> None:
    if BEHAVIOUR == "refuses":
        error = {"code": -1, "message": "not today"}
        say({"jsonrpc": "2.0", "id": message["id"], "error": error})
        return
    value = {
        "protocolVersion": message["params"]["protocolVersion"],
        "capabilities": {"tools": {}, "seen": message["params"]["capabilities"]},
        "serverInfo": {"name": "nasty", "version": "1"},
    }
    reply(message, value)


def call(message: Any) -> None:
    name = message["params"]["name"]
    arguments = message["params"].get("arguments", {})
    match name:
        case "echo":
            reply(message, arguments)
        case "env":
            reply(message, dict(os.environ))
        case "cwd":
            reply(message, {"cwd": os.getcwd()})
        case "ids":
            reply(message, {"pid": os.getpid(), "pgid": os.getpgid(0), "sid": os.getsid(0)})
        case "crash":
            os._exit(7)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            pass
        case "half":
            sys.stdout.write(f'{{"jsonrpc":"2.0","id":{message["id"]},"result":{{"a":')
            sys.stdout.flush()
            os._exit(0)
        case "garbage":
            print("hello, I am a log line", flush=True)
            print("{not json", flush=True)
            print(b"\xff\xfe".decode("latin-1"), flush=True)
            reply(message, {"after": "garbage"})
        case "wrong":
            say({"jsonrpc": "2.0", "id": 999_999, "result": {"whose": "?"}})
            say({"jsonrpc": "2.0", "id": str(message["id"]), "result": {"whose": "?"}})
            reply(message, {"whose": "mine"})
        case "twice":
            reply(message, {"n": 1})
            reply(message, {"n": 2})
        case "bad":
            say({"jsonrpc": "2.0", "id": message["id"], "result": 5})
        case "large":
            reply(message, {"x": "y" * arguments["size"]})
        case "names another":
            value = {"jsonrpc": "2.0", "result": {"id": arguments["id"], "x": "y" * 200_000}}
            say(
                value | {"id": message["id"]}
                if arguments["order"]
                else {"id": message["id"]} | value
            )
        case "deaf":
            time.sleep(600)
        case "stderr":
            for number in range(arguments["lines"]):
                print(f"line {number} \x1b[31m", file=sys.stderr, flush=True)
            reply(message, {})
        case "progress":
            token = message["params"]["_meta"]["progressToken"]
            for step in range(arguments["steps"]):
                note("notifications/progress", progressToken=token, progress=step)
            reply(message, {})
        case "log":
            note("notifications/message", level="info", data="someone's doings")
            reply(message, {})
        case "ask":
            params = {"message": "Sure?"}
            say({"jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": params})
            answer = json.loads(sys.stdin.readline())
            reply(message, answer)
        case "heir":
            code = "import time, signal as s\ns.signal(s.SIGTERM, s.SIG_IGN)\ntime.sleep(600)"
            heir = subprocess.Popen([sys.executable, "-c", code])
            reply(message, {"pid": os.getpid(), "heir": heir.pid})


def main() -> None:
    if BEHAVIOUR == "dies at once":
        print("no licence file", file=sys.stderr)
        sys.exit(3)
    if BEHAVIOUR == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for line in sys.stdin:
        message = json.loads(line)
        match message.get("method"):
            case "server/discover" if BEHAVIOUR == "falls over the probe":
                sys.exit(1)
            case "server/discover" if BEHAVIOUR != "silent on the probe":
                error = {"code": -32601, "message": "Method not found"}
                say({"jsonrpc": "2.0", "id": message["id"], "error": error})
            case "initialize":
                initialize(message)
            case "tools/call":
                call(message)
            case "notifications/cancelled":
                print(f"cancelled {message['params']['requestId']}", file=sys.stderr, flush=True)
    if BEHAVIOUR == "stubborn":
        time.sleep(600)


if __name__ == "__main__":
    main()
