"""How the command ends: its exit codes, and errors as one line that says what to do."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes. They are part of the interface: scripts may rely on them."""

    OK = 0
    NO = 1
    USAGE = 2
    UNREACHABLE = 3
    NOT_ALLOWED = 4
    NOT_VERIFIED = 5
    OURS = 70


MEANINGS = {
    Exit.OK: "done, or the answer is yes",
    Exit.NO: "the answer is no, or problems were found",
    Exit.USAGE: "wrong usage or bad input",
    Exit.UNREACHABLE: "the gateway cannot be reached, or none is running",
    Exit.NOT_ALLOWED: "not allowed for this person, or not signed in",
    Exit.NOT_VERIFIED: "a proof, signature or digest does not hold",
    Exit.OURS: "our fault: a defect, or storage that is not available",
}


class CliError(Exception):
    """Ends the command. `message` is one line; `hint` says what to do next, or is ""."""

    def __init__(self, exit_code: Exit, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.code = code
        self.message = message
        self.hint = hint

    @property
    def line(self) -> str:
        """What goes to stderr."""
        return f"bailiwick: {self.message}" + (f"; {self.hint}" if self.hint else "")
