"""How many connections a server holds, and which gives way to which: on real sockets."""

from __future__ import annotations

import logging
import resource
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from bailiwick.app.http_places import DEFAULT_PLACES, FEWEST_PLACES, Place, Places
from bailiwick.app.open_files import room_for
from bailiwick.app.settings import Settings
from bailiwick.core.errors import ConfigError
from bailiwick.protocols.http_place import PLACE
from tests.app.raw_http import Client, House, get, post

MOST = 32
OF_AGENTS = 28
OF_AGENT = 14
OF_PERSON = 8


@pytest.fixture
def house() -> Iterator[House]:
    house = House(Places(MOST))
    yield house
    house.close()


@pytest.fixture
def clients(house: House) -> Iterator[list[Client]]:
    clients: list[Client] = []
    yield clients
    for client in clients:
        client.socket.close()


def come(house: House, clients: list[Client], count: int) -> list[Client]:
    """Connections that were taken in, one after the other."""
    came = []
    for _ in range(count):
        before = house.places.taken + house.places.gave_way
        came.append(house.connect())
        house.until(lambda before=before: house.places.taken + house.places.gave_way > before)  # type: ignore[misc]
    clients.extend(came)
    return came


def ask(client: Client, path: bytes = b"/echo") -> int:
    client.send(post(path, b"{}"))
    return client.response()[0]


def ended(client: Client) -> bool:
    try:
        return client.socket.recv(1) == b""
    except ConnectionResetError:
        return True


def still_open(client: Client) -> bool:
    return ask(client) == 200


# --- strangers -----------------------------------------------------------------------------------


def test_whoever_comes_takes_the_place_of_the_oldest_who_showed_no_token(
    house: House, clients: list[Client]
) -> None:
    first, second = come(house, clients, 2)
    come(house, clients, MOST - 2)
    assert house.within(lambda: house.places.taken) == MOST
    newest = come(house, clients, 1)[0]
    assert ended(first)
    assert still_open(second)
    assert still_open(newest)
    assert house.within(lambda: (house.places.taken, house.places.gave_way)) == (MOST, 1)


def test_two_thousand_who_say_nothing_keep_nobody_out(house: House, clients: list[Client]) -> None:
    held = [house.connect() for _ in range(2_000)]
    try:
        client = house.connect()
        clients.append(client)
        assert still_open(client)
        assert house.within(lambda: house.places.taken) <= MOST
        assert house.within(lambda: len(house.state.connections)) <= MOST + 1
    finally:
        for each in held:
            each.socket.close()


def test_a_place_is_free_again_when_its_connection_ends(
    house: House, clients: list[Client]
) -> None:
    for client in come(house, clients, MOST):
        client.socket.close()
    house.until(lambda: not house.places.taken)
    come(house, clients, MOST)
    assert house.within(lambda: house.places.gave_way) == 0


# --- those who are known --------------------------------------------------------------------------


@dataclass(eq=False)
class Sitting:
    """A connection as its place sees it. `until`: see `Guest`."""

    until: float | None = None
    gone: bool = False

    def idle_until(self) -> float | None:
        return self.until

    def give_way(self) -> None:
        self.gone = True


class Row:
    """Connections on places without sockets, for each is to be at work or idle as is said."""

    def __init__(self, most: int = MOST, of_address: int = 0) -> None:
        self.places = Places(most, of_address)

    def come(self, address: str = "10.0.0.1", until: float | None = None) -> tuple[Sitting, Place]:
        guest = Sitting(until)
        place = self.places.enter(guest, address)
        assert place is not None
        return guest, place

    def agent(self, name: str, until: float | None = None) -> tuple[Sitting, bool]:
        guest, place = self.come(until=until)
        seated = place.seat_agent(name)
        if not seated:
            self.places.leave(place)
        return guest, seated

    def person(self, name: str, until: float | None = None) -> Sitting:
        guest, place = self.come(until=until)
        place.seat_person(name)
        return guest


@pytest.fixture
async def row() -> Row:
    return Row()


