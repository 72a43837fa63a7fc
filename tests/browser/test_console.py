"""The console in a real browser: by mouse, by keyboard, without scripts, live."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, expect

from bailiwick.ports import CallState
from bailiwick.testing.sample_day import ulid
from tests.browser.conftest import OTHER_RUN, RUN, Served

pytestmark = pytest.mark.browser

HOLD, CALL = ulid(1020), ulid(20)
PAGES = [
    "/",
    f"/holds/{HOLD}",
    f"/holds/{ulid(1012)}",
    "/calls",
    f"/calls/{ulid(12)}",
    f"/calls/{ulid(4)}",
    "/runs",
    f"/runs/{ulid(1)}",
    f"/runs/{ulid(OTHER_RUN)}",
    f"/runs/{ulid(RUN)}?q=rent",
    f"/runs/compare?left={ulid(RUN)}&right={ulid(OTHER_RUN)}",
    "/policies",
    "/servers",
    "/mandates",
    "/mandates/payables",
    "/limits",
    "/pins",
    "/nothing",
]

WORST_CONTRAST = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const channel = (c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const [r, g, b, a = 1] = parse(getComputedStyle(at).backgroundColor);
      if (a === 1) return [r, g, b];
    }
    return [255, 255, 255];
  };
  let worst = { ratio: 99 };
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || !element.checkVisibility()) continue;
    const [a, b] = [light(parse(getComputedStyle(element).color)), light(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < worst.ratio) worst = { ratio, text: element.textContent.trim().slice(0, 40) };
  }
  return worst;
}"""


def test_a_person_signs_in_sees_what_waits_and_approves_it(served: Served, page: Page) -> None:
    served.sign_in(page, "ben")
    expect(page).to_have_title("(2) Waiting · Bailiwick")
    card = page.get_by_role("article").first
    expect(card).to_contain_text("clerk wants to use bank/transfer")
    expect(card).to_contain_text("1250.00")
    card.get_by_role("link", name="clerk wants to use").click()
    expect(page.locator("#rendering")).to_contain_text('amount: "1250.00"')
    page.get_by_label("Reason").fill("Matches the order.")
    page.get_by_role("button", name="Approve").click()
    page.wait_for_url(f"{served.url}/calls/{CALL}?did=approved")
    expect(page.get_by_role("status")).to_have_text("Your approval is recorded.")
    expect(page.get_by_role("heading", name="ben approved")).to_be_visible()
    assert served.do(lambda: served.day.control.acts) == [
        ("stamp", "ben", HOLD, "True", "Matches the order.")
    ]


def test_the_calls_path_completes_while_it_is_watched(served: Served, page: Page) -> None:
    served.sign_in(page, "ben")
    page.goto(f"{served.url}/holds/{HOLD}")
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_text("Live.")).to_be_visible()
    served.do(lambda: served.day.control.move(CALL, CallState.RUNNING))
    expect(page.get_by_role("heading", name="Running")).to_be_visible()
    served.do(lambda: served.day.control.move(CALL, CallState.DONE))
    expect(page.get_by_role("heading", name="Done")).to_be_visible()


def test_the_list_of_calls_follows_without_a_reload(served: Served, page: Page) -> None:
    served.sign_in(page, "ben")
    page.goto(f"{served.url}/calls")
    expect(page.get_by_text("Live.")).to_be_visible()
    page.evaluate("window.untouched = true")
    served.do(lambda: served.day.add(90, "bank/brand_new", {}, CallState.RUNNING))
    served.do(lambda: served.day.control.move(ulid(90), CallState.RUNNING))
    row = page.get_by_role("row", name="bank/brand_new")
    expect(row).to_contain_text("Running")
    served.do(lambda: served.day.control.move(ulid(90), CallState.DONE))
    expect(row).to_contain_text("Done")
    assert page.evaluate("window.untouched"), "the page was not loaded again"


