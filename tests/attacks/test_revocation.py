"""Races against `revoke`: when it has returned, nothing goes out under that name."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from bailiwick.app.control import GatewayControl
from bailiwick.app.data_folder import prepare_folder
from bailiwick.app.gateway import Gateway, open_gateway
from bailiwick.app.settings import Settings
from bailiwick.core.mandate import MandateState
from bailiwick.ports import Person
from bailiwick.testing.mcp.waiting import eventually

ADA = Person("ada", frozenset({"operator"}), "token")


def declared(purpose: str) -> str:
    return f"""
servers: {{toy: {{command: [{sys.executable}]}}}}
people: {{ada: {{name: Ada, roles: [operator]}}}}
agents: {{clerk: {{owner: ada}}}}
mandates: {{work: {{from: ada, to: clerk, purpose: {purpose}, allow: [{{tool: ["toy/*"]}}]}}}}
"""


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    file = tmp_path / "declared.yaml"
    file.write_text(declared("first"))
    settings = Settings(data=tmp_path / "data", files=(file,), fsync=False)
    async with open_gateway(settings, prepare_folder(settings.data)) as gateway:
        yield gateway


async def test_a_version_that_comes_into_force_meanwhile_is_revoked_as_well(
    gateway: Gateway,
) -> None:
    rooms, control = gateway.rooms, GatewayControl(gateway.rooms)

    def state() -> MandateState:
        return rooms.authority.snapshot.mandates["work"].state

    async with rooms.declarations.paused():  # an `apply` is under way
        revoking = asyncio.ensure_future(control.revoke(ADA, "work", "hijacked"))
        await eventually(lambda: state() is MandateState.REVOKED)
        snapshot = rooms.authority.snapshot
        second = replace(snapshot.mandates["work"], version=2, state=MandateState.ACTIVE)
        rooms.authority.install(replace(snapshot, mandates={"work": second}))
    await revoking
    assert state() is MandateState.REVOKED
    assert rooms.authority.snapshot.mandates["work"].version == 2


async def test_revoking_and_declaring_at_once_leaves_memory_and_store_of_one_mind(
    gateway: Gateway,
) -> None:
    rooms, control = gateway.rooms, GatewayControl(gateway.rooms)
    files = {"declared.yaml": declared("second")}
    await asyncio.gather(
        control.apply(ADA, files, dry_run=False), control.revoke(ADA, "work", "hijacked")
    )
    (row,) = await rooms.records.objects("mandate")
    mandate = rooms.authority.snapshot.mandates["work"]
    assert (mandate.version, mandate.state.value) == (row.version, row.state)
    assert mandate.state is MandateState.REVOKED