async def test_a_stranger_gives_way_before_anybody_who_showed_a_token(row: Row) -> None:
    known, _ = row.agent("clerk", until=1.0)
    stranger, _ = row.come()
    for _ in range(MOST - 2):
        row.come(until=0.0)
    row.come()
    assert stranger.gone
    assert not known.gone


async def test_of_strangers_the_address_that_has_most_gives_way(row: Row) -> None:
    lone, _ = row.come("192.0.2.7")
    flood = [row.come("198.51.100.1")[0] for _ in range(MOST - 1)]
    row.come("192.0.2.9")
    assert flood[0].gone
    assert not lone.gone


async def test_who_owns_many_addresses_does_not_make_it_long_to_find_who_gives_way() -> None:
    row, most, counted = Row(1_000), 1_000, 0
    for number in range(most):
        row.come(f"10.1.{number >> 8}.{number & 255}")

    def count(_frame: object, _event: str, _what: object) -> None:
        nonlocal counted
        counted += 1

    sys.setprofile(count)
    try:
        row.come("10.2.0.1")
    finally:
        sys.setprofile(None)
    assert row.places.gave_way == 1
    assert 0 < counted < most  # not one step for each


async def test_all_of_one_network_of_ipv6_count_as_one_address(row: Row) -> None:
    lone, _ = row.come("2001:db8:1::1")
    flood = [row.come(f"2001:db8:2::{number:x}")[0] for number in range(1, MOST)]
    row.come("2001:db8:3::1")
    assert flood[0].gone
    assert not lone.gone


async def test_a_stranger_has_as_many_before_them_as_places_are_kept(row: Row) -> None:
    idle = [row.agent("clerk", until=1.0)[0] for _ in range(OF_AGENT)]
    idle += [row.agent("other", until=1.0)[0] for _ in range(OF_AGENT)]
    idle += [row.person("ada", until=1.0) for _ in range(MOST - len(idle))]
    came = [row.come("10.0.0.9")[0] for _ in range(MOST)]
    kept = MOST - OF_AGENTS
    assert [guest.gone for guest in idle].count(True) == kept
    assert [guest.gone for guest in came] == [True] * (MOST - kept) + [False] * kept


async def test_without_strangers_who_has_been_idle_longest_gives_way(row: Row) -> None:
    busy, _ = row.agent("clerk")
    short, _ = row.agent("clerk", until=9.0)
    longest, _ = row.agent("clerk", until=5.0)
    for number in range(MOST - 3):
        row.person(f"p{number}")
    row.come()
    assert longest.gone
    assert not short.gone
    assert not busy.gone


async def test_what_is_under_way_is_never_ended_and_who_comes_is_turned_away(row: Row) -> None:
    at_work = [row.person(f"p{number}") for number in range(MOST)]
    late = Sitting()
    assert row.places.enter(late, "10.0.0.9") is None
    assert not any(guest.gone for guest in at_work)
    assert row.places.refused == 1


async def test_agents_cannot_take_the_places_that_are_kept_for_people(row: Row) -> None:
    at_work = [row.agent(f"a{number % 7}") for number in range(OF_AGENTS)]
    assert all(seated for _, seated in at_work)
    _, seated = row.agent("late")
    assert not seated
    person = row.person("ada")
    row.come()
    assert not person.gone
    assert not any(guest.gone for guest, _ in at_work)


async def test_no_agent_has_more_than_half_of_what_agents_may_have(row: Row) -> None:
    for _ in range(OF_AGENT):
        assert row.agent("wild")[1]
    assert not row.agent("wild")[1]
    assert row.agent("clerk")[1]


async def test_an_idle_connection_of_its_own_gives_way_to_an_agents_next(row: Row) -> None:
    idle, _ = row.agent("clerk", until=1.0)
    for _ in range(OF_AGENT - 1):
        row.agent("clerk")
    assert row.agent("clerk")[1]
    assert idle.gone


async def test_an_idle_agent_gives_way_to_another_before_it_is_refused(row: Row) -> None:
    idle, _ = row.agent("a0", until=1.0)
    for number in range(1, OF_AGENTS):
        row.agent(f"a{number % 7}")
    assert row.agent("late")[1]
    assert idle.gone


