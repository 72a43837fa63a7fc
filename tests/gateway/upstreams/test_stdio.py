"""Child processes: started cleanly, watched, restarted, and ended for sure."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bailiwick.core.errors import OurError, UpstreamBroken, UpstreamDown
from bailiwick.gateway.upstreams.registry import Upstreams
from bailiwick.gateway.upstreams.spec import Instances, ServerSpec
from bailiwick.ports import ClientFacts, Upstream, UpstreamReply, UpstreamRequest
from tests.gateway.upstreams.peer import LEGACY, MODERN, Peer
from tests.gateway.upstreams.site import soon

CHILD = Path(__file__).with_name("nasty_child.py")


@asynccontextmanager
async def child(behaviour: str = "", **more: Any) -> AsyncIterator[Upstream]:
    upstreams = Upstreams("")
    command = (sys.executable, str(CHILD), behaviour)
    await upstreams.apply([ServerSpec("nasty", command=command, **more)])
    try:
        yield upstreams.current["nasty"]
    finally:
        await upstreams.close()


async def call(
    it: Upstream,
    tool: str,
    peer: Peer | None = None,
    client: ClientFacts = LEGACY,
    token: Any = None,
    **arguments: Any,
) -> Any:
    params: dict[str, Any] = {"name": tool, "arguments": arguments}
    if token is not None:
        params["_meta"] = {"progressToken": token}
    request = UpstreamRequest("tools/call", params, client)
    reply = await soon(it.request(request, peer or Peer()))
    return json.loads(reply.result or reply.error or b"")


async def eventually(condition: Callable[[], bool]) -> None:
    async def turn() -> None:
        while not condition():  # noqa: ASYNC110 - other processes tell us nothing
            await asyncio.sleep(0.01)

    await soon(turn())


def is_alive(pid: int) -> bool:
    try:
        # A zombie is dead: nobody of ours reaps the heirs of children.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# --- how it is started ---------------------------------------------------------------------------


async def test_a_child_gets_the_declared_environment_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BAILIWICK_TEST_SECRET", "inherited")

    class Secret:
        def reveal(self) -> str:
            return "upstream-key"

    async with child(env={"KEY": Secret(), "LANG": "C.UTF-8"}) as it:
        seen = await call(it, "env")
    seen.pop("LC_CTYPE", None)  # Python adds it itself
    assert seen == {"KEY": "upstream-key", "LANG": "C.UTF-8"}


async def test_a_child_starts_in_the_declared_folder(tmp_path: Path) -> None:
    async with child(cwd=str(tmp_path)) as it:
        assert await call(it, "cwd") == {"cwd": str(tmp_path)}


async def test_a_child_leads_a_session_and_group_of_its_own() -> None:
    async with child() as it:
        ids = await call(it, "ids")
    assert ids["pid"] == ids["pgid"] == ids["sid"] != os.getpid()


async def test_arguments_are_not_read_by_a_shell(tmp_path: Path) -> None:
    upstreams = Upstreams("/usr/bin:/bin")
    made = tmp_path / "made"
    await upstreams.apply([ServerSpec("x", command=("echo", "$(touch made); touch", str(made)))])
    with pytest.raises(UpstreamDown):
        await call(upstreams.current["x"], "echo")
    await upstreams.close()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "more",
    [{"command": ("no-such",)}, {"command": ("/dev/null",)}, {"cwd": "/no/such/folder"}],
    ids=["not found", "not executable", "no such folder"],
)
async def test_what_cannot_be_started_is_down(more: dict[str, Any]) -> None:
    upstreams = Upstreams("/usr/bin")
    await upstreams.apply([ServerSpec("x", **{"command": (sys.executable, str(CHILD)), **more})])
    with pytest.raises(UpstreamDown) as caught:
        await call(upstreams.current["x"], "echo")
    assert caught.value.code == "upstream_command"
    assert upstreams.statuses()[0].state == "down"
    await upstreams.close()


async def test_nothing_is_started_before_it_is_wanted() -> None:
    async with child() as it:
        assert it.status().state == "idle"
        await call(it, "echo")
        assert it.status().state == "up"


# --- eras ----------------------------------------------------------------------------------------


async def test_a_server_that_falls_over_the_probe_is_met_in_its_own_era() -> None:
    async with child("falls over the probe") as it:
        assert await call(it, "echo", a=1) == {"a": 1}
        assert (await it.facts()).version == "2025-11-25"


async def test_a_server_that_is_silent_on_the_probe_is_met_in_its_own_era() -> None:
    async with child("silent on the probe", timeout_seconds=1.0) as it:
        assert await call(it, "echo", a=1) == {"a": 1}


async def test_a_server_that_refuses_the_handshake_is_down() -> None:
    async with child("refuses") as it:
        with pytest.raises(UpstreamDown) as caught:
            await call(it, "echo")
    assert caught.value.code == "upstream_version"
    assert "not today" in caught.value.message


async def test_only_a_sessions_own_child_is_told_of_its_clients_capabilities() -> None:
    for instances, seen in ((Instances.SHARED, {}), (Instances.SESSION, LEGACY.capabilities)):
        async with child(instances=instances) as it:
            await call(it, "echo")
            assert (await it.facts()).capabilities["seen"] == seen


# --- what goes wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tool", "how"),
    [("crash", "exited with 7"), ("killed", "signal 9"), ("half", "exited with 0")],
)
async def test_a_crash_breaks_the_call_and_the_next_one_finds_a_new_child(
    tool: str, how: str
) -> None:
    async with child() as it:
        before = await call(it, "ids")
        with pytest.raises(UpstreamBroken) as caught:
            await call(it, tool)
        assert caught.value.code == "upstream_crashed"
        assert how in caught.value.message
        after = await call(it, "ids")
        assert after["pid"] != before["pid"]
        assert it.status().restarts == 1


async def test_a_crash_breaks_every_call_in_flight() -> None:
    async with child() as it:
        await call(it, "echo")
        hanging = [asyncio.ensure_future(call(it, "hang")) for _ in range(5)]
        await asyncio.sleep(0)
        with pytest.raises(UpstreamBroken):
            await call(it, "crash")
        ended = await asyncio.gather(*hanging, return_exceptions=True)
    assert {type(each) for each in ended} == {UpstreamBroken}


async def test_a_child_that_keeps_dying_is_restarted_ever_later() -> None:
    async with child("dies at once") as it:
        codes = []
        for _ in range(12):
            with pytest.raises(UpstreamDown) as caught:
                await call(it, "echo")
            codes.append(caught.value.code)
            if codes[-1] == "upstream_restarting":
                break
        status = it.status()
    assert codes[0] == "upstream_crashed"
    assert codes[-1] == "upstream_restarting"
    assert "no licence file" in status.stderr_tail
    assert "no licence file" not in caught.value.message


async def test_silence_ends_the_call_and_cancels_it_at_the_child() -> None:
    async with child(timeout_seconds=0.5) as it:
        await call(it, "echo")
        with pytest.raises(UpstreamBroken) as caught:
            await call(it, "hang")
        assert caught.value.code == "upstream_timeout"
        await eventually(lambda: any("cancelled" in line for line in it.status().stderr_tail))
        assert await call(it, "echo", a=1) == {"a": 1}


async def test_cancelling_says_so_to_the_child() -> None:
    async with child() as it:
        await call(it, "echo")
        hanging = asyncio.ensure_future(call(it, "hang"))
        await call(it, "echo")
        hanging.cancel()
        await asyncio.gather(hanging, return_exceptions=True)
        await eventually(lambda: any("cancelled" in line for line in it.status().stderr_tail))


async def test_garbage_lines_are_passed_over_and_counted() -> None:
    async with child() as it:
        assert await call(it, "garbage") == {"after": "garbage"}
        assert "3 lines on stdout" in it.status().detail


async def test_replies_to_nobody_answer_nobody() -> None:
    async with child() as it:
        assert await call(it, "wrong") == {"whose": "mine"}
        assert await call(it, "twice") == {"n": 1}
        assert await call(it, "echo", a=1) == {"a": 1}


async def test_a_bad_reply_breaks_the_call_it_was_meant_for() -> None:
    async with child() as it:
        with pytest.raises(UpstreamBroken) as caught:
            await call(it, "bad")
    assert caught.value.code == "upstream_garbage"


async def test_too_large_a_line_breaks_its_own_call_and_no_other() -> None:
    async with child(max_response_bytes=100_000) as it:
        assert len((await call(it, "large", size=90_000))["x"]) == 90_000
        with pytest.raises(UpstreamBroken) as caught:
            await call(it, "large", size=50 * 1024 * 1024)
        assert caught.value.code == "upstream_too_large"
        assert await call(it, "echo", a=1) == {"a": 1}


@pytest.mark.parametrize("order", [0, 1])
async def test_no_payload_can_break_the_call_of_another(order: int) -> None:
    async with child(max_response_bytes=100_000) as it:
        await call(it, "echo")
        other = asyncio.ensure_future(call(it, "hang"))
        await call(it, "echo")
        for number in range(12):
            with pytest.raises(UpstreamBroken) as caught:
                await call(it, "names another", order=order, id=number)
            assert caught.value.code == "upstream_too_large"
        assert not other.done()
        other.cancel()
        await asyncio.gather(other, return_exceptions=True)


async def test_a_child_that_reads_nothing_is_sent_no_more_than_it_may_leave_unread() -> None:
    async with child(timeout_seconds=1.0) as it:
        await call(it, "echo")
        deaf = asyncio.ensure_future(call(it, "deaf"))
        more = [asyncio.ensure_future(call(it, "echo", x="y" * 1_000_000)) for _ in range(12)]
        ended = await asyncio.gather(deaf, *more, return_exceptions=True)
    codes = [each.code for each in ended if isinstance(each, OurError)]
    assert len(codes) == 13
    assert set(codes) == {"upstream_timeout", "upstream_busy"}
    assert codes.count("upstream_busy") >= 7


async def test_stderr_is_kept_bounded_and_cannot_write_to_a_terminal() -> None:
    async with child() as it:
        await call(it, "stderr", lines=1_000)
        await eventually(lambda: any("line 999" in line for line in it.status().stderr_tail))
        tail = it.status().stderr_tail
    assert len(tail) == 50
    assert not any("\x1b" in line for line in tail)


# --- who hears what ------------------------------------------------------------------------------


async def test_progress_comes_with_the_clients_own_token() -> None:
    async with child() as it:
        peer = Peer()
        await call(it, "progress", peer, token="mine", steps=3)
    assert [params["progressToken"] for _, params in peer.told] == ["mine"] * 3
    assert [params["progress"] for _, params in peer.told] == [0, 1, 2]


async def test_a_client_that_does_not_listen_holds_up_nobody_and_fills_no_memory() -> None:
    class Deaf(Peer):
        async def notify(self, method: str, params: Any) -> None:
            await hears.wait()
            await super().notify(method, params)

    hears = asyncio.Event()
    async with child() as it:
        await call(it, "echo")
        deaf = Deaf()
        slow = asyncio.ensure_future(call(it, "progress", deaf, token="t", steps=5_000))
        await asyncio.sleep(0)
        # The child does one thing after the other: with this answer, all progress has been read.
        other = ClientFacts("bob", "2025-06-18")
        assert await call(it, "echo", client=other, a=1) == {"a": 1}
        assert not slow.done()
        hears.set()
        await soon(slow)
    assert len(deaf.told) <= 257
    assert deaf.told[-1][1]["progress"] == 4_999


async def test_a_log_message_of_a_shared_child_reaches_only_who_alone_can_have_caused_it() -> None:
    async with child() as it:
        alone, other = Peer(), Peer()
        await call(it, "log", alone)
        assert [method for method, _ in alone.told] == ["notifications/message"]
        bob = ClientFacts("bob", "2025-06-18")
        hanging = asyncio.ensure_future(call(it, "hang", other, client=bob))
        await asyncio.sleep(0)
        await call(it, "log", again := Peer())
        hanging.cancel()
        await asyncio.gather(hanging, return_exceptions=True)
    assert other.told == again.told == []


async def test_the_sessions_own_child_can_ask_and_a_shared_one_cannot() -> None:
    async def accept(method: str, params: Any) -> UpstreamReply:
        return UpstreamReply(result=b'{"action":\n"accept"}')

    async with child(instances=Instances.SESSION) as it:
        answer = await call(it, "ask", peer := Peer(accept))
        assert answer == {"jsonrpc": "2.0", "id": "q", "result": {"action": "accept"}}
        assert peer.asked == [("elicitation/create", {"message": "Sure?"})]
    async with child(instances=Instances.SHARED) as it:
        answer = await call(it, "ask", peer := Peer(accept))
        assert answer["error"]["code"] == -32601
        assert peer.asked == []


async def test_a_child_of_its_own_asks_only_what_its_client_has_declared() -> None:
    mute = ClientFacts("mute", "2025-06-18", {"roots": {}})
    async with child(instances=Instances.SESSION) as it:
        answer = await call(it, "ask", peer := Peer(), client=mute)
    assert answer["error"]["code"] == -32601
    assert peer.asked == []


async def test_what_would_change_a_shared_child_for_others_stays_here() -> None:
    async with child() as it:
        request = UpstreamRequest("logging/setLevel", {"level": "debug"}, LEGACY)
        assert await soon(it.request(request, Peer())) == UpstreamReply(result=b"{}")


# --- the end -------------------------------------------------------------------------------------


async def test_closing_ends_the_child_and_its_heirs() -> None:
    async with child() as it:
        pids = await call(it, "heir")
        assert is_alive(pids["heir"])
    await eventually(lambda: not any(is_alive(pid) for pid in pids.values()))


async def test_a_stubborn_child_is_killed() -> None:
    async with child("stubborn") as it:
        pid = (await call(it, "ids"))["pid"]
    assert not is_alive(pid)


async def test_a_crash_takes_the_heirs_along() -> None:
    async with child() as it:
        pids = await call(it, "heir")
        with pytest.raises(UpstreamBroken):
            await call(it, "crash")
        await eventually(lambda: not is_alive(pids["heir"]))


async def test_an_unused_child_ends() -> None:
    async with child(instances=Instances.SESSION, session_idle_seconds=0.2) as it:
        pid = (await call(it, "ids"))["pid"]
        await eventually(lambda: not is_alive(pid))
        assert it.status().detail == "0 children"


async def test_children_are_bounded_and_the_longest_unused_one_ends() -> None:
    async with child(instances=Instances.SESSION, max_sessions=2) as it:
        pids = {}
        for name in ("a", "b", "a", "c"):
            client = ClientFacts(name, "2025-06-18")
            pids[name] = (await call(it, "ids", client=client))["pid"]
        await eventually(lambda: not is_alive(pids["b"]))
        assert is_alive(pids["a"])
        assert is_alive(pids["c"])


PARENT = """
import asyncio, sys
import uvloop
from bailiwick.gateway.upstreams.own import Nobody
from bailiwick.gateway.upstreams.registry import Upstreams
from bailiwick.gateway.upstreams.spec import ServerSpec
from bailiwick.ports import ClientFacts, UpstreamRequest

