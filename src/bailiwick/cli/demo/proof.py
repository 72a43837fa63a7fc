"""The end of the demo: the proof, checked the way an outsider would."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from bailiwick.cli import show
from bailiwick.cli.demo.process import bailiwick
from bailiwick.cli.demo.story import Story, expect, quote, tell
from bailiwick.cli.exits import Exit
from bailiwick.ledger.note import parse_vkey
from bailiwick.ledger.proof import verify_entry

_PROOF_LINES = 7


def prove(story: Story) -> None:
    """Export the ledger, verify it, show one proof, and show that one byte matters."""
    token = story.tokens["ben"]
    copy = story.stage.root / "export"
    story.step("Anyone can check it, with the public key alone")
    done = bailiwick("ledger", "export", str(copy), "--url", story.url, "--json", token=token)
    expect(done.code == Exit.OK, f"the export to work, not: {done.err.strip()}")
    key = str(json.loads(done.out)["key"])
    show.out("   " + show.styled(f"$ bailiwick ledger verify {copy} --key {key}", "dim"))
    verified = bailiwick("ledger", "verify", str(copy), "--key", key)
    expect(verified.code == Exit.OK, f"the ledger to verify, not: {verified.err.strip()}")
    _quote(verified.out)

    show.out()
    show.out("   " + show.styled(f"$ bailiwick ledger proof {story.held_call}", "dim"))
    proofs = story.stage.root / "proofs"
    done = bailiwick(
        *("ledger", "proof", story.held_call, "--out", str(proofs), "--url", story.url),
        token=token,
    )
    expect(done.code == Exit.OK, f"proofs of the payment, not: {done.err.strip()}")
    files = [Path(line) for line in done.out.split()]
    expect(len(files) >= 2, "a proof of what was decided and one of what came of it")
    for file in files:
        verify_entry(file.read_bytes(), parse_vkey(key))  # raises, and ends the demo
    _quote(_short(files[0].read_text()))
    tell(f"{len(files)} proofs of this payment, each verified, in {proofs}")

    show.out()
    tampered = _tampered(copy)
    found = bailiwick("ledger", "verify", str(tampered), "--key", key)
    expect(found.code == Exit.NOT_VERIFIED, "one changed byte to be found")
    tell("One byte changed in a copy, and it says so:")
    quote(found.err.strip())


def _tampered(copy: Path) -> Path:
    """A second copy in which one byte of an entry is another."""
    other = copy.with_name("tampered")
    shutil.rmtree(other, ignore_errors=True)
    shutil.copytree(copy, other)
    bundle = min((other / "tile" / "entries").rglob("*"), key=lambda path: (path.is_dir(), path))
    data = bytearray(bundle.read_bytes())
    data[len(data) // 2] ^= 1
    bundle.write_bytes(data)
    return other


def _short(proof: str) -> str:
    """The proof's head and tail; the whole is in its file."""
    lines = [line if len(line) <= 76 else line[:75] + "…" for line in proof.splitlines()]
    if len(lines) > 2 * _PROOF_LINES:
        left_out = len(lines) - 2 * _PROOF_LINES
        lines = [*lines[:_PROOF_LINES], f"… {left_out} lines …", *lines[-_PROOF_LINES:]]
    return "\n".join(lines)


def _quote(text: str) -> None:
    for line in text.rstrip("\n").split("\n"):
        show.out("   │ " + show.visible(line))