def test_a_new_hold_shows_on_every_page(served: Served, page: Page) -> None:
    served.sign_in(page, "ben")
    page.goto(f"{served.url}/servers")
    expect(page.get_by_text("Live.")).to_be_visible()
    held = served.do(lambda: served.day.hold(91, "bank/transfer", {"amount": "9000.00"}))
    event = {"event": "hold", "id": held.id, "state": "waiting"}
    served.do(lambda: served.day.control.publish(event))
    expect(page.get_by_label("3 waiting")).to_be_visible()
    expect(page).to_have_title("(3) Servers · Bailiwick")


def test_somebody_elses_decision_shows_at_once(
    served: Served, chromium: Browser, page: Page
) -> None:
    served.sign_in(page, "ben")
    page.goto(f"{served.url}/holds/{HOLD}")
    expect(page.get_by_text("Live.")).to_be_visible()
    with chromium.new_context() as other_context:
        other = other_context.new_page()
        served.sign_in(other, "cyd")
        other.goto(f"{served.url}/holds/{HOLD}")
        other.get_by_role("button", name="Refuse").click()
        other.wait_for_url("**/calls/**")
    expect(page.get_by_text("cyd refused")).to_be_visible()
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)


def test_what_was_still_being_written_when_a_page_opened_is_shown_without_being_told(
    served: Served, page: Page
) -> None:
    served.sign_in(page, "ben")
    url = f"{served.url}/calls/{ulid(21)}"
    with page.expect_response(
        lambda answer: answer.url == url and "x-bailiwick-live" in answer.request.headers
    ):
        page.goto(url)
    rows = served.day.control.records.call_rows
    ended = replace(rows[ulid(21)], state=CallState.DONE)
    served.do(lambda: rows.update({ulid(21): ended}))
    expect(page.get_by_role("heading", name="Done")).to_be_visible()


def test_what_a_person_types_survives_other_changes(served: Served, page: Page) -> None:
    served.sign_in(page, "ben")
    page.goto(f"{served.url}/holds/{HOLD}")
    expect(page.get_by_text("Live.")).to_be_visible()
    page.get_by_label("Reason").fill("half a sen")
    held = served.do(lambda: served.day.hold(92, "bank/transfer", {"amount": "1.00"}))
    event = {"event": "hold", "id": held.id, "state": "waiting"}
    served.do(lambda: served.day.control.publish(event))
    expect(page.get_by_label("3 waiting")).to_be_visible()
    expect(page.get_by_label("Reason")).to_have_value("half a sen")


def test_an_open_fold_stays_open(served: Served, page: Page) -> None:
    served.sign_in(page, "ben")
    page.goto(f"{served.url}/calls/{ulid(21)}")
    expect(page.get_by_text("Live.")).to_be_visible()
    page.get_by_text("Show as JSON").click()
    expect(page.get_by_text('"message": "File invoice')).to_be_visible()
    served.do(lambda: served.day.control.move(ulid(21), CallState.DONE))
    expect(page.get_by_role("heading", name="Done")).to_be_visible()
    expect(page.get_by_text('"message": "File invoice')).to_be_visible()


def test_everything_can_be_done_by_keyboard(served: Served, page: Page) -> None:
    served.sign_in(page, "ben")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{served.url}/holds/{HOLD}")
    reason = page.get_by_label("Reason")
    for _ in range(40):
        page.keyboard.press("Tab")
        if reason.evaluate("element => element === document.activeElement"):
            break
    page.keyboard.type("by hand")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Approve")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**/calls/**")
    assert served.do(lambda: served.day.control.acts)[0][-1] == "by hand"


def test_everything_works_without_scripts(served: Served, chromium: Browser) -> None:
    with chromium.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        served.sign_in(page, "ben")
        expect(page.get_by_text("Reload to see what changed.")).to_be_visible()
        page.goto(f"{served.url}/holds/{HOLD}")
        page.get_by_role("button", name="Refuse").click()
        expect(page.get_by_role("heading", name="ben refused")).to_be_visible()
        page.goto(f"{served.url}/calls")
        page.get_by_label("Outcome").select_option("refused")
        page.get_by_role("button", name="Show").click()
        expect(page.get_by_role("row")).to_have_count(2)
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", name="You are signed out")).to_be_visible()


