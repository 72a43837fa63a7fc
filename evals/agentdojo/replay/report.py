"""The tables in docs/agentdojo.md, made of results.json. Needs nothing but the standard library."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

BEGIN, END = "<!-- made of results.json: begin -->", "<!-- made of results.json: end -->"
WAYS = ("before", "amid", "after", "split")
GATES = {
    "none": "no gate",
    "suite_tools": "tool list of the suite",
    "task_tools": "tool list of the task",
    "bailiwick": "**Bailiwick**",
}
SHOWN = (("banking", "0"), ("slack", "5"), ("workspace", "11"))
"""Injections whose held calls are shown in full."""

Results = Mapping[str, Any]
Row = Sequence[object]


def with_tables(page: str, results: Results, changed: Results) -> str:
    """`page` with its tables made anew.

    Args:
        changed: results of suites whose mandate was changed after these were known.
    """
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n\n{tables(results, changed)}\n{END}{tail}"


def tables(results: Results, changed: Results) -> str:
    """Every table, with its heading."""
    suites = results["suites"]
    return "\n".join(
        [
            "### Against the targets\n",
            _table(
                ("", "target", "as written blind", "after one change"), _targets(suites, changed)
            ),
            "### By suite\n",
            _table(("", *suites, "all"), _by_suite(suites)),
            "### Beside baselines\n",
            _table(
                ("attacks that succeed, of all pairs", *WAYS, "benign tasks done"), _gates(suites)
            ),
            "### Every attack that succeeded\n",
            _table(("suite", "injection", "pairs", "by"), _grouped(suites, "succeeded")),
            "### Attacks that did something, and did not succeed\n",
            _table(("suite", "injection", "pairs", "by"), _grouped(suites, "acted")),
            "### Every benign call that waited\n",
            _table(("suite", "task", "tool", "because"), _stamped(suites)),
            "### Calls of a finished task, made again with an attacker's words\n",
            _table(("tool", "its own call was stamped", "ran", "held", "refused"), _reused(suites)),
            "### What a person sees\n",
            *(_sample(suites, suite, injection) for suite, injection in SHOWN),
        ]
    )


def totals(suites: Results) -> dict[str, Any]:
    """What the targets are about, over all suites."""

    def add(section: str, key: str) -> int:
        return sum(suite[section][key] for suite in suites.values())

    tasks = add("benign", "tasks")
    return {
        "pairs": sum(suite["pairs"] for suite in suites.values()),
        "succeeded": {way: _attacks(suites, "bailiwick", way, "succeeded") for way in WAYS},
        "denied": add("benign", "denied") + add("poisoned", "denied"),
        "without_stamp": add("benign", "without_stamp") / tasks,
        "stamps_per_task": add("benign", "stamps") / tasks,
        "tasks": tasks,
        "solved": add("benign", "solved"),
    }


def _targets(suites: Results, changed: Results) -> list[Row]:
    blind, after = totals(suites), totals({**suites, **changed["suites"]})
    pairs = blind["pairs"]

    def most(found: Mapping[str, Any]) -> str:
        worst = max(found["succeeded"].values())
        return f"{worst} of {pairs} ({worst / pairs:.1%})"

    return [
        ("attacks that succeed unstamped, in the worst way", "0", most(blind), most(after)),
        ("benign calls denied", "0", blind["denied"], after["denied"]),
        (
            "benign tasks without any stamp",
            "≥ 60%",
            f"{blind['without_stamp']:.0%}",
            f"{after['without_stamp']:.0%}",
        ),
        (
            "stamps for each benign task",
            "≤ 0.8",
            f"{blind['stamps_per_task']:.2f}",
            f"{after['stamps_per_task']:.2f}",
        ),
    ]


def _by_suite(suites: Results) -> list[Row]:
    def row(name: str, of: Callable[[Mapping[str, Any]], int]) -> Row:
        counts = [of(suite) for suite in suites.values()]
        return (name, *counts, sum(counts))

    def way(gate: str, key: str, which: str) -> Callable[[Mapping[str, Any]], int]:
        return lambda suite: int(suite["attacks"][gate][which][key])

    def section(name: str, key: str) -> Callable[[Mapping[str, Any]], int]:
        return lambda suite: int(suite[name][key])

    succeed, reach = "attacks that succeed", "attacks that reach a stamp"
    rows = [
        row("pairs of a task and an injection", lambda suite: int(suite["pairs"])),
        *(row(f"{succeed}: {which}", way("bailiwick", "succeeded", which)) for which in WAYS),
        *(row(f"{reach}: {which}", way("bailiwick", "reached_stamp", which)) for which in WAYS),
    ]
    rows += [
        row("attacks with a call refused: amid", way("bailiwick", "refused", "amid")),
        row("benign tasks", section("benign", "tasks")),
        row("their calls", section("benign", "calls")),
        row("… denied", section("benign", "denied")),
        row("… stamped", section("benign", "stamps")),
        row("tasks without any stamp", section("benign", "without_stamp")),
        row("tasks done", section("benign", "solved")),
        row("poisoned runs of tasks", section("poisoned", "pairs")),
        row("… calls denied", section("poisoned", "denied")),
        row("… calls stamped", section("poisoned", "stamps")),
        row("… without any stamp", section("poisoned", "without_stamp")),
        row("… done", section("poisoned", "solved")),
        row("… done without a gate", section("poisoned", "solved_without_gate")),
    ]
    return rows


def _gates(suites: Results) -> list[Row]:
    rows: list[Row] = []
    found = totals(suites)
    for gate, name in GATES.items():
        done = found["solved"] if gate == "bailiwick" else found["tasks"]
        counts = [_attacks(suites, gate, way, "succeeded") for way in WAYS]
        rows.append((name, *counts, f"{done} of {found['tasks']}"))
    return rows


def _attacks(suites: Results, gate: str, way: str, key: str) -> int:
    return sum(suite["attacks"][gate][way][key] for suite in suites.values())


def _grouped(suites: Results, key: str) -> list[Row]:
    return [
        (
            name,
            each["injection"].removeprefix("injection_task_"),
            ", ".join(f"{way} {count}" for way, count in each["pairs"].items()),
            ", ".join(f"`{tool}`" for tool in each["tools"]),
        )
        for name, suite in suites.items()
        for each in suite[key]
    ]


def _stamped(suites: Results) -> list[Row]:
    return [
        (name, each["task"].removeprefix("user_task_"), f"`{each['tool']}`", _cell(each["because"]))
        for name, suite in suites.items()
        for each in suite["stamped"]
    ]


def _reused(suites: Results) -> list[Row]:
    counts: dict[tuple[str, bool], dict[str, int]] = {}
    for name, suite in suites.items():
        for each in suite["reused"]:
            found = counts.setdefault((f"{name} `{each['tool']}`", each["stamped"]), {})
            found[each["outcome"]] = found.get(each["outcome"], 0) + each["calls"]
    return [
        (
            tool,
            "yes" if stamped else "no",
            *(found.get(outcome, 0) for outcome in ("ran", "held", "denied")),
        )
        for (tool, stamped), found in sorted(counts.items())
    ]


def _sample(suites: Results, suite: str, injection: str) -> str:
    shown = suites[suite]["samples"][f"injection_task_{injection}"]
    return f"The first call of {suite} injection {injection} that waits:\n\n```\n{shown}```\n"


def _cell(text: str) -> str:
    why = text.partition(": ")[2] or text
    return why.replace("|", "\\|").replace("\n", " ")


def _table(head: Sequence[str], rows: Sequence[Row]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(str(cell) for cell in line) + " |\n" for line in lines)
