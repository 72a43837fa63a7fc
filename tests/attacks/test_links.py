"""Symbolic links against `under`: each well-known way out of a folder, through the whole gate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bailiwick.app.local_files import LocalFiles
from bailiwick.core.argument_path import EACH
from bailiwick.core.call import CallKind, Target
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.conditions import Condition, Items, Under, Which
from bailiwick.core.conditions.commands import Command, CommandForm
from bailiwick.core.mandate import AllowRule, DenyRule, Mandate, StampRule
from bailiwick.core.target_pattern import TargetPattern
from bailiwick.gateway.gate import Answer, Answered, Refused
from bailiwick.gateway.held import Waiting
from bailiwick.gateway.upstreams.spec import ServerSpec, Whose
from bailiwick.ports import CallQuery, HoldRow, HoldState
from bailiwick.testing.clock import StoppedClock
from tests.gateway.house import BEN, Dispatched, House, mandate, snapshot

WRITE = Target(CallKind.TOOL, "files", "write")
FILES = (TargetPattern(CallKind.TOOL, "files", "write"),)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The allowed folder, with a secret beside it."""
    work = tmp_path / "work"
    (work / "sub").mkdir(parents=True)
    (work / "plain.txt").write_text("fine")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_text("hush")
    return work


@pytest.fixture
async def house(tmp_path: Path, root: Path) -> AsyncIterator[House]:
    house = House(tmp_path, Waiting(window_seconds=60, tick_seconds=5), StoppedClock())
    house.servers["files"] = ServerSpec("files", command=("server",), cwd=str(root))
    await house.open(holding(Under(("path",), (str(root),))))
    yield house
    await house.close()


def holding(
    *conditions: Condition, deny: Sequence[DenyRule] = (), stamp: Sequence[StampRule] = ()
) -> Mandate:
    """A mandate with one allow rule of these conditions."""
    rule = AllowRule("payments@1/allow/1", FILES, conditions)
    return replace(mandate(), allow=(rule,), deny=tuple(deny), stamp=tuple(stamp))


async def asked(house: House, path: Json) -> Answer:
    dispatch = Dispatched()
    answer = await house.ask(WRITE, {"path": path}, dispatch)
    assert dispatch.count == isinstance(answer, Answered)
    return answer


async def runs(house: House, path: Json) -> bool:
    return isinstance(await asked(house, path), Answered)


async def recorded(house: House) -> JsonObject:
    """What is sealed with the intent of the newest call."""
    (call, *_) = await house.records.calls(CallQuery())
    (entry,) = await house.records.entries(call.intent_index, call.intent_index + 1)
    opened = house.recorder.open(entry.leaf, entry.sealed)
    assert isinstance(opened, dict)
    return opened


async def test_a_link_to_a_file_outside_is_refused_and_only_the_record_says_where(
    house: House, root: Path
) -> None:
    (root / "link").symlink_to(root.parent / "secret" / "key")
    answer = await asked(house, f"{root}/link")
    assert isinstance(answer, Refused)
    assert answer.code == "argument_refused"
    assert "which leads elsewhere by a symbolic link" in answer.text
    assert "secret" not in answer.text
    found = (await recorded(house))["leads"]
    assert found == {str(root): str(root), f"{root}/link": f"{root.parent}/secret/key"}


async def test_a_link_to_a_folder_outside_is_refused_for_all_below_it(
    house: House, root: Path
) -> None:
    (root / "out").symlink_to(root.parent / "secret")
    assert not await runs(house, f"{root}/out")
    assert not await runs(house, f"{root}/out/key")
    assert not await runs(house, f"{root}/./out//new")


async def test_a_chain_of_links_is_followed_to_its_end(house: House, root: Path) -> None:
    (root / "one").symlink_to("sub/two")
    (root / "sub" / "two").symlink_to("../three")
    (root / "three").symlink_to("../secret")
    assert not await runs(house, f"{root}/one/key")
    (root / "three").unlink()
    (root / "three").symlink_to("sub")
    assert await runs(house, f"{root}/one/key")


async def test_two_dots_after_a_link_are_refused_whatever_the_text_comes_to(
    house: House, root: Path
) -> None:
    (root / "up").symlink_to(root.parent / "secret")
    # By its text that is the plain file inside; to the kernel it is beside the folder.
    assert not await runs(house, f"{root}/up/../plain.txt")
    (root / "sub" / "climb").symlink_to("../..")
    assert not await runs(house, f"{root}/sub/climb/secret/key")


