"""One-time links and browser sessions."""

from __future__ import annotations

import pytest

from bailiwick.core.errors import TheirError
from bailiwick.identity import sessions as module
from bailiwick.identity.sessions import Sessions
from bailiwick.testing.clock import StoppedClock


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def roles() -> dict[str, frozenset[str]]:
    return {"ada": frozenset({"admin"}), "ben": frozenset({"approver"})}


@pytest.fixture
def sessions(clock: StoppedClock, roles: dict[str, frozenset[str]]) -> Sessions:
    return Sessions(clock, roles.get)


def test_a_link_signs_its_person_in(sessions: Sessions) -> None:
    key = sessions.redeem(sessions.offer("ada").token)
    session = sessions.session(key)
    assert session is not None
    assert session.person.name == "ada"
    assert session.person.roles == frozenset({"admin"})
    assert session.person.method == "link"


def test_a_link_works_once(sessions: Sessions) -> None:
    token = sessions.offer("ada").token
    sessions.redeem(token)
    assert sessions.invited(token) == ""
    with pytest.raises(TheirError, match="login link") as error:
        sessions.redeem(token)
    assert error.value.code == "link_invalid"


def test_looking_at_a_link_does_not_use_it_up(sessions: Sessions) -> None:
    token = sessions.offer("ada").token
    assert [sessions.invited(token) for _ in range(3)] == ["ada"] * 3
    assert sessions.redeem(token)


def test_a_link_ends_after_ten_minutes(sessions: Sessions, clock: StoppedClock) -> None:
    link = sessions.offer("ada")
    assert link.expires_ms == clock.wall + 600_000
    clock.advance(600)
    assert sessions.invited(link.token) == ""
    with pytest.raises(TheirError):
        sessions.redeem(link.token)


def test_a_link_for_nobody_is_not_made(sessions: Sessions) -> None:
    with pytest.raises(TheirError, match="`mallory`"):
        sessions.offer("mallory")


def test_a_link_dies_with_its_person(sessions: Sessions, roles: dict[str, frozenset[str]]) -> None:
    token = sessions.offer("ben").token
    del roles["ben"]
    assert sessions.invited(token) == ""
    with pytest.raises(TheirError):
        sessions.redeem(token)


@pytest.mark.parametrize("guess", ["", "x", "\ud800", "é", "A" * 43])
def test_a_guessed_secret_opens_nothing(sessions: Sessions, guess: str) -> None:
    assert sessions.invited(guess) == ""
    assert sessions.session(guess) is None
    assert sessions.renew(guess) == ""
    sessions.close(guess)
    with pytest.raises(TheirError):
        sessions.redeem(guess)


def test_roles_are_those_of_now(sessions: Sessions, roles: dict[str, frozenset[str]]) -> None:
    key = sessions.redeem(sessions.offer("ben").token)
    roles["ben"] = frozenset()
    session = sessions.session(key)
    assert session is not None
    assert session.person.roles == frozenset()


def test_a_removed_person_is_signed_out_for_good(
    sessions: Sessions, roles: dict[str, frozenset[str]]
) -> None:
    key = sessions.redeem(sessions.offer("ben").token)
    had = roles.pop("ben")
    assert sessions.session(key) is None
    roles["ben"] = had
    assert sessions.session(key) is None


def test_a_session_idles_out_after_an_hour(sessions: Sessions, clock: StoppedClock) -> None:
    key = sessions.redeem(sessions.offer("ada").token)
    clock.advance(3599)
    assert sessions.session(key) is not None
    clock.advance(3600)
    assert sessions.session(key) is None


def test_a_page_that_refreshes_itself_does_not_keep_a_session_alive(
    sessions: Sessions, clock: StoppedClock
) -> None:
    key = sessions.redeem(sessions.offer("ada").token)
    for _ in range(3):
        clock.advance(1200)
        sessions.session(key, touch=False)
    assert sessions.session(key) is None


def test_a_session_ends_after_twelve_hours_however_busy(
    sessions: Sessions, clock: StoppedClock
) -> None:
    key = sessions.redeem(sessions.offer("ada").token)
    for _ in range(23):
        clock.advance(1800)
        assert sessions.session(key) is not None
    clock.advance(1800)
    assert sessions.session(key) is None


def test_setting_the_wall_clock_back_revives_nothing(
    sessions: Sessions, clock: StoppedClock
) -> None:
    token = sessions.offer("ada").token
    clock.advance(601)
    clock.wall -= 86_400_000
    assert sessions.invited(token) == ""


def test_an_old_key_is_replaced_and_soon_stops_working(
    sessions: Sessions, clock: StoppedClock
) -> None:
    old = sessions.redeem(sessions.offer("ada").token)
    assert sessions.renew(old) == ""
    clock.advance(900)
    new = sessions.renew(old)
    assert new not in ("", old)
    assert sessions.renew(old) == "", "the replaced key makes no further keys"
    before, after = sessions.session(old), sessions.session(new)
    assert before is not None
    assert after is not None
    assert before.csrf == after.csrf, "forms of open pages stay good"
    clock.advance(30)
    assert sessions.session(old) is None
    assert sessions.session(new) is not None


def test_signing_out_ends_all_keys_of_the_session(sessions: Sessions, clock: StoppedClock) -> None:
    old = sessions.redeem(sessions.offer("ada").token)
    clock.advance(900)
    new = sessions.renew(old)
    sessions.close(old)
    assert sessions.session(old) is None
    assert sessions.session(new) is None


def test_every_session_has_its_own_form_secret(sessions: Sessions) -> None:
    keys = [sessions.redeem(sessions.offer("ada").token) for _ in range(2)]
    secrets = {session.csrf for key in keys if (session := sessions.session(key))}
    assert len(secrets) == 2


def test_no_secret_is_kept_in_clear(sessions: Sessions) -> None:
    link = sessions.offer("ada")
    key = sessions.redeem(sessions.offer("ada").token)
    kept = repr((sessions._links, sessions._sessions))
    assert link.token not in kept
    assert key not in kept


def test_tables_do_not_grow_without_bound(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_LINKS", 3)
    monkeypatch.setattr(module, "MAX_SESSIONS", 3)
    first = sessions.offer("ada").token
    later = [sessions.offer("ada").token for _ in range(3)]
    assert sessions.invited(first) == "", "the oldest link gave way"
    keys = [sessions.redeem(token) for token in later]
    keys.append(sessions.redeem(sessions.offer("ada").token))
    assert sessions.session(keys[0]) is None, "the longest unused session gave way"
    assert sessions.session(keys[-1]) is not None
