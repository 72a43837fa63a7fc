"""`doctor`: what is right, what is doubtful, what is wrong, and what to do about each."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bailiwick.cli import show
from bailiwick.cli.api import Api
from bailiwick.cli.calls import listed, mapping
from bailiwick.cli.exits import CliError, Exit
from bailiwick.cli.gateway import DEFAULT_LISTEN
from bailiwick.cli.reach import Reach, reaching, running
from bailiwick.core.canonical import JsonObject

OK, WARN, FAIL = "ok", "warn", "fail"
LITTLE_DISK_BYTES = 1 << 30
NO_DISK_BYTES = 100 << 20
CLOCK_SKEW_SECONDS = 30
CALENDAR_NOTICE_SECONDS = 60 * 86_400
_GOOD_SERVERS = frozenset({"up", "idle", "unknown"})
"""`unknown` is a server at a URL that nothing was asked of yet; it is reached when it is."""
BUILT_IN = 1_767_225_600
"""2026-01-01: a clock that says earlier is wrong, and so are all its time stamps."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the answer. `do` says what to do, "" when nothing is to be done."""

    check: str
    level: str
    says: str
    do: str = ""


@reaching
def doctor(reach: Reach) -> int:
    """Check that all is well.

    This machine, the data folder and the gateway; each line says what to do.
    """
    findings = list(examine(reach))
    failed = any(finding.level == FAIL for finding in findings)
    if reach.json:
        show.out_json({"ok": not failed, "findings": [asdict(finding) for finding in findings]})
        return Exit.NO if failed else Exit.OK
    width = max(len(finding.check) for finding in findings)
    for finding in findings:
        level = show.state(finding.level) + " " * (4 - len(finding.level))
        show.out(f"{level}  {finding.check.ljust(width)}  {show.visible(finding.says)}")
        if finding.do:
            show.out(f"{' ' * (width + 8)}→ {show.visible(finding.do)}")
    return Exit.NO if failed else Exit.OK


def examine(reach: Reach) -> Iterator[Finding]:
    """Every check, in the order in which one would look."""
    yield check_python(sys.version_info[:2])
    yield check_clock(time.time(), newest(reach.data))
    yield check_folder(reach.data)
    yield from check_keys(reach.data / "keys")
    yield from check_database(reach.data / "bailiwick.db")
    yield check_disk(_existing(reach.data), lambda path: shutil.disk_usage(path).free)
    for program, why in (("node", "its filesystem server"), ("git", "its repository")):
        yield check_program(program, why)
    try:
        url = reach.address()
    except CliError as error:
        yield check_port(DEFAULT_LISTEN, error)
        return
    yield from check_gateway(reach, url)


def check_python(found: tuple[int, ...]) -> Finding:
    """Python is new enough."""
    says = f"{found[0]}.{found[1]}"
    if found < (3, 11):
        return Finding("python", FAIL, says, "use Python 3.11 or newer")
    return Finding("python", OK, says)


def check_clock(now: float, newest_file: float) -> Finding:
    """The clock is not before this software, nor before what lies in the data folder.

    Args:
        now, newest_file: Unix seconds.
    """
    says = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    if now < BUILT_IN:
        return Finding("clock", FAIL, says, "set the clock: it is before this software was made")
    if newest_file > now + CLOCK_SKEW_SECONDS:
        return Finding(
            "clock", FAIL, f"{says}, and files are newer", "set the clock: it has gone back"
        )
    return Finding("clock", OK, says)


def check_folder(data: Path) -> Finding:
    """The data folder is ours alone, and can be written."""
    try:
        found = data.stat()
    except FileNotFoundError:
        return Finding("data folder", OK, f"{data}: not there yet; `bailiwick up` makes it")
    except OSError as error:
        return Finding("data folder", FAIL, f"{data}: {error.strerror}", "see who owns it")
    if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return Finding("data folder", FAIL, f"{data}: others may enter", f"chmod 700 {data}")
    if not os.access(data, os.W_OK | os.X_OK):
        return Finding("data folder", FAIL, f"{data}: cannot be written", "see who owns it")
    return Finding("data folder", OK, str(data))


def check_keys(folder: Path) -> Iterator[Finding]:
    """No key may be read by others."""
    if not folder.is_dir():
        return
    exposed = [
        path.name
        for path in sorted(folder.iterdir())
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    ]
    if exposed:
        names = ", ".join(f"`{name}`" for name in exposed)
        do = f"chmod 600 them in {folder}, and replace them if anybody may have read them"
        yield Finding("keys", FAIL, f"others may read {names}", do)
    else:
        yield Finding("keys", OK, "readable by their owner only")


def check_database(path: Path) -> Iterator[Finding]:
    """The database can be read from end to end; a gateway starts without reading a large one."""
    if not path.is_file():
        return
    from bailiwick.stores.schema import damage_in

    damage = damage_in(path)
    if damage:
        do = "stop the gateway, keep the folder for evidence, and restore the newest backup"
        yield Finding("database", FAIL, f"{path}: {damage}", do)
    else:
        yield Finding("database", OK, f"{path.stat().st_size / 2**20:.1f} MiB, whole")


