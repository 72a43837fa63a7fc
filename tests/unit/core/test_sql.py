"""Reading SQL: total, bounded, and never less than what a real database does with the text."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from bailiwick.core.conditions.sql import Sql, TablePattern
from bailiwick.core.texts.sql import DIALECTS, HARMLESS, MAX_DEPTH, MAX_SQL, SqlMeaning, tokens_of
from bailiwick.core.texts.sql_tree import read_sql
from bailiwick.core.values import CANNOT_TELL, FAILS, HOLDS, Truth
from tests.unit.core.sql_grammar import TABLES, Grammar


def asked(dialect: str = "postgres", **of: tuple[str, ...]) -> Sql:
    tables = tuple(map(TablePattern, of.get("tables", ())))
    kinds, functions = of.get("statements", ()), of.get("functions", ())
    return Sql(("query",), dialect, kinds, tables, functions, read_sql)


def does(text: str, dialect: str = "postgres") -> tuple[set[str], set[str], set[str]]:
    meaning = read_sql(text, dialect)
    assert isinstance(meaning, SqlMeaning), meaning
    tables = {".".join(part.text for part in name) for name in meaning.tables}
    return set(meaning.statements), tables, set(meaning.functions)


PLAIN = {
    "SELECT a, count(*) FROM sales.orders o JOIN sales.items i ON o.id = i.order_id WHERE a > 5 "
    "AND b IN (1, 2) GROUP BY a HAVING count(*) > 1 ORDER BY a DESC LIMIT 10 OFFSET 5": (
        {"select"},
        {"sales.orders", "sales.items"},
    ),
    "select * from a, b cross join c left join d using (id)": ({"select"}, {"a", "b", "c", "d"}),
    "select (select max(x) from a) from b where exists (select 1 from c) and y in (select y from "
    "d)": ({"select"}, {"a", "b", "c", "d"}),
    "select 1 from a union all select 2 from b except select 3 from c": (
        {"select"},
        {"a", "b", "c"},
    ),
    "with x as (select * from a), y as (select * from x) select * from y join b on true": (
        {"select"},
        {"a", "b"},
    ),
    "with recursive n as (select 1 as i union all select i + 1 from n where i < 9) "
    "select * from n": ({"select"}, set()),
    "select * from (select * from a) q, lateral (select * from b where b.x = q.x) r": (
        {"select"},
        {"a", "b"},
    ),
    "select case when a then 'x' else 'it''s' end, coalesce(a, b), a::int, cast(a as varchar(9)), "
    "row_number() over (partition by a order by b) from t": ({"select"}, {"t"}),
    "values (1, 'a'), (2, 'b')": ({"select"}, set()),
    "select 1;": ({"select"}, set()),
    "insert into t (a, b) values (1, 'x')": ({"insert"}, {"t"}),
    "insert into secret (date) values (1)": ({"insert"}, {"secret"}),
    "with lower(a) as (select lower(a) from t) select * from lower": ({"select"}, {"t"}),
    "insert into t select * from s": ({"insert", "select"}, {"t", "s"}),
    "insert into t (a) values ((select max(a) from s))": ({"insert", "select"}, {"t", "s"}),
    "insert into t (a) values (1) on conflict (a) do update set a = excluded.a": (
        {"insert", "update"},
        {"t"},
    ),
    "insert into t (a) values (1) on conflict do nothing": ({"insert"}, {"t"}),
    "update t set a = 1 where id = $1": ({"update"}, {"t"}),
    "update t set a = s.a from s where s.id = t.id": ({"update", "select"}, {"t", "s"}),
    "delete from t where a is null": ({"delete"}, {"t"}),
    "delete from t using s where s.id = t.id": ({"delete", "select"}, {"t", "s"}),
    "delete from t returning *": ({"delete", "select"}, {"t"}),
    "with gone as (delete from t returning *) select count(*) from gone": (
        {"delete", "select"},
        {"t"},
    ),
    'select "a b" from "Sales"."Orders"': ({"select"}, {"Sales.Orders"}),
    "select date_trunc('month', d)::date, to_char(d, 'YYYY-MM'), a->>'$.x', nullif(a, '') from t "
    "where d >= now() - interval '30 days' and d at time zone 'UTC' < timestamp '2026-01-01' "
    "fetch first 5 rows only": ({"select"}, {"t"}),
}  # fmt: skip


@pytest.mark.parametrize(("text", "meaning"), PLAIN.items(), ids=list(PLAIN))
def test_a_plain_statement_is_told(text: str, meaning: tuple[set[str], set[str]]) -> None:
    assert does(text) == (*meaning, set())


ELSEWHERE = {
    "select date_format(d, '%Y-%m'), ifnull(a, 0) from `shop`.`t` where d >= "
    "date_sub(now(), interval 30 day) group by 1 limit 5, 10": "mysql",
    "insert into t (a) values (?) on duplicate key update a = values(a)": "mysql",
    "update t set a = 1 where id = 2 order by b limit 1": "mysql",
    "select strftime('%Y-%m', d), total(a), a->>'$.x' from t where a glob 'x*' and b collate "
    "nocase = 'x' and d > date('now', '-30 day')": "sqlite",
}


@pytest.mark.parametrize(("text", "dialect"), ELSEWHERE.items())
def test_what_only_one_dialect_has_is_told_in_it(text: str, dialect: str) -> None:
    _, tables, functions = does(text, dialect)
    assert tables <= {"t", "shop.t"}
    assert functions == set()


def test_a_function_that_does_not_come_with_the_database_may_be_anybodys() -> None:
    assert does("select total(a) from t", "sqlite")[2] == set()
    assert does("select total(a) from t", "mysql")[2] == {"total"}
    own = {
        row[0]
        for row in sqlite3.connect(":memory:").execute("select name from pragma_function_list")
    }
    assert HARMLESS["sqlite"] - own == {"cast", "values"}


def test_functions_that_are_not_known_to_be_harmless_are_named() -> None:
    assert does("select lower(a), pg_sleep(9), Lo_Import('x') from t") == (
        {"select"},
        {"t"},
        {"pg_sleep", "lo_import"},
    )
    assert does("select * from generate_series(1, 9) as g")[2] == {"generate_series"}


CLAUSES = st.sampled_from(
    [
        *("select", "from", "where", "join", "union", "union all", "with", "as", "on", "using"),
        *("recursive", "insert into", "update", "delete from", "set", "values", "returning", "in"),
        *("exists", "order by", "group by", "having", "limit", "not", "and", "or", "case when"),
        *("then", "else", "end", "between", "is null", "distinct", "over", "left", "natural"),
        *("materialized", "not materialized", "on conflict do nothing", "do update set"),
    ]
)
NAMES = st.sampled_from(["t", "s", "x", "secret", "main", "temp", "a", "b", '"t"', '"secret"', "T"])
BITS = st.sampled_from(
    [
        *("(", ")", "(", ")", ",", ".", "*", "=", "+", "-", "1", "2.5", "'t'", "'secret'", "||"),
        *("count(", "lower(", "max(", "load_extension(", "json_each(", ";", "?", ":x", "->>"),
    ]
)
SOUP = st.lists(CLAUSES | NAMES | BITS, min_size=2, max_size=24).map(" ".join)


WRITING = {
    sqlite3.SQLITE_INSERT: "insert",
    sqlite3.SQLITE_UPDATE: "update",
    sqlite3.SQLITE_DELETE: "delete",
}
READING = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, 33}  # 33: SQLITE_RECURSIVE
OPERATORS = {"->", "->>", "like", "glob"}
"""SQLite counts these among the functions."""


@dataclass
class Done:
    """What SQLite would do with a text."""

    tables: set[str]
    functions: set[str]
    written: set[str]
    others: set[int]


@pytest.fixture(name="database", scope="module")
def _database() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    for table in TABLES:
        connection.execute(f"create table {table} (a, b, id)")
    connection.execute("create table lone (a)")
    connection.execute("create view v as select * from t")
    yield connection
    connection.close()


def done_by(database: sqlite3.Connection, text: str) -> Done | None:
    """What SQLite would do with `text`, by its own compiler; None if it would do nothing."""
    done = Done(set(), set(), set(), set())

    def authorize(
        action: int, first: str | None, second: str | None, within: str | None, _through: str | None
    ) -> int:
        if action == sqlite3.SQLITE_FUNCTION:
            done.functions.add(str(second).lower())
        elif action in WRITING:
            done.written.add(WRITING[action])
            done.tables.add(str(first).lower())
        elif action not in READING:
            done.others.add(action)
        elif action == sqlite3.SQLITE_READ and second and within:
            done.tables.add(str(first).lower())
        return sqlite3.SQLITE_OK

    places = dict(
        database.execute("select rootpage, tbl_name from sqlite_master where rootpage > 0")
    )
    database.set_authorizer(authorize)
    try:
        for _, opcode, first, second, *_rest in database.execute("explain " + text):
            place = {"OpenRead": second, "OpenWrite": second, "Clear": first}.get(opcode)
            if place is not None:
                done.tables.add(places.get(place, "sqlite_master"))
    except (sqlite3.Error, sqlite3.Warning):
        return None
    finally:
        database.set_authorizer(None)
    return done


def check_against_sqlite(database: sqlite3.Connection, text: str) -> bool:
    """Whether there was something to compare."""
    meaning = read_sql(text, "sqlite")
    if isinstance(meaning, str):
        return False
    done = done_by(database, text)
    if done is None:
        return False
    told = {name[-1].text.lower() for name in meaning.tables}
    told |= {"t"} if "v" in told else set()
    assert done.tables - {"v"} <= told, text
    assert done.functions <= HARMLESS["sqlite"] | OPERATORS | meaning.functions, text
    assert done.written <= meaning.statements, text
    assert done.others == set(), text
    if len(done.tables) > 1 or not done.written:
        assert "select" in meaning.statements, text
    return True


HARD = [
    "select * from t, 'secret'",
    "select * from (secret)",
    "select * from t where a in lone",
    "select * from t where a not in lone",
    "with x as (select * from secret) select 1 from x",
    "select * from t natural join secret",
    "select * from t order by (select a from secret)",
    "select * from t limit (select a from secret)",
    "select count(*) filter (where a in (select a from secret)) from t",
    "select sum(a) over (order by (select a from secret)) from t",
    "select sum(a) over w from t window w as (partition by (select a from secret))",
    "insert into t (a) values (1) on conflict do update set a = (select a from secret)",
    "delete from t returning (select a from secret)",
    "update t set (a, b) = (select a, b from secret)",
    "select * from t join (s join secret on 1) on 1",
    "select * from t, s as q, secret as p",
    'select "secret"."a" from "secret"',
]


@pytest.mark.parametrize("text", HARD)
def test_sqlite_does_nothing_else_by_a_known_trick(database: sqlite3.Connection, text: str) -> None:
    check_against_sqlite(database, text)
    assert done_by(database, text) is not None


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_sqlite_does_nothing_that_is_not_told(database: sqlite3.Connection, seed: int) -> None:
    grammar = Grammar(seed)
    compared = sum(check_against_sqlite(database, grammar.statement()) for _ in range(30))
    event(f"compared: {compared > 0}")


@given(st.text(max_size=80) | SOUP, st.sampled_from(DIALECTS))
@settings(max_examples=300, deadline=None)
def test_reading_is_total(text: str, dialect: str) -> None:
    assert isinstance(read_sql(text, dialect), SqlMeaning | str)
    condition = asked(dialect, tables=("t", "sales.*"), statements=("select",))
    assert isinstance(condition.of(text), Truth)
    assert isinstance(condition.stands(text), str)


@given(st.text(max_size=200), st.sampled_from(DIALECTS))
def test_splitting_is_total(text: str, dialect: str) -> None:
    assert isinstance(tokens_of(text, dialect), tuple | str)


SECONDS = 5.0  # Quadratic would be minutes; a busy machine makes a quarter of a second one.
LONG = {
    "parentheses": "select " + "(" * MAX_DEPTH + "1" + ")" * MAX_DEPTH,
    "queries": "select " + "(select " * MAX_DEPTH + "1" + ")" * MAX_DEPTH,
    "sources": "select * from " + "(select * from " * MAX_DEPTH + "t" + ") q" * MAX_DEPTH,
    "bare sources": "select * from " + "(" * MAX_DEPTH + "t" + ")" * MAX_DEPTH,
    "calls": "select " + "lower(" * MAX_DEPTH + "a" + ")" * MAX_DEPTH,
    "unknown calls": "select " + "f(" * MAX_DEPTH + "a" + ")" * MAX_DEPTH,
    "casts": "select " + "cast(" * MAX_DEPTH + "a" + " as int)" * MAX_DEPTH,
    "values": "select * from (values " + "(" * 14 + "1" + ")" * 14 + ") v",
    "open parentheses": "select " + "(" * MAX_DEPTH,
    "cases": "select " + "case when a then " * 300 + "1" + " end" * 300,
    "open cases": "select " + "case when a then " * 400,
    "nots": "select " + "not " * 1_400 + "a",
    "signs": "select " + "- " * 1_400 + "a",
    "sums": "select 1" + "+1" * 700,
    "ands": "select a" + " and a" * 700,
    "joins": "select * from t" + " join t" * 700,
    "joins with their ends": "select * from t" + " join t on a=a" * 200,
    "unions": "select 1" + " union select 1" * 450,
    "betweens": "select a" + " between a" * 700,
    "likes": "select a" + " like a" * 700,
    "casts in a row": "select a" + "::int" * 700,
    "dots": "select a" + ".a" * 700,
    "names in with": "with " + ",".join(f"x{n} as (select 1)" for n in range(200)) + " select 1",
    "list": "select a in (" + ",".join(["1"] * 700) + ")",
    "long text": "select '" + "a" * (MAX_SQL - 20) + "'",
    "too long": "select '" + "a" * MAX_SQL,
    "quotes": "select " + "'" * 9_000,
    "spaces": "select" + " " * 9_900 + "1",
    "windows": "select " + ",".join(["sum(a) over (order by a)"] * 100) + " from t",
    "intervals": "select " + " + ".join(["interval '1 day'"] * 300),
    "aliases": "select " + "a " * 1_400,
}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("text", LONG.values(), ids=LONG.keys())
def test_no_text_takes_long(text: str, dialect: str) -> None:
    read_sql("select 1", dialect)  # the parser of each dialect is loaded when first used
    read_sql.cache_clear()
    started = time.process_time()
    assert isinstance(read_sql(text, dialect), SqlMeaning | str)
    assert time.process_time() - started < SECONDS


@pytest.mark.parametrize(
    ("pattern", "text", "truth"),
    [
        ("orders", "select 1 from orders", HOLDS),
        ("orders", "select 1 from ORDERS", HOLDS),
        ("orders", 'select 1 from "orders"', HOLDS),
        ("orders", 'select 1 from "Orders"', CANNOT_TELL),
        ("Orders", 'select 1 from "Orders"', HOLDS),
        ("Orders", "select 1 from Orders", CANNOT_TELL),
        ("orders", "select 1 from sales.orders", CANNOT_TELL),
        ("sales.orders", "select 1 from orders", CANNOT_TELL),
        ("sales.orders", "select 1 from secret", FAILS),
        ("sales.*", "select 1 from sales.orders", HOLDS),
        ("sales.*", "select 1 from orders", CANNOT_TELL),
        ("sales.*", "select 1 from hr.orders", FAILS),
        ("sales.*", "select 1 from sales.hr.orders", FAILS),
        ("sales.*", "select 1 from db.sales.orders", CANNOT_TELL),
        ("*", "select 1 from anything", HOLDS),
        ("*", "select 1 from pg_shadow", CANNOT_TELL),
        ("*.*", "select 1 from pg_catalog.pg_shadow", CANNOT_TELL),
        ("*.*", "select 1 from information_schema.tables", CANNOT_TELL),
        ("pg_stat_activity", "select 1 from pg_stat_activity", HOLDS),
        ("orders", "select 1", HOLDS),
        ("orders", "select 1 from orders, secret", CANNOT_TELL),
        ("orders", "select 1 from secret, hidden", FAILS),
    ],
)
def test_tables_are_compared_as_the_database_names_them(
    pattern: str, text: str, truth: Truth
) -> None:
    assert asked(tables=(pattern,)).of(text) is truth


def test_capitals_count_as_the_dialect_has_it() -> None:
    assert asked("sqlite", tables=("Orders",)).of('select 1 from "oRDERS"') is HOLDS
    assert asked("mysql", tables=("orders",)).of("select 1 from `Orders`") is CANNOT_TELL
    assert asked("mysql", tables=("Orders",)).of("select 1 from Orders") is HOLDS


def test_every_kind_of_a_statement_must_be_allowed() -> None:
    reads = asked(statements=("select",))
    assert reads.of("select 1 from t") is HOLDS
    assert reads.of("delete from t") is FAILS
    assert reads.of("insert into t select 1") is CANNOT_TELL
    assert asked(statements=("insert", "select")).of("insert into t select 1") is HOLDS


def test_a_function_must_be_listed_unless_it_is_harmless() -> None:
    text = "select upper(a), nextval('s') from t"
    assert asked(statements=("select",)).of(text) is CANNOT_TELL
    assert asked(statements=("select",), functions=("nextval",)).of(text) is HOLDS


@pytest.mark.parametrize("text", ["", ".", "a.", "a..b", "a.b.c.d"])
def test_a_table_of_a_mandate_has_one_to_three_pieces(text: str) -> None:
    with pytest.raises(ValueError, match="TABLE"):
        TablePattern(text)


def test_the_phrase_and_standing_are_for_people() -> None:
    wanted = asked(statements=("select",), tables=("sales.*",), functions=("nextval",))
    assert wanted.sentence() == (
        "`query` is SELECT of SQL (postgres) on `sales.*` that may call `nextval`"
    )
    assert wanted.stands("select pg_sleep(1)") == "is `select pg_sleep(1)` which calls `pg_sleep`"
    assert wanted.stands("delete from sales.a") == "is `delete from sales.a` which holds DELETE"
    assert wanted.stands("select 1 from hr.a") == "is `select 1 from hr.a` which uses `hr.a`"
    assert wanted.stands("select 1").endswith("which holds SELECT")
    assert wanted.stands("select 1 -- x") == (
        "is `select 1 -- x` which holds a comment, at character 10"
    )
    assert wanted.stands(["x"]) == "is a list and not text"
