"""What the terminal shows: a panel when an alert fires and a table when a scan is done.

Everything here is built from an alert's parsed JSON, as in ``alerts.jsonl`` and on topic ``alerts``. Texts
come from strangers: see `legible`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

MOST_TEXTS: Final = 5
MOST_FINDINGS: Final = 5
TEXT_LENGTH: Final = 280
TINY_P: Final = 1e-12
"""Below this a p-value says more about the model's tails than about the posts."""

_FSI, _PDI = "\u2068", "\u2069"
_JOINERS: Final = ("\u200c", "\u200d")  # Persian spelling and emoji families need them


def legible(text: object, most: int = TEXT_LENGTH) -> str:
    """A stranger's text on one line, harmless on a terminal and a page (which still has to escape it).

    Control characters, bidirectional overrides and isolates, zero-width and tag characters go; piles of more
    than three combining marks are cut, and so is everything after `most` characters. Of an escape sequence
    only the escape goes: the rest cannot steer a terminal any more, and dropping it would hide words.

    >>> legible("one\\x1b[31m two\\u202e three\\nfour")
    'one[31m two three four'
    >>> legible("abcdef", 4)
    'abc…'
    """
    # Only so much of a huge string is looked at: what is dropped below is rarely more than what stays.
    start = str(text)[: 20 * most + 5000]
    kept: list[str] = []
    marks = 0
    for char in start:
        category = unicodedata.category(char)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if char.isspace() or category in ("Zl", "Zp"):
            kept.append(" ")
        elif _stays(char, category, marks, kept[-1:]):
            kept.append(char)
    line = " ".join("".join(kept).split())
    if len(line) <= most:
        return line
    return line[: most - 1].rstrip(" \u200c\u200d") + "…"


def _stays(char: str, category: str, marks: int, before: Sequence[str]) -> bool:
    if char in _JOINERS:
        return bool(before) and before[0] not in _JOINERS
    return category not in ("Cc", "Cs", "Cf") and marks <= 3


def hashtag(alert: Mapping[str, Any]) -> str:
    """The alert's hashtag, legible and with its ``#``."""
    return "#" + legible(alert["hashtag"], 100)


def p_value_text(p_value: float | None) -> str:
    """A p-value for people; empty if there is none.

    >>> p_value_text(1e-300), p_value_text(0.000034), p_value_text(0.04), p_value_text(1.0)
    ('p < 1e-12', 'p = 3.4e-5', 'p = 0.04', 'p = 1')
    """
    if p_value is None:
        return ""
    if p_value < TINY_P:
        return "p < 1e-12"
    shown = f"{p_value:.2g}" if p_value >= 0.001 else f"{p_value:.1e}"
    return "p = " + re.sub(r"e-0*", "e-", shown)


def percent(share: float | None) -> str:
    """A share in [0, 1] in per cent with at most one decimal; empty if it is not known.

    >>> percent(0.9009), percent(1.0), percent(None)
    ('90.1 %', '100 %', '')
    """
    if share is None:
        return ""
    return f"{100 * share:.1f}".removesuffix(".0") + " %"


def moment(iso_time: str | None) -> str:
    """An ISO 8601 time as ``2016-07-26 19:30`` UTC, seconds only where there are any; empty for None."""
    if iso_time is None:
        return ""
    at = datetime.fromisoformat(iso_time).astimezone(UTC)
    return at.strftime("%Y-%m-%d %H:%M:%S").removesuffix(":00")


def span(first: str | None, last: str | None) -> str:
    """Two ISO 8601 times as one span in UTC; the day is said once where both are of one day."""
    one, two = moment(first), moment(last)
    if not one or not two:
        return one or two
    return f"{one} – {two.removeprefix(one[:11])} UTC"


