"""The story: a clerk's day of work, told step by step, each step checked."""

from __future__ import annotations

import asyncio
import textwrap
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from bailiwick.cli import show
from bailiwick.cli.api import Api
from bailiwick.cli.calls import listed, mapping
from bailiwick.cli.demo.process import bailiwick
from bailiwick.cli.demo.stage import Stage, git
from bailiwick.cli.exits import CliError, Exit
from bailiwick.core.canonical import JsonObject
from bailiwick.examples.agent import Clerk, Said, at_work

HOLD_SECONDS = 15.0
"""How soon a held call must be seen waiting."""
POLL_SECONDS = 0.1

POWER = {
    "from_account": "operations",
    "to_iban": "NL91ABNA0417164300",
    "amount": "480.50",
    "currency": "EUR",
    "reference": "INV-2041",
}
PAPER = {**POWER, "to_iban": "BE68539007547034", "amount": "3200.00", "reference": "INV-2042"}
FRAUD = {
    **POWER,
    "to_iban": "GB82WEST12345698765432",
    "amount": "9800.00",
    "reference": "open balance",
}


@dataclass(slots=True)
class Story:
    """One demo, as it goes. `auto`: nobody watches, and the second person is a process."""

    stage: Stage
    url: str
    auto: bool
    steps: int = 0
    held_call: str = ""
    refused_text: str = ""
    approved: bool = False
    tokens: dict[str, str] = field(default_factory=dict, repr=False)

    def step(self, title: str) -> None:
        """Begin a numbered step."""
        self.steps += 1
        show.out()
        show.out(show.styled(f"{self.steps}. {title}", "bold"))

    def api(self, person: str) -> Api:
        """The people's API, as this person."""
        return Api(self.url, self.tokens[person])


def tell(text: str, style: str = "") -> None:
    """One line under a step."""
    shown = show.visible(text)
    show.out("   " + (show.styled(shown, style) if style else shown))


def quote(text: str) -> None:
    """What somebody else said, indented and folded."""
    for line in text.splitlines():
        for part in textwrap.wrap(line, 92) or [""]:
            tell("    " + part, "dim")


def expect(true: bool, what: str) -> None:
    """End the demo unless `true`.

    Raises:
        CliError: with `what` should have been.
    """
    if not true:
        raise CliError(Exit.NO, "demo_failed", f"the demo went wrong: expected {what}")


async def work(story: Story) -> None:
    """The clerk's day, from the first list to the payment a person decides."""
    async with at_work(story.url + "/mcp", story.tokens["clerk"]) as clerk:
        story.step("The clerk, an agent with one mandate, comes to work")
        tell(f"it sees {len(clerk.tools)} tools, those its mandate could ever allow")
        expect(bool(clerk.named("bank", "transfer")), "`bank/transfer` on the list")
        expect(not clerk.named("files", "move_file"), "no `files/move_file` on the list")

        await _read_the_post(story, clerk)
        await _pay_small(story, clerk)
        await _obey_a_letter(story, clerk)
        await _keep_books(story, clerk)
        await _pay_large(story, clerk)


async def _read_the_post(story: Story, clerk: Clerk) -> None:
    story.step("It reads the post and the open invoices")
    inbox = await allowed(clerk, "files", "list_directory", {"path": str(story.stage.inbox)})
    expect(inbox.text.count("[FILE]") == 3, "three letters in the inbox")
    for name in sorted(path.name for path in story.stage.inbox.iterdir()):
        path = str(story.stage.inbox / name)
        letter = await allowed(clerk, "files", "read_text_file", {"path": path}, name)
        expect("EUR" in letter.text, f"the text of `{name}`")
    invoices = await allowed(clerk, "bank", "list_invoices", {})
    expect("INV-2042" in invoices.text, "INV-2042 among the open invoices")


async def _pay_small(story: Story, clerk: Clerk) -> None:
    story.step("It pays 480.50 EUR to Harbour Power")
    paid = await allowed(clerk, "bank", "transfer", POWER, "480.50 EUR, a known creditor")
    expect(paid.structured.get("balance") == "47719.50", "a balance of 47719.50")
    tell("the bank asked for its key: the gateway has it, the clerk never sees it")


async def _obey_a_letter(story: Story, clerk: Clerk) -> None:
    story.step("A letter tells it to pay 9800.00 EUR elsewhere, and it tries")
    said = await clerk.call(clerk.named("bank", "transfer"), FRAUD)
    expect(said.is_error, "the transfer to an unknown IBAN refused")
    expect("iban" in said.text.lower(), "a refusal that names the argument")
    story.refused_text = said.text
    _mark("✗ refused", "red", "bank/transfer", "what the agent reads:")
    quote(said.text)


async def _keep_books(story: Story, clerk: Clerk) -> None:
    story.step("It writes the payment down and commits")
    path = story.stage.books / "payments.md"
    text = "# Payments\n\n- INV-2041, Harbour Power, 480.50 EUR\n"
    await allowed(clerk, "files", "write_file", {"path": str(path), "content": text})
    expect(path.read_text() == text, "the written file")
    books = {"repo_path": str(story.stage.books)}
    await allowed(clerk, "git", "git_add", {**books, "files": ["payments.md"]})
    await allowed(clerk, "git", "git_commit", {**books, "message": "Pay INV-2041"})
    log = git(story.stage.books, "log", "--format=%an: %s")
    expect(log.splitlines()[0] == "clerk: Pay INV-2041", "the commit in the repository")


