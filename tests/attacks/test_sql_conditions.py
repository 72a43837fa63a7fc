"""SQL that does more than it seems to: each known trick by its name."""

from __future__ import annotations

import pytest

from bailiwick.core.conditions import permits, triggers
from bailiwick.core.conditions.sql import Sql, TablePattern
from bailiwick.core.texts.sql_tree import read_sql


def reads(dialect: str) -> Sql:
    tables = (TablePattern("orders"), TablePattern("sales.*"), TablePattern("t*"))
    return Sql(("query",), dialect, ("select",), tables, (), read_sql)


ANYWHERE = {
    "another table": "select * from secret",
    "another schema": "select * from hr.orders",
    "joined": "select * from orders join secret on true",
    "joined by a comma": "select * from orders, secret",
    "joined in parentheses": "select * from (orders join secret on true)",
    "union": "select a from orders union all select a from secret",
    "union in parentheses": "(select a from orders) union (select a from secret)",
    "subquery in a list": "select (select a from secret) from orders",
    "subquery in a condition": "select 1 from orders where a in (select a from secret)",
    "subquery in exists": "select 1 from orders where exists (select 1 from secret)",
    "subquery in an order": "select 1 from orders order by (select a from secret)",
    "subquery in a limit": "select 1 from orders limit (select count(*) from secret)",
    "subquery in a group": "select 1 from orders group by (select a from secret)",
    "subquery in a case": "select case when 1 = 1 then (select a from secret) end from orders",
    "subquery in a call": "select coalesce((select a from secret), 1) from orders",
    "subquery in a window": "select sum(a) over (order by (select a from secret)) from orders",
    "subquery in a join": "select 1 from orders join tt on (select true from secret)",
    "derived": "select * from (select * from (select * from secret) x) y",
    "defined": "with x as (select * from secret) select * from x",
    "defined under an allowed name": "with orders as (select * from secret) select * from orders",
    "defined and not used": "with x as (select * from secret) select 1 from orders",
    "defined by itself": "with secret as (select * from secret) select * from secret",
    "used before it is defined": "with x as (select * from secret), secret as (select 1) "
    "select * from x",
    "defined elsewhere": "select * from secret where a in (with secret as (select 1) "
    "select * from secret)",
    "defined in one half": "(with secret as (select 1) select * from secret) union "
    "select * from secret",
    "defined in other letters": 'with "SECRET" as (select 1) select * from secret',
    "defined in capitals": "with Secret as (select 1) select * from secret",
    "used in capitals": 'with secret as (select 1) select * from "Secret"',
    "defined in quotes and used without": 'with "Secret" as (select 1) select * from Secret',
    "stacked": "select 1 from orders; drop table orders",
    "stacked in one word": "select 1;delete from orders",
    "stacked, nothing first": "; select 1 from orders",
    "deletes": "delete from orders",
    "updates": "update orders set a = 1",
    "inserts": "insert into orders values (1)",
    "deletes in a definition": "with x as (delete from orders returning *) select * from x",
    "writes a table": "select * into tnew from orders",
    "writes a temporary table": "select * into temp tnew from orders",
    "locks": "select * from orders for update",
    "locks to share": "select * from orders for share",
    "creates": "create table tt as select * from secret",
    "drops": "drop table orders",
    "alters": "alter table orders add x int",
    "truncates": "truncate orders",
    "grants": "grant all on orders to public",
    "merges": "merge into orders using secret on true when matched then delete",
    "explains": "explain analyze delete from orders",
    "calls": "call f()",
    "sets": "set role postgres",
    "begins": "begin",
    "comment": "select 1 from orders -- , secret",
    "comment in the middle": "select * from orders/**/, secret",
    "comment that hides": "select * from orders /* '*/ , secret -- '",
    "hint": "select /*+ x */ * from orders",
    "open comment": "select * from orders /*",
    "unknown function": "select f(1) from orders",
    "unknown function with a schema": "select public.lower('x') from orders",
    "function in quotes": 'select "f"(1) from orders',
    "function named like a definition": "with f(a) as (select 1) select f(1) from orders",
    "no-break space": "select * from\u00a0secret",
    "full-width letters": "select * from \uff53ecret",
    "Kelvin sign": "select * from orders where \u212a = 1",
    "NUL": "select 1 from orders\0, secret",
    "vertical tab": "select * from orders\x0b, secret",
    "look-alike quote": "select \u2018a\u2019 from orders",
    "backslash in a string": "select '\\', (select a from secret), '' from orders",
    "backslash before a quote": "select 'it\\'s', a from secret -- '",
    "dollar quotes": "select $$a$$ from orders",
    "dollar quotes with a tag": "select $x$a$x$ from orders",
    "open string": "select 'a from orders",
    "open name": 'select "a from orders',
    "prefix": "select e'a' from orders",
    "Unicode prefix": "select U&'\\0061' from orders",
    "hexadecimal": "select x'41' from orders",
    "hexadecimal number": "select 0x41 from orders",
    "number that runs on": "select 1from secret",
    "strings in a row": "select 'a' 'b' from orders",
    "string for a table": "select * from 'secret'",
    "string for a second table": "select * from orders, 'secret'",
    "variable": "select @a from orders",
    "system variable": "select @@version from orders",
    "assignment": "select @a := 1 from orders",
    "brackets": "select * from [secret]",
    "sample": "select * from orders tablesample system (1)",
    "long name that is cut off": "select * from t" + "a" * 70,
    "deep": "select " + "(" * 40 + "1" + ")" * 40 + " from orders",
    "long": "select '" + "a" * 20_000 + "' from orders",
    "nothing": "",
    "only a comment": "-- select 1",
    "only an end": ";",
    "no SQL": "drop everything",
    "template": "select {{ x }} from orders",
}

