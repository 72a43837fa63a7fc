"""Which nodes of a parsed statement of SQL are understood (see `sql_tree.py`).

Everything else is in doubt, and so is what a newer parser adds.
"""

from __future__ import annotations

from sqlglot import exp

_QUERY = frozenset(
    {
        "with_",
        "joins",
        "laterals",
        "where",
        "group",
        "having",
        "windows",
        "order",
        "limit",
        "offset",
    }
)

PARTS: dict[type[exp.Expr], frozenset[str]] = {
    exp.Select: _QUERY | {"expressions", "distinct", "from_"},
    exp.Subquery: _QUERY | {"this", "alias"},
    exp.Union: _QUERY | {"this", "expression", "distinct"},
    exp.Except: _QUERY | {"this", "expression", "distinct"},
    exp.Intersect: _QUERY | {"this", "expression", "distinct"},
    exp.Values: frozenset({"expressions", "alias", "order", "limit", "offset"}),
    exp.With: frozenset({"expressions", "recursive"}),
    exp.CTE: frozenset({"this", "alias", "materialized"}),
    exp.Insert: frozenset({"with_", "this", "expression", "conflict", "returning"}),
    exp.Update: frozenset(
        {"with_", "this", "expressions", "from_", "where", "returning", "order", "limit"}
    ),
    exp.Delete: frozenset({"with_", "this", "using", "where", "returning", "order", "limit"}),
    exp.OnConflict: frozenset(
        {"duplicate", "expressions", "action", "conflict_keys", "index_predicate", "where"}
    ),
    exp.Returning: frozenset({"expressions"}),
    exp.Schema: frozenset({"this", "expressions"}),
    exp.Table: frozenset({"this", "alias", "db", "catalog", "joins", "laterals"}),
    exp.TableAlias: frozenset({"this", "columns"}),
    exp.From: frozenset({"this"}),
    exp.Join: frozenset({"this", "on", "side", "kind", "using", "method"}),
    exp.Lateral: frozenset({"this", "alias"}),
    exp.Group: frozenset({"expressions", "rollup", "cube"}),
    exp.Window: frozenset({"this", "partition_by", "order", "spec", "alias", "over"}),
    exp.Limit: frozenset({"this", "expression"}),
    exp.Offset: frozenset({"this", "expression"}),
    exp.Distinct: frozenset({"expressions", "on"}),
    exp.Star: frozenset(),
    exp.Column: frozenset({"this", "table", "db"}),
    exp.Identifier: frozenset({"this", "quoted"}),
    exp.In: frozenset({"this", "expressions", "query"}),
    exp.Cast: frozenset({"this", "to"}),
    exp.DataType: frozenset({"this", "expressions"}),
}
"""Nodes that are understood with these parts, and with no others."""

PLAIN: frozenset[type[exp.Expr]] = frozenset(
    {
        *(exp.Literal, exp.Null, exp.Boolean, exp.Placeholder, exp.Parameter, exp.Var),
        *(exp.Alias, exp.Paren, exp.Tuple, exp.Where, exp.Having, exp.Order, exp.Ordered),
        *(exp.And, exp.Or, exp.Not, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Is),
        *(exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod, exp.Neg, exp.DPipe),
        *(exp.Between, exp.Like, exp.ILike, exp.Escape, exp.NullSafeEQ, exp.NullSafeNEQ),
        *(exp.Any, exp.All, exp.Exists, exp.Case, exp.If, exp.Interval, exp.Filter),
        *(exp.AtTimeZone, exp.Collate, exp.Glob, exp.SimilarTo, exp.Fetch, exp.LimitOptions),
        *(
            exp.CurrentUser,
            exp.SessionUser,
            exp.WithinGroup,
            exp.WindowSpec,
            exp.DataTypeParam,
            exp.Concat,
        ),
        *(exp.JSONPath, exp.JSONPathRoot, exp.JSONPathKey, exp.JSONPathSubscript),
        *(exp.Rollup, exp.Cube, exp.JSONExtract, exp.JSONExtractScalar, exp.JSONObject),
        *(exp.Abs, exp.Acos, exp.Asin, exp.Atan, exp.Atan2, exp.Ceil, exp.Cos, exp.Degrees),
        *(exp.Exp, exp.Floor, exp.Ln, exp.Log, exp.Pi, exp.Pow, exp.Radians, exp.Round, exp.Sign),
        *(exp.Sin, exp.Sqrt, exp.Tan, exp.Trunc, exp.Greatest, exp.Least, exp.Coalesce, exp.Nullif),
        *(exp.ArrayAgg, exp.Avg, exp.BitwiseAndAgg, exp.BitwiseOrAgg, exp.Corr, exp.Count),
        *(exp.CovarPop, exp.CovarSamp, exp.GroupConcat, exp.Grouping, exp.JSONArrayAgg),
        *(exp.JSONBObjectAgg, exp.JSONObjectAgg, exp.LogicalAnd, exp.LogicalOr, exp.Max, exp.Min),
        *(exp.Mode, exp.Stddev, exp.StddevPop, exp.StddevSamp, exp.Sum, exp.Variance),
        *(exp.VariancePop, exp.PercentileCont, exp.PercentileDisc),
        *(exp.CumeDist, exp.DenseRank, exp.FirstValue, exp.Lag, exp.LastValue, exp.Lead),
        *(exp.NthValue, exp.Ntile, exp.PercentRank, exp.Rank, exp.RowNumber),
        *(exp.Ascii, exp.ConcatWs, exp.Hex, exp.Initcap, exp.Left, exp.Length, exp.Lower),
        *(exp.Overlay, exp.Replace, exp.Reverse, exp.Right, exp.SplitPart, exp.StrPosition),
        *(exp.Substring, exp.Trim, exp.Typeof, exp.Upper, exp.ToChar, exp.ToNumber),
        *(exp.CurrentDate, exp.CurrentTime, exp.CurrentTimestamp, exp.Localtime),
        *(exp.Localtimestamp, exp.Date, exp.DateAdd, exp.DateDiff, exp.DateSub, exp.DateTrunc),
        *(exp.Datetime, exp.Day, exp.DayOfMonth, exp.DayOfWeek, exp.DayOfYear, exp.Extract),
        *(exp.Hour, exp.LastDay, exp.Minute, exp.Month, exp.Quarter, exp.Second, exp.StrToDate),
        *(exp.StrToTime, exp.Time, exp.TimeToStr, exp.TimestampAdd, exp.TimestampDiff),
        *(exp.TimestampTrunc, exp.TsOrDsToDate, exp.TsOrDsToTimestamp, exp.UnixToTime, exp.Week),
        *(exp.Year,),
    }
)
"""Nodes that are understood whatever they hold, since all of that is visited too."""

TYPES = frozenset(
    exp.DataType.Type[name]
    for names in (
        "BOOLEAN TINYINT SMALLINT MEDIUMINT INT BIGINT UTINYINT USMALLINT UINT UBIGINT DECIMAL",
        "FLOAT DOUBLE CHAR NCHAR VARCHAR NVARCHAR BPCHAR TEXT DATE TIME TIMETZ DATETIME TIMESTAMP",
        "TIMESTAMPTZ TIMESTAMPNTZ INTERVAL UUID JSON JSONB YEAR",
    )
    for name in names.split()
)
"""Types whose input is plain data."""
