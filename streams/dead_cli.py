"""The commands `floodmark dead list`, `show` and `retry`."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from streams import clock, dead, formats
from streams.dead import Letter, Place
from streams.formats import fields
from streams.settings import Settings
from streams.summary import legible

SHOWN: Final = 50
"""Letters in the table, unless told otherwise; their summary counts all."""

EXPLAINED: Final = 10
"""Letters that were not sent of which it is said why."""

NOT_ALL: Final = 1
"""Exit status when a letter is not there whole, or was not sent."""

app = typer.Typer(
    name="dead",
    help="List, show and retry dead letters: payloads that could not be read, kept for 30 days on the topic"
    " `posts.dead` with the reason and the place they came from.\n\n"
    "Begin with `floodmark dead list`. Once the reason is mended, `floodmark dead retry --all` sends them"
    " again. See docs/dead-letters.md.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
_out = Console()
_err = Console(stderr=True)

Reason = Annotated[
    str | None,
    typer.Option(help="Only letters whose reason contains this, in any case.", metavar="TEXT"),
]


class Unusable(ValueError):
    """Arguments that do not go together or cannot be read."""


@app.command("list")
def list_letters(
    reason: Reason = None,
    since: Annotated[
        str | None,
        typer.Option(
            help="Only letters since this time, UTC: 2016-07-26 or 2016-07-26T21:15Z.", metavar="ISO"
        ),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line, and nothing else on standard output.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1, help=f"Only the newest so many. All with --json, else {SHOWN}, if not given.", metavar="N"
        ),
    ] = None,
) -> None:
    """List dead letters, the newest last, and how many there are for each kind of reason.

    The first column is the key by which `show` and `retry` know a letter: the topic, partition, offset and
    line it came from, and its place in that line. Copies that a restarted worker wrote count once.
    """
    from streams import dead_topic

    since_ms = None if since is None else _time_ms(since)
    found = _chosen(dead_topic.letters(Settings.load()).values(), reason, since_ms)
    if json:
        shown = found[-limit:] if limit else found
        sys.stdout.buffer.writelines(msgspec.json.encode(_fields(letter)) + b"\n" for letter in shown)
        return
    newest = found[-(limit or SHOWN) :]
    if newest:
        _out.print(_table(newest))
        _out.print()
    omitted = f", the newest {len(newest):,} of them above" if len(newest) < len(found) else ""
    _say(f"{len(found):,} dead letter{'' if len(found) == 1 else 's'}{omitted}")
    _out.print(_kinds(found))


@app.command("show")
def show_letter(
    key: Annotated[
        str, typer.Argument(help="As `floodmark dead list` shows it: posts/3/1201/0/0.", metavar="KEY")
    ],
    raw: Annotated[
        bool, typer.Option("--raw", help="Write the payload, byte for byte, and nothing else to it.")
    ] = False,
) -> None:
    """Show all about one dead letter, with its whole payload and whether a retry would work.

    A large payload is kept only in part; the rest is fetched from the topic it came from while that still has
    it. If it does not, that is said, what there is is shown, and the exit status is 1.
    """
    from streams import dead_topic, retry

    settings = Settings.load()
    (letter,) = dead_topic.named(settings, [key])
    content = next((held for _, held in dead_topic.contents(settings, [letter])), b"")
    payload, missing = content, None
    try:
        payload = dead_topic.whole(settings, letter, content)
    except dead_topic.NotKept as error:
        missing = str(error)
    if raw:
        sys.stdout.buffer.write(payload)
    else:
        why = missing or retry.refusal(settings, payload, letter.format)
        _out.print(_about(letter, f"would fail: {why}" if why else "would send it"))
        _say(f"\n{printable(payload)}")
    if missing is not None:
        _err.print(f"floodmark: {missing}", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(NOT_ALL)


@app.command("retry")
def retry_letters(
    keys: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY…", help="As `floodmark dead list` shows them.", show_default=False),
    ] = None,
    all_letters: Annotated[bool, typer.Option("--all", help="All letters instead of some keys.")] = False,
    reason: Reason = None,
    format: Annotated[
        str | None,
        typer.Option(
            help=f"What they are: {', '.join(formats.FORMATS)}. As the message said, if not given.",
            metavar="NAME",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Send even what still cannot be read.")] = False,
) -> None:
    """Send dead letters to `posts` again, each to the partition it came from, and remove their letters.

    For after the reason is mended: a wrong `format` (give the right one with --format), a version that reads
    more, a clock that was wrong. What still cannot be read is not sent and stays. A letter goes only when the
    broker has its payload, and the same post counts once, so a retry may be broken off and run again. A post
    so old that no window can hold it any more is dropped by the workers.

    The exit status is 1 if a letter was not sent.
    """
    from streams import dead_topic, retry

    _check(keys, all_letters, reason, format)
    settings = Settings.load()
    if all_letters:
        chosen = _chosen(dead_topic.letters(settings).values(), reason, None)
    else:
        chosen = dead_topic.named(settings, keys or [])
    unsent: list[retry.Judged] = []
    with _progress() as progress:
        task = progress.add_task("retry", total=len(chosen))

        def told(one: retry.Judged) -> None:
            progress.advance(task)
            if one.fate is not retry.Fate.SENT and len(unsent) < EXPLAINED:
                unsent.append(one)

        fates = retry.retry(settings, chosen, format=format, force=force, dry_run=dry_run, told=told)
    for one in unsent:
        _say(f"{one.letter.place.key} is {one.fate}: {one.why}")
    _say(_counts(fates, dry_run))
    if fates.total() > fates[retry.Fate.SENT]:
        raise typer.Exit(NOT_ALL)


def printable(payload: bytes) -> str:
    """A payload for a terminal: JSON indented, and what could steer the terminal or hide text escaped.

    >>> print(printable(b'{"text": "a\x1b[2Jb"'))
    {"text": "a\\x1b[2Jb"
    """
    with suppress(ValueError, RecursionError):  # that it is no JSON may be why it is dead
        payload = msgspec.json.format(payload, indent=2)
    text = payload.decode(errors="backslashreplace")
    return "".join(
        char if char.isprintable() or char == "\n" else char.encode("unicode_escape").decode()
        for char in text
    )


def _check(keys: list[str] | None, all_letters: bool, reason: str | None, format: str | None) -> None:
    if bool(keys) == all_letters:
        given = f"{len(keys)} keys and --all" if keys else "neither keys nor --all"
        raise Unusable(f"{given}: name some letters as `floodmark dead list` shows them, or take --all")
    if reason is not None and not all_letters:
        raise Unusable(f"--reason {reason!r} chooses among all letters: it goes with --all")
    if format is not None and format not in formats.FORMATS:
        raise Unusable(formats.unknown_format(format))


def _time_ms(text: str) -> int:
    time_ms = fields.date_ms(text)
    if time_ms is None:
        raise Unusable(f"--since {text!r}: it is a day or a time, as 2016-07-26 or 2016-07-26T21:15:00Z")
    return time_ms


def _chosen(letters: Iterable[Letter], reason: str | None, since_ms: int | None) -> list[Letter]:
    wanted = (reason or "").casefold()
    return [
        letter
        for letter in letters
        if wanted in letter.reason.casefold() and (since_ms is None or letter.at_ms >= since_ms)
    ]


def _fields(letter: Letter) -> dict[str, Any]:
    place = letter.place
    return {
        "key": place.key,
        "at": clock.iso(letter.at_ms),
        "reason": letter.reason,
        "format": letter.format,
        "bytes": letter.size,
        "kept_bytes": letter.kept,
        "topic": place.topic,
        "partition": place.partition,
        "offset": place.offset,
        "line": place.line,
        "part": place.part,
    }


def _table(letters: Iterable[Letter]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("key", no_wrap=True)
    table.add_column("when", no_wrap=True)
    table.add_column("bytes", justify="right", no_wrap=True)
    table.add_column("reason", overflow="fold")
    for letter in letters:
        when = clock.iso(letter.at_ms // 1_000 * 1_000)
        cells = (letter.place.key, when, f"{letter.size:,}", letter.reason)
        table.add_row(*(Text(legible(cell)) for cell in cells))
    return table


def _kinds(letters: Iterable[Letter]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(justify="right")
    table.add_column(overflow="fold")
    counts = Counter(dead.kind(letter.reason) for letter in letters)
    for kind, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])):
        table.add_row(f"{count:,}", Text(legible(kind)))
    return table


def _about(letter: Letter, retry: str) -> Table:
    cut = f", of which the letter keeps {letter.kept:,}" if letter.is_cut else ""
    rows = {
        "key": letter.place.key,
        "when": clock.iso(letter.at_ms),
        "reason": letter.reason,
        "from": _origin(letter.place),
        "format": letter.format or "not said; found out from the payload",
        "bytes": f"{letter.size:,}{cut}",
        "a retry": retry,
    }
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, Text(legible(value, dead.MAX_HEADER_BYTES)))
    return table


def _origin(place: Place) -> str:
    if place.archive is not None:
        return f"archive {place.archive}, line {place.offset}"
    return (
        f"topic {place.topic}, partition {place.partition}, offset {place.offset}; line {place.line} of that"
        f" message, element {place.part} of the line, both counted from 0"
    )


def _counts(fates: Counter[Any], dry_run: bool) -> str:
    if not fates:
        return "There is nothing to retry."
    said = ", ".join(f"{count:,} {fate}" for fate, count in sorted(fates.items()))
    remedy = "; --force sends those too" if "still unreadable" in fates else ""
    return f"{'It would be: ' if dry_run else ''}{said}{remedy}."


def _progress() -> Progress:
    columns = (TextColumn("retry"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=_err, transient=True, disable=not _err.is_terminal)


def _say(text: str) -> None:
    _out.print(text, markup=False, highlight=False, soft_wrap=True)