def test_a_double_click_on_approve_stamps_once_and_shows_no_error(
    served: Served, page: Page
) -> None:
    served.sign_in(page, "ben")
    page.goto(f"{served.url}/holds/{HOLD}")
    page.get_by_role("button", name="Approve").dblclick(no_wait_after=True)
    page.wait_for_url("**/calls/**")
    expect(page.get_by_role("status")).to_be_visible()
    assert len(served.do(lambda: served.day.control.acts)) == 1


def test_a_page_in_the_cache_of_the_back_button_is_not_stale(served: Served, page: Page) -> None:
    served.sign_in(page, "ben")
    page.goto(f"{served.url}/holds/{HOLD}")
    page.get_by_role("button", name="Approve").click()
    page.wait_for_url("**/calls/**")
    page.go_back()
    expect(page.get_by_text("You cannot stamp this")).to_be_visible()


def test_hostile_text_runs_nothing(served: Served, page: Page) -> None:
    evil = "<img src=x onerror=alert(1)><script>alert(1)</script>"
    held = served.do(lambda: served.day.hold(93, f"bank/{evil}", {evil: evil}, because=evil))
    dialogs: list[str] = []

    def note(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", note)
    served.sign_in(page, "ben")
    for path in ("/", f"/holds/{held.id}", "/calls", f"/calls/{ulid(93)}"):
        page.goto(served.url + path)
        expect(page.get_by_text("Live.")).to_be_visible()
        assert page.locator("main img[src=x]").count() == 0
    assert dialogs == []


def test_script_that_got_in_all_the_same_is_stopped_by_the_policy(
    served: Served, page: Page
) -> None:
    served.sign_in(page, "ben")
    with pytest.raises(Exception, match="TrustedHTML"):
        page.evaluate("document.querySelector('main').innerHTML = '<b>x</b>'")
    stopped = page.evaluate(
        """() => new Promise((done) => {
             const told = (event) => done(event.effectiveDirective);
             document.addEventListener("securitypolicyviolation", told);
             const image = document.createElement("img");
             image.src = "http://127.0.0.1:9/leak";
             document.body.append(image);
           })"""
    )
    assert stopped == "img-src"


def test_every_page_is_quiet_whole_and_asks_nobody_else(served: Served, page: Page) -> None:
    said: list[str] = []
    asked: set[str] = set()

    def note(message: ConsoleMessage) -> None:
        if "404 (Not Found)" not in message.text:
            said.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.add(urlsplit(request.url).netloc))
    served.sign_in(page, "ben")
    for path in PAGES:
        page.goto(served.url + path)
        if path != "/nothing":
            expect(page.get_by_text("Live.")).to_be_visible()
    assert said == []
    assert asked == {urlsplit(served.url).netloc}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_enough(served: Served, chromium: Browser, scheme: str) -> None:
    """WCAG 2.2, 1.4.3 Contrast (Minimum): at least 4.5 to 1."""
    dark = scheme == "dark"
    with chromium.new_context(color_scheme="dark" if dark else "light") as context:
        page = context.new_page()
        served.sign_in(page, "ben")
        for path in PAGES:
            page.goto(served.url + path)
            worst = page.evaluate(WORST_CONTRAST)
            assert worst["ratio"] >= 4.5, (path, worst)


@pytest.mark.parametrize("width", [320, 600, 880, 1280])
def test_no_page_scrolls_sideways(served: Served, context: BrowserContext, width: int) -> None:
    """WCAG 2.2, 1.4.10 Reflow."""
    served.do(lambda: served.day.hold(94, "bank/" + "x" * 120, {"y" * 90: "z" * 400}))
    page = context.new_page()
    page.set_viewport_size({"width": width, "height": 800})
    served.sign_in(page, "ben")
    for path in [*PAGES, f"/holds/{ulid(1094)}", f"/calls/{ulid(94)}"]:
        page.goto(served.url + path)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, path


