"""Processes under measurement: started, watched through /proc, and ended with their children."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_STOP_SECONDS = 5.0


class NotRunning(Exception):
    """A process under measurement ended, or never came up; the message holds its last words."""


class Watched:
    """One started process and its descendants."""

    def __init__(
        self, command: Sequence[str], log: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self.log = log
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=dict(os.environ if env is None else env),
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def check(self) -> None:
        """Raise NotRunning if the process has ended."""
        if self._process.poll() is not None:
            raise NotRunning(f"exit code {self._process.returncode}: {self.last_words()}")

    def last_words(self) -> str:
        """The end of what it wrote."""
        return self.log.read_text(errors="replace")[-1500:].strip() or "(it wrote nothing)"

    def wait_for_line(self, prefix: str, seconds: float) -> str:
        """The rest of the first line of output that starts with `prefix`."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for line in self.log.read_text(errors="replace").splitlines():
                if line.startswith(prefix):
                    return line[len(prefix) :].strip()
            self.check()
            time.sleep(0.005)
        raise NotRunning(f"no line `{prefix}` in {seconds} s: {self.last_words()}")

    def cpu_seconds(self) -> float:
        """User and system time of the process and its living descendants."""
        return sum(_cpu_ticks(pid) for pid in self._tree()) / _TICKS_PER_SECOND

    def resident_mib(self) -> float:
        """Resident memory of the process and its descendants, shared pages counted each time."""
        return sum(_status_kib(pid, "VmRSS:") for pid in self._tree()) / 1024

    def forget_peak(self) -> None:
        """Let `peak_mib` begin anew, where the kernel allows it (proc(5), `clear_refs`)."""
        for pid in self._tree():
            with contextlib.suppress(OSError):
                Path(f"/proc/{pid}/clear_refs").write_text("5")

    def peak_mib(self) -> float:
        """The most resident memory each of them had, added up."""
        return sum(_status_kib(pid, "VmHWM:") for pid in self._tree()) / 1024

    def stop(self) -> None:
        """End it and what it started: asked first, then forced."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_SECONDS)
                break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def _tree(self) -> Iterator[int]:
        waiting = [self.pid]
        while waiting:
            pid = waiting.pop()
            yield pid
            with contextlib.suppress(OSError):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    waiting += [int(child) for child in (task / "children").read_text().split()]


def _cpu_ticks(pid: int) -> int:
    try:
        # The name in parentheses may hold spaces; the fields counted here stand behind it.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])


def _status_kib(pid: int, name: str) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1])
    return 0


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