async def _pay_large(story: Story, clerk: Clerk) -> None:
    story.step("It pays 3200.00 EUR to Paper & Print, and is held")
    name = clerk.named("bank", "transfer")
    payment = asyncio.create_task(clerk.call(name, PAPER))
    try:
        hold = await _seen_waiting(story, payment)
        story.held_call = show.word(hold, "call")
        _mark("‖ held", "yellow", "bank/transfer", "because:")
        quote(show.word(hold, "because"))
        if story.auto:
            await asyncio.to_thread(_two_people, story, show.word(hold, "id"))
        else:
            await asyncio.to_thread(_invite, story)
        said = await payment
        while said.is_error and await _state(story, hold) == "waiting":
            said = await clerk.call(name, PAPER)  # the window ended; the same call picks it up
    finally:
        payment.cancel()
    await _decided(story, clerk, hold, said)


async def _decided(story: Story, clerk: Clerk, hold: JsonObject, said: Said) -> None:
    story.step("What became of it")
    path = await asyncio.to_thread(story.api("ben").get, f"calls/{story.held_call}")
    stamps = listed(mapping(path, "hold"), "stamps")
    for stamp in stamps:
        reason = show.word(stamp, "reason")
        tell(
            f"{show.word(stamp, 'decision')} by {show.word(stamp, 'person')}"
            + (f": {reason}" if reason else "")
        )
    story.approved = any(stamp.get("decision") == "approve" for stamp in stamps)
    if story.approved:
        expect(not said.is_error, "the approved payment to run")
        _mark("✓ ran once", "green", "bank/transfer", f"balance {said.structured.get('balance')}")
    else:
        expect(said.is_error, "a payment without approval not to run")
        _mark("✗ did not run", "red", "bank/transfer", "what the agent reads:")
        quote(said.text)
    listing = await clerk.call(clerk.named("bank", "list_transactions"), {"account": "operations"})
    rows = listing.structured.get("transactions")
    booked = [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
    wanted = ["480.50", "3200.00"] if story.approved else ["480.50"]
    expect([row.get("amount") for row in booked] == wanted, f"exactly {wanted} booked")
    if story.auto:
        expect(story.approved, "the payment approved")
        expect(show.word(mapping(path, "hold"), "state") == "used", "the stamp used up")


async def allowed(
    clerk: Clerk, server: str, tool: str, arguments: Mapping[str, object], remark: str = ""
) -> Said:
    """A call that must pass."""
    name = clerk.named(server, tool)
    expect(bool(name), f"`{server}/{tool}` on the list")
    said = await clerk.call(name, arguments)
    expect(not said.is_error, f"`{server}/{tool}` to pass, not: {said.text[:300]}")
    _mark("✓ allowed", "green", f"{server}/{tool}", remark)
    return said


def _mark(word: str, style: str, target: str, remark: str = "") -> None:
    line = f"   {show.styled(word.ljust(13), style)} {show.visible(target)}"
    show.out(line + (f"  {show.styled(show.visible(remark), 'dim')}" if remark else ""))


async def _seen_waiting(story: Story, payment: asyncio.Task[Said]) -> JsonObject:
    deadline = time.monotonic() + HOLD_SECONDS
    while time.monotonic() < deadline and not payment.done():
        answer = await asyncio.to_thread(story.api("ben").get, "holds", state="waiting")
        if holds := listed(answer, "holds"):
            return holds[0]
        await asyncio.sleep(POLL_SECONDS)
    said = (await payment).text if payment.done() else "nothing came back"
    raise CliError(Exit.NO, "demo_failed", f"the demo went wrong: expected a hold, got: {said}")


async def _state(story: Story, hold: JsonObject) -> str:
    path = f"holds/{show.word(hold, 'id')}"
    answer = await asyncio.to_thread(story.api("ben").get, path)
    return show.word(mapping(answer, "hold"), "state")


def _invite(story: Story) -> None:
    link = show.word(story.api("ben").post("login-links", {}), "url")
    show.out()
    tell("Open this link; it signs you in as ben, the treasurer, once:")
    show.out()
    show.out("   " + show.styled(show.visible(link), "cyan"))
    show.out()
    tell("You see what exactly would happen and why it was held. Approve or refuse it there.")
    tell("The clerk waits meanwhile.")


def _two_people(story: Story, hold: str) -> None:
    first = bailiwick("stamp", hold, "--approve", "--url", story.url, token=story.tokens["ada"])
    expect(first.code == Exit.NOT_ALLOWED, "ada, who gave the mandate, not to be let stamp")
    tell("ada, who answers for the clerk, tries to approve: " + first.err.strip(), "dim")
    second = bailiwick(
        *("stamp", hold, "--approve", "--reason", "invoice checked", "--url", story.url),
        token=story.tokens["ben"],
    )
    expect(second.code == Exit.OK, f"ben to be let stamp, not: {second.err.strip()}")
    tell("ben, the treasurer, approves")
