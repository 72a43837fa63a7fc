"""Many calls through one governed process: what its memory does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

from bench.arithmetic import is_flat
from bench.load import Load, drive
from bench.targets import Started
from bench.wire import FIRST_NUMBER

_SAMPLES = 20
_FLAT_SHARE = 0.05
_FLAT_SLACK_MIB = 2.0


@dataclass(frozen=True, slots=True)
class Soak:
    """Resident memory over the calls, sampled: (calls done, MiB)."""

    target: str
    samples: tuple[tuple[int, float], ...]
    errors: int
    first_error: str
    seconds: float

    @property
    def calls(self) -> int:
        return self.samples[-1][0]

    @property
    def last_mib(self) -> float:
        return self.samples[-1][1]

    @property
    def flat(self) -> bool:
        """Whether the second half of the calls needed (almost) no more memory than the first."""
        return is_flat(self.samples, _FLAT_SHARE, _FLAT_SLACK_MIB)

    def to_json(self) -> dict[str, object]:
        return {**asdict(self), "flat": self.flat}


def soak(
    name: str, started: Started, calls: int, connections: int, say: Callable[[str], None]
) -> Soak:
    """Send `calls` calls in twenty parts and read the resident memory after each."""
    templates = started.endpoint.templates(connections)
    samples = [(0, started.watched.resident_mib())]
    done, seconds, errors, first_error = 0, 0.0, 0, ""
    part = max(1, calls // _SAMPLES)
    while done < calls and not errors:
        wanted = min(part, calls - done)
        numbered_from = FIRST_NUMBER + done
        load = Load(
            started.endpoint.port, templates, connections, wanted, 600.0, first_number=numbered_from
        )
        sample = drive(load)
        done += sample.good
        seconds += sample.elapsed_seconds
        errors, first_error = errors + sample.errors, first_error or sample.first_error
        samples.append((done, started.watched.resident_mib()))
        say(f"  {name}: {done:,} calls, {samples[-1][1]:.1f} MiB")
    return Soak(name, tuple(samples), errors, first_error, seconds)
