"""What the console is made of: everything it needs, given to it once by the composition root."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bailiwick.ports import Authenticator, Clock, Control, Records, SignIn


@dataclass(frozen=True, slots=True)
class Parts:
    """The console's collaborators and settings.

    Attributes:
        people: authenticates `Authorization` headers of the API; an agent's where it delegates.
        ledger_dir: the tlog-tiles directory, served read-only at `/ledger/`.
        ledger_key: the ledger's verifier key (`NAME+HASH+KEY`), shown with proofs.
        base_url: how people reach the console, such as `http://127.0.0.1:8750`; no path.
        allowed_hosts: names and addresses accepted in `Host`, without ports.
        version: of Bailiwick, shown in the footer.
    """

    records: Records
    control: Control
    people: Authenticator
    sign_in: SignIn
    clock: Clock
    ledger_dir: Path
    ledger_key: str
    base_url: str
    allowed_hosts: frozenset[str]
    version: str

    @property
    def secure(self) -> bool:
        """Whether people reach the console over TLS."""
        return urlsplit(self.base_url).scheme == "https"

    @property
    def cookie(self) -> str:
        """The session cookie's name.

        Browsers do not keep the cookies of two ports apart, so the port is part of the name: two
        gateways on one laptop do not sign each other's people out. `__Host-` makes the browser
        itself refuse a cookie planted by a neighbouring name or over plain HTTP.
        """
        if self.secure:
            return "__Host-bailiwick"
        return f"bailiwick_{urlsplit(self.base_url).port or 80}"