async def main():
    upstreams = Upstreams("")
    await upstreams.apply([ServerSpec("x", command=(sys.executable, sys.argv[1], "stubborn"))])
    client = ClientFacts("s", "2025-06-18")
    request = UpstreamRequest("tools/call", {"name": "heir"}, client)
    reply = await upstreams.current["x"].request(request, Nobody())
    print(reply.result.decode(), flush=True)
    await asyncio.Event().wait()

(uvloop if sys.argv[2] == "uvloop" else asyncio).run(main())
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_when_the_gateway_is_killed_its_children_and_their_heirs_end_too(loop: str) -> None:
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT, str(CHILD), loop), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    pids = json.loads(await soon(parent.stdout.readline()))
    assert is_alive(pids["pid"])
    assert is_alive(pids["heir"])
    parent.send_signal(signal.SIGKILL)
    await parent.wait()
    await eventually(lambda: not any(is_alive(pid) for pid in pids.values()))


# --- the registry --------------------------------------------------------------------------------


async def test_applying_keeps_what_is_equal_and_replaces_what_changed() -> None:
    upstreams = Upstreams("")
    command = (sys.executable, str(CHILD))
    same, old = ServerSpec("same", command=command), ServerSpec("other", command=command)
    await upstreams.apply([same, old])
    before = upstreams.current
    pids = {name: (await call(it, "ids"))["pid"] for name, it in before.items()}
    new = ServerSpec("other", command=command, env={"A": "1"})
    await upstreams.apply([ServerSpec("same", command=command), new])
    after = upstreams.current
    assert after["same"] is before["same"]
    assert after["other"] is not before["other"]
    assert is_alive(pids["same"])
    assert not is_alive(pids["other"])
    assert (await call(after["other"], "env"))["A"] == "1"
    await upstreams.apply([])
    assert upstreams.current == {}
    assert not is_alive(pids["same"])
    await upstreams.close()


async def test_a_modern_client_is_served_by_a_stateful_child() -> None:
    async with child() as it:
        assert await call(it, "echo", client=MODERN, a=1) == {"a": 1}