async def test_a_persons_oldest_gives_way_to_the_same_persons_newest(row: Row) -> None:
    other = row.person("bob")
    own = [row.person("ada") for _ in range(OF_PERSON + 1)]
    assert [guest.gone for guest in own] == [True] + [False] * OF_PERSON
    assert not other.gone


async def test_what_a_person_has_under_way_goes_on_while_another_of_theirs_is_idle(
    row: Row,
) -> None:
    at_work = row.person("ada")
    idle = row.person("ada", until=2.0)
    others = [row.person("ada") for _ in range(OF_PERSON - 2)]
    row.person("ada")
    assert idle.gone
    assert not any(guest.gone for guest in (at_work, *others))


async def test_a_connection_that_serves_one_agent_after_another_counts_for_the_last(
    row: Row,
) -> None:
    _, place = row.come()
    assert place.seat_agent("wild")
    assert place.seat_agent("clerk")
    for _ in range(OF_AGENT):
        assert row.agent("wild")[1]
    for _ in range(OF_AGENT - 1):
        assert row.agent("clerk")[1]
    row.places.leave(place)
    row.places.leave(place)
    assert row.places.taken == OF_AGENTS - 1
    assert row.agent("clerk")[1]


async def test_one_address_has_no_more_than_it_may() -> None:
    row = Row(of_address=3)
    busy = [row.agent("clerk")[0], row.agent("clerk")[0]]
    stranger, _ = row.come()
    row.agent("clerk")
    assert stranger.gone
    assert row.places.enter(Sitting(), "10.0.0.1") is None
    assert row.places.enter(Sitting(), "10.0.0.2") is not None
    assert not any(guest.gone for guest in busy)


async def test_only_a_few_of_those_who_found_no_place_are_heard_out(row: Row) -> None:
    for number in range(MOST):
        row.person(f"p{number}")
    late = [Sitting() for _ in range(66)]
    for guest in late:
        assert row.places.enter(guest, "10.0.0.1") is None
    assert [guest.gone for guest in late] == [True] * 2 + [False] * 64
    for guest in late:
        row.places.shown_out(guest)
    fresh = Sitting()
    assert row.places.enter(fresh, "10.0.0.1") is None
    assert not late[2].gone


async def test_whatever_happens_each_place_is_counted_once() -> None:
    chance = Random(11)
    row = Row(of_address=12)
    here: list[tuple[Sitting, Place]] = []
    for _ in range(5_000):
        match chance.randrange(5):
            case 0 | 1:
                guest = Sitting(chance.choice([None, chance.random()]))
                place = row.places.enter(guest, f"10.0.0.{chance.randrange(5)}")
                if place is None:
                    row.places.shown_out(guest)
                else:
                    here.append((guest, place))
            case 2 if here:
                chance.choice(here)[1].seat_agent(f"a{chance.randrange(3)}")
            case 3 if here:
                chance.choice(here)[1].seat_person(f"p{chance.randrange(3)}")
            case 4 if here:
                row.places.leave(here.pop(chance.randrange(len(here)))[1])
        left = [place for guest, place in here if not guest.gone]
        assert row.places.taken == len(left) <= MOST
        assert row.places._addresses == Counter(place.address for place in left)
        assert row.places._known == sum(place.owner != "" for place in left)
        assert row.places._agents == sum(place.agent != "" for place in left) <= OF_AGENTS
        held = Counter(place.owner for place in left)
        assert {name: len(group) for name, group in row.places._owned.items()} == {
            name: count for name, count in held.items() if name
        }
        assert sum(map(len, row.places._strangers.values())) == held[""]
        crowds = {name: many for many, names in row.places._crowds.items() for name in names}
        assert crowds == {name: len(group) for name, group in row.places._strangers.items()}
    for _, place in here:
        row.places.leave(place)
    assert row.places.gave_way > 100
    assert row.places.taken == row.places._known == row.places._agents == 0
    assert row.places._addresses == {}
    assert row.places._owned == row.places._strangers == {}
    assert row.places._crowds == {}
    assert row.places._turned_away == {}