POSTGRES = {
    "reads a file": "select pg_read_file('/etc/passwd')",
    "reads a file under an allowed name": "with pg_read_file(a) as (select 1) select "
    "pg_read_file('/etc/passwd') from orders",
    "reads a folder": "select pg_ls_dir('/')",
    "imports a file": "select lo_import('/etc/passwd')",
    "exports a file": "select lo_export(1, '/tmp/x')",
    "waits": "select pg_sleep(1000)",
    "reaches out": "select * from dblink('host=evil.test', 'select 1') as t(a int)",
    "runs text": "select query_to_xml('select * from secret', true, true, '')",
    "dumps": "select database_to_xml(true, true, '')",
    "runs text for words": "select * from ts_stat('select a from secret')",
    "sets": "select set_config('role', 'postgres', false)",
    "counts on": "select nextval('orders_id_seq')",
    "ends a session": "select pg_terminate_backend(1)",
    "copies": "copy orders to program 'sh'",
    "copies a query": "copy (select 1) to '/tmp/x'",
    "runs a block": "do $$ begin end $$",
    "short for a query": "table secret",
    "prepares": "prepare x as select 1",
    "executes": "execute x",
    "listens": "listen x",
    "names a table by text": "select 'secret'::regclass from orders",
    "reads XML": "select xmlparse(document 'x')",
    "type of the user": "select 'x'::evil from orders",
    "catalog": "select * from pg_shadow",
    "catalog with its schema": "select * from pg_catalog.pg_authid",
    "information": "select * from information_schema.tables",
    "only": "select * from only secret",
    "rows from": "select * from rows from (pg_ls_dir('/')) x",
    "lateral": "select * from orders, lateral (select * from secret) x",
    "lateral call": "select * from orders, lateral pg_ls_dir('/') x",
    "writes on conflict": "insert into orders (a) values (1) on conflict (a) do update set a = 2",
    "brackets of an array": "select (array(select a from secret))[1] from orders",
    "array of a query": "select array(select a from secret) from orders",
    "field of a row": "select (select x from secret x).a from orders",
    "materialized": "with x as materialized (select * from secret) select 1 from orders",
    "search": "with recursive x as (select 1 as a) search depth first by a set b "
    "select * from x, secret",
    "current of": "delete from orders where current of x",
    "operator with a schema": "select 1 operator(evil.+) 2 from orders",
    "name in other letters": 'select * from "ORDERS"',
    "name with an escape": 'select * from U&"\\0073ecret"',
    "string goes on": "select 'a'\n'b' from orders",
}

