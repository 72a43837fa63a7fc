"""Why a person may not stamp a hold, in words. For showing only: `Control.stamp` decides."""

from __future__ import annotations

from bailiwick.ports import HoldRow, HoldState, Person

_OVER = {
    HoldState.APPROVED: "it is already approved",
    HoldState.REFUSED: "it is already refused",
    HoldState.EXPIRED: "it expired before anybody decided",
    HoldState.USED: "it was approved and has run",
    HoldState.WITHDRAWN: "the agent withdrew it",
}


def why_not(person: Person, hold: HoldRow, now_ms: int) -> str:
    """Why `person` may not stamp `hold` now, or "" when they may."""
    if hold.state is not HoldState.WAITING:
        return _OVER[hold.state]
    if hold.expires_ms <= now_ms:
        return _OVER[HoldState.EXPIRED]
    if person.name in hold.excluded:
        return "the mandate excludes you from stamping this call"
    if hold.role and hold.role not in person.roles:
        return f"it needs the role `{hold.role}`, which you do not have"
    if any(stamp.person == person.name for stamp in hold.stamps):
        return "you have stamped it; it waits for another person"
    return ""


def who_may(hold: HoldRow) -> str:
    """Who may stamp `hold`: `anyone with the role approver, but not ada, may stamp`."""
    people = "anyone" if hold.count == 1 else f"{hold.count} different people"
    if hold.role:
        people += f" with the role {hold.role}"
    if hold.excluded:
        people += f", but not {_either(hold.excluded)},"
    return f"{people} {'may' if hold.count == 1 else 'have to'} stamp"


def _either(names: tuple[str, ...]) -> str:
    if len(names) == 1:
        return names[0]
    return f"{', '.join(names[:-1])} or {names[-1]}"