async def test_it_is_said_once_a_minute_at_most(row: Row, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(MOST + 5):
            row.come()
    assert len(caplog.records) == 1
    assert "32 of 32 places" in caplog.text or "31 of 32 places" in caplog.text
    assert "--max-connections" in caplog.text


# --- on the wire ---------------------------------------------------------------------------------


def test_who_finds_no_place_is_told_so_and_the_connection_ends(
    house: House, clients: list[Client]
) -> None:
    busy = come(house, clients, MOST)
    for client in busy:
        client.send(get(b"/gone"))
    house.until(lambda: len(house.app.scopes) == MOST)

    def know_all() -> None:
        for number, scope in enumerate(house.app.scopes):
            scope[PLACE].seat_person(f"p{number}")

    house.within(know_all)
    late = house.connect()
    clients.append(late)
    late.send(post(b"/echo", b"{}"))
    status, headers, _ = late.response()
    assert status == 503
    assert headers[b"connection"] == b"close"
    assert ended(late)
    late.socket.close()
    house.until(lambda: len(house.state.connections) == MOST)
    busy[0].socket.close()
    house.until(lambda: house.places.taken == MOST - 1)
    assert still_open(come(house, clients, 1)[0])


def test_an_answer_that_is_not_read_yet_is_not_idle(house: House, clients: list[Client]) -> None:
    client = come(house, clients, 1)[0]
    client.send(get(b"/flood"))
    house.until(lambda: any(each.write_paused for each in house.state.connections))
    connection = next(iter(house.state.connections))
    assert house.within(connection.idle_until) is None
    house.app.disconnected.set()


# --- how many there are --------------------------------------------------------------------------


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The limit of open files, as a process would have it: the last of the list."""
    told: list[tuple[int, int]] = []

    def setting(_which: int, limits: tuple[int, int]) -> None:
        if limits[0] > limits[1] >= 0:
            raise ValueError("current limit exceeds maximum limit")
        told.append(limits)

    monkeypatch.setattr(resource, "getrlimit", lambda _which: told[-1])
    monkeypatch.setattr(resource, "setrlimit", setting)
    return told


def test_the_limit_of_open_files_is_raised_as_far_as_connections_need(
    files: list[tuple[int, int]],
) -> None:
    files.append((1_024, 524_288))
    assert room_for(None) == DEFAULT_PLACES
    assert files[-1] == (2 * DEFAULT_PLACES + 512, 524_288)


def test_a_limit_that_is_high_enough_stays(files: list[tuple[int, int]]) -> None:
    files.append((100_000, 524_288))
    assert room_for(None) == DEFAULT_PLACES
    assert room_for(4_000) == 4_000
    files.append((resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert room_for(50_000) == 50_000
    assert len(files) == 2


def test_there_are_fewer_places_where_files_are_few(files: list[tuple[int, int]]) -> None:
    files.append((1_024, 1_024))
    assert room_for(None) == 256
    files.append((256, 256))
    assert room_for(None) == FEWEST_PLACES


def test_more_connections_than_there_are_files_for_are_refused(
    files: list[tuple[int, int]],
) -> None:
    files.append((1_024, 4_096))
    with pytest.raises(ConfigError) as caught:
        room_for(5_000)
    assert caught.value.code == "too_few_files"
    assert "`ulimit -n`" in caught.value.message
    assert "1792" in caught.value.message


@pytest.mark.parametrize(
    ("most", "of_address"), [(FEWEST_PLACES - 1, 0), (100_001, 0), (None, -1), (None, 100_001)]
)
def test_numbers_that_cannot_be_meant_are_refused(
    tmp_path: Path, most: int | None, of_address: int
) -> None:
    settings = Settings(tmp_path, max_connections=most, max_per_address=of_address)
    with pytest.raises(ConfigError) as caught:
        settings.check()
    assert caught.value.code == "out_of_range"
    assert "--max-" in caught.value.message
