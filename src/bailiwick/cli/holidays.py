"""`holidays`: public holidays as a calendar to look at, change and declare."""

from __future__ import annotations

import json
import re
from typing import Annotated

import typer

from bailiwick.cli import show
from bailiwick.cli.exits import CliError, Exit

FIRST_YEAR, LAST_YEAR = 1970, 2100
MAX_YEARS = 10


def holidays(
    country: Annotated[str, typer.Argument(help="Two letters: CH, DE, US, …")],
    rest: Annotated[
        list[str], typer.Argument(metavar="[PART] YEAR…", help="A part of it, such as ZH; years.")
    ],
    name: Annotated[str, typer.Option("--name", help="Name of the calendar.")] = "",
    language: Annotated[str, typer.Option("--language", help="Of the days' names: de, en, …")] = "",
) -> int:
    """Print the public holidays of a country as a calendar.

    Look through it, change what is different where you are, and declare it. What is declared is
    what counts: nothing looks holidays up later.
    """
    years = [int(word) for word in rest if re.fullmatch(r"[0-9]{4}", word)]
    parts = [word for word in rest if not re.fullmatch(r"[0-9]{4}", word)]
    if not years or len(parts) > 1 or len(years) > MAX_YEARS:
        raise CliError(
            Exit.USAGE, "which_years", "give at most one part and one to ten years", "CH ZH 2027"
        )
    if not all(FIRST_YEAR <= year <= LAST_YEAR for year in years):
        raise CliError(Exit.USAGE, "which_years", f"years are from {FIRST_YEAR} to {LAST_YEAR}")
    part = parts[0] if parts else ""
    days = _days(country.upper(), part.upper(), sorted(set(years)), language)
    calendar = name or "-".join(filter(None, (country.lower(), part.lower())))
    if not re.fullmatch(r"[a-z0-9]+(?:[._-][a-z0-9]+)*", calendar):
        raise CliError(Exit.USAGE, "bad_name", f"`{calendar}` is not a name", "give --name")
    where = " ".join(filter(None, (country.upper(), part.upper())))
    spans = ", ".join(str(year) for year in sorted(set(years)))
    show.out("calendars:")
    show.out(f"  {calendar}:")
    show.out(f"    description: {json.dumps(f'Public holidays in {where}, {spans}')}")
    show.out("    days:")
    for day, words in days:
        show.out(f"      {day}: {json.dumps(words, ensure_ascii=False)}")
    return Exit.OK


def _days(country: str, part: str, years: list[int], language: str) -> list[tuple[str, str]]:
    import holidays as table  # takes a tenth of a second

    supported = table.list_supported_countries(include_aliases=False)
    if country not in supported:
        raise CliError(Exit.USAGE, "country_unknown", f"no holidays are known for `{country}`")
    spelled = {known.upper(): known for known in supported[country]}
    if part and part not in spelled:
        parts = ", ".join(supported[country]) or "none"
        raise CliError(
            Exit.USAGE, "part_unknown", f"`{country}` has no part `{part}`", f"known are {parts}"
        )
    found = table.country_holidays(
        country, subdiv=spelled.get(part), years=years, language=language or None
    )
    if language and language not in found.supported_languages:
        known = ", ".join(found.supported_languages)
        raise CliError(
            Exit.USAGE, "language_unknown", f"no names in `{language}`", f"known are {known}"
        )
    return [(day.isoformat(), name) for day, name in sorted(found.items())]