def newest(alerts: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The last word on each alert, highest score first; of lines with the same id the later one counts."""
    by_id = {alert["id"]: alert for alert in alerts}
    return sorted(by_id.values(), key=lambda alert: (-alert["score"], alert["starts_at"], alert["id"]))


def what_was_read(totals: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and figure of everything the totals know, in reading order; what they do not know is left out.

    Parameters
    ----------
    totals : mapping
        ``files`` (sequence of names), ``posts``, ``accounts``, ``hashtags``, ``windows`` (assessed),
        ``rejects``, ``sampled`` (hashtags), ``left_out`` (posts under these) and ``passed_over`` (posts under
        small hashtags that were too many) as int, ``starts_at`` and ``ends_at`` as ISO 8601. Each may be
        missing.
    """
    read: list[tuple[str, str]] = []
    files = totals.get("files")
    if files is not None:
        names = ", ".join(legible(name, 80) for name in files[:5])
        more = f" and {len(files) - 5:,} more" if len(files) > 5 else ""
        read.append(("file" if len(files) == 1 else "files", names + more))
    when = span(totals.get("starts_at"), totals.get("ends_at"))
    if when:
        read.append(("time", when))
    names_of = {
        "posts": "posts",
        "accounts": "accounts",
        "hashtags": "hashtags",
        "windows": "windows assessed",
        "rejects": "payloads rejected",
    }
    read.extend(
        (name, f"{int(totals[key]):,}") for key, name in names_of.items() if totals.get(key) is not None
    )
    if totals.get("left_out"):
        read.append(("hashtags sampled", f"{totals['sampled']:,}, {totals['left_out']:,} posts left out"))
    if totals.get("passed_over"):
        read.append(("too many hashtags", f"{totals['passed_over']:,} posts of small ones passed over"))
    return read


def alert_panel(alert: Mapping[str, Any]) -> RenderableType:
    """One alert as it fires: its sentence, largest texts and strongest findings.

    Parameters
    ----------
    alert : mapping
        An alert's parsed JSON (`streams.output.alert_fields`).
    """
    facts = Text(
        f"{alert['kind']} · {alert['severity']} · {alert['state']} · "
        f"{percent(alert['coordinated_share'])} coordinated · {p_value_text(alert['p_value'])} · "
        f"{span(alert['starts_at'], alert['ends_at'] or alert['updated_at'])}"
    )
    parts: list[RenderableType] = [
        Line(hashtag(alert), "bold"),
        Line(legible(alert["sentence"], 600)),
        facts,
    ]
    findings = _strongest(alert["findings"])
    if findings:
        parts += [Text(), _findings(findings)]
    texts = alert["evidence"]["texts"][:MOST_TEXTS]
    if texts:
        parts += [Text(), _texts(texts)]
    # No side borders: a terminal that reorders right-to-left lines would pull them into the text.
    return Panel(
        Group(*parts), box=box.HORIZONTALS, border_style=_style(alert), title="alert", title_align="left"
    )


def alerts_table(alerts: Sequence[Mapping[str, Any]], totals: Mapping[str, Any]) -> RenderableType:
    """All alerts by falling score, under what was read; or a plain word that nothing was found."""
    figures = " · ".join(f"{name} {figure}" for name, figure in what_was_read(totals))
    read = Text(f"read: {figures or 'not told'}", "dim")
    shown = newest(alerts)
    if not shown:
        few = totals.get("windows") == 0
        why = "no hashtag had enough posts to be assessed" if few else "no hashtag shows enough evidence"
        return Group(Text(f"Nothing was found: {why}.", "bold"), read)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("score", "posts", "coord."):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("kind", no_wrap=True)
    # No least widths: rich keeps to them even where the table then no longer fits, and cuts the last column.
    table.add_column("since (UTC)")
    # Last, so that a terminal that reorders it cannot move other columns.
    table.add_column("hashtag")
    for alert in shown:
        table.add_row(
            f"{alert['score']:.0f}",
            f"{alert['posts']:,}",
            f"{100 * alert['coordinated_share']:.0f} %",
            Text(alert["kind"], _style(alert)),
            moment(alert["starts_at"])[:16],
            Line(hashtag(alert)),
        )
    return Group(table, Text(), read)


@dataclass(frozen=True, slots=True)
class Line:
    """A stranger's text, wrapped to its cell; each line with right-to-left letters in an isolate of its own.

    A terminal treats every line as a paragraph, so an isolate opened on one line and closed on the next
    would not hold.
    """

    text: str
    style: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in Text(self.text, self.style).wrap(console, options.max_width, overflow="fold"):
            line.rstrip()
            yield Text(f"{_FSI}{line.plain}{_PDI}", self.style) if right_to_left(line.plain) else line

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        # Long words fold, so that a narrow terminal does not cut a line and its isolate.
        full = cell_len(self.text)
        return Measurement(min(8, full), full).with_maximum(options.max_width)


def right_to_left(text: str) -> bool:
    """Whether any character is of a right-to-left script.

    >>> right_to_left("loan"), right_to_left("قرض")
    (False, True)
    """
    return any(unicodedata.bidirectional(char) in ("R", "AL") for char in text)


def _strongest(findings: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    suspicious = [finding for finding in findings if finding["verdict"] == "suspicious"]
    return sorted(suspicious, key=lambda f: (f["p_value"], f["detector"]))[:MOST_FINDINGS]


def _findings(findings: Iterable[Mapping[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    for finding in findings:
        table.add_row(
            finding["detector"], p_value_text(finding["p_value"]), Line(legible(finding["sentence"], 400))
        )
    return table


def _texts(texts: Iterable[Mapping[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("posts", justify="right", no_wrap=True)
    table.add_column("accounts", justify="right", no_wrap=True)
    table.add_column("text", ratio=1)
    for text in texts:
        table.add_row(f"{text['posts']:,}", f"{text['accounts']:,}", Line(legible(text["text"], 140)))
    return table


def _style(alert: Mapping[str, Any]) -> str:
    return "red" if alert["severity"] == "critical" else "yellow"
