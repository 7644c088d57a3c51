"""`report.html`: alerts with their evidence on one page that needs nothing else to be read."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from streams.charts import COORDINATED, OTHER, draw
from streams.summary import hashtag, legible, moment, newest, p_value_text, percent, span, what_was_read

MOST_IN_FULL: Final = 20
MOST_LISTED: Final = 1_000
FIRST_ACCOUNTS: Final = 100
TITLE: Final = "Floodmark report"
_VERDICTS: Final = {"suspicious": 0, "normal": 1, "abstained": 2}


def render(alerts: Sequence[Mapping[str, Any]], totals: Mapping[str, Any], *, title: str = TITLE) -> str:
    """The page as a string; the same input gives the same page.

    Parameters
    ----------
    alerts : sequence of mappings
        Parsed lines of ``alerts.jsonl`` or messages of topic ``alerts`` (`streams.output.alert_fields`); of
        several with one id the last counts.
    totals : mapping
        What was read, see `streams.summary.what_was_read`.
    title : str
        Heading of the page.

    Returns
    -------
    str
        HTML without scripts and without any reference to something outside it. At most `MOST_IN_FULL` alerts
        are shown in full, those with the highest score; the page says how many are not.
    """
    ranked = newest(alerts)
    return _template().render(
        title=legible(title, 120),
        read=what_was_read(totals),
        listed=[_row(alert, number) for number, alert in enumerate(ranked[:MOST_LISTED])],
        full=[_in_full(alert) for alert in ranked[:MOST_IN_FULL]],
        number=len(ranked),
        assessed=totals.get("windows"),
        colours=(COORDINATED, OTHER),
    )


def write(
    path: Path, alerts: Sequence[Mapping[str, Any]], totals: Mapping[str, Any], *, title: str = TITLE
) -> None:
    """Write the page; a reader finds the old page or the whole new one, never a part.

    Raises
    ------
    OSError
        If the folder is missing or cannot be written; nothing is left behind.
    """
    page = render(alerts, totals, title=title).encode()
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            file.write(page)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("streams"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(legible=legible, p=p_value_text, percent=percent)
    return environment.get_template("report.html.j2")


def _row(alert: Mapping[str, Any], number: int) -> dict[str, Any]:
    return {
        "alert": alert,
        "hashtag": hashtag(alert),
        "since": moment(alert["starts_at"]),
        "anchor": f"alert-{number + 1}" if number < MOST_IN_FULL else None,
    }


def _in_full(alert: Mapping[str, Any]) -> dict[str, Any]:
    evidence = alert["evidence"]
    accounts = evidence["accounts"]
    return {
        "alert": alert,
        "hashtag": hashtag(alert),
        "span": span(alert["starts_at"], alert["ends_at"] or alert["updated_at"]),
        "window": span(alert["window"]["start"], alert["window"]["end"]),
        "findings": sorted(
            alert["findings"],
            key=lambda f: (
                _VERDICTS[f["verdict"]],
                f["p_value"] if f["p_value"] is not None else 1,
                f["detector"],
            ),
        ),
        "texts": evidence["texts"],
        "most_posts": max((text["posts"] for text in evidence["texts"]), default=1),
        "account_tables": [part for part in (accounts[:FIRST_ACCOUNTS], accounts[FIRST_ACCOUNTS:]) if part],
        "charts": draw(evidence),
    }