async def test_a_link_that_dangles_outside_is_refused_and_one_that_dangles_inside_is_not(
    house: House, root: Path
) -> None:
    (root / "out").symlink_to(root.parent / "not-yet")
    (root / "in").symlink_to(root / "sub" / "not-yet")
    assert not await runs(house, f"{root}/out")
    assert await runs(house, f"{root}/in")
    assert await runs(house, f"{root}/sub/new/deeper.txt")


async def test_a_loop_leads_nowhere_and_is_refused(house: House, root: Path) -> None:
    (root / "a").symlink_to("b")
    (root / "b").symlink_to("a")
    answer = await asked(house, f"{root}/a/x")
    assert isinstance(answer, Refused)
    assert "where that leads cannot be told" in answer.text


async def test_a_link_into_proc_leads_nowhere_and_is_refused(house: House, root: Path) -> None:
    (root / "self").symlink_to("/proc/self/cwd")
    assert not await runs(house, f"{root}/self/x")


async def test_a_folder_that_does_not_answer_is_refused(
    house: House, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(house.links, "_files", LocalFiles(seconds=0))
    answer = await asked(house, f"{root}/plain.txt")
    assert isinstance(answer, Refused)
    assert "where that leads cannot be told" in answer.text


async def test_a_plain_path_runs_and_nothing_more_is_recorded(house: House, root: Path) -> None:
    assert await runs(house, f"{root}/plain.txt")
    assert "leads" not in await recorded(house)


async def test_a_folder_that_is_reached_by_a_link_goes_on_working(house: House, root: Path) -> None:
    served = root.parent / "served"
    served.symlink_to(root)
    house.authority.install(snapshot(holding(Under(("path",), (str(served),)))))
    assert await runs(house, f"{served}/plain.txt")
    (root / "link").symlink_to(root.parent / "secret" / "key")
    assert not await runs(house, f"{served}/link")


async def test_one_path_of_a_list_is_enough_to_refuse_it(house: House, root: Path) -> None:
    (root / "link").symlink_to(root.parent / "secret")
    paths = [f"{root}/plain.txt", f"{root}/link/key"]
    each = Under(("path", EACH), (str(root),))
    for condition, then in (
        (each, (True, False)),
        (Items(each.path, Which.ALL, (each,)), (True, False)),
        (Items(each.path, Which.ANY, (each,)), (True, True)),
        (Items(each.path, Which.NONE, (each,)), (False, False)),
    ):
        house.authority.install(snapshot(holding(condition)))
        assert (await runs(house, paths[:1]), await runs(house, paths)) == then


async def test_a_relative_path_is_followed_from_the_folder_of_the_server(
    house: House, root: Path
) -> None:
    (root / "link").symlink_to("../secret")
    house.authority.install(snapshot(holding(Under(("path",), (".",)))))
    assert await runs(house, "sub/new.txt")
    assert not await runs(house, "link/key")
    house.servers["files"] = ServerSpec("files", url="http://127.0.0.1:1", files=Whose.HERE)
    assert not await runs(house, "sub/new.txt")  # nobody knows where that begins


@pytest.mark.parametrize(
    "disguise", ["~/plain.txt", "file://{}/plain.txt", "{}/%2e%2e/x", "{}/a\\b"]
)
async def test_disguises_stay_refused_by_their_text(
    house: House, root: Path, disguise: str
) -> None:
    assert not await runs(house, disguise.format(root))


async def test_a_deny_rule_is_not_passed_by_a_link_into_its_folder(
    house: House, root: Path
) -> None:
    (root / "link").symlink_to(root.parent / "secret")
    deny = DenyRule("payments@1/deny/1", FILES, (Under(("path",), (str(root.parent / "secret"),)),))
    house.authority.install(snapshot(holding(Under(("path",), (str(root.parent),)), deny=(deny,))))
    assert await runs(house, f"{root}/plain.txt")
    assert not await runs(house, f"{root}/link/key")


async def test_a_word_of_a_command_is_followed_as_well(house: House, root: Path) -> None:
    (root / "link").symlink_to(root.parent / "secret")
    forms = (CommandForm("cat", under=(str(root),)),)
    house.authority.install(snapshot(holding(Command(("path",), forms))))
    assert await runs(house, f"cat {root}/plain.txt")
    assert not await runs(house, f"cat {root}/plain.txt {root}/link/key")
    assert not await runs(house, ["cat", f"{root}/link/key"])
    answer = await asked(house, ["cat", f"{root}/link/key"])
    assert isinstance(answer, Refused)
    assert "of which a word leads elsewhere" in answer.text
    (root / "inside").symlink_to("sub")
    assert await runs(house, ["cat", f"{root}/inside/new.txt"])
    assert await runs(house, f"cat {root}/inside/new.txt")


async def test_a_server_whose_files_are_elsewhere_is_judged_by_the_text(
    house: House, root: Path
) -> None:
    (root / "link").symlink_to(root.parent / "secret")
    for spec in (
        ServerSpec("files", command=("server",), files=Whose.ELSEWHERE),
        ServerSpec("files", url="http://127.0.0.1:1"),
    ):
        house.servers["files"] = spec
        assert await runs(house, f"{root}/link/key")
    house.servers["files"] = ServerSpec("files", url="http://127.0.0.1:1", files=Whose.HERE)
    assert not await runs(house, f"{root}/link/key")


# --- links that are made or turned while a call waits -------------------------------------------


async def held(house: House, root: Path, name: str) -> tuple[asyncio.Task[Answer], HoldRow]:
    """A call that waits, and its hold."""
    stamp = StampRule("payments@1/stamp/1", FILES, (), role="treasurer")
    condition = Under(("path",), (str(root),))
    house.authority.install(snapshot(holding(condition, stamp=(stamp,))))
    task = asyncio.create_task(asked(house, f"{root}/{name}"))
    async with asyncio.timeout(10):
        await house.ticked.wait()
    house.ticked.clear()
    (hold,) = await house.records.holds(HoldState.WAITING)
    return task, hold


async def approved(house: House, hold: HoldRow) -> None:
    await house.holds.stamp(BEN, hold.id, True, "")


async def test_a_link_made_after_the_hold_and_before_the_stamp_is_refused(
    house: House, root: Path
) -> None:
    task, hold = await held(house, root, "new")
    assert "lead elsewhere" not in hold.rendering
    (root / "new").symlink_to(root.parent / "secret" / "key")
    await approved(house, hold)
    answer = await task
    assert isinstance(answer, Refused)
    assert answer.code == "argument_refused"


async def test_a_link_turned_after_the_hold_asks_again_though_both_places_are_inside(
    house: House, root: Path
) -> None:
    (root / "link").symlink_to("sub")
    task, hold = await held(house, root, "link")
    assert (
        f'\nPaths that lead elsewhere\n  "{root}/link" leads to "{root}/sub"\n\n' in hold.rendering
    )
    (root / "link").unlink()
    (root / "link").symlink_to("plain.txt")
    await approved(house, hold)
    answer = await task
    assert isinstance(answer, Refused)
    assert answer.code == "stamp_no_longer_enough"
    assert "leads to another place" in answer.text
    task, again = await held(house, root, "link")
    assert again.id != hold.id
    assert f'leads to "{root}/plain.txt"' in again.rendering
    await approved(house, again)
    assert isinstance(await task, Answered)
    found = (await recorded(house))["leads"]
    assert isinstance(found, dict)
    assert found[f"{root}/link"] == f"{root}/plain.txt"


async def test_a_hold_that_shows_another_place_is_not_picked_up(house: House, root: Path) -> None:
    (root / "link").symlink_to("sub")
    task, hold = await held(house, root, "link")
    house.gate.start_closing()
    await task
    (root / "link").unlink()
    (root / "link").symlink_to("plain.txt")
    await asked(house, f"{root}/link")
    (again,) = await house.records.holds(HoldState.WAITING)
    assert again.id != hold.id
    assert f'leads to "{root}/plain.txt"' in again.rendering


async def test_rules_about_files_that_come_while_a_call_is_recorded_are_not_passed(
    house: House, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "link").symlink_to(root.parent / "secret")
    free = replace(mandate(), allow=(AllowRule("payments@1/allow/1", FILES, (), True),), stamp=())
    house.authority.install(snapshot(free))
    commit = house.journal.commit
    stricter = replace(holding(Under(("path",), (str(root),))), version=2)

    async def slowly(*args: object) -> range:
        written = await commit(*args)  # type: ignore[arg-type]  # passed on as they are
        house.authority.install(snapshot(stricter))
        return written

    assert await runs(house, f"{root}/link/key")
    monkeypatch.setattr(house.journal, "commit", slowly)
    answer = await asked(house, f"{root}/link/key")
    assert isinstance(answer, Refused)
    assert answer.code == "mandate_changed"
