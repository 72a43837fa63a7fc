"""docs/delegation.md, carried out: its mandate, its child, its error."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from bailiwick.app.control import GatewayControl
from bailiwick.app.data_folder import prepare_folder
from bailiwick.app.gateway import open_gateway
from bailiwick.app.settings import Settings
from bailiwick.core.errors import TheirError
from bailiwick.ports import Caller, ChildAsked

DOCS = (Path(__file__).parents[2] / "docs/delegation.md").read_text()
MANDATE, CHILD = re.findall(r"```yaml\n(.*?)```", DOCS, re.DOTALL)
ERROR = re.search(r"```\n(it would allow.*?)```", DOCS, re.DOTALL)

AROUND = f"""
servers: {{bank: {{command: [{sys.executable}]}}}}
people: {{ada: {{name: Ada}}, ben: {{name: Ben}}}}
agents: {{clerk: {{owner: ada}}, helper-a: {{owner: ben}}}}
"""


async def test_the_example_works_and_its_error_is_the_one_shown(tmp_path: Path) -> None:
    files = (tmp_path / "around.yaml", tmp_path / "mandate.yaml")
    files[0].write_text(AROUND)
    files[1].write_text(MANDATE)
    settings = Settings(data=tmp_path / "data", files=files, fsync=False)
    async with open_gateway(settings, prepare_folder(settings.data)) as gateway:
        control = GatewayControl(gateway.rooms)
        clerk = Caller("clerk", "pay-suppliers", "ada", "token-1", 2**62)
        text = CHILD.replace("2026-11-30", "2096-11-30")
        made = await control.delegate(clerk, ChildAsked("pay-suppliers", text, 600))
        assert made.name.startswith("pay-suppliers:helper-a-")
        assert "`pay-suppliers:helper-a-" in DOCS
        wider = text.replace("at_most: 100", "at_most: 6000")
        with pytest.raises(TheirError) as refused:
            await control.delegate(clerk, ChildAsked("pay-suppliers", wider, 600))
        assert ERROR is not None
        shown = " ".join(ERROR[1].split()).replace("pay-suppliers@3", "pay-suppliers@1")
        assert refused.value.message == shown