MYSQL = {
    "comment that runs": "select 1 /*!, (select a from secret) */ from orders",
    "comment that runs by version": "select 1 /*!50000 union select a from secret */ from orders",
    "comment that is none": "select 1 from orders where a = 1 --1",
    "number sign": "select 1 from orders # x",
    "writes a file": "select * from orders into outfile '/tmp/x'",
    "writes a file in the middle": "select a into dumpfile '/tmp/x' from orders",
    "reads a file": "select load_file('/etc/passwd')",
    "loads a file": "load data infile '/etc/passwd' into table orders",
    "waits": "select sleep(1000)",
    "works": "select benchmark(1000000000, md5(1))",
    "locks by name": "select get_lock('a', 1000)",
    "handler": "handler secret open",
    "does": "do sleep(1)",
    "replaces": "replace into orders values (1)",
    "string that may be a name": 'select "a" from orders',
    "string with a backslash": "select 'a\\'', (select a from secret) from orders",
    "charset": "select _utf8'a' from orders",
    "national": "select n'a' from orders",
    "updates two": "update orders, secret set orders.a = secret.a",
    "deletes from two": "delete orders from orders join secret",
    "procedure": "select * from orders procedure analyse(1, 1)",
    "share mode": "select * from orders lock in share mode",
    "variable": "select a into @x from orders",
    "partition": "select * from orders partition (p0)",
    "short": "table secret",
    "shows": "show tables",
    "describes": "describe secret",
    "explains": "explain select 1",
    "system": "select * from mysql.user",
    "without a space": "select*from`secret`",
    "table named like a keyword": "select * from lateral t",
    "table named like a keyword, joined": "select * from orders, lateral t",
    "somebody's function": "select total(a) from orders",
    "odd": "select 1 from{x secret}",
    "dot and number": "select 1 from orders where a=1.e(secret)",
}

SQLITE = {
    "loads code": "select load_extension('/tmp/x.so')",
    "reads a file": "select readfile('/etc/passwd')",
    "writes a file": "select writefile('/tmp/x', 'x')",
    "edits": "select edit('x', 'sh')",
    "opens another": "attach '/etc/x' as x",
    "setting": "pragma writable_schema = 1",
    "setting as a table": "select * from pragma_table_info('secret')",
    "setting as a bare table": "select * from pragma_database_list",
    "schema": "select * from sqlite_master",
    "schema by another name": "select * from sqlite_schema",
    "copies all": "vacuum into '/tmp/x'",
    "tokenizer": "select fts3_tokenizer('x', x'00')",
    "table in a list": "select * from orders where a in secret",
    "table in a list, negated": "select * from orders where a not in secret",
    "string as a table": "select * from \"orders\" join 'secret'",
    "backquotes": "select * from `secret`",
    "indexed": "select * from orders indexed by x",
    "replaces": "insert or replace into orders values (1)",
    "short for replaces": "replace into orders values (1)",
    "other database": "select * from other.orders",
    "temporary": "select * from temp.sqlite_master",
    "raises": "select raise(abort, 'x') from orders",
    "named later": "with x as (select * from secret), secret as (select 1) select * from x",
}

ALL = [
    pytest.param(dialect, text, id=f"{dialect}: {name}")
    for dialect, own in {"postgres": POSTGRES, "mysql": MYSQL, "sqlite": SQLITE}.items()
    for name, text in {**ANYWHERE, **own}.items()
]


@pytest.mark.parametrize(("dialect", "text"), ALL)
def test_sql_that_may_do_more_is_not_let_through(dialect: str, text: str) -> None:
    assert not permits(reads(dialect), {"query": text})


DENIED_TABLE = [case for case in ALL if "secret" in str(case.values[1])]


@pytest.mark.parametrize(("dialect", "text"), DENIED_TABLE)
def test_a_denied_table_cannot_be_reached(dialect: str, text: str) -> None:
    denied = Sql(("query",), dialect, (), (TablePattern("secret"),), (), read_sql)
    assert triggers(denied, {"query": text})


@pytest.mark.parametrize("dialect", ["postgres", "mysql", "sqlite"])
@pytest.mark.parametrize(
    "text",
    [
        "select a, b from orders where c = 'it''s; -- /* # \" fine' order by 1",
        "with x as (select * from orders) select count(*) from x join sales.items i on i.a = x.a",
        "select 1 from totals union select 2 from orders",
        "  SELECT 1 FROM Orders WHERE a <> -1 AND b LIKE '%x%' ;\n".replace("Orders", "orders"),
    ],
)
def test_plain_sql_is_let_through(dialect: str, text: str) -> None:
    assert permits(reads(dialect), {"query": text})
    assert not triggers(Sql(("query",), dialect, ("delete",), (), (), read_sql), {"query": text})
