"""The demo as people see it: the link from the terminal, a real browser, a decision."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.demo.watching import watched

pytestmark = pytest.mark.browser


@pytest.fixture
def page() -> Iterator[Page]:
    chromium = shutil.which("chromium")
    assert chromium, "make setup-test installs it"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(15_000)
        yield page
        browser.close()


def test_the_payment_is_seen_approved_run_and_proved_in_the_browser(
    page: Page, tmp_path: Path
) -> None:
    with watched(tmp_path / "data") as demo:
        page.goto(demo.wait_for(r"http://\S+/login/\S+"))
        page.get_by_role("button", name="Sign in as ben").click()
        page.get_by_role("link", name="clerk wants to use bank/transfer").click()
        # What exactly would happen, why it was held, and who may decide.
        for text in ("3200.00", "BE68539007547034", "INV-2042"):
            expect(page.get_by_role("cell", name=text)).to_be_visible()
        body = page.locator("body")
        expect(body).to_contain_text("Payments above 1000 EUR wait for the treasurer")
        expect(body).to_contain_text("role treasurer, but not ada")
        page.get_by_label("Reason").fill("invoice checked")
        page.get_by_role("button", name="Approve").click()
        expect(body).to_contain_text("Your approval is recorded.")

        demo.wait_for("until you press Ctrl-C")
        assert "approve by ben: invoice checked" in demo.text
        assert "✓ ran once    bank/transfer  balance 44519.50" in demo.text
        assert "│ verified" in demo.text
        page.reload()
        expect(page.get_by_role("heading", name="Proof")).to_be_visible()
        expect(body).to_contain_text("44519.50")
        page.goto("about:blank")
        assert demo.stop() == 0
