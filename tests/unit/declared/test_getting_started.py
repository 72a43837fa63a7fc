"""The file that the first pages have a newcomer write."""

from __future__ import annotations

import re
from pathlib import Path

from bailiwick.core.conditions import Vouched
from bailiwick.declared import load_text

from .house import compiled, problems

PAGE = Path(__file__).resolve().parents[3] / "docs" / "getting-started.md"


def test_the_payments_of_the_page_are_sound_and_show_a_limit_and_a_vouched_value() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert problems(text) == []
    mandate = compiled(load_text(text, "payments.yaml"), "pay-bills")
    assert [limit.id for limit in mandate.limits] == ["pay-bills@1/limit/per-day"]
    assert any(isinstance(asked, Vouched) for asked in mandate.allow[0].conditions)