def check_disk(folder: Path, free_bytes_of: Callable[[Path], int]) -> Finding:
    """There is room: a full disk denies every call."""
    free = free_bytes_of(folder)
    says = f"{free / 2**30:.1f} GiB free on {folder}"
    if free < NO_DISK_BYTES:
        return Finding("disk", FAIL, says, "make room: calls are denied when it is full")
    if free < LITTLE_DISK_BYTES:
        return Finding("disk", WARN, says, "make room soon")
    return Finding("disk", OK, says)


def check_program(name: str, why: str) -> Finding:
    """A program that only the demo needs."""
    found = shutil.which(name, path=_search_path())
    if found is None:
        return Finding(name, WARN, "not found", f"the demo needs it for {why}: make setup")
    return Finding(name, OK, found)


def check_port(listen: str, reason: CliError) -> Finding:
    """No gateway runs; its usual port is free."""
    host, _, port = listen.rpartition(":")
    with socket.socket() as probe:
        probe.settimeout(1)
        if probe.connect_ex((host, int(port))) == 0:
            return Finding(
                "gateway",
                WARN,
                f"{reason.message}, and something else listens on {listen}",
                "find what it is, or start with --listen",
            )
    return Finding("gateway", WARN, reason.message, "start one: bailiwick up")


def check_gateway(reach: Reach, url: str) -> Iterator[Finding]:
    """A gateway runs: it answers, its clock is ours, its servers are up, its ledger verifies."""
    try:
        api = reach.api()
        yield _skew(api)
        about = api.get("ledger")
        servers = listed(api.get("servers"), "servers")
        some = bool(servers) or bool(listed(api.get("models"), "servers"))
        calendars = listed(api.get("objects", kind="calendar"), "objects")
    except CliError as error:
        yield Finding("gateway", FAIL, error.message, error.hint)
        return
    yield Finding("gateway", OK, f"{url}{_process(reach)}")
    if not some:
        yield Finding("servers", WARN, "none declared", "declare some: bailiwick apply -f FILE")
    for server in servers:
        yield check_server(server)
    for calendar in calendars:
        yield check_calendar(calendar, time.time())
    yield check_ledger(url, show.word(about, "key"))


def check_server(server: JsonObject) -> Finding:
    """A server is up, or nothing was asked of it yet."""
    state, detail = show.word(server, "state"), show.word(server, "detail")
    check = f"server {show.word(server, 'name')}"
    if state in _GOOD_SERVERS:
        return Finding(check, OK, detail if state == "unknown" and detail else state)
    tail = server.get("stderr_tail")
    words = f"; its last words: {tail[-1]}" if isinstance(tail, list) and tail else ""
    says = f"{state}: {detail}" if detail else state
    if state == "starting":
        return Finding(check, WARN, says, "look again in a moment" + words)
    return Finding(check, FAIL, says, "see its declaration and its own log" + words)


def check_calendar(calendar: JsonObject, now: float) -> Finding:
    """A calendar still has days of this year, and near its end of the next one.

    Args:
        now: Unix seconds.
    """
    check = f"calendar {show.word(calendar, 'name')}"
    days = mapping(mapping(mapping(calendar, "document"), "spec"), "days")
    last = max((day[:4] for day in days), default="")
    this, soon = (time.gmtime(at).tm_year for at in (now, now + CALENDAR_NOTICE_SECONDS))
    do = "print the next year with `bailiwick holidays`, look through it, and apply it"
    if not last or int(last) < this:
        return Finding(check, FAIL, f"ran out after {last}: what leans on it is refused", do)
    if int(last) < soon:
        return Finding(check, WARN, f"runs out at the end of {last}", do)
    return Finding(check, OK, f"until the end of {last}")


def check_ledger(url: str, vkey: str) -> Finding:
    """The whole ledger verifies under the key the gateway gives."""
    from bailiwick.cli.ledger_source import open_source
    from bailiwick.ledger.audit import verify_log
    from bailiwick.ledger.errors import LedgerError
    from bailiwick.ledger.note import parse_vkey

    try:
        with open_source(url + "/ledger") as source:
            log = verify_log(source.fetch, parse_vkey(vkey))
    except (LedgerError, CliError) as error:
        return Finding("ledger", FAIL, error.message, "stop, keep a copy, and compare exports")
    return Finding("ledger", OK, f"{log.checkpoint.size} entries verified")


def newest(data: Path) -> float:
    """When anything in the data folder last changed, Unix seconds; 0 when it is empty."""
    try:
        return max((path.stat().st_mtime for path in data.iterdir()), default=0.0)
    except OSError:
        return 0.0


def _skew(api: Api) -> Finding:
    from email.utils import parsedate_to_datetime

    headers = {name.lower(): value for name, value in api.raw("/ledger/checkpoint").headers.items()}
    try:
        theirs = parsedate_to_datetime(headers.get("date", "")).timestamp()
    except ValueError:
        return Finding("gateway clock", WARN, "it sends no date", "look at what stands before it")
    apart = abs(theirs - time.time())
    if apart > CLOCK_SKEW_SECONDS:
        return Finding("gateway clock", FAIL, f"{apart:.0f} s apart", "set the clocks")
    return Finding("gateway clock", OK, "agrees with this one")


def _process(reach: Reach) -> str:
    try:
        found = running(reach.data)
    except CliError:
        return ""
    here = urlsplit(reach.url or found.url).netloc == urlsplit(found.url).netloc
    return f", process {found.pid}" if here else ""


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def _search_path() -> str:
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