def test_a_proof_can_be_copied(served: Served, context: BrowserContext) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    served.sign_in(page, "ben")
    page.goto(f"{served.url}/calls/{ulid(12)}")
    page.get_by_text("what was asked, and that it was held").click()
    page.get_by_role("button", name="Copy").first.click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible(timeout=20_000)
    copied = page.evaluate("navigator.clipboard.readText()")
    proof = served.do(lambda: served.day.control.proofs[ulid(12)][0].decode())
    assert copied.replace("\r\n", "\n") == proof


def test_what_was_copied_stays_said_when_the_page_looks_again(
    served: Served, context: BrowserContext
) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    served.sign_in(page, "ben")
    page.goto(f"{served.url}/calls/{ulid(12)}")
    page.get_by_text("what was asked, and that it was held").click()
    pressed = page.get_by_role("button", name="Copy").first.element_handle()
    assert pressed is not None
    pressed.evaluate("button => { button.textContent = 'Copied'; }")
    expect(page.get_by_text("Live.", exact=True)).to_be_visible()
    event = {"event": "hold", "id": ulid(12), "state": "approved"}
    with page.expect_response(lambda answer: "x-bailiwick-live" in answer.request.headers) as live:
        served.do(lambda: served.day.control.publish(event))
    live.value.finished()
    page.evaluate("new Promise(requestAnimationFrame)")
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert pressed.evaluate("button => button.isConnected")


def test_a_clipboard_out_of_reach_leaves_the_text_selected(served: Served, page: Page) -> None:
    page.add_init_script("navigator.clipboard.writeText = () => Promise.reject(new Error('no'))")
    served.sign_in(page, "ben")
    page.goto(f"{served.url}/calls/{ulid(12)}")
    page.get_by_text("what was asked, and that it was held").click()
    page.get_by_role("button", name="Copy").first.click()
    expect(page.get_by_role("button", name="Selected: copy it by hand")).to_be_visible()
    proof = served.do(lambda: served.day.control.proofs[ulid(12)][0].decode())
    assert page.evaluate("getSelection().toString()").strip() == proof.strip()


def test_times_keep_moving(served: Served, page: Page) -> None:
    page.clock.install()
    served.sign_in(page, "ben")
    left = page.locator("time[data-left]").first
    expect(left).to_have_text("3 min left")
    page.clock.fast_forward(120_000)
    expect(left).to_contain_text(" s left")
    page.clock.fast_forward(120_000)
    expect(left).to_have_text("none left")


def test_a_person_goes_from_an_effect_back_to_the_reasoning_and_the_instruction(
    served: Served, page: Page
) -> None:
    served.sign_in(page, "ben")
    page.goto(f"{served.url}/runs/{ulid(RUN)}")
    reasoning = page.locator("details.thought")
    expect(reasoning).not_to_have_attribute("open", "")
    paid = page.locator(f"#c-{ulid(RUN + 2)}")
    paid.get_by_role("link", name="the model asked for it").click()
    assert urlsplit(page.url).fragment == f"c-{ulid(RUN + 1)}"
    reasoning.locator("summary").click()
    expect(
        reasoning.get_by_text("The rent is due today, so it is to be paid.").last
    ).to_be_visible()
    paid.get_by_role("link", name="the instruction").click()
    expect(page.locator("#instruction")).to_be_in_viewport()
    page.get_by_label("Find in this run").fill("landlord")
    page.get_by_role("button", name="Find").click()
    expect(page.get_by_role("status")).to_contain_text("1 of 2 steps hold")
    page.get_by_role("link", name="Show all").click()
    page.get_by_role("link", name="Compare with another run").click()
    page.get_by_label("and another").fill(ulid(OTHER_RUN))
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("status")).to_contain_text("2 steps differ, 1 stands alone")
